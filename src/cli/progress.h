// How far a long command is: "import: 12,000 of 40,000 (30 %), 25,310/s, 4 s left". On a terminal
// one line that rewrites itself; elsewhere (a log) a line every few seconds. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace holdfast::cli {

class Progress {
 public:
  using Now = std::function<std::chrono::steady_clock::time_point()>;

  // `err` outlives the progress. `total` 0: not known.
  Progress(std::ostream& err, bool terminal, std::string what, uint64_t total,
           Now now = std::chrono::steady_clock::now);
  // Clears the line, so that what follows stands alone.
  ~Progress();
  Progress(const Progress&) = delete;

  void Update(uint64_t done);
  std::chrono::milliseconds elapsed() const;

 private:
  std::string Line(uint64_t done) const;

  std::ostream& err_;
  const bool terminal_;
  const std::string what_;
  const uint64_t total_;
  const Now now_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
  bool on_screen_ = false;
};

// "950 ms", "12.3 s".
std::string ToText(std::chrono::milliseconds time);

// How many a second.
uint64_t RateOf(uint64_t count, std::chrono::milliseconds time);

}  // namespace holdfast::cli

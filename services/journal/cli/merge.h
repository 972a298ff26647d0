// `holdfast journal merge`: log files of several machines in one true order, without a cluster.
//
// Files are read in step: always the one whose time is least. A line is held back until no file can
// have one that was before it by less than the window, and printed in the order of corrected times;
// what comes later than that is printed where it comes, with a mark. What has no time, nor a line
// before it or soon behind it that has one, is printed first. Files of any size: memory is
// that of what is held back, and bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/journal/cli/lines.h"
#include "services/journal/reorder.h"
#include "src/cli/commands.h"

namespace holdfast::journal {

// What is known of a file's clock: what must be added to its times, and how wrong that may be.
struct KnownOffset {
  std::string file;
  int64_t offset_us = 0;
  std::optional<uint64_t> error_us;
};
// "FILE=+120ms~5ms"
Result<KnownOffset> ParseKnownOffset(std::string_view text);

struct MergeFlags {
  std::vector<std::string> files;
  std::vector<std::string> offsets;
  uint32_t window_ms = 2'000;
  std::string format = "auto";
  int year = 0;  // Of formats that have none; 0: the last that fits the file's age.
  std::string zone = "UTC";
  bool json = false;
};

// Returns the exit code.
int Merge(const MergeFlags& flags, cli::Context& context);

// A line as it comes out.
struct MergedLine {
  std::string file;
  uint64_t number = 0;          // In its file, from 1.
  std::optional<int64_t> time;  // As it says itself.
  std::optional<uint64_t> error_us;
  bool late = false;
  bool cut = false;
  std::string text;
};

// One file.
class MergeInput {
 public:
  MergeInput(LineReader reader, KnownOffset clock, LineFormat format, Untold untold)
      : reader_(std::move(reader)), clock_(std::move(clock)), format_(format), untold_(untold) {}

  // The next line and the corrected time that it is sorted by; its neighbour's if it has none.
  // nullopt: its file has shown none yet.
  struct Next {
    std::optional<int64_t> corrected_us;
    MergedLine line;
  };
  Result<std::optional<Next>> Read();

  // How far the file has come, in corrected time. One line that is far ahead of the one before it
  // does not count until another agrees: else it would take all that follow for late.
  int64_t reached_us() const { return reached_us_; }
  bool ended() const { return ended_; }

 private:
  Result<std::optional<Next>> ReadOne();

  LineReader reader_;
  const KnownOffset clock_;
  const LineFormat format_;
  const Untold untold_;
  uint64_t number_ = 0;
  std::vector<Next> ahead_;  // The lines before the first that has a time, last first.
  bool begun_ = false;
  bool ended_ = false;
  std::optional<int64_t> last_us_;
  int64_t reached_us_ = std::numeric_limits<int64_t>::min();
};

// What a merge came to.
struct MergeCounts {
  uint64_t lines = 0;
  uint64_t late = 0;
  uint64_t without_time = 0;
  uint64_t cut = 0;
  uint64_t hurried = 0;  // Let go before their window was over, as too much was held back.
};

class Merger {
 public:
  using Print = std::function<void(std::optional<int64_t> corrected_us, const MergedLine& line)>;

  Merger(std::vector<MergeInput> inputs, int64_t window_us, size_t held_bytes_max, Print print)
      : inputs_(std::move(inputs)),
        window_us_(window_us),
        held_bytes_max_(held_bytes_max),
        print_(std::move(print)) {}

  Result<void> Run();
  const MergeCounts& counts() const { return counts_; }

 private:
  MergeInput* Furthest();
  void Out(std::optional<int64_t> corrected_us, MergedLine line);

  std::vector<MergeInput> inputs_;
  const int64_t window_us_;
  const size_t held_bytes_max_;
  const Print print_;
  Reorder<MergedLine> held_;
  size_t held_bytes_ = 0;
  MergeCounts counts_;
};

}  // namespace holdfast::journal

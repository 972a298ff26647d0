#include "src/cli/progress.h"

#include <algorithm>
#include <ostream>

#include "src/cli/text.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTerminalInterval{100};
constexpr milliseconds kLogInterval{3'000};
constexpr uint64_t kTimeLeftSecondsMin = 2;  // Less than this is over before it is read.
constexpr char kClearLine[] = "\r\x1b[K";

}  // namespace

std::string ToText(milliseconds time) {
  if (time < std::chrono::seconds(1)) return std::to_string(time.count()) + " ms";
  const auto tenths = time.count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

uint64_t RateOf(uint64_t count, milliseconds time) {
  return count * 1'000 / static_cast<uint64_t>(std::max<int64_t>(time.count(), 1));
}

Progress::Progress(std::ostream& err, bool terminal, std::string what, uint64_t total, Now now)
    : err_(err),
      terminal_(terminal),
      what_(std::move(what)),
      total_(total),
      now_(std::move(now)),
      start_(now_()),
      shown_(start_) {}

Progress::~Progress() {
  if (on_screen_) err_ << kClearLine << std::flush;
}

milliseconds Progress::elapsed() const {
  return std::chrono::duration_cast<milliseconds>(now_() - start_);
}

void Progress::Update(uint64_t done) {
  const auto now = now_();
  if (now - shown_ < (terminal_ ? kTerminalInterval : kLogInterval)) return;
  shown_ = now;
  if (terminal_) {
    err_ << kClearLine << Line(done) << std::flush;
    on_screen_ = true;
  } else {
    err_ << Line(done) << std::endl;
  }
}

std::string Progress::Line(uint64_t done) const {
  const uint64_t rate = RateOf(done, elapsed());
  std::string line = what_ + ": " + Grouped(done);
  if (total_ > 0) {
    line += " of " + Grouped(total_) + " (" + std::to_string(done * 100 / total_) + " %)";
  }
  line += ", " + Grouped(rate) + "/s";
  if (total_ > done && rate > 0) {
    const uint64_t left = (total_ - done) / rate;
    if (left > kTimeLeftSecondsMin) line += ", " + Grouped(left) + " s left";
  }
  return line;
}

}  // namespace holdfast::cli

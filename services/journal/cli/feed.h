// `holdfast journal feed`: appends the lines of a log as they are written. Run it where the log is
// written: its times are of this machine's clock.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "services/journal/cli/lines.h"
#include "services/journal/journal.pb.h"
#include "src/cli/commands.h"

namespace holdfast::journal {

struct FeedFlags {
  std::string journal;
  std::string source;
  std::string file = "-";
  std::string format = "auto";
  int year = 0;
  std::string zone = "local";  // It runs where the log is written.
  bool go_on = false;          // Lines are numbered behind what the source has appended before.
  bool trust_removed = false;  // Lines whose records were removed are taken to be the same.
};

// What a feed came to.
struct FeedCounts {
  uint64_t appended = 0;
  uint64_t already_there = 0;
  uint64_t late = 0;
  uint64_t without_time = 0;
  uint64_t cut = 0;
};

// "this clock is 0.211 ms behind the log's, within 0.400 ms". Empty: nothing is known.
std::string ClockText(const Offset& offset);

// One thread. Sends batches of the source's records, in order, each until it is answered; a batch
// that is repeated has the same numbers. With each goes what the clock said then, and when the
// answer before had come.
class Feeder {
 public:
  using Send = std::function<Result<AppendReply>(const AppendRequest& request)>;
  using ClockUs = std::function<int64_t()>;
  using Pause = std::function<void(int64_t ms)>;

  // `clock` is the one whose times are told; `steady` measures how long an outage lasts, as the
  // other may be set meanwhile.
  Feeder(std::string journal, std::string source, Send send, ClockUs clock, ClockUs steady,
         Pause pause);

  // What has numbers of removed records is no reason to stop.
  void TrustRemoved() { trust_removed_ = true; }

  // An exchange of times alone, so that the first records can be corrected; and where to go on.
  Result<void> Begin(bool go_on, uint64_t last_sequence);
  // Puts a line into the batch. Call Flush when it is full, or nothing more comes for a while.
  void Add(Line line, std::optional<int64_t> time_us);
  bool full() const;
  bool empty() const { return batch_.records().empty(); }
  const std::string& newest() const { return batch_.records().rbegin()->body(); }
  Result<void> Flush();

  uint64_t next_sequence() const { return next_; }  // Of the first that is not answered.
  const FeedCounts& counts() const { return counts_; }
  const Offset& offset() const { return offset_; }

 private:
  Result<void> Exchange();
  Result<void> Deliver(AppendRequest request);
  Result<AppendReply> Try(AppendRequest* request);

  const Send send_;
  const ClockUs clock_;
  const ClockUs steady_;
  const Pause pause_;
  AppendRequest batch_;
  bool trust_removed_ = false;
  size_t bytes_ = 0;
  uint64_t next_ = 1;
  uint64_t answered_batch_ = 0;  // The last answer that came ...
  int64_t received_us_ = 0;      // ... and when.
  std::optional<int64_t> last_time_us_;
  FeedCounts counts_;
  Offset offset_;
};

// Returns the exit code.
int Feed(const FeedFlags& flags, cli::Context& context);

}  // namespace holdfast::journal

// What sources ask of journals: each has a clock of its own, that is off, drifts, or is set at
// times; sends its records in batches, late and out of order; repeats a batch until it is answered;
// and tells with each what it saw of the answer before. Bodies say when it truly happened
// (journal_promises.h).
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "services/journal/journal.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

// Whose records are kept until the end.
inline constexpr char kKeptJournal[] = "j";
// Sources below this drift within what is declared, and are never set.
inline constexpr uint64_t kHonestSources = 2;

class JournalRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit JournalRequests(Random& random) : random_(random) {}
  // The true time as a clock that is never off says it.
  void SetClock(std::function<int64_t()> true_us) { true_us_ = std::move(true_us); }

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

 private:
  struct Clock {
    bool begun = false;
    int64_t ahead_us = 0;
    int64_t drift_ppm = 0;
    int64_t since_us = 0;
    // Of each journal.
    struct Stream {
      uint64_t next = 1;
      uint64_t batch = 0;
      int64_t received_us = 0;
      std::optional<journal::AppendRequest> under_way;
    };
    std::array<Stream, 2> streams;
  };
  static constexpr uint64_t kSources = 4;

  std::string Journal() { return random_.OneIn(4) ? "k" : kKeptJournal; }
  int64_t Says(Clock& clock);  // What its clock says now.
  journal::AppendRequest Append();

  Random& random_;
  std::function<int64_t()> true_us_ = [] { return int64_t{0}; };
  std::array<Clock, kSources> clocks_;
  uint64_t last_body_ = 0;
  uint64_t released_ = 0;  // As somebody has read.
};

}  // namespace holdfast::sim

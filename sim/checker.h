// What must hold of a cluster, whatever happens to its nodes. Fed while the run goes on; at its end
// the log that was agreed on is replayed through the reference models, and every answer that a
// client got is compared with theirs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/log.pb.h"
#include "services/ledger/model.h"
#include "sim/world.h"
#include "src/base/ids.h"

namespace holdfast::sim {

// A write as its client saw it. Attempts share the key.
struct WriteRecord {
  std::string key;
  std::string method;
  LogIndex after;     // Checker::told() when it was first tried.
  LogIndex position;  // Of the reply.
  bool replayed = false;
  std::string reply;
};

// A read of an account that was answered.
struct ReadRecord {
  std::string account;
  LogIndex after;  // It must have seen at least this.
  LogIndex position;
  bool found = false;
  std::string reply;
};

class Checker {
 public:
  explicit Checker(World& world) : world_(world) {}

  // --- What nodes do
  void Leads(NodeId node, Term term);
  // `node` has applied the entry, and stands at `digest`.
  void Applied(NodeId node, LogIndex index, Term term, const std::string& payload, uint64_t digest);
  // `node` begins a life at this position.
  void Stands(NodeId node, LogIndex index, uint64_t digest);

  // --- What clients see
  // The highest position that anyone was told, by a write or a read: what begins now comes later.
  LogIndex told() const { return told_; }
  void Acknowledge(WriteRecord record);
  void Answer(ReadRecord record);

  // Replays all that was agreed on, and compares. Once, at the end.
  void Replay(const std::function<const std::string&(uint8_t service, uint8_t method)>& name_of);
  const ledger::Model& model() const { return model_; }
  LogIndex last() const { return LogIndex(entries_.size()); }

  uint64_t writes() const { return writes_; }
  uint64_t reads() const { return reads_; }
  size_t terms_led() const { return leaders_.size(); }

 private:
  struct Known {
    Term term;
    std::string payload;
    uint64_t digest = 0;
  };
  struct Executed {
    LogIndex index;
    std::string reply;
  };
  void CheckWrite(const WriteRecord& record) const;
  void CheckReads(LogIndex at);

  World& world_;
  std::map<Term, NodeId> leaders_;
  std::vector<Known> entries_;  // From index 1.
  LogIndex told_;
  std::vector<WriteRecord> to_check_;
  std::multimap<LogIndex, ReadRecord> reads_to_check_;
  ledger::Model model_;
  std::map<std::string, Executed> executed_;  // By method and key.
  LogIndex replayed_;
  int64_t now_us_ = 0;
  uint64_t writes_ = 0;
  uint64_t reads_ = 0;
};

}  // namespace holdfast::sim

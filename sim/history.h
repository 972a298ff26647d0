// What clients saw of a ledger, and the log that was agreed on. The log is replayed through the
// reference model, entry by entry, and every answer that a client got is compared with the model's.
// The simulator and the faults on real processes (tests/faults) judge by it.
//
// Not thread-safe. What must never happen is thrown as a Violation.
#pragma once

#include <functional>
#include <map>
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
  LogIndex after;     // The highest position that anyone had been told when it was first tried.
  LogIndex position;  // Of the reply.
  bool replayed = false;
  std::string reply;
};

// A read that was answered (model_reads.h).
struct ReadRecord {
  std::string method = "GetAccount";
  std::string request;
  uint64_t rows_before = 0;  // Of a list: on the pages before.
  LogIndex after;            // It must have seen at least this.
  LogIndex position;
  bool found = false;
  std::string reply;
};

class History {
 public:
  // --- What clients see, in any order, but told before an entry beyond it is replayed
  void Acknowledge(WriteRecord record);
  void Answer(ReadRecord record);

  // --- The log
  // Names a method by the numbers of its service and its own: "CreateTransfer".
  using NameOf = std::function<const std::string&(uint8_t service, uint8_t method)>;
  // Replays the next entry, from index 1 on. `payload` is empty when it carries no requests.
  void Replay(const std::string& payload, const NameOf& name_of);
  // Compares what the clients saw with what has been replayed. Once, at the end.
  void Check();

  const ledger::Model& model() const { return model_; }
  LogIndex replayed() const { return replayed_; }
  // The model's reply to the write of this method ("CreateTransfer") and key; null: not in the log.
  const std::string* ReplyTo(const std::string& method, const std::string& key) const;

  uint64_t writes() const { return writes_; }
  uint64_t reads() const { return reads_; }

 private:
  struct Executed {
    LogIndex index;
    std::string reply;
  };
  void CheckWrite(const WriteRecord& record) const;
  void CheckReads();

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

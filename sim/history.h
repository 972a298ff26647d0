// What clients saw of the services, and the log that was agreed on. The log is replayed through the
// reference models, entry by entry, and every answer that a client got is compared with the
// model's. The simulator and the faults on real processes (tests/faults) judge by it.
//
// Not thread-safe. What must never happen is thrown as a Violation.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sim/judge.h"
#include "sim/world.h"
#include "src/base/ids.h"

namespace holdfast::sim {

// A write as its client saw it. Attempts share the key.
struct WriteRecord {
  std::string key;
  std::string method;  // "ledger.CreateTransfer"
  std::string request = {};
  std::string awaits = {};  // The read that went on with it, if its caller waits.
  uint64_t began_us = 0;    // When it was first tried.
  LogIndex after;           // The highest position that anyone had been told then.
  LogIndex position;        // Of the reply.
  bool replayed = false;
  std::string reply;
};

class History {
 public:
  History();

  // --- What clients see, in any order, but told before an entry beyond it is replayed
  void Acknowledge(WriteRecord record);
  void Answer(ReadRecord record);

  // --- The log
  // Replays the next entry, from index 1 on. `payload` is empty when it carries no requests.
  void Replay(const std::string& payload);
  // Compares what the clients saw with what has been replayed. Once, at the end.
  void Check();

  LogIndex replayed() const { return replayed_; }
  // The model's reply to the write of this method and key; null: not in the log.
  const std::string* ReplyTo(const std::string& method, const std::string& key) const;
  // After Check: what a node whose state is the log's answers to reads; of another answer, what is
  // wrong with it.
  std::vector<Asked> Everything() const;
  std::string Difference(const ReadRecord& read) const;

  uint64_t writes() const { return writes_; }
  uint64_t reads() const { return reads_; }

 private:
  struct Executed {
    LogIndex index;
    std::string reply;
  };
  struct Write {
    WriteRecord record;
    std::string difference;  // As an answer of the read that it awaits.
  };
  struct Read {
    ReadRecord record;
    int64_t of_write = -1;
  };
  Judge& Of(const std::string& method) const;
  void CheckWrite(const Write& write) const;
  void CheckReads();
  static bool Answers(const WriteRecord& record, const Executed& executed);

  const Judges judges_;
  std::vector<Write> to_check_;
  std::multimap<LogIndex, Read> reads_to_check_;
  std::map<std::string, Executed> executed_;  // By method and key.
  LogIndex replayed_;
  Moment now_;
  bool new_leader_ = false;  // Since the last entry with a time.
  uint64_t writes_ = 0;
  uint64_t reads_ = 0;
};

}  // namespace holdfast::sim

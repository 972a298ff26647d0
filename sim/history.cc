#include "sim/history.h"

#include <algorithm>
#include <set>
#include <utility>

#include "holdfast/log.pb.h"
#include "sim/atomic_judge.h"
#include "sim/chat_judge.h"
#include "sim/coordination_judge.h"
#include "sim/journal_judge.h"
#include "sim/ledger_judge.h"
#include "sim/methods.h"
#include "sim/order_judge.h"
#include "sim/queue_judge.h"
#include "sim/rounds_judge.h"
#include "sim/todo_judge.h"
#include "src/state_machine/repeated_key.h"

namespace holdfast::sim {
namespace {

// Some judge several services.
std::set<Judge*> EachOf(const Judges& judges) {
  std::set<Judge*> each;
  for (const auto& [service, judge] : judges) each.insert(judge.get());
  return each;
}

}  // namespace

Judges MakeJudges() {
  Judges judges;
  judges["ledger"] = MakeLedgerJudge();
  judges["sessions"] = judges["locks"] = judges["cache"] = MakeCoordinationJudge();
  judges["queues"] = MakeQueueJudge();
  judges["todo"] = MakeTodoJudge();
  judges["rounds"] = MakeRoundsJudge();
  judges["journal"] = MakeJournalJudge();
  judges["chat"] = MakeChatJudge();
  judges["orders"] = MakeOrderJudge(judges);
  judges["atomic"] = MakeAtomicJudge(judges);
  return judges;
}

History::History() : judges_(MakeJudges()) {}

Judge& History::Of(const std::string& method) const {
  const auto found = judges_.find(method.substr(0, method.find('.')));
  Require(found != judges_.end(), "there is no method " + method);
  return *found->second;
}

void History::Acknowledge(WriteRecord record) {
  ++writes_;
  if (!record.awaits.empty()) {
    ReadRecord read;
    read.method = record.awaits;
    read.request = record.request;
    read.position = record.position;
    read.found = true;
    read.reply = record.reply;
    reads_to_check_.emplace(read.position, Read{read, static_cast<int64_t>(to_check_.size())});
  }
  to_check_.push_back({std::move(record), ""});
}

void History::Answer(ReadRecord record) {
  ++reads_;
  Require(record.position >= record.after, record.method + " was answered at entry " +
                                               record.position.ToString() +
                                               " and had to see entry " + record.after.ToString());
  reads_to_check_.emplace(record.position, Read{std::move(record)});
}

void History::Replay(const std::string& payload) {
  CheckReads();
  replayed_ = replayed_.Next();
  if (payload.empty()) {
    new_leader_ = true;
    return;
  }
  LogEntry entry;
  Require(entry.ParseFromString(payload), "a committed entry does not parse");
  const int64_t before_us = now_.log_us;
  now_.log_us = std::max(entry.time_us(), before_us + 1);  // It grows, whatever clocks do.
  // Time without a leader counts for no lease; before the first entry there was none to count.
  if (std::exchange(new_leader_, false) && before_us != 0) {
    now_.left_out_us += now_.log_us - before_us;
  }
  for (Judge* judge : EachOf(judges_)) judge->Begin(now_);
  for (const LogRequest& request : entry.requests()) {
    const std::string& method = NameOf(request.service(), request.method());
    const std::string key = method + " " + request.idempotency_key();
    if (!request.idempotency_key().empty() && executed_.contains(key)) continue;
    executed_[key] = {replayed_, Of(method).Execute(method, request.body())};
  }
}

void History::Check() {
  CheckReads();
  for (const Write& write : to_check_) CheckWrite(write);
  to_check_.clear();
  for (const Judge* judge : EachOf(judges_)) {
    const std::string broken = judge->Broken();
    Require(broken.empty(), broken);
  }
}

const std::string* History::ReplyTo(const std::string& method, const std::string& key) const {
  const auto found = executed_.find(method + " " + key);
  return found == executed_.end() ? nullptr : &found->second.reply;
}

std::vector<Asked> History::Everything() const {
  std::vector<Asked> all;
  for (const auto& [service, judge] : judges_) {
    if (service == "sessions" || service == "cache") continue;  // Their judge is that of the locks.
    for (Asked& asked : judge->Everything()) all.push_back(std::move(asked));
  }
  return all;
}

std::string History::Difference(const ReadRecord& read) const {
  return Of(read.method).Difference(read);
}

bool History::Answers(const WriteRecord& record, const Executed& executed) {
  return (record.replayed ? executed.index <= record.position
                          : executed.index == record.position) &&
         SameReply(record.method, record.reply, executed.reply);
}

void History::CheckWrite(const Write& write) const {
  const WriteRecord& record = write.record;
  const std::string name = record.method + " " + record.key;
  const auto found = executed_.find(name);
  Require(found != executed_.end(), "lost: " + record.method + " with key " + record.key +
                                        " was acknowledged at entry " + record.position.ToString() +
                                        " and is nowhere in the log");
  const Executed& executed = found->second;
  Require(executed.index > record.after,
          "strict serializability: " + record.method + " with key " + record.key +
              " began after entry " + record.after.ToString() +
              " was told to somebody, and is entry " + executed.index.ToString());
  // A caller that waits is answered by the write, by one of its repeats, or by what it awaits.
  if (!record.awaits.empty()) {
    if (write.difference.empty() && executed.index <= record.position) return;
    for (uint32_t n = 1;; ++n) {
      const auto repeat =
          executed_.find(record.method + " " + state_machine::RepeatedKey(record.key, n));
      if (repeat == executed_.end()) break;
      if (Answers(record, repeat->second)) return;
    }
  }
  Require(record.replayed ? executed.index <= record.position : executed.index == record.position,
          record.method + " with key " + record.key + " was done by entry " +
              executed.index.ToString() + ", its reply says " + record.position.ToString() +
              (record.awaits.empty() ? "" : ", and as the answer to what it awaits it") +
              write.difference);
  Require(SameReply(record.method, record.reply, executed.reply),
          record.method + " with key " + record.key + " at entry " + executed.index.ToString() +
              " was answered\n  " + ShowReply(record.method, record.reply) +
              "\nand the model says\n  " + ShowReply(record.method, executed.reply));
}

// Those of the entries replayed so far.
void History::CheckReads() {
  while (!reads_to_check_.empty() && reads_to_check_.begin()->first <= replayed_) {
    const auto& [record, of_write] = reads_to_check_.begin()->second;
    const std::string difference = Difference(record);
    if (of_write >= 0) {
      to_check_[static_cast<size_t>(of_write)].difference = difference;
    } else {
      Require(difference.empty(), record.method + " at entry " + record.position.ToString() + " " +
                                      difference + "\nto the request\n  " +
                                      ShowRequest(record.method, record.request));
    }
    reads_to_check_.erase(reads_to_check_.begin());
  }
}

}  // namespace holdfast::sim

// Raft messages of peers that say anything at all -> guard and engine. The node may stop with a
// report (a broken invariant: that ends this input); it must not crash, hang, or take back what is
// committed. What it must not do aborts: a stop would pass for one that it may do.
#include <cstdlib>

#include "fuzz/input.h"
#include "src/base/testing/stopped.h"
#include "src/raft/replica.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::raft {
namespace {

constexpr NodeId kSelf{1};

// Near what the server stands at, or anything.
uint64_t Near(fuzz::Input& input, uint64_t here) {
  const uint64_t number = input.Number();
  return number < 0x80 ? here + number - 0x40 : number - 0x80;
}

class Server {
 public:
  Server()
      : replica_(EngineOptions{kSelf}, kMembers, Founded(log_), [this](NodeId, LogIndex, Message) {
          if (++sent_ > 100'000) std::abort();  // Without end.
        }) {
    replica_.Start(now_ms_, LogIndex(0));
  }

  void Run(fuzz::Input& input) {
    while (!input.empty()) {
      Step(input);
      if (replica_.committed() < committed_) std::abort();
      for (; committed_ < replica_.committed(); committed_ = committed_.Next()) {
        terms_.push_back(log_.TermAt(committed_.Next()));
      }
      for (size_t i = 0; i < terms_.size(); ++i) {
        if (log_.TermAt(LogIndex(i + 1)) != terms_[i]) std::abort();  // It was committed.
      }
    }
  }

 private:
  static wal::Log& Founded(sim::MemoryLog& log) {
    Replica::FoundLog(log, kMembers);
    log.Write(log.queued());
    return log;
  }

  void Step(fuzz::Input& input) {
    const uint8_t what = input.Byte();
    switch (what % 8) {
      case 0:
        now_ms_ = std::max(now_ms_ + 1, what & 8 ? replica_.timeout_ms() : now_ms_);
        if (now_ms_ >= replica_.timeout_ms()) replica_.Tick(now_ms_);
        break;
      case 1:
        if (log_.queued() > 0) replica_.Durable(now_ms_, log_.Write(log_.queued()));
        break;
      case 2: replica_.Propose(now_ms_, "x"); break;
      case 3: replica_.HandOver(now_ms_); break;
      default: {
        const NodeId from(2 + (what >> 4) % 3);
        replica_.Receive(now_ms_, from, replica_.membership().index, Read(input));
      }
    }
    if (replica_.next_membership() && replica_.all_durable()) replica_.Adopt(now_ms_);
  }

  Term TermNear(fuzz::Input& input) { return Term(Near(input, replica_.term().value)); }
  LogIndex IndexNear(fuzz::Input& input) { return LogIndex(Near(input, log_.last().value)); }

  Message Read(fuzz::Input& input) {
    const uint8_t what = input.Byte();
    switch (what % 10) {
      case 0: {
        const Term term = TermNear(input);
        return RequestVote{term, IndexNear(input), TermNear(input), (what & 16) != 0,
                           (what & 32) != 0};
      }
      case 1: return RequestVoteResult{TermNear(input), (what & 16) != 0, (what & 32) != 0};
      // Votes as an election wants them, so that leading is reached.
      case 2:
        return RequestVoteResult{Term(replica_.term().value + (what & 16 ? 1 : 0)), true,
                                 (what & 16) != 0};
      case 3: {
        const Term term = TermNear(input);
        const Term request = TermNear(input);
        return AppendEntriesResult{term, request, LogIndex(what & 16 ? input.Number() : 0),
                                   IndexNear(input)};
      }
      case 4: return TimeoutNow{TermNear(input), IndexNear(input), TermNear(input)};
      case 5: return InstallSnapshot{TermNear(input), IndexNear(input), TermNear(input)};
      case 6: return RejoinRequest{(what & 16) != 0};
      case 7: return RejoinAnswer{TermNear(input), (what & 16) != 0, IndexNear(input)};
      default: return ReadAppend(input, what);
    }
  }

  Message ReadAppend(fuzz::Input& input, uint8_t what) {
    AppendEntries append;
    append.term = TermNear(input);
    append.prev_index = what & 16 ? log_.last() : IndexNear(input);
    append.prev_term = what & 16 ? log_.TermAt(log_.last()) : TermNear(input);
    append.leader_commit = IndexNear(input);
    for (int count = what >> 6; count > 0; --count) {
      const auto type = static_cast<wal::EntryType>(1 + input.Byte() % 3);
      const bool membership = type == wal::EntryType::kConfiguration;  // FromWire sees to that.
      std::string payload = membership ? kMembers.Encode() : std::string(input.Bytes());
      append.entries.push_back({what & 32 ? append.term : TermNear(input), type,
                                std::make_shared<const std::string>(std::move(payload))});
    }
    return append;
  }

  static inline const Membership kMembers{{kSelf, NodeId(2), NodeId(3)}};

  uint64_t now_ms_ = 1'000;
  sim::MemoryLog log_;
  size_t sent_ = 0;
  Replica replica_;
  LogIndex committed_;
  std::vector<Term> terms_;  // Of what was committed.
};

}  // namespace
}  // namespace holdfast::raft

// A stop by an exception leaves the engine's memory behind, as a real stop does.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  try {
    holdfast::testing::StopThrows stop_throws;
    fuzz::Input input(data, size);
    raft::Server server;
    server.Run(input);
  } catch (const holdfast::testing::Stopped&) {
  }
  return 0;
}

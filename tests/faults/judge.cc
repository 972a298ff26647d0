#include "tests/faults/judge.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "services/ledger/ledger.pb.h"
#include "sim/history.h"
#include "tests/faults/recording.h"

namespace holdfast::faults {
namespace {

namespace fs = std::filesystem;

constexpr char kService[] = "ledger.";

class Judging {
 public:
  explicit Judging(std::string folder)
      : folder_(std::move(folder)), complete_(fs::exists(folder_ + "/" + kCompleteFile)) {}

  Judgement Run() {
    ReadLog();
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".jsonl") && name != kLogFile) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      ReadRecording<Operation>(file, [this](Operation one) { Take(std::move(one)); });
    }
    Replay();
    return {history_.replayed().value, history_.writes(), history_.reads(), beyond_};
  }

 private:
  void ReadLog() {
    const std::string path = folder_ + "/" + kLogFile;
    if (!fs::exists(path)) return;  // It ended before anything was collected.
    ReadRecording<CommittedEntry>(path, [this](CommittedEntry entry) {
      log_.push_back(std::move(*entry.mutable_payload()));
    });
  }

  void Take(Operation one) {
    if (one.end() == Operation::never_seen) {
      never_seen_.emplace_back(kService + one.method(), one.key());
      return;
    }
    if (one.end() != Operation::answered && one.end() != Operation::replayed) return;
    if (one.position() > log_.size()) {
      sim::Require(!complete_, "the log ends before position " + std::to_string(one.position()) +
                                   ", which was told to a client");
      ++beyond_;
      return;
    }
    if (one.kind() == Operation::read) {
      ledger::GetAccountRequest request;
      request.set_id(one.account());
      history_.Answer({.method = "ledger.GetAccount",
                       .request = request.SerializeAsString(),
                       .after = LogIndex(one.after()),
                       .position = LogIndex(one.position()),
                       .found = true,
                       .reply = one.reply()});
    } else {
      history_.Acknowledge({.key = one.key(),
                            .method = kService + one.method(),
                            .after = LogIndex(one.after()),
                            .position = LogIndex(one.position()),
                            .replayed = one.end() == Operation::replayed,
                            .reply = one.reply()});
    }
  }

  void Replay() {
    for (const std::string& payload : log_) history_.Replay(payload);
    history_.Check();
    for (const auto& [method, key] : never_seen_) {
      sim::Require(history_.ReplyTo(method, key) == nullptr,
                   method + " with key " + key +
                       " is in the log, and its outcome was told to be never seen");
    }
  }

  const std::string folder_;
  const bool complete_;
  std::vector<std::string> log_;
  std::vector<std::pair<std::string, std::string>> never_seen_;
  uint64_t beyond_ = 0;
  sim::History history_;
};

}  // namespace

Judgement Judge(const std::string& folder) { return Judging(folder).Run(); }

}  // namespace holdfast::faults

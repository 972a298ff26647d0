#include "sim/checker.h"

#include <algorithm>

#include "holdfast/log.pb.h"
#include "sim/methods.h"

namespace holdfast::sim {
namespace {

std::string Name(NodeId node) { return "node " + node.ToString(); }

}  // namespace

void Checker::Leads(NodeId node, Term term, LogIndex membership, const wal::Log& log) {
  const auto [it, is_new] = leaders_.emplace(term, node);
  Require(it->second == node, "election safety: " + Name(node) + " and " + Name(it->second) +
                                  " both lead term " + term.ToString());
  Require(memberships_.Leads(term, membership),
          Name(node) + " leads term " + term.ToString() + " by two memberships");
  if (!is_new) return;
  led_since_us_[term] = world_.events.now_us();
  world_.Trace(Name(node) + " leads term " + term.ToString());
  // What lies before its log is in a checkpoint, of what was committed.
  for (LogIndex i = log.first(); i.value <= entries_.size(); i = i.Next()) {
    const Known& known = entries_[i.value - 1];
    if (known.in_term >= term) break;  // Committed under a later leader, which is not this one.
    Require(log.TermAt(i) == known.term, "leader completeness: " + Name(node) + " leads term " +
                                             term.ToString() + " without entry " + i.ToString());
  }
}

void Checker::Votes(const Vote& vote, NodeId candidate) {
  const NodeId before = votes_.emplace(vote, candidate).first->second;
  Require(before == candidate, Name(vote.voter) + " votes for " + Name(candidate) + " in term " +
                                   vote.term.ToString() + ", and has voted for " + Name(before));
}

void Checker::LosesDisk(NodeId node) {
  std::erase_if(votes_, [node](const auto& vote) { return vote.second == node; });
}

void Checker::Applied(NodeId node, Term in_term, LogIndex index, const wal::Entry& entry,
                      uint64_t digest, const AskNode& ask) {
  static const std::string kNone;
  const bool is_command = entry.type == wal::EntryType::kCommand;
  const std::string& payload = is_command ? *entry.payload : kNone;
  world_.Note(node.value << 48 ^ index.value);
  world_.Note(digest);
  if (entry.type == wal::EntryType::kConfiguration) {
    Agreed(raft::Membership::Decode(*entry.payload, index));
  }
  if (index.value == entries_.size() + 1) {
    const std::string why = WhyNotDurable(index, entry.term);
    Require(why.empty(), Name(node) + " applies entry " + index.ToString() + ": " + why);
    memberships_.Agreed(index, entry.term);
    if (world_.traces()) TraceEntry(node, index, payload);
    entries_.push_back({entry.term, in_term, payload, digest});
    promises_.Applied(index, payload, world_.events.now_us(), led_since_us_[entry.term], ask);
    return;
  }
  Require(index.value <= entries_.size(), Name(node) + " applies entry " + index.ToString() +
                                              ", and nobody has applied the one before");
  const Known& known = entries_[index.value - 1];
  Require(known.term == entry.term && known.payload == payload,
          "state machine safety: " + Name(node) + " applies another entry " + index.ToString() +
              " (term " + entry.term.ToString() + ") than was applied before (term " +
              known.term.ToString() + ")");
  Require(known.digest == digest,
          "determinism: " + Name(node) + " has another digest at entry " + index.ToString());
}

void Checker::TraceEntry(NodeId node, LogIndex index, const std::string& payload) const {
  const auto entry = Parsed<LogEntry>(payload);
  std::string text = Name(node) + " is the first to apply entry " + index.ToString();
  if (entry.time_us() != 0) text += ", stamped " + std::to_string(entry.time_us());
  world_.Trace(text);
  for (const LogRequest& request : entry.requests()) {
    const std::string& method = NameOf(request.service(), request.method());
    world_.Trace("    " + request.idempotency_key() + " " + method + " " +
                 ShowRequest(method, request.body()));
  }
}

void Checker::Agreed(const raft::Membership& membership) {
  if (const raft::Membership* known = memberships_.Find(membership.index)) {
    Require(known->Encode() == membership.Encode(),
            "two memberships are entry " + membership.index.ToString());
    return;
  }
  memberships_.Agreed(membership);
}

// It must be committed: held by a majority of the one before.
void Checker::GoesBy(NodeId node, const raft::Membership& membership) {
  if (memberships_.Find(membership.index) == nullptr && !memberships_.empty()) {
    const raft::Membership& before = memberships_.last();
    Require(before.index < membership.index && membership.IsOneStepFrom(before),
            Name(node) + " goes by membership " + membership.index.ToString() +
                ", which does not follow " + before.index.ToString());
    size_t most = 0;
    for (const auto& [term, leader] : leaders_) {
      most = std::max(most, Copies(before, membership.index, term));
    }
    Require(most >= before.Majority(),
            Name(node) + " goes by membership " + membership.index.ToString() + ", which " +
                std::to_string(most) + " of " + std::to_string(before.voters.size()) + " hold");
  }
  Agreed(membership);
  world_.Trace(Name(node) + " goes by membership " + membership.index.ToString());
}

void Checker::Acknowledges(NodeId node, LogIndex index) const {
  Require(index.value <= entries_.size(),
          Name(node) + " acknowledges entry " + index.ToString() + ", which nobody has applied");
  const std::string why = WhyNotDurable(index, entries_[index.value - 1].term);
  Require(why.empty(), Name(node) + " acknowledges entry " + index.ToString() + ": " + why);
}

size_t Checker::Copies(const raft::Membership& membership, LogIndex index, Term term) const {
  return static_cast<size_t>(
      std::count_if(membership.voters.begin(), membership.voters.end(),
                    [&](NodeId voter) { return holds_(voter, index, term); }));
}

std::string Checker::WhyNotDurable(LogIndex index, Term term) const {
  std::string why = "no membership could have committed it";
  for (const raft::Membership* membership : memberships_.Of(index, term)) {
    const size_t copies = Copies(*membership, index, term);
    if (copies >= membership->Majority()) return "";
    why = "it is durable on " + std::to_string(copies) + " of " +
          std::to_string(membership->voters.size()) + " disks";
  }
  return why;
}

void Checker::Stands(NodeId node, LogIndex index, uint64_t digest) {
  if (index.value == 0) return;
  Require(index.value <= entries_.size(),
          Name(node) + " starts at entry " + index.ToString() + ", which nobody has applied");
  Require(entries_[index.value - 1].digest == digest,
          Name(node) + " starts with another digest at entry " + index.ToString());
}

void Checker::Acknowledge(WriteRecord record) {
  world_.Note(record.position.value);
  Require(record.position.value <= entries_.size(), "a write was acknowledged at entry " +
                                                        record.position.ToString() +
                                                        ", which nobody has applied");
  told_ = std::max(told_, record.position);
  promises_.Hear(record);
  history_.Acknowledge(std::move(record));
}

void Checker::Answer(ReadRecord record) {
  world_.Note(record.position.value);
  Require(record.position.value <= entries_.size(), "a read saw an entry that nobody has applied");
  told_ = std::max(told_, record.position);
  history_.Answer(std::move(record));
}

void Checker::Replay(const AskNode& ask, bool log_time_is_true) {
  promises_.Check(ask, log_time_is_true);
  for (const Known& entry : entries_) history_.Replay(entry.payload);
  history_.Check();
}

}  // namespace holdfast::sim

#include "src/raft/replica.h"

#include <algorithm>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/logging.h"

namespace holdfast::raft {
namespace {

// A long batch of entries goes out in several messages, so that none outgrows a frame.
constexpr size_t kAppendBytesMax = 2 << 20;

Membership FoundingMembership(const wal::Log& log) {
  HOLDFAST_CHECK(log.first() == LogIndex(1) && log.last() >= LogIndex(1) &&
                     log.TypeAt(LogIndex(1)) == wal::EntryType::kConfiguration,
                 "the log does not begin with the founding membership");
  return Membership::Decode(*log.Read(LogIndex(1)).payload);
}

}  // namespace

Replica::Replica(const EngineOptions& options, wal::Log& log, Send send)
    : options_(options),
      log_(log),
      send_(std::move(send)),
      guard_(NewLibraftEngine(options), options.id, FoundingMembership(log), log),
      configuration_(LogIndex(1)) {}

wal::Ticket Replica::FoundLog(wal::Log& log, const Membership& membership) {
  HOLDFAST_CHECK(log.last() == LogIndex(0), "founding a cluster on a log that has entries");
  log.SaveHardState({Term(1), NodeId(0)});
  return log.Append(LogIndex(1),
                    {wal::Entry{Term(1), wal::EntryType::kConfiguration,
                                std::make_shared<const std::string>(membership.Encode())}});
}

void Replica::Start(uint64_t now_ms) { Execute(now_ms, guard_.Start(now_ms, log_.hard_state())); }

void Replica::Receive(uint64_t now_ms, NodeId from, Message message) {
  if (const auto* append = std::get_if<AppendEntries>(&message)) {
    if (append->term >= term()) {
      contact_ms_ = now_ms;
      known_commit_ = std::max(known_commit_, append->leader_commit);
    }
  } else if (const auto* result = std::get_if<AppendEntriesResult>(&message)) {
    if (result->term == term()) result_ms_[from] = now_ms;
  }
  Execute(now_ms, guard_.Receive(now_ms, from, std::move(message)));
}

void Replica::Durable(uint64_t now_ms, wal::Ticket ticket) {
  LogIndex durable;
  while (!outstanding_.empty() && outstanding_.front().ticket <= ticket) {
    const Outstanding& done = outstanding_.front();
    if (done.last >= done.first) durable = done.last;
    outstanding_.pop_front();
  }
  if (durable > guard_.durable()) Execute(now_ms, guard_.Persisted(now_ms, durable));
}

void Replica::Tick(uint64_t now_ms) {
  Execute(now_ms, guard_.Tick(now_ms));
  // A leader whose disk stalls can commit through its peers but never answer: let another lead.
  if (role() == Role::kLeader && !outstanding_.empty() &&
      now_ms - outstanding_.front().since_ms > options_.election_timeout_ms) {
    if (HandOver(now_ms)) {
      logging::Warn(Component::kRaft, "the disk stalls, handing leadership over",
                    {{"silent_ms", now_ms - outstanding_.front().since_ms}});
    }
  }
}

bool Replica::CanPropose() const {
  return role() == Role::kLeader &&
         log_.last().value - guard_.committed().value < bounds::kEntriesInFlightMax;
}

std::optional<Replica::Position> Replica::Propose(uint64_t now_ms, std::string payload) {
  if (!CanPropose()) return std::nullopt;
  const Position position{log_.last().Next(), term()};
  std::vector<wal::Entry> entries;
  entries.push_back({position.term, wal::EntryType::kCommand,
                     std::make_shared<const std::string>(std::move(payload))});
  Effects effects;
  if (!guard_.Submit(now_ms, std::move(entries), &effects)) return std::nullopt;
  Execute(now_ms, std::move(effects));
  return position;
}

bool Replica::HandOver(uint64_t now_ms) {
  NodeId best;
  for (NodeId voter : membership().voters) {
    if (voter == options_.id) continue;
    // Not to one that is silent: it would not take over, and each attempt keeps writes out for an
    // election timeout.
    auto answered = result_ms_.find(voter);
    if (answered == result_ms_.end() || now_ms - answered->second > options_.election_timeout_ms) {
      continue;
    }
    if (best.value == 0 || MatchOf(voter) > MatchOf(best)) best = voter;
  }
  Effects effects;
  if (best.value == 0 || !guard_.Transfer(now_ms, best, &effects)) return false;
  Execute(now_ms, std::move(effects));
  return true;
}

uint64_t Replica::last_contact_ms() const {
  if (role() != Role::kLeader) return contact_ms_;
  return std::max(contact_ms_, MajorityContactMs());
}

uint64_t Replica::MajorityContactMs() const {
  std::vector<uint64_t> times;
  for (NodeId voter : membership().voters) {
    if (voter == options_.id) continue;
    auto found = result_ms_.find(voter);
    times.push_back(found == result_ms_.end() ? 0 : found->second);
  }
  const size_t peers_needed = membership().Majority() - 1;
  if (peers_needed == 0) return UINT64_MAX;  // Alone: always in touch with itself.
  std::sort(times.begin(), times.end(), std::greater<>());
  return times[peers_needed - 1];
}

void Replica::Execute(uint64_t now_ms, Effects effects) {
  if (effects.hard_state_changed) log_.SaveHardState(effects.hard_state);
  if (!effects.entries.empty()) Append(now_ms, effects);
  const bool leads = role() == Role::kLeader;
  if (leads && (!led_ || led_term_ != term())) {
    last_at_election_ = log_.last();
    announced_ = LogIndex(0);
    result_ms_.clear();
    logging::Info(
        Component::kRaft, "leads",
        {{"node", options_.id.value}, {"term", term().value}, {"entry", log_.last().value}});
  }
  if (led_ && !leads) contact_ms_ = std::max(contact_ms_, MajorityContactMs());
  led_ = leads;
  led_term_ = term();
  for (Outgoing& out : effects.messages) SendOut(std::move(out));
  NoteCommitted(now_ms);
  AnnounceCommit();
}

void Replica::AnnounceCommit() {
  if (role() != Role::kLeader || agreed() <= announced_ || agreed() != log_.last()) return;
  announced_ = agreed();
  for (NodeId voter : membership().voters) {
    const LogIndex match = MatchOf(voter);
    if (voter == options_.id || match.value == 0) continue;
    send_(voter, AppendEntries{term(), match, log_.TermAt(match), announced_, {}});
  }
}

void Replica::Append(uint64_t now_ms, Effects& effects) {
  const LogIndex first = effects.first;
  for (Outstanding& earlier : outstanding_) {
    earlier.last = std::min(earlier.last, first.Previous());
  }
  const LogIndex last(first.value + effects.entries.size() - 1);
  const wal::Ticket ticket = log_.Append(first, std::move(effects.entries));
  outstanding_.push_back({ticket, first, last, now_ms});
}

void Replica::SendOut(Outgoing out) {
  auto* append = std::get_if<AppendEntries>(&out.message);
  if (append == nullptr || out.entry_count == 0) {
    send_(out.to, std::move(out.message));
    return;
  }
  // The engine counts these entries as sent at once; the link is ordered, so several messages of
  // consecutive ranges say the same as one.
  const uint64_t end = append->prev_index.value + out.entry_count;
  AppendEntries part = *append;
  while (part.prev_index.value < end) {
    size_t bytes = 0;
    LogIndex next = part.prev_index.Next();
    while (next.value <= end && (part.entries.empty() || bytes < kAppendBytesMax)) {
      part.entries.push_back(log_.Read(next));
      bytes += part.entries.back().payload->size();
      next = next.Next();
    }
    const LogIndex last = next.Previous();
    send_(out.to, part);
    part.prev_index = last;
    part.prev_term = log_.TermAt(last);
    part.entries.clear();
  }
}

void Replica::NoteCommitted(uint64_t now_ms) {
  if (configuration_noted_ || guard_.committed() < configuration_) return;
  configuration_noted_ = true;
  Execute(now_ms, guard_.ConfigurationCommitted(now_ms, configuration_));
}

}  // namespace holdfast::raft

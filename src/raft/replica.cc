#include "src/raft/replica.h"

#include <algorithm>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/logging.h"
#include "src/base/reached.h"

namespace holdfast::raft {
namespace {

// A long batch of entries goes out in several messages, so that none outgrows a frame.
constexpr size_t kAppendBytesMax = 2 << 20;
// What a follower's reads may wait longer than the leader's.
constexpr uint64_t kAnnounceMs = 1;
// A peer that has not asked to rejoin for so long has its voice back.
constexpr uint64_t kRejoinSilenceMs = 2'000;

// The founding entry.
constexpr LogIndex kConfiguration(1);
// Of members that adopted the next membership before us: an election's worth.
constexpr size_t kHeldMax = 64;

}  // namespace

Replica::Replica(const EngineOptions& options, const Membership& membership, wal::Log& log,
                 Send send, const Retention& retention)
    : options_(options), retention_(retention), log_(log), send_(std::move(send)) {
  guard_.emplace(NewLibraftEngine(options, membership), options.id, membership, log);
}

wal::Ticket Replica::FoundLog(wal::Log& log, const Membership& membership) {
  HOLDFAST_CHECK(log.last() == LogIndex(0), "founding a cluster on a log that has entries");
  log.SaveHardState({Term(1), NodeId(0)});
  return log.Append(LogIndex(1),
                    {wal::Entry{Term(1), wal::EntryType::kConfiguration,
                                std::make_shared<const std::string>(membership.Encode())}});
}

void Replica::Start(uint64_t now_ms, LogIndex checkpoint, bool rejoining) {
  HOLDFAST_CHECK(log_.first() > kConfiguration ||
                     (log_.last() >= kConfiguration &&
                      log_.TypeAt(kConfiguration) == wal::EntryType::kConfiguration),
                 "the log does not begin with the founding membership");
  checkpoint_ = checkpoint;
  for (LogIndex i = std::max(log_.first(), membership().index.Next()); i <= log_.last();
       i = i.Next()) {
    if (log_.TypeAt(i) == wal::EntryType::kConfiguration) change_ = i;
  }
  if (!rejoining) {
    StartEngine(now_ms);
    return;
  }
  spdlog::info("raft: node {} has lost its disk and asks the others what it may have promised",
               options_.id.value);
  rejoin_.emplace(options_.id, membership());
  AskToRejoin(now_ms);
}

void Replica::StartEngine(uint64_t now_ms) {
  started_ = true;
  const std::vector<NodeId>& voters = membership().voters;
  const bool alone = voters.size() == 1 && voters.front() == options_.id;
  // Alone it may have nothing to commit for a long time; and without it there is no majority of the
  // membership before, which has one voter more at most.
  settled_ = membership().IsFounding() || alone;
  if (alone) {
    // libraft makes it leader at once, of the term that it was in: what it sent to learners and
    // did not keep itself would differ from what it now writes under the same term and index.
    log_.SaveHardState({Term(log_.hard_state().term.value + 1), options_.id});
  }
  Snapshot snapshot{checkpoint_, log_.TermAt(checkpoint_)};
  HOLDFAST_CHECK(checkpoint_.value == 0 || snapshot.term.value != 0,
                 "the log does not hold the checkpoint's last entry, " + checkpoint_.ToString());
  configuration_noted_ = checkpoint_ >= kConfiguration;
  Execute(now_ms, guard_->Start(now_ms, log_.hard_state(), snapshot, !rejoin_, agreed_before_));
}

bool Replica::Receive(uint64_t now_ms, NodeId from, LogIndex of, Message message) {
  if (next_ && next_->index == of) {
    HOLDFAST_REACHED("raft.replica.hears_the_next_membership");
    if (held_.size() < kHeldMax) held_.emplace_back(from, std::move(message));
    return true;
  }
  if (of != membership().index) {
    HOLDFAST_REACHED("raft.replica.hears_another_membership");
    return false;
  }
  Hear(now_ms, from, std::move(message));
  return true;
}

void Replica::Hear(uint64_t now_ms, NodeId from, Message message) {
  if (const auto* request = std::get_if<RejoinRequest>(&message)) {
    ReceiveRejoin(now_ms, from, *request);
    return;
  }
  if (const auto* answer = std::get_if<RejoinAnswer>(&message)) {
    ReceiveRejoin(now_ms, from, *answer);
    return;
  }
  if (!started_) return;
  if (const auto* install = std::get_if<InstallSnapshot>(&message)) {
    if (install->term == term() && install->last_index > committed() && !guard_->Holds(*install)) {
      HOLDFAST_REACHED("raft.replica.lacks_what_the_log_had");
      behind_ = Behind{from, install->last_index};
    }
  }
  if (auto* append = std::get_if<AppendEntries>(&message)) {
    if (stores_nothing_) append->entries.clear();
    if (append->term >= term()) {
      contact_ms_ = now_ms;
      succession_.Heard(now_ms);
      known_commit_ = std::max(known_commit_, append->leader_commit);
      if (!append->entries.empty()) behind_.reset();
    }
  } else if (const auto* result = std::get_if<AppendEntriesResult>(&message)) {
    if (result->term == term()) result_ms_[from] = now_ms;
    if (result->rejoining) {
      rejoining_ms_[from] = now_ms;
    } else {
      rejoining_ms_.erase(from);
    }
  }
  auto* vote = std::get_if<RequestVote>(&message);
  if (vote != nullptr && LeaderIsSilent(now_ms)) vote->disrupt_leader = true;
  const auto* append = std::get_if<AppendEntries>(&message);
  const Term leader_term = append != nullptr ? append->term : Term(0);
  Effects effects = guard_->Receive(now_ms, from, std::move(message));
  for (const Outgoing& out : effects.messages) {
    const auto* answer = std::get_if<RequestVoteResult>(&out.message);
    if (answer != nullptr && answer->granted) succession_.Stood(now_ms);
  }
  Execute(now_ms, std::move(effects));
  if (leader_term == term()) NoteSettled(leader_term);
}

// A leader of this membership wrote the entries of its term under it: the engine starts as a
// follower.
void Replica::NoteSettled(Term leader_term) {
  settled_ = settled_ || log_.TermAt(committed()) == leader_term;
}

// A server votes for another once it has not heard of the leader for the shortest election timeout
// (Ongaro's dissertation, 4.2.3 and 9.6). The engine goes on to believe in its leader until its own
// patience is out, which is drawn by chance: an election would have to wait for the second server
// to run out of it.
bool Replica::LeaderIsSilent(uint64_t now_ms) const {
  if (role() != Role::kFollower) return false;
  return succession_.is_on() || now_ms >= contact_ms_ + options_.election_timeout_ms;
}

void Replica::LinkDown(uint64_t now_ms, NodeId peer) {
  const std::vector<NodeId>& voters = membership().voters;
  if (!started_ || rejoin_ || role() != Role::kFollower || leader() != peer || peer.value == 0 ||
      !membership().IsVoter(options_.id) || !membership().IsVoter(peer)) {
    return;
  }
  const auto turn = std::count_if(voters.begin(), voters.end(), [&](NodeId voter) {
    return voter < options_.id && voter != peer;
  });
  succession_.Begin(now_ms, static_cast<uint64_t>(turn), voters.size() - 1,
                    options_.election_timeout_ms);
  lost_term_ = term();
}

void Replica::StandForElection(uint64_t now_ms) {
  if (role() == Role::kLeader || term() != lost_term_ || rejoin_) {
    succession_.End();  // An election has taken place since.
  } else if (!all_durable()) {
    succession_.WaitForDisk(now_ms);
  } else {
    logging::Info(Component::kRaft, "the connection to the leader broke, asks for votes",
                  {{"term", term().value + 1}});
    succession_.Stood(now_ms);
    Execute(now_ms, guard_->Stand(now_ms));
  }
}

void Replica::Durable(uint64_t now_ms, wal::Ticket ticket) {
  LogIndex durable;
  while (!outstanding_.empty() && outstanding_.front().ticket <= ticket) {
    const Outstanding& done = outstanding_.front();
    if (done.last >= done.first) durable = done.last;
    outstanding_.pop_front();
  }
  if (durable > guard_->durable()) Execute(now_ms, guard_->Persisted(now_ms, durable));
}

void Replica::Tick(uint64_t now_ms) {
  if (rejoin_) {
    AskToRejoin(now_ms);
    return;
  }
  if (now_ms >= announce_ms_) AnnounceCommit();
  if (now_ms >= succession_.due_ms()) StandForElection(now_ms);
  if (now_ms < guard_->timeout_ms()) return;
  Execute(now_ms, guard_->Tick(now_ms));
  // A leader whose disk stalls can commit through its peers but never answer: let another lead.
  if (role() == Role::kLeader && !outstanding_.empty() &&
      now_ms - outstanding_.front().since_ms > options_.election_timeout_ms) {
    if (HandOver(now_ms)) {
      HOLDFAST_REACHED("raft.replica.disk_stalls");
      logging::Warn(Component::kRaft, "the disk stalls, handing leadership over",
                    {{"silent_ms", now_ms - outstanding_.front().since_ms}});
    }
  }
}

bool Replica::CanPropose() const {
  return role() == Role::kLeader && change_.value == 0 && !next_ &&
         log_.last().value - guard_->committed().value < bounds::kEntriesInFlightMax;
}

std::optional<Replica::Position> Replica::Propose(uint64_t now_ms, std::string payload) {
  // The engine writes a barrier where it was elected with something to commit, and none where all
  // was committed. The first command comes behind one in any case: to the state machine it says
  // that somebody else led before (docs/decisions/0020-leases.md).
  if (log_.TermAt(log_.last()) != term() && !ProposeBarrier(now_ms)) return std::nullopt;
  return Propose(now_ms, wal::EntryType::kCommand, std::move(payload));
}

std::optional<Replica::Position> Replica::Propose(uint64_t now_ms, wal::EntryType type,
                                                  std::string payload) {
  if (!CanPropose()) return std::nullopt;
  const Position position{log_.last().Next(), term()};
  std::vector<wal::Entry> entries;
  entries.push_back({position.term, type, std::make_shared<const std::string>(std::move(payload))});
  Effects effects;
  if (!guard_->Submit(now_ms, std::move(entries), &effects)) return std::nullopt;
  Execute(now_ms, std::move(effects));
  return position;
}

bool Replica::ProposeBarrier(uint64_t now_ms) {
  return Propose(now_ms, wal::EntryType::kBarrier, "").has_value();
}

// --- Membership

Result<Replica::Position> Replica::ProposeMembership(uint64_t now_ms, const Membership& next) {
  SettleMembership(now_ms);
  if (auto why = WhyNot(now_ms, next)) return Fail(std::move(*why));
  const auto position = Propose(now_ms, wal::EntryType::kConfiguration, next.Encode());
  if (position) return *position;
  return Fail(
      Error{ErrorCode::kResourceExhausted, "too many writes are under way", "", "Try again.", 100});
}

// Elected with everything committed, a leader need not write for a long time; and there are those
// who wait for it.
bool Replica::SettleMembership(uint64_t now_ms) {
  if (role() != Role::kLeader || settled_ || log_.last() != committed()) return false;
  return ProposeBarrier(now_ms);
}

std::optional<Error> Replica::WhyNot(uint64_t now_ms, const Membership& next) const {
  const auto not_now = [](std::string why, std::string hint) {
    return Error{ErrorCode::kUnavailable, std::move(why), "", std::move(hint), 500};
  };
  if (role() != Role::kLeader) return not_now("this node does not lead", "Ask the leader.");
  // Only when the present members have committed something is nobody elected by those before.
  if (change_.value != 0 || next_ || !KnowsCommitted() || !settled_) {
    return not_now("a change of the membership is not complete yet", "Try again.");
  }
  HOLDFAST_CHECK(next.IsOneStepFrom(membership()) && next.IsVoter(options_.id),
                 "a change of membership by more than one server, or without the leader");
  // The next membership must be able to elect its first leader: with a majority that is there, and
  // has a voice.
  size_t ready = 0;
  for (NodeId voter : next.voters) {
    const bool is = voter == options_.id || (IsHeard(now_ms, voter) && !IsRejoining(now_ms, voter));
    ready += is ? 1 : 0;
  }
  if (ready >= next.Majority()) return std::nullopt;
  HOLDFAST_REACHED("raft.replica.members_could_not_elect");
  return not_now("of the " + std::to_string(next.voters.size()) + " voters there would be, " +
                     std::to_string(ready) + " answer and have a vote: too few to elect a leader",
                 "Start the nodes that are missing, or wait until they have caught up.");
}

void Replica::Learn(const Membership& other) {
  if (other.index <= (next_ ? next_->index : membership().index)) return;
  next_ = other;
  held_.clear();
}

void Replica::Adopt(uint64_t now_ms) {
  HOLDFAST_CHECK(next_ && all_durable(), "a membership comes into force too early");
  const Membership next = *std::exchange(next_, std::nullopt);
  HOLDFAST_CHECK(next.Has(options_.id), "a membership without this server");
  logging::Info(Component::kRaft, "a new membership is in force",
                {{"entry", next.index.value},
                 {"voters", next.voters.size()},
                 {"learners", next.learners.size()}});
  if (change_ <= next.index) change_ = LogIndex(0);
  const bool led = role() == Role::kLeader;
  agreed_before_ = std::max(agreed_before_, guard_->agreed());
  guard_.emplace(NewLibraftEngine(options_, next), options_.id, next, log_);
  behind_.reset();
  succession_.End();
  if (!started_) {
    HOLDFAST_REACHED("raft.replica.members_change_while_it_asks");
    rejoin_.emplace(options_.id, next);
    AskToRejoin(now_ms);
  } else {
    // Who led does so again, as soon as a majority agrees: its patience has run out already.
    const uint64_t patience_ms = 2 * uint64_t{options_.election_timeout_ms};
    StartEngine(led && now_ms > patience_ms ? now_ms - patience_ms : now_ms);
  }
  for (auto& [from, message] : std::exchange(held_, {})) Hear(now_ms, from, std::move(message));
}

bool Replica::IsHeard(uint64_t now_ms, NodeId peer) const {
  auto answered = result_ms_.find(peer);
  return answered != result_ms_.end() && now_ms - answered->second <= options_.election_timeout_ms;
}

bool Replica::IsRejoining(uint64_t now_ms, NodeId peer) const {
  auto asked = rejoining_ms_.find(peer);
  return asked != rejoining_ms_.end() && now_ms - asked->second < kRejoinSilenceMs;
}

// ---

bool Replica::HandOver(uint64_t now_ms, const std::function<bool(NodeId)>& may) {
  NodeId best;
  for (NodeId voter : membership().voters) {
    if (voter == options_.id || (may && !may(voter))) continue;
    // Not to one without a voice.
    if (IsRejoining(now_ms, voter)) continue;
    // Not to one that is silent: it would not take over, and each attempt keeps writes out for an
    // election timeout.
    if (!IsHeard(now_ms, voter)) continue;
    if (best.value == 0 || MatchOf(voter) > MatchOf(best)) best = voter;
  }
  if (best.value == 0) return false;
  // It takes over only with a log that ends where ours does, and may have entries behind that,
  // which were never committed: one of this term cuts them off. The engine sends it first.
  if (!stores_nothing_ && !writes_nothing_ && log_.TermAt(log_.last()) != term() &&
      ProposeBarrier(now_ms)) {
    HOLDFAST_REACHED("raft.replica.levels_logs_to_hand_over");
  }
  Effects effects;
  if (!guard_->Transfer(now_ms, best, &effects)) return false;
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
    overcounted_.clear();
    result_ms_.clear();
    logging::Info(
        Component::kRaft, "leads",
        {{"node", options_.id.value}, {"term", term().value}, {"entry", log_.last().value}});
  }
  if (!leads) overcounted_.clear();
  if (behind_ && behind_->leader != leader()) behind_.reset();
  if (led_ && !leads) contact_ms_ = std::max(contact_ms_, MajorityContactMs());
  led_ = leads;
  led_term_ = term();
  for (Outgoing& out : effects.messages) SendOut(std::move(out));
  NoteCommitted(now_ms);
  PlanAnnouncement(now_ms);
}

void Replica::PlanAnnouncement(uint64_t now_ms) {
  if (role() != Role::kLeader || agreed() <= announced_ || agreed() != log_.last()) {
    announce_ms_ = UINT64_MAX;
  } else if (announce_ms_ == UINT64_MAX) {
    announce_ms_ = now_ms + kAnnounceMs;
  }
}

void Replica::AnnounceCommit() {
  announced_ = agreed();
  announce_ms_ = UINT64_MAX;
  for (NodeId peer : membership().All()) {
    const LogIndex match = MatchOf(peer);
    if (peer == options_.id || log_.TermAt(match).value == 0) continue;
    SendTo(peer, AppendEntries{term(), match, log_.TermAt(match), announced_, {}});
  }
}

void Replica::Append(uint64_t now_ms, Effects& effects) {
  const LogIndex first = effects.first;
  for (Outstanding& earlier : outstanding_) {
    earlier.last = std::min(earlier.last, first.Previous());
  }
  const LogIndex last(first.value + effects.entries.size() - 1);
  if (first <= change_) {
    HOLDFAST_REACHED("raft.replica.change_is_overwritten");
    change_ = LogIndex(0);
  }
  for (LogIndex i = std::max(first, membership().index.Next()); i <= last; i = i.Next()) {
    const wal::EntryType type = effects.entries[i.value - first.value].type;
    if (type == wal::EntryType::kConfiguration) change_ = i;
  }
  const wal::Ticket ticket = log_.Append(first, std::move(effects.entries));
  outstanding_.push_back({ticket, first, last, now_ms});
}

void Replica::SendOut(Outgoing out) {
  auto* append = std::get_if<AppendEntries>(&out.message);
  if (append == nullptr || out.entry_count == 0) {
    SendTo(out.to, std::move(out.message));
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
    SendTo(out.to, part);
    part.prev_index = last;
    part.prev_term = log_.TermAt(last);
    part.entries.clear();
  }
}

void Replica::SendTo(NodeId to, Message message) {
  if (auto* result = std::get_if<AppendEntriesResult>(&message)) {
    result->rejoining = rejoin_.has_value();
  }
  send_(to, membership().index, std::move(message));
}

void Replica::NoteCommitted(uint64_t now_ms) {
  if (role() == Role::kLeader) NoteSettled(term());
  if (change_.value != 0 && committed() >= change_) {
    Learn(Membership::Decode(*log_.Read(change_).payload, change_));
  }
  if (configuration_noted_ || guard_->engine_committed() < kConfiguration) return;
  configuration_noted_ = true;
  Execute(now_ms, guard_->ConfigurationCommitted(now_ms, kConfiguration));
}

// --- Checkpoints

void Replica::Checkpointed(uint64_t now_ms, LogIndex index) {
  if (index <= checkpoint_) return;
  checkpoint_ = index;
  std::erase_if(holds_, [this](const auto& hold) { return MatchOf(hold.first) >= hold.second; });
  const LogIndex keep_from = KeepFrom(index);
  Execute(now_ms, guard_->Snapshotted(now_ms, index, keep_from));
  log_.TruncatePrefix(keep_from);
}

LogIndex Replica::KeepFrom(LogIndex checkpoint) const {
  const uint64_t last = log_.last().value;
  LogIndex keep(last > retention_.entries ? last - retention_.entries : 0);
  keep = std::max(keep, log_.OldestWithin(retention_.bytes));
  for (const auto& [peer, index] : holds_) keep = std::min(keep, index.Next());
  if (!holds_.empty()) keep = std::max(keep, log_.OldestWithin(retention_.held_bytes));
  // A window of entries on their way to followers, at the least (LIBRAFT, bug C).
  const uint64_t window = 2 * uint64_t{options_.entries_in_flight_max};
  keep = std::min(keep, LogIndex(checkpoint.value > window ? checkpoint.value - window : 1));
  return std::max(keep, log_.first());
}

void Replica::HoldFor(NodeId peer, LogIndex index) {
  if (index.value == 0) {
    holds_.erase(peer);
  } else {
    holds_[peer] = index;
  }
}

// --- A server without its disk

void Replica::AskToRejoin(uint64_t now_ms) {
  ask_ms_ = now_ms + options_.heartbeat_ms;
  if (!started_) {
    for (NodeId voter : membership().voters) {
      if (voter != options_.id) SendTo(voter, RejoinRequest{false});
    }
  } else if (leader().value != 0) {
    SendTo(leader(), RejoinRequest{true});  // Again and again: it must not hand over to us.
  }
}

void Replica::ReceiveRejoin(uint64_t now_ms, NodeId from, const RejoinRequest& request) {
  rejoining_ms_[from] = now_ms;
  const bool leads = role() == Role::kLeader;
  SendTo(from, RejoinAnswer{term(), leads, log_.last(), settled_});
  if (SettleMembership(now_ms)) HOLDFAST_REACHED("raft.replica.settles_for_a_rejoiner");
  // What the peer held before its loss the engine counts for ever, and sends it nothing below. A
  // leader that has counted nothing yet does.
  if (leads && !request.knows_terms && MatchOf(from).value > 0) overcounted_.insert(from);
  if (!overcounted_.contains(from)) return;
  HOLDFAST_REACHED("raft.replica.counted_what_was_lost");
  if (membership().voters.size() > 1) {
    HandOver(now_ms);
  } else if (!next_) {
    next_ = membership();  // There is nobody to hand over to: the engine begins anew.
  }
}

void Replica::ReceiveRejoin(uint64_t now_ms, NodeId from, const RejoinAnswer& answer) {
  if (!rejoin_) return;
  if (started_) {
    if (answer.leads && answer.term == term() && from == leader() && !rejoin_->HasAim(term())) {
      rejoin_->AimAt(answer.term, answer.last_index);
    }
    return;
  }
  rejoin_->Answered(from, answer);
  const std::optional<Term> floor = rejoin_->floor();
  if (!floor) return;
  wal::HardState state = log_.hard_state();
  if (state.term <= *floor) log_.SaveHardState({*floor, options_.id});  // The vote is spent.
  spdlog::info("raft: node {} takes part again, without a voice until it has caught up",
               options_.id.value);
  StartEngine(now_ms);
}

bool Replica::caught_up() const {
  return rejoin_ && started_ && rejoin_->Reached(term(), guard_->matched(), guard_->durable());
}

void Replica::Rejoined() {
  HOLDFAST_CHECK(caught_up(), "a voice for a server that has not caught up");
  HOLDFAST_REACHED("raft.replica.has_its_voice_back");
  spdlog::info("raft: node {} has caught up and votes again", options_.id.value);
  rejoin_.reset();
  guard_->GiveVoice();
}

}  // namespace holdfast::raft

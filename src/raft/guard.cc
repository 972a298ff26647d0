#include "src/raft/guard.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/logging.h"
#include "src/base/reached.h"

namespace holdfast::raft {

Guard::Guard(std::unique_ptr<Engine> engine, NodeId self, Membership membership,
             const wal::Log& log)
    : engine_(std::move(engine)), self_(self), membership_(std::move(membership)), log_(log) {}

Effects Guard::Start(uint64_t now_ms, const wal::HardState& state, const Snapshot& snapshot,
                     bool voice, LogIndex committed) {
  HOLDFAST_CHECK(snapshot.index.Next() >= log_.first(),
                 "the log begins at " + log_.first().ToString() + ", the checkpoint ends at " +
                     snapshot.index.ToString());
  voice_ = voice;
  snapshot_ = snapshot;
  committed_ = std::max(snapshot.index, committed);
  hard_state_ = state;
  seen_term_ = state.term;
  durable_ = log_.last();
  return Checked(engine_->Start(now_ms, state, log_, snapshot));
}

Effects Guard::Receive(uint64_t now_ms, NodeId from, Message message) {
  if (!membership_.Has(from) || from == self_) {
    logging::Warn(Component::kRaft, "dropped a message of who is no other member",
                  {{"peer", from.value}});
    return {};
  }
  Effects effects;
  if (auto* append = std::get_if<AppendEntries>(&message)) {
    if (!Admit(from, *append, &effects)) return effects;
    // Everything in this message is in our log once its effects are carried out, if its anchor is.
    const bool anchored =
        append->prev_index.value == 0 ||
        (append->prev_term.value != 0 && log_.TermAt(append->prev_index) == append->prev_term);
    const LogIndex end(append->prev_index.value + append->entries.size());
    effects = engine_->Receive(now_ms, from, message);
    NoteTerm();
    if (append->term != engine_->term()) return Checked(std::move(effects));
    if (anchored) {
      matched_ = std::max(matched_, end);
    } else if (committed().value > 0) {
      HOLDFAST_REACHED("raft.guard.logs_part");
      // What is committed every later leader has. Said beside the rejection, it spares the leader
      // the search for where the logs part; and after a checkpoint that is older than the leader's
      // newest it would search for ever: libraft takes the rejection for a late one.
      matched_ = std::max(matched_, committed());
      effects.messages.insert(
          effects.messages.begin(),
          {from, AppendEntriesResult{append->term, append->term, LogIndex(0), committed()}, 0});
    }
    return Checked(std::move(effects));
  }
  if (const auto* install = std::get_if<InstallSnapshot>(&message)) {
    // The host fetches the checkpoint and starts anew; there is nothing in it for the engine. When
    // our log holds its end the leader only has to hear that (Raft, figure 13, step 6).
    if (install->term < engine_->term()) {
      HOLDFAST_REACHED("raft.guard.install_of_old_term");
      AnswerOldTerm(from, install->term, &effects);
    } else if (install->term == engine_->term() && Holds(*install)) {
      HOLDFAST_REACHED("raft.guard.install_held_already");
      matched_ = std::max(matched_, install->last_index);
      effects.messages.push_back(
          {from,
           AppendEntriesResult{install->term, install->term, LogIndex(0), install->last_index}, 0});
    }
    return effects;
  }
  if (!voice_ && !std::holds_alternative<AppendEntriesResult>(message)) return {};
  if (const auto* result = std::get_if<AppendEntriesResult>(&message)) {
    if (!Admit(from, *result)) return {};
  }
  return Checked(engine_->Receive(now_ms, from, message));
}

bool Guard::Holds(const InstallSnapshot& install) const {
  return install.last_index <= durable_ && install.last_term.value != 0 &&
         log_.TermAt(install.last_index) == install.last_term;
}

// Rule 2. last_index 0 can never be read as progress.
void Guard::AnswerOldTerm(NodeId from, Term request, Effects* answer) const {
  answer->messages.push_back(
      {from, AppendEntriesResult{engine_->term(), request, LogIndex(0), LogIndex(0)}, 0});
}

bool Guard::Admit(NodeId from, AppendEntries& message, Effects* answer) {
  if (message.term < engine_->term()) {
    HOLDFAST_REACHED("raft.guard.append_of_old_term");
    AnswerOldTerm(from, message.term, answer);
    return false;
  }
  HOLDFAST_CHECK(!(message.term == engine_->term() && role() == Role::kLeader),
                 "node " + from.ToString() + " also leads term " + message.term.ToString());
  Lift(message);
  const LogIndex end(message.prev_index.value + message.entries.size());
  message.leader_commit = std::min(message.leader_commit, end);  // Rule 3.
  return true;
}

// Rule 4. What the snapshot covers is committed, so every leader from now on has it: a message that
// is anchored before it says the same when it is anchored at its end.
void Guard::Lift(AppendEntries& message) const {
  if (message.prev_index >= snapshot_.index) return;
  if (message.prev_index.value > 0 && log_.TermAt(message.prev_index).value != 0) return;
  if (message.prev_index.value == 0 && log_.first() == LogIndex(1)) return;
  const uint64_t covered =
      std::min(message.entries.size(), snapshot_.index.value - message.prev_index.value);
  message.entries.erase(message.entries.begin(),
                        message.entries.begin() + static_cast<ptrdiff_t>(covered));
  HOLDFAST_REACHED("raft.guard.lifted_to_checkpoint");
  message.prev_index = snapshot_.index;
  message.prev_term = snapshot_.term;
}

bool Guard::Admit(NodeId from, const AppendEntriesResult& message) {
  if (message.term != engine_->term()) return true;  // Older: ignored. Newer: we step down.
  if (message.request_term != message.term) {        // Rule 12.
    HOLDFAST_REACHED("raft.guard.result_of_another_request");
    return false;
  }
  if (role() != Role::kLeader) return false;
  LogIndex& match = tally_[from];
  if (message.rejected.value != 0) {  // Rule 11.
    if (message.rejected > match) return true;
    HOLDFAST_REACHED("raft.guard.rejection_is_late");
    return false;
  }
  if (message.last_index > log_.last()) {
    logging::Err(Component::kRaft, "dropped an acknowledgement of what our log does not hold",
                 {{"peer", from.value},
                  {"acknowledged", message.last_index.value},
                  {"last", log_.last().value}});
    return false;
  }
  match = std::max(match, message.last_index);
  return true;
}

Effects Guard::Persisted(uint64_t now_ms, LogIndex index) {
  HOLDFAST_CHECK(index > durable_ && index <= log_.last(),
                 "entry " + index.ToString() + " is called durable after " + durable_.ToString());
  durable_ = index;
  return Checked(engine_->Persisted(now_ms, index));
}

Effects Guard::Tick(uint64_t now_ms) { return Checked(engine_->Tick(now_ms)); }

Effects Guard::Stand(uint64_t now_ms) { return Checked(engine_->Stand(now_ms)); }

bool Guard::Submit(uint64_t now_ms, std::vector<wal::Entry> entries, Effects* effects) {
  if (!engine_->Submit(now_ms, std::move(entries), effects)) return false;
  *effects = Checked(std::move(*effects));
  return true;
}

bool Guard::Transfer(uint64_t now_ms, NodeId to, Effects* effects) {
  if (!engine_->Transfer(now_ms, to, effects)) return false;
  *effects = Checked(std::move(*effects));
  return true;
}

Effects Guard::ConfigurationCommitted(uint64_t now_ms, LogIndex index) {
  return Checked(engine_->ConfigurationCommitted(now_ms, index, membership_));
}

Effects Guard::Snapshotted(uint64_t now_ms, LogIndex index, LogIndex keep_from) {
  HOLDFAST_CHECK(index <= committed() && index > snapshot_.index,  // Rule 9.
                 "a checkpoint at entry " + index.ToString() + ", committed is " +
                     committed().ToString() + ", the one before was at " +
                     snapshot_.index.ToString());
  HOLDFAST_CHECK(keep_from <= index && keep_from >= log_.first(),
                 "the log would lose entry " + index.ToString());
  snapshot_ = {index, log_.TermAt(index)};
  return Checked(engine_->Snapshotted(now_ms, index, keep_from));
}

Effects Guard::Checked(Effects effects) {
  if (effects.hard_state_changed) CheckHardState(effects.hard_state);
  HOLDFAST_CHECK(engine_->term() == hard_state_.term, "the engine's term is not the saved one");
  NoteTerm();
  if (!effects.entries.empty()) {
    HOLDFAST_CHECK(effects.first > committed_,
                   "the engine wants to drop committed entry " + effects.first.ToString());
    HOLDFAST_CHECK(effects.first <= log_.last().Next(), "the engine leaves a gap in the log");
    durable_ = std::min(durable_, effects.first.Previous());
  }
  const bool leads = role() == Role::kLeader;
  if (leads && !was_leader_) {
    tally_.clear();
    // The founding entry is on every member's disk before any of them starts.
    commit_at_election_ = std::max(committed_, LogIndex(1));
  }
  was_leader_ = leads;
  for (Outgoing& out : effects.messages) {
    if (auto* result = std::get_if<AppendEntriesResult>(&out.message);
        result != nullptr && result->rejected.value == 0) {
      result->last_index = std::min({result->last_index, matched_, durable_});  // Rule 6.
    } else if (const auto* append = std::get_if<AppendEntries>(&out.message)) {
      HOLDFAST_CHECK(leads && append->term == engine_->term(),
                     "AppendEntries from a server that does not lead its term");
    }
  }
  HOLDFAST_CHECK(engine_->last_stored() == durable_, "the engine takes " +
                                                         engine_->last_stored().ToString() +
                                                         " as durable, not " + durable_.ToString());
  AdvanceCommit();
  return effects;
}

void Guard::NoteTerm() {
  if (engine_->term() == seen_term_) return;
  seen_term_ = engine_->term();
  matched_ = LogIndex(0);
  was_leader_ = false;  // A server that leads now has been elected anew.
}

void Guard::CheckHardState(const wal::HardState& next) {
  HOLDFAST_CHECK(next.term >= hard_state_.term, "the term would go back");
  HOLDFAST_CHECK(
      next.term > hard_state_.term || hard_state_.vote.value == 0 || next.vote == hard_state_.vote,
      "a second vote in term " + next.term.ToString());
  hard_state_ = next;
}

void Guard::AdvanceCommit() {
  const LogIndex engine = engine_->commit();
  if (engine <= committed_) return;
  if (role() != Role::kLeader) {
    // What was clamped on the way in cannot pass what was matched.
    committed_ = std::max(committed_, std::min(engine, matched_));
    return;
  }
  if (engine <= commit_at_election_ && membership_.voters.size() > 1) {
    committed_ = engine;  // Learnt as a follower of the leader before.
    return;
  }
  const LogIndex tally = MajorityIndex();
  HOLDFAST_CHECK(engine <= tally, "the engine commits entry " + engine.ToString() +
                                      ", but a majority is known to hold only " + tally.ToString());
  HOLDFAST_CHECK(membership_.voters.size() == 1 || log_.TermAt(engine) == engine_->term(),
                 "the engine commits entry " + engine.ToString() + " of an older term");
  committed_ = engine;
}

LogIndex Guard::MatchOf(NodeId peer) const {
  if (role() != Role::kLeader) return LogIndex(0);
  if (peer == self_) return durable_;
  auto found = tally_.find(peer);
  return found == tally_.end() ? LogIndex(0) : found->second;
}

LogIndex Guard::MajorityIndex() const {
  std::vector<LogIndex> durable;
  for (NodeId voter : membership_.voters) durable.push_back(MatchOf(voter));
  std::sort(durable.begin(), durable.end(), std::greater<>());
  return durable[membership_.Majority() - 1];
}

}  // namespace holdfast::raft

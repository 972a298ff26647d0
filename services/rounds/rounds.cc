#include "services/rounds/rounds.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "services/rounds/describe.h"
#include "services/rounds/validate.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"
#include "src/state_machine/registry.h"

namespace holdfast::rounds {
namespace {

// No game has this name: it has a control character.
constexpr char kSweepTimer[] = "\x01";

// Some of the `count` rows of the game that `from` begins with. It goes not on behind the last of
// them: there may be any number of rows that were just erased.
template <class Table, class Key>
void EraseSome(Table& table, const Key& from, uint32_t* count, size_t* left) {
  const size_t portion = std::min<size_t>(*count, *left);
  if (portion == 0) return;
  std::vector<Key> keys;
  table.Scan(from, [&](const Key& key, const auto&) {
    keys.push_back(key);
    return keys.size() < portion;
  });
  for (const Key& key : keys) table.EraseKnown(key);
  *count -= static_cast<uint32_t>(portion);
  *left -= portion;
}

}  // namespace

bool Rounds::HasGame(const std::string& game, uint64_t id) const {
  const auto row = tables_.games.Get(game);
  return row && (id == 0 || row->id == id);
}

Result<void> Rounds::Create(const CreateRequest& request, WriteContext& context,
                            CreateReply* reply) {
  const std::string& name = request.game();
  if (const GameRow* there = tables_.games.Find(name)) {
    reply->set_differs(
        FirstDifference(request, *tables_.rules.Find(name), *tables_.named.Find(name)));
    reply->set_outcome(reply->differs().empty() ? CreateOutcome::already_exists
                                                : CreateOutcome::exists_with_other_rules);
    reply->set_id(there->id);
    reply->set_state(there->state());
    return {};
  }
  MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  if (meta.games >= bounds::kRoundsGamesMax) {
    reply->set_outcome(CreateOutcome::too_many_games);
    return {};
  }
  ++meta.games;
  GameRow game;
  game.id = ++meta.last_id;
  game.created_us = context.now().us;
  tables_.meta.Put(kOnlyRow, meta);
  tables_.rules.Put(name, RulesOf(request));
  tables_.named.Put(name, NamedOf(request));
  tables_.games.PutNew(name, game);
  Play play(tables_, context, name);
  for (const std::string& participant : request.participants()) play.Join(participant);
  play.Store();
  reply->set_outcome(CreateOutcome::created);
  reply->set_id(play.game().id);
  reply->set_state(play.game().state());
  return {};
}

Result<void> Rounds::Join(const JoinRequest& request, WriteContext& context, JoinReply* reply) {
  if (!HasGame(request.game(), request.id())) {
    reply->set_outcome(JoinOutcome::game_not_found);
    return {};
  }
  Play play(tables_, context, request.game());
  play.EndIfOver();
  const ParticipantKey key{play.game().id, request.participant()};
  if (tables_.participants.Find(key) != nullptr) {
    reply->set_outcome(JoinOutcome::already_joined);
  } else if (play.game().over()) {
    reply->set_outcome(JoinOutcome::game_over);
  } else if (play.game().begun) {
    reply->set_outcome(JoinOutcome::game_full);
  } else {
    play.Join(request.participant());
    reply->set_outcome(JoinOutcome::joined);
  }
  play.Store();
  reply->set_id(play.game().id);
  if (const ParticipantRow* row = tables_.participants.Find(key)) reply->set_place(row->place);
  if (!play.game().over()) reply->set_round(play.game().current());
  return {};
}

Result<void> Rounds::Leave(const LeaveRequest& request, WriteContext& context, LeaveReply* reply) {
  if (!HasGame(request.game(), request.id())) {
    reply->set_outcome(LeaveOutcome::game_not_found);
    return {};
  }
  Play play(tables_, context, request.game());
  play.EndIfOver();
  if (play.game().over()) {
    reply->set_outcome(LeaveOutcome::game_over);
  } else if (tables_.participants.Find({play.game().id, request.participant()}) == nullptr) {
    reply->set_outcome(LeaveOutcome::not_a_participant);
  } else {
    play.Leave(request.participant());
    reply->set_outcome(LeaveOutcome::left);
  }
  play.Store();
  return {};
}

Result<void> Rounds::Move(const MoveRequest& request, WriteContext& context, MoveReply* reply) {
  reply->set_outcome(MoveOutcome::game_not_found);
  if (!HasGame(request.game(), request.id())) return {};
  Play play(tables_, context, request.game());
  play.EndIfOver();
  play.Store();
  const GameRow& game = play.game();
  const RoundRow* round = nullptr;
  if (game.keeps(request.round())) round = tables_.rounds.Find({game.id, request.round()});
  const ParticipantRow* own = tables_.participants.Find({game.id, request.participant()});
  const Standing standing = StandingOf(request, game, round, own);
  const bool waits = request.wait_ms() != 0;
  // The result is told by reads: what a write has said is kept, and once is enough.
  switch (standing.outcome) {
    case MoveOutcome::not_moved: {
      play.Move(request.participant(), *own, PayloadOf(request));
      play.Store();
      FillTime(context.now().us, reply->mutable_made());
      reply->set_outcome(waits ? MoveOutcome::waiting : MoveOutcome::moved);
      break;
    }
    case MoveOutcome::waiting:
    case MoveOutcome::round_over:
      FillTime(standing.made_us, reply->mutable_made());
      reply->set_outcome(waits ? MoveOutcome::waiting : MoveOutcome::already_moved);
      break;
    default: reply->set_outcome(standing.outcome);
  }
  if (!game.over()) reply->set_current_round(game.current());
  return {};
}

Result<void> Rounds::Close(const CloseRequest& request, WriteContext& context, CloseReply* reply) {
  if (!HasGame(request.game(), request.id())) {
    reply->set_outcome(CloseOutcome::game_not_found);
    return {};
  }
  Play play(tables_, context, request.game());
  play.EndIfOver();
  reply->set_outcome(play.game().over() ? CloseOutcome::already_over : CloseOutcome::closed);
  if (!play.game().over()) play.Close();
  play.Store();
  return {};
}

Result<void> Rounds::Delete(const DeleteRequest& request, WriteContext& context,
                            DeleteReply* reply) {
  if (!HasGame(request.game(), request.id())) {
    reply->set_outcome(DeleteOutcome::game_not_found);
    return {};
  }
  MetaRow meta = *tables_.meta.Get(kOnlyRow);
  // Otherwise its turn comes.
  if (meta.swept == meta.deleted) context.SetTimer(context.now(), kSweepTimer);
  --meta.games;
  tables_.trash.Put(++meta.deleted, Play(tables_, context, request.game()).Delete());
  tables_.meta.Put(kOnlyRow, meta);
  reply->set_outcome(DeleteOutcome::deleted);
  return {};
}

// Game after game, so many rows at a time, whatever was deleted.
void Rounds::Sweep(WriteContext& context) {
  MetaRow meta = *tables_.meta.Get(kOnlyRow);
  for (size_t left = bounds::kRoundsSweptPerEntry; left > 0 && meta.swept < meta.deleted; --left) {
    TrashRow trash = *tables_.trash.Get(meta.swept + 1);
    EraseSome(tables_.participants, ParticipantKey{trash.game, ""}, &trash.joined, &left);
    EraseSome(tables_.freed, FreedKey{trash.game, 0}, &trash.freed, &left);
    for (; left > 0 && trash.forgotten < trash.ended; --left) {
      tables_.rounds.EraseKnown({trash.game, ++trash.forgotten});
    }
    if (left == 0) {
      tables_.trash.Put(meta.swept + 1, trash);
      break;
    }
    tables_.trash.Erase(++meta.swept);
  }
  tables_.meta.Put(kOnlyRow, meta);
  // Nobody waits for what is swept: whoever does something meanwhile comes first.
  if (meta.swept < meta.deleted) {
    context.SetTimer(LogTime{context.now().us + bounds::kRoundsSweepPauseMs * 1'000}, kSweepTimer);
  }
}

void Rounds::OnTimer(WriteContext& context, std::string_view key) {
  if (key == kSweepTimer) return Sweep(context);
  Play play(tables_, context, std::string(key));  // Who deletes a game cancels its timer.
  play.OnTimer();
  play.Store();
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.rounds.Rounds", std::make_unique<Rounds>(registry.store()))
      .Write("Create", &Rounds::Create, &Validate)
      .Write("Join", &Rounds::Join, &ValidateNames<JoinRequest>)
      .Write("Leave", &Rounds::Leave, &ValidateNames<LeaveRequest>)
      .Write("Move", &Rounds::Move, &Validate)
      .Read("AwaitMove", &Rounds::AwaitMove, &Validate)
      .Write("Close", &Rounds::Close, &ValidateNames<CloseRequest>)
      .Write("Delete", &Rounds::Delete, &ValidateNames<DeleteRequest>)
      .Read("Get", &Rounds::Get, &ValidateNames<GetRequest>)
      .Read("Results", &Rounds::Results, &ValidateNames<ResultsRequest>)
      .Read("List", &Rounds::List, &Validate);
}

}  // namespace holdfast::rounds

#include "services/rounds/play.h"

#include <utility>

#include "src/base/bounds.h"
#include "src/base/reached.h"

namespace holdfast::rounds {
namespace {

// What a round that has ended counts for, about.
uint64_t BytesOf(const RoundRow& row) {
  uint64_t bytes = 32;
  for (const MovedRow& move : row.moves)
    bytes += 16 + move.participant.size() + move.move.bytes.size();
  return bytes;
}

}  // namespace

Play::Play(Tables& tables, WriteContext& context, std::string name)
    : t_(tables),
      context_(context),
      name_(std::move(name)),
      rules_(*t_.rules.Find(name_)),
      game_(*t_.games.Find(name_)) {}

void Play::EndIfOver() {
  if (game_.deadline_us == 0 || game_.deadline_us > context_.lease_now().us) return;
  EndRound({.timed_out = true, .aborted = rules_.absent == Absent::abort});
}

void Play::OnTimer() {
  game_.timer_us = 0;
  EndIfOver();
  if (game_.deadline_us != 0) {
    context_.SetLeaseTimer(LeaseTime{game_.deadline_us}, name_, &game_.timer_us);
  }
}

uint32_t Play::TakePlace() {
  if (game_.freed == 0) return game_.joined + 1;
  uint32_t place = 0;
  t_.freed.Scan({game_.id, 0}, [&](const FreedKey& key, const FreedRow&) {
    place = std::get<1>(key);
    return false;
  });
  t_.freed.EraseKnown({game_.id, place});
  --game_.freed;
  return place;
}

void Play::Join(const std::string& participant) {
  ParticipantRow row;
  row.place = TakePlace();
  t_.participants.PutNew({game_.id, participant}, std::move(row));
  ++game_.joined;
  GoOn();
}

void Play::Leave(const std::string& participant) {
  const ParticipantRow* row = t_.participants.Find({game_.id, participant});
  if (row->round == game_.current()) --game_.moved;
  --game_.joined;
  if (!game_.begun) {
    t_.freed.PutNew({game_.id, row->place}, {});
    ++game_.freed;
  }
  t_.participants.EraseKnown({game_.id, participant});
  GoOn();
  context_.Touch(TopicOf(name_));  // It may wait for the round's end itself.
}

void Play::Move(const std::string& participant, ParticipantRow row, Payload move) {
  row.round = game_.current();
  row.move = std::move(move);
  row.made_us = context_.now().us;
  t_.participants.Put({game_.id, participant}, std::move(row));
  ++game_.moved;
  GoOn();
}

void Play::Close() {
  EndRound({.aborted = true});
  game_.end = End::closed;
}

void Play::GoOn() {
  const bool begins = !game_.begun && game_.joined == rules_.places;
  game_.begun |= begins;
  if (!game_.begun) return;
  if (game_.joined == 0) {
    EndRound({.aborted = true});
    game_.end = End::deserted;
    return;
  }
  if (game_.moved == game_.joined) return EndRound({});
  if (rules_.round_ms == 0) return;
  const bool runs = game_.moved > 0 || (rules_.clock == Clock::round && !game_.idle);
  if (!runs) {
    game_.deadline_us = 0;  // Its timer fires in vain.
    return;
  }
  if (game_.deadline_us != 0) return;
  game_.deadline_us = context_.lease_now().us + int64_t{rules_.round_ms} * 1'000;
  context_.SetLeaseTimer(LeaseTime{game_.deadline_us}, name_, &game_.timer_us);
}

void Play::EndRound(Ending ending) {
  RoundRow round;
  round.ended_us = context_.now().us;
  round.timed_out = ending.timed_out;
  round.aborted = ending.aborted;
  std::vector<std::string> gone;
  const auto take = [&](const ParticipantKey& key, const ParticipantRow& row) {
    if (std::get<0>(key) != game_.id) return false;
    MovedRow& moved = round.moves.emplace_back();
    moved.participant = std::get<1>(key);
    if (row.round == game_.current()) {
      // A round that is aborted has no result: nobody ever sees what was played in it.
      if (!ending.aborted) moved.move = row.move;
      moved.made_us = row.made_us;
    } else if (!ending.aborted && rules_.absent == Absent::default_move) {
      moved.how = How::kByDefault;  // The move itself is in the rules, once.
    } else {
      moved.how = How::kAbsent;
      if (!ending.aborted && rules_.absent == Absent::goes) gone.push_back(moved.participant);
    }
    return round.moves.size() < game_.joined;
  };
  // Where nobody is left the walk would pass what was erased of other games.
  if (game_.joined > 0) t_.participants.Scan({game_.id, ""}, take);
  for (const std::string& participant : gone) t_.participants.EraseKnown({game_.id, participant});
  game_.joined -= static_cast<uint32_t>(gone.size());
  game_.idle = game_.moved == 0;
  game_.moved = 0;
  game_.deadline_us = 0;
  game_.kept_bytes += BytesOf(round);
  t_.rounds.PutNew({game_.id, ++game_.ended}, std::move(round));
  Forget();
  context_.Touch(TopicOf(name_));
  if (ending.timed_out) HOLDFAST_REACHED("rounds.play.timed_out");
  if (ending.aborted) return Finish(End::aborted);
  if (game_.joined == 0) return Finish(End::deserted);
  if (game_.ended == rules_.rounds) return Finish(End::played);
  GoOn();
}

void Play::Finish(End::Code end) {
  game_.end = end;
  game_.end_us = context_.now().us;
  context_.CancelLeaseTimer(name_, &game_.timer_us);
}

void Play::Forget() {
  const auto is_too_much = [&] {
    const uint64_t kept = game_.ended - game_.forgotten;
    return kept > rules_.keep || (kept > 1 && game_.kept_bytes > bounds::kRoundsKeptBytesMax);
  };
  while (is_too_much()) {
    const RoundKey oldest{game_.id, ++game_.forgotten};
    game_.kept_bytes -= BytesOf(*t_.rounds.Find(oldest));
    t_.rounds.EraseKnown(oldest);
  }
}

TrashRow Play::Delete() {
  context_.CancelLeaseTimer(name_, &game_.timer_us);
  t_.rules.Erase(name_);
  t_.named.Erase(name_);
  t_.games.EraseKnown(name_);
  context_.Touch(TopicOf(name_));
  return {game_.id, game_.joined, game_.freed, game_.forgotten, game_.ended};
}

void Play::Store() { t_.games.Put(name_, game_); }

}  // namespace holdfast::rounds

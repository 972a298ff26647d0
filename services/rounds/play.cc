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

uint32_t Play::FreePlace() const {
  std::vector<bool> taken(rules_.places + 1, false);
  t_.participants.Scan({name_, ""}, [&](const ParticipantKey& key, const ParticipantRow& row) {
    if (std::get<0>(key) != name_) return false;
    taken[row.place] = true;
    return true;
  });
  uint32_t place = 1;
  while (taken[place]) ++place;
  return place;
}

void Play::Join(const std::string& participant) {
  ParticipantRow row;
  row.place = FreePlace();
  t_.participants.PutNew({name_, participant}, std::move(row));
  ++game_.joined;
  GoOn();
}

void Play::Leave(const std::string& participant) {
  const ParticipantRow* row = t_.participants.Find({name_, participant});
  if (row->round == game_.current()) --game_.moved;
  --game_.joined;
  t_.participants.EraseKnown({name_, participant});
  GoOn();
  context_.Touch(TopicOf(name_));  // It may wait for the round's end itself.
}

void Play::Move(const std::string& participant, ParticipantRow row, Payload move) {
  row.round = game_.current();
  row.move = std::move(move);
  row.made_us = context_.now().us;
  t_.participants.Put({name_, participant}, std::move(row));
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
  if (rules_.round_ms == 0 || game_.deadline_us != 0) return;
  const bool runs = rules_.clock == Clock::round && !game_.idle;
  if (!runs && game_.moved == 0) return;
  game_.deadline_us = context_.lease_now().us + int64_t{rules_.round_ms} * 1'000;
  context_.SetLeaseTimer(LeaseTime{game_.deadline_us}, name_, &game_.timer_us);
}

void Play::EndRound(Ending ending) {
  RoundRow round;
  round.ended_us = context_.now().us;
  round.timed_out = ending.timed_out;
  round.aborted = ending.aborted;
  std::vector<std::string> gone;
  t_.participants.Scan({name_, ""}, [&](const ParticipantKey& key, const ParticipantRow& row) {
    if (std::get<0>(key) != name_) return false;
    MovedRow& moved = round.moves.emplace_back();
    moved.participant = std::get<1>(key);
    if (row.round == game_.current()) {
      // A round that is aborted has no result: nobody ever sees what was played in it.
      if (!ending.aborted) moved.move = row.move;
      moved.made_us = row.made_us;
    } else if (!ending.aborted && rules_.absent == Absent::default_move) {
      moved.how = How::kByDefault;
      moved.move = rules_.default_move;
    } else {
      moved.how = How::kAbsent;
      if (!ending.aborted && rules_.absent == Absent::goes) gone.push_back(moved.participant);
    }
    return true;
  });
  for (const std::string& participant : gone) t_.participants.EraseKnown({name_, participant});
  game_.joined -= static_cast<uint32_t>(gone.size());
  game_.idle = game_.moved == 0;
  game_.moved = 0;
  game_.deadline_us = 0;
  game_.kept_bytes += BytesOf(round);
  t_.rounds.PutNew({name_, ++game_.ended}, std::move(round));
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
    const RoundKey oldest{name_, ++game_.forgotten};
    game_.kept_bytes -= BytesOf(*t_.rounds.Find(oldest));
    t_.rounds.EraseKnown(oldest);
  }
}

void Play::Erase() {
  context_.CancelLeaseTimer(name_, &game_.timer_us);
  std::vector<std::string> participants;
  t_.participants.Scan({name_, ""}, [&](const ParticipantKey& key, const ParticipantRow&) {
    if (std::get<0>(key) != name_) return false;
    participants.push_back(std::get<1>(key));
    return true;
  });
  for (const std::string& each : participants) t_.participants.EraseKnown({name_, each});
  for (uint64_t round = game_.forgotten + 1; round <= game_.ended; ++round) {
    t_.rounds.EraseKnown({name_, round});
  }
  t_.rules.Erase(name_);
  t_.named.Erase(name_);
  t_.games.EraseKnown(name_);
  context_.Touch(TopicOf(name_));
}

void Play::Store() { t_.games.Put(name_, game_); }

}  // namespace holdfast::rounds

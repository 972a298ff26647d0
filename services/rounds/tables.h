// The rows of the rounds (docs/formats/store.md). Fields are appended to, never reordered or
// removed.
//
// Invariants (invariants.cc): a game that is not over has a round under way, the one behind those
// that have ended, and in a game that has begun somebody has yet to move in it. The counts of
// games, participants, moves and bytes are what there is; no two participants have one place, and
// those who left while the game gathered have left no gap but their freed places.
// Rounds are kept without a gap, up to the last that has ended. A round whose time runs has a
// timer, and a game that is over has none.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "services/rounds/rounds.pb.h"
#include "src/store/table.h"

namespace holdfast::rounds {

// What a participant says: a text, or bytes.
struct Payload {
  std::string bytes;
  bool is_data = false;
  std::string text() const { return is_data ? "" : bytes; }
  std::string data() const { return is_data ? bytes : ""; }
  bool operator==(const Payload&) const = default;
  auto Fields() { return std::tie(bytes, is_data); }
  auto Fields() const { return std::tie(bytes, is_data); }
};

// Who was named when the game was created; never changed. Apart from the rules, which every move
// reads.
struct NamedRow {
  std::vector<std::string> participants;
  auto Fields() { return std::tie(participants); }
  auto Fields() const { return std::tie(participants); }
};

// As the game was created; never changed.
struct RulesRow {
  uint32_t places = 0;
  uint64_t rounds = 0;  // 0: without end.
  uint32_t round_ms = 0;
  Clock::Code clock = Clock::first_move;
  Absent::Code absent = Absent::stays;
  Payload default_move;
  uint32_t keep = 0;

  auto Fields() { return std::tie(places, rounds, round_ms, clock, absent, default_move, keep); }
  auto Fields() const {
    return std::tie(places, rounds, round_ms, clock, absent, default_move, keep);
  }
};

// What changes with every move; small for that reason.
struct GameRow {
  uint64_t id = 0;
  int64_t created_us = 0;
  uint64_t ended = 0;      // Rounds; the one under way is the next.
  uint64_t forgotten = 0;  // Of these, from the first on.
  uint64_t kept_bytes = 0;
  bool begun = false;  // All places have been taken once.
  End::Code end = End::unspecified;
  int64_t end_us = 0;
  uint32_t joined = 0;      // Participants that there are.
  uint32_t moved = 0;       // Of these, in the round under way.
  bool idle = false;        // Nobody moved in the round before: time begins with the first move.
  int64_t deadline_us = 0;  // Of the round under way, by lease time; 0: its time does not run.
  int64_t timer_us = 0;     // When the game's timer fires, by log time; 0: it has none.
  uint32_t freed = 0;       // Places that were left while the game gathers.

  bool over() const { return end != End::unspecified; }
  uint64_t current() const { return ended + 1; }
  bool keeps(uint64_t round) const { return round > forgotten && round <= ended; }
  State::Code state() const {
    return over() ? State::over : begun ? State::playing : State::gathering;
  }
  auto Fields() {
    return std::tie(id, created_us, ended, forgotten, kept_bytes, begun, end, end_us, joined, moved,
                    idle, deadline_us, timer_us, freed);
  }
  auto Fields() const {
    return std::tie(id, created_us, ended, forgotten, kept_bytes, begun, end, end_us, joined, moved,
                    idle, deadline_us, timer_us, freed);
  }
};

struct ParticipantRow {
  uint32_t place = 0;
  uint64_t round = 0;  // In which it moved last. A move of the round under way is a secret.
  Payload move;
  int64_t made_us = 0;
  auto Fields() { return std::tie(place, round, move, made_us); }
  auto Fields() const { return std::tie(place, round, move, made_us); }
};

enum class How : uint8_t { kMoved = 0, kAbsent = 1, kByDefault = 2 };

struct MovedRow {
  std::string participant;
  How how = How::kMoved;
  Payload move;  // Only of who has moved, and not in a round that was aborted.
  int64_t made_us = 0;
  auto Fields() { return std::tie(participant, how, move, made_us); }
  auto Fields() const { return std::tie(participant, how, move, made_us); }
};

// A round that has ended.
struct RoundRow {
  int64_t ended_us = 0;
  bool timed_out = false;
  bool aborted = false;
  std::vector<MovedRow> moves;  // In order of participant.
  auto Fields() { return std::tie(ended_us, timed_out, aborted, moves); }
  auto Fields() const { return std::tie(ended_us, timed_out, aborted, moves); }
};

struct MetaRow {
  uint64_t games = 0;
  uint64_t last_id = 0;
  uint64_t deleted = 0;  // Games, ever ...
  uint64_t swept = 0;    // ... of which so many have left nothing; the others are trash.
  auto Fields() { return std::tie(games, last_id, deleted, swept); }
  auto Fields() const { return std::tie(games, last_id, deleted, swept); }
};

// A place that is free though a later one is taken; while the game gathers.
struct FreedRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

// What is left of a game that was deleted; it is swept away in portions.
struct TrashRow {
  uint64_t game = 0;
  uint32_t joined = 0;
  uint32_t freed = 0;
  uint64_t forgotten = 0;
  uint64_t ended = 0;
  auto Fields() { return std::tie(game, joined, freed, forgotten, ended); }
  auto Fields() const { return std::tie(game, joined, freed, forgotten, ended); }
};

// By the id of the game: a later one of the same name has rows of its own.
using ParticipantKey = std::tuple<uint64_t, std::string>;  // (game, participant)
using RoundKey = std::tuple<uint64_t, uint64_t>;           // (game, round)
using FreedKey = std::tuple<uint64_t, uint32_t>;           // (game, place)

inline constexpr uint64_t kOnlyRow = 0;

struct Tables {
  explicit Tables(store::Store& store)
      : games(store, {10, 1}, "rounds games"),
        rules(store, {10, 2}, "rounds rules"),
        named(store, {10, 3}, "rounds named"),
        participants(store, {10, 4}, "rounds participants"),
        rounds(store, {10, 5}, "rounds ended"),
        meta(store, {10, 6}, "rounds meta"),
        freed(store, {10, 7}, "rounds freed places"),
        trash(store, {10, 8}, "rounds trash") {}

  store::SortedTable<std::string, GameRow> games;
  store::HashTable<std::string, RulesRow> rules;
  store::HashTable<std::string, NamedRow> named;
  store::SortedTable<ParticipantKey, ParticipantRow> participants;
  store::SortedTable<RoundKey, RoundRow> rounds;
  store::HashTable<uint64_t, MetaRow> meta;
  store::SortedTable<FreedKey, FreedRow> freed;
  store::HashTable<uint64_t, TrashRow> trash;  // In the order of their deletion, from 1.
};

}  // namespace holdfast::rounds

// What must hold after every entry; see tables.h.
#include <map>
#include <set>

#include "services/rounds/rounds.h"

namespace holdfast::rounds {
namespace {

// Up to so many games, and participants and rounds, everything is counted anew each time.
constexpr uint64_t kCountedMax = 512;

struct Counts {
  uint32_t joined = 0;
  uint32_t moved = 0;
  std::set<uint32_t> places;
};

}  // namespace

std::optional<std::string> Rounds::CheckInvariants() const {
  std::optional<std::string> broken;
  const auto expect = [&broken](bool holds, const std::string& what) {
    if (!holds && !broken) broken = what;
  };
  const MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  if (meta.games > kCountedMax) return broken;
  uint64_t games = 0, joined = 0, kept = 0;
  tables_.games.Scan("", [&](const std::string& name, const GameRow& row) {
    ++games;
    joined += row.joined;
    kept += row.ended - row.forgotten;
    const auto rules = tables_.rules.Get(name);
    expect(rules.has_value() && tables_.named.Get(name).has_value(), name + " has no rules");
    if (!rules) return true;
    expect(row.id >= 1 && row.id <= meta.last_id, name + " has an id from the future");
    expect(row.joined <= rules->places && row.moved <= row.joined, "the counts of " + name);
    expect(row.begun || row.joined < rules->places || row.over(), name + " is full and waits");
    expect(row.forgotten <= row.ended && row.ended - row.forgotten <= rules->keep,
           name + " keeps too many rounds");
    expect(rules->rounds == 0 || row.ended <= rules->rounds, name + " has played too often");
    if (row.over()) {
      expect(row.deadline_us == 0 && row.timer_us == 0, name + " is over and its time runs");
    } else {
      expect(rules->rounds == 0 || row.ended < rules->rounds, name + " has no round to play");
      expect(!row.begun || row.moved < row.joined, "nobody has yet to move in " + name);
      expect(row.begun || row.ended == 0, name + " has not begun, and a round has ended");
      expect(row.deadline_us == 0 || (row.begun && rules->round_ms != 0 && row.timer_us != 0),
             "the time of " + name + " runs without a timer");
      const bool runs = row.begun && rules->round_ms != 0 && row.moved > 0;
      expect(!runs || row.deadline_us != 0, "the time of " + name + " stands still");
      const bool rests = row.moved == 0 && (rules->clock == Clock::first_move || row.idle);
      expect(!rests || row.deadline_us == 0, "the time of " + name + " runs for nobody");
    }
    return true;
  });
  expect(meta.games == games, "miscounted games");
  if (broken || joined + kept + meta.deleted - meta.swept > kCountedMax) return broken;

  std::map<std::string, Counts> counts;
  std::set<uint64_t> trash;
  for (uint64_t i = meta.swept + 1; i <= meta.deleted; ++i) {
    const auto row = tables_.trash.Get(i);
    expect(row.has_value(), "trash that is missing");
    if (row) trash.insert(row->game);
  }
  std::map<uint64_t, std::string> names;
  tables_.games.Scan("", [&](const std::string& name, const GameRow& row) {
    expect(names.emplace(row.id, name).second, "two games have the id of " + name);
    expect(!trash.contains(row.id), name + " is trash");
    return true;
  });
  tables_.participants.Scan({0, ""}, [&](const ParticipantKey& key, const ParticipantRow& row) {
    const auto& [id, participant] = key;
    if (trash.contains(id)) return true;
    --joined;
    expect(names.contains(id), participant + " takes part in no game");
    if (!names.contains(id)) return true;
    const std::string& name = names[id];
    const auto game = tables_.games.Get(name);
    Counts& count = counts[name];
    ++count.joined;
    if (!game->over() && row.round == game->current()) ++count.moved;
    expect(row.round <= game->current(), participant + " has moved in the future");
    expect(count.places.insert(row.place).second, "one place twice in " + name);
    expect(row.place >= 1 && row.place <= tables_.rules.Get(name)->places, "a place too far");
    return true;
  });
  tables_.games.Scan("", [&](const std::string& name, const GameRow& row) {
    expect(row.joined == counts[name].joined, "miscounted participants of " + name);
    expect(row.moved == counts[name].moved, "miscounted moves of " + name);
    return true;
  });
  expect(joined == 0, "participants that no game counts");
  std::map<uint64_t, uint32_t> freed;
  tables_.freed.Scan({0, 0}, [&](const FreedKey& key, const FreedRow&) {
    const auto& [id, place] = key;
    if (trash.contains(id)) return true;
    ++freed[id];
    expect(names.contains(id) && counts[names[id]].places.insert(place).second,
           "a place that is taken and free");
    return true;
  });
  for (const auto& [id, name] : names) {
    const auto game = tables_.games.Get(name);
    expect(game->freed == freed[id], name + " miscounts its freed places");
    const auto& places = counts[name].places;
    expect(game->begun || places.empty() || *places.rbegin() == places.size(),
           name + " has a gap in its places");
  }
  tables_.rounds.Scan({0, 0}, [&](const RoundKey& key, const RoundRow& row) {
    const auto& [id, number] = key;
    if (trash.contains(id)) return true;
    --kept;
    const auto game = tables_.games.Get(names[id]);
    expect(game && game->keeps(number), "a round of no game");
    for (const MovedRow& move : row.moves) {
      const bool is_told = !row.aborted && move.how == How::kMoved;
      expect(is_told || move.move == Payload{}, "a move that nobody made in " + names[id]);
    }
    return true;
  });
  expect(kept == 0, "rounds that are missing");
  return broken;
}

}  // namespace holdfast::rounds

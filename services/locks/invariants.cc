// What must hold after every entry; see tables.h.
#include <map>
#include <set>

#include "services/locks/locks.h"

namespace holdfast::locks {

std::optional<std::string> Locks::CheckInvariants() const {
  const Tables& tables = book_.tables();
  std::map<std::string, std::pair<uint32_t, uint32_t>> modes;  // By lock: exclusive, shared.
  std::map<uint64_t, uint32_t> sessions;
  std::set<uint64_t> tokens;
  std::optional<std::string> broken;
  const auto expect = [&broken](bool holds, const std::string& what) {
    if (!holds && !broken) broken = what;
  };
  uint64_t holders = 0;
  tables.holders.Scan({"", ""}, [&](const HolderKey& key, const HolderRow& row) {
    const auto& [name, owner] = key;
    ++holders;
    ++(row.mode == exclusive ? modes[name].first : modes[name].second);
    expect(row.depth >= 1, "held no times: " + name);
    expect(tokens.insert(row.token).second, "one token twice: " + name);
    const auto of_token = tables.tokens.Get(row.token);
    expect(of_token && of_token->name == name && of_token->owner == owner,
           "the token of " + name + " is not known");
    expect((row.timer_us != 0) == (row.session == 0), "a timer too many or too few: " + name);
    if (row.session != 0) {
      ++sessions[row.session];
      expect(tables.session_holds.Get({row.session, name, owner}).has_value(),
             "a session does not know that it holds " + name);
    }
    return true;
  });
  for (const auto& [name, mode] : modes) {
    expect(mode.first == 0 || (mode.first == 1 && mode.second == 0), "held by too many: " + name);
  }
  std::map<std::string, uint32_t> lines;
  uint64_t places = 0;
  uint64_t writers = 0;
  tables.waiters.Scan(0, [&](uint64_t ticket, const WaiterRow& row) {
    for (const std::string& name : row.names) ++lines[name];
    places += row.names.size();
    if (row.mode == exclusive) writers += row.names.size();
    expect(row.timer_us != 0, row.owner + " waits without a timer");
    const auto waits = tables.waiting.Get(row.owner);
    expect(waits && waits->ticket == ticket, row.owner + " waits and is not known to");
    if (row.session != 0) {
      sessions[row.session] += static_cast<uint32_t>(row.names.size());
      expect(tables.session_waits.Get({row.session, ticket}).has_value(),
             "a session does not know that it waits");
    }
    return true;
  });
  const uint64_t waiting = places;
  tables.line.Scan({"", 0, 0}, [&](const LineKey& key, const NoRow&) {
    --places;
    expect(tables.waiters.Get(std::get<2>(key)).has_value(), "nobody stands in line here");
    return true;
  });
  tables.writers.Scan({"", 0, 0}, [&](const LineKey& key, const NoRow&) {
    --writers;
    expect(tables.line.Get(key).has_value(), "a writer stands in no line");
    return true;
  });
  expect(writers == 0, "writers are known to stand elsewhere");
  expect(places == 0, "a waiter stands in other lines than it says");
  for (const auto& [name, length] : lines) {
    const auto kept = tables.locks.Get(name);
    expect(kept && kept->waiting == length, "the line for " + name + " is miscounted");
  }
  for (const auto& [name, mode] : modes) {
    const auto kept = tables.locks.Get(name);
    expect(kept && kept->holders == mode.first + mode.second, "the holders of " + name);
  }
  for (const auto& [session, count] : sessions) {
    const auto kept = tables.sessions.Get(session);
    expect(kept && kept->count == count, "a session's locks are miscounted");
  }
  const auto meta = tables.meta.Get(0);
  expect((meta ? meta->holders : 0) == holders, "the holders are miscounted");
  expect((meta ? meta->waiting : 0) == waiting, "the places in line are miscounted");
  expect(tokens.empty() || *tokens.rbegin() <= meta->last_token, "a token from the future");
  return broken;
}

}  // namespace holdfast::locks

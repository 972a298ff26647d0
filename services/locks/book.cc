#include "services/locks/book.h"

#include <algorithm>
#include <limits>
#include <map>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/sessions.h"

namespace holdfast::locks {
namespace {

constexpr uint64_t kOnlyRow = 0;
constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

bool Compatible(Mode a, Mode b) { return a == shared && b == shared; }

uint64_t RankAt(const WaiterRow& waiter, size_t at) {
  return (waiter.upgrades >> at & 1) != 0 ? kUpgradeRank : kRank;
}

void AddTo(uint32_t* count, int by) {
  *count = static_cast<uint32_t>(static_cast<int64_t>(*count) + by);
}

// Where SetLeaseTimer has put a timer, unless time was left out since: then it fires in vain.
LogTime LogTimeOf(int64_t lease_us, const WriteContext& context) {
  return {lease_us + (context.now().us - context.lease_now().us)};
}

void AppendNumber(std::string* to, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) to->push_back(static_cast<char>(number >> shift));
}

}  // namespace

std::string Book::HolderTimer(const std::string& name, const std::string& owner, uint64_t token) {
  std::string key = "h";
  AppendNumber(&key, token);
  key.push_back(static_cast<char>(name.size()));
  return key + name + owner;
}
std::string Book::WaiterTimer(uint64_t ticket) {
  std::string key = "w";
  AppendNumber(&key, ticket);
  return key;
}
std::string Book::DelayTimer(const std::string& name) { return "d" + name; }
std::string Book::TopicOf(std::string_view owner) { return std::string(owner); }

bool Book::Delayed(const std::string& name, LeaseTime now) const {
  const auto delay = t_.delays.Get(name);
  return delay && delay->until_us > now.us;
}

uint64_t Book::UpgradesOf(const WaiterRow& want) const {
  uint64_t upgrades = 0;
  if (want.mode != exclusive) return 0;
  for (size_t i = 0; i < want.names.size(); ++i) {
    const auto held = Held(want.names[i], want.owner);
    if (held && held->mode == shared) upgrades |= uint64_t{1} << i;
  }
  return upgrades;
}

std::optional<HolderRow> Book::Held(const std::string& name, const std::string& owner) const {
  return Counts(name).holders == 0 ? std::nullopt : t_.holders.Get({name, owner});
}

void Book::VisitBlockers(const WaiterRow& want, uint64_t ticket, Looked* looked,
                         Visit visit) const {
  for (size_t i = 0; i < want.names.size(); ++i) {
    const std::string& name = want.names[i];
    const LockRow counts = Counts(name);
    const Place place{RankAt(want, i), ticket};
    Looked::Lock* before = looked == nullptr ? nullptr : &looked->locks[{name, want.mode}];
    const bool at_holders = counts.holders > 0 && (before == nullptr || !before->holders);
    // In the line there is somebody else, and it was not looked at as far.
    const bool at_line =
        counts.waiting > (ticket == kLast ? 0u : 1u) && (before == nullptr || before->line < place);
    if (!at_holders && !at_line) continue;
    if (counts.holders > 0) {
      const auto own = t_.holders.Get({name, want.owner});
      // Who holds it well enough waits for nobody.
      if (own && (own->mode == exclusive || want.mode == shared)) continue;
    }
    bool go_on = true;
    if (at_holders) {
      t_.holders.Scan({name, ""}, [&](const HolderKey& key, const HolderRow& row) {
        if (std::get<0>(key) != name) return false;
        if (std::get<1>(key) == want.owner) return true;
        if (Compatible(row.mode, want.mode)) return false;  // So are all others.
        go_on = visit(std::get<1>(key));
        return go_on;
      });
      if (!go_on) return;
      // Who comes last has not looked at itself, and may be what another waits for.
      if (before != nullptr) before->holders = ticket != kLast;
    }
    if (!at_line) continue;
    if (before != nullptr) before->line = place;
    t_.line.Scan({name, 0, 0}, [&](const LineKey& key, const NoRow&) {
      if (std::get<0>(key) != name) return false;
      if (Place(std::get<1>(key), std::get<2>(key)) >= place) return false;
      const auto earlier = t_.waiters.Get(std::get<2>(key));
      if (Compatible(earlier->mode, want.mode) || earlier->owner == want.owner) return true;
      go_on = visit(earlier->owner);
      return go_on;
    });
    if (!go_on) return;
  }
}

std::optional<std::string> Book::Blocker(const WaiterRow& want, uint64_t ticket,
                                         LeaseTime now) const {
  std::optional<std::string> blocker;
  VisitBlockers(want, ticket, nullptr, [&](const std::string& owner) {
    blocker = owner;
    return false;
  });
  if (blocker) return blocker;
  for (const std::string& name : want.names) {
    if (!Delayed(name, now)) continue;
    if (!Held(name, want.owner)) return "";  // Nobody any more, but its delay.
  }
  return std::nullopt;
}

std::vector<std::string> Book::CycleOf(const WaiterRow& want) const {
  // Breadth first, so that the cycle is a shortest one; everybody's edges once.
  std::map<std::string, std::string> reached_from;
  std::vector<std::string> queue;
  bool closed = false;
  std::string last;
  Looked looked;
  const auto look = [&](const WaiterRow& waiter, uint64_t ticket) {
    VisitBlockers(waiter, ticket, &looked, [&](const std::string& owner) {
      if (owner == want.owner) {
        closed = true;
        last = waiter.owner;
        return false;
      }
      if (reached_from.size() < bounds::kLockCycleOwnersMax &&
          reached_from.try_emplace(owner, waiter.owner).second) {
        queue.push_back(owner);
      }
      return true;
    });
    // Who wants to upgrade comes before those in line, once it is in line itself.
    for (size_t i = 0; i < want.names.size() && !closed && ticket != kLast; ++i) {
      closed = RankAt(want, i) == kUpgradeRank &&
               std::binary_search(waiter.names.begin(), waiter.names.end(), want.names[i]);
      if (closed) last = waiter.owner;
    }
  };
  look(want, kLast);
  for (size_t at = 0; at < queue.size() && !closed; ++at) {
    const auto waits = t_.waiting.Get(queue[at]);
    if (!waits) continue;
    look(*t_.waiters.Get(waits->ticket), waits->ticket);
  }
  if (!closed) return {};
  std::vector<std::string> cycle{want.owner};
  for (std::string at = last; at != want.owner; at = reached_from.at(at)) cycle.push_back(at);
  cycle.push_back(want.owner);
  std::reverse(cycle.begin(), cycle.end());
  return cycle;
}

void Book::Count(const std::string& name, int holders, int waiting) {
  LockRow row = Counts(name);
  AddTo(&row.holders, holders);
  AddTo(&row.waiting, waiting);
  row.holders + row.waiting == 0 ? t_.locks.Erase(name) : t_.locks.Put(name, row);
}

void Book::CountHold(uint64_t session, int by) {
  if (session == 0) return;
  CountRow row = t_.sessions.Get(session).value_or(CountRow{});
  AddTo(&row.count, by);
  row.count == 0 ? t_.sessions.Erase(session) : t_.sessions.Put(session, row);
}

void Book::SetLease(const HolderKey& key, HolderRow* row, int64_t expires_us,
                    WriteContext& context) {
  CancelLease(key, *row, context);
  row->expires_us = expires_us;
  context.SetLeaseTimer(LeaseTime{expires_us},
                        HolderTimer(std::get<0>(key), std::get<1>(key), row->token));
}

void Book::CancelLease(const HolderKey& key, const HolderRow& row, WriteContext& context) {
  if (row.session != 0 || row.expires_us == 0) return;
  context.CancelTimer(LogTimeOf(row.expires_us, context),
                      HolderTimer(std::get<0>(key), std::get<1>(key), row.token));
}

void Book::Grant(const WaiterRow& want, WriteContext& context) {
  MetaRow meta = t_.meta.Get(kOnlyRow).value_or(MetaRow{});
  for (const std::string& name : want.names) {
    const HolderKey key{name, want.owner};
    HolderRow row;
    if (const auto held = Held(name, want.owner)) {
      row = *held;
      ++row.depth;
      if (row.mode == shared && want.mode == exclusive) {
        CancelLease(key, row, context);
        row.mode = exclusive;
        row.token = ++meta.last_token;  // Others may have held it shared until now.
      }
    } else {
      row.mode = want.mode;
      row.depth = 1;
      row.token = ++meta.last_token;
      row.session = want.session;
      row.ttl_us = want.ttl_us;
      row.delay_us = want.delay_us;
      ++meta.holders;
      Count(name, +1, 0);
      CountHold(row.session, +1);
      if (row.session != 0) {
        t_.session_holds.Put({row.session, name, want.owner}, NoRow{});
        context.sessions().Tie(row.session, context.service());
      }
    }
    if (row.session == 0) {
      SetLease(key, &row, std::max(row.expires_us, context.lease_now().us + row.ttl_us), context);
    }
    t_.holders.Put(key, row);
  }
  t_.meta.Put(kOnlyRow, meta);
}

void Book::Enqueue(WaiterRow want, WriteContext& context) {
  MetaRow meta = t_.meta.Get(kOnlyRow).value_or(MetaRow{});
  const uint64_t ticket = ++meta.last_ticket;
  t_.meta.Put(kOnlyRow, meta);
  for (size_t i = 0; i < want.names.size(); ++i) {
    t_.line.Put({want.names[i], RankAt(want, i), ticket}, NoRow{});
    Count(want.names[i], 0, +1);
  }
  t_.waiting.Put(want.owner, TicketRow{ticket});
  if (want.session != 0) {
    t_.session_waits.Put({want.session, ticket}, NoRow{});
    context.sessions().Tie(want.session, context.service());
    CountHold(want.session, +1);
  }
  context.SetLeaseTimer(LeaseTime{want.deadline_us}, WaiterTimer(ticket));
  t_.waiters.Put(ticket, std::move(want));
}

void Book::LeaveLine(uint64_t ticket, WriteContext& context) {
  const WaiterRow waiter = *t_.waiters.Find(ticket);
  for (size_t i = 0; i < waiter.names.size(); ++i) {
    t_.line.Erase({waiter.names[i], RankAt(waiter, i), ticket});
    Count(waiter.names[i], 0, -1);
  }
  context.CancelTimer(LogTimeOf(waiter.deadline_us, context), WaiterTimer(ticket));
  t_.waiting.Erase(waiter.owner);
  if (waiter.session != 0) {
    t_.session_waits.Erase({waiter.session, ticket});
    CountHold(waiter.session, -1);
  }
  t_.waiters.Erase(ticket);
  context.Touch(TopicOf(waiter.owner));
}

void Book::Drop(const HolderKey& key, bool ran_out, WriteContext& context) {
  const HolderRow row = *t_.holders.Find(key);
  const auto& [name, owner] = key;
  t_.holders.Erase(key);
  MetaRow meta = *t_.meta.Get(kOnlyRow);
  --meta.holders;
  t_.meta.Put(kOnlyRow, meta);
  Count(name, -1, 0);
  CountHold(row.session, -1);
  if (row.session != 0) {
    t_.session_holds.Erase({row.session, name, owner});
  } else if (!ran_out) {
    CancelLease(key, row, context);
  }
  if (ran_out && row.delay_us > 0) {
    const LeaseTime until{context.lease_now().us + row.delay_us};
    const auto before = t_.delays.Get(name);
    if (!before || before->until_us < until.us) {
      t_.delays.Put(name, DelayRow{until.us});
      context.SetLeaseTimer(until, DelayTimer(name));
    }
  }
}

bool Book::StillThere(const WaiterRow& waiter, WriteContext& context) const {
  if (waiter.deadline_us <= context.lease_now().us) return false;
  return waiter.session == 0 || context.sessions().Alive(waiter.session, context.lease_now());
}

void Book::AdvanceLine(const std::string& name, std::set<std::string>* more,
                       WriteContext& context) {
  LineKey from{name, 0, 0};
  while (Waiting(name) > 0) {
    // One at a time: granting changes the tables.
    std::optional<LineKey> next;
    t_.line.Scan(from, [&](const LineKey& key, const NoRow&) {
      if (std::get<0>(key) == name) next = key;
      return false;
    });
    if (!next) return;
    const uint64_t ticket = std::get<2>(*next);
    const WaiterRow waiter = *t_.waiters.Find(ticket);
    if (!StillThere(waiter, context)) {
      LeaveLine(ticket, context);
      more->insert(waiter.names.begin(), waiter.names.end());
    } else if (!Blocker(waiter, ticket, context.lease_now())) {
      LeaveLine(ticket, context);
      Grant(waiter, context);
    } else if (waiter.mode == exclusive) {
      return;  // In the way of all who follow.
    }
    from = {name, std::get<1>(*next), ticket + 1};
  }
}

void Book::Advance(std::set<std::string> names, WriteContext& context) {
  while (!names.empty()) {
    const std::string name = *names.begin();
    names.erase(names.begin());
    AdvanceLine(name, &names, context);
  }
}

void Book::SessionEnded(uint64_t session, bool closed, WriteContext& context) {
  std::vector<uint64_t> tickets;
  t_.session_waits.Scan({session, 0}, [&](const std::tuple<uint64_t, uint64_t>& key, const NoRow&) {
    if (std::get<0>(key) != session) return false;
    tickets.push_back(std::get<1>(key));
    return true;
  });
  std::vector<HolderKey> holds;
  t_.session_holds.Scan({session, "", ""}, [&](const SessionHold& key, const NoRow&) {
    if (std::get<0>(key) != session) return false;
    holds.emplace_back(std::get<1>(key), std::get<2>(key));
    return true;
  });
  std::set<std::string> names;
  for (const uint64_t ticket : tickets) {
    const WaiterRow waiter = *t_.waiters.Find(ticket);
    names.insert(waiter.names.begin(), waiter.names.end());
    LeaveLine(ticket, context);
  }
  for (const HolderKey& key : holds) {
    names.insert(std::get<0>(key));
    Drop(key, !closed, context);
  }
  Advance(std::move(names), context);
}

void Book::HolderDue(const std::string& name, const std::string& owner, uint64_t token,
                     WriteContext& context) {
  const HolderRow* row = t_.holders.Find({name, owner});
  if (row == nullptr || row->token != token || row->session != 0) return;
  if (row->expires_us > context.lease_now().us) {
    context.SetLeaseTimer(LeaseTime{row->expires_us}, HolderTimer(name, owner, token));
    return;
  }
  Drop({name, owner}, true, context);
  Advance({name}, context);
}

void Book::WaiterDue(uint64_t ticket, WriteContext& context) {
  const WaiterRow* row = t_.waiters.Find(ticket);
  if (row == nullptr) return;
  if (row->deadline_us > context.lease_now().us) {
    context.SetLeaseTimer(LeaseTime{row->deadline_us}, WaiterTimer(ticket));
    return;
  }
  std::set<std::string> names(row->names.begin(), row->names.end());
  LeaveLine(ticket, context);
  Advance(std::move(names), context);
}

void Book::DelayDue(const std::string& name, WriteContext& context) {
  const auto delay = t_.delays.Get(name);
  if (!delay) return;
  if (delay->until_us > context.lease_now().us) {
    context.SetLeaseTimer(LeaseTime{delay->until_us}, DelayTimer(name));
    return;
  }
  t_.delays.Erase(name);
  Advance({name}, context);
}

}  // namespace holdfast::locks

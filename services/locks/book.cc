#include "services/locks/book.h"

#include <algorithm>
#include <limits>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/sessions.h"

namespace holdfast::locks {
namespace {

constexpr uint64_t kOnlyRow = 0;
constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

void AddTo(uint32_t* count, int by) {
  *count = static_cast<uint32_t>(static_cast<int64_t>(*count) + by);
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
    const auto held = t_.Held(want.names[i], want.owner);
    if (held && held->mode == shared) upgrades |= uint64_t{1} << i;
  }
  return upgrades;
}

bool Book::HasRoom(const WaiterRow& want) const {
  uint64_t of_all = 0;
  uint64_t of_session = 0;
  for (const std::string& name : want.names) {
    const auto held = t_.Held(name, want.owner);
    if (!held || held->session != want.session) ++of_session;
    if (held) continue;
    ++of_all;
    // Who waits shared may hold it together with all the others.
    const LockRow counts = t_.Counts(name);
    if (want.mode == shared && counts.holders + counts.waiting >= bounds::kLockHoldersMax) {
      return false;
    }
  }
  const MetaRow meta = t_.meta.Get(kOnlyRow).value_or(MetaRow{});
  if (of_all > 0 && meta.holders + meta.waiting + of_all > bounds::kLocksMax) return false;
  if (want.session == 0 || of_session == 0) return true;
  const CountRow tied = t_.sessions.Get(want.session).value_or(CountRow{});
  return tied.count + of_session <= bounds::kLocksPerSessionMax;
}

std::optional<std::string> Book::Blocker(const WaiterRow& want, uint64_t ticket,
                                         LeaseTime now) const {
  std::optional<std::string> blocker;
  for (size_t i = 0; i < want.names.size(); ++i) {
    const std::string& name = want.names[i];
    const LockRow counts = t_.Counts(name);
    if (t_.HoldsWellEnough(name, want)) continue;
    if (counts.holders > 0) {
      t_.holders.Scan({name, ""}, [&](const HolderKey& key, const HolderRow& row) {
        if (std::get<0>(key) != name) return false;
        if (std::get<1>(key) == want.owner) return true;
        if (!Compatible(row.mode, want.mode)) blocker = std::get<1>(key);
        return false;  // If this one is not in the way, then none is.
      });
      if (blocker) return blocker;
    }
    if (counts.waiting == (ticket == kLast ? 0u : 1u)) continue;  // Nobody but itself.
    const std::pair<uint64_t, uint64_t> place{RankAt(want, i), ticket};
    t_.InTheWayOf(want.mode).Scan({name, 0, 0}, [&](const LineKey& key, const NoRow&) {
      if (std::get<0>(key) != name) return false;
      if (std::pair(std::get<1>(key), std::get<2>(key)) >= place) return false;
      std::string owner = t_.waiters.Get(std::get<2>(key))->owner;
      if (owner == want.owner) return true;
      blocker = std::move(owner);
      return false;
    });
    if (blocker) return blocker;
  }
  for (const std::string& name : want.names) {
    if (!Delayed(name, now)) continue;
    if (!t_.HoldsWellEnough(name, want)) return "";  // Nobody any more, but its delay.
  }
  return std::nullopt;
}

void Book::Count(const std::string& name, int holders, int waiting) {
  LockRow row = t_.Counts(name);
  AddTo(&row.holders, holders);
  AddTo(&row.waiting, waiting);
  row.holders + row.waiting == 0 ? t_.locks.Erase(name) : t_.locks.Put(name, row);
}

void Book::CountOfSession(uint64_t session, int by) {
  if (session == 0) return;
  CountRow row = t_.sessions.Get(session).value_or(CountRow{});
  AddTo(&row.count, by);
  row.count == 0 ? t_.sessions.Erase(session) : t_.sessions.Put(session, row);
}

void Book::SetLease(const HolderKey& key, HolderRow* row, int64_t expires_us,
                    WriteContext& context) {
  row->expires_us = expires_us;
  context.SetLeaseTimer(LeaseTime{expires_us},
                        HolderTimer(std::get<0>(key), std::get<1>(key), row->token),
                        &row->timer_us);
}

void Book::Grant(const WaiterRow& want, WriteContext& context) {
  MetaRow meta = t_.meta.Get(kOnlyRow).value_or(MetaRow{});
  for (const std::string& name : want.names) {
    const HolderKey key{name, want.owner};
    const auto held = t_.Held(name, want.owner);
    HolderRow row;
    if (held && held->session == want.session) {
      row = *held;
      if (row.mode == shared && want.mode == exclusive) {
        // Others may have held it shared until now: a new token.
        Remove(key, *held, context);
        --meta.holders;
        row.timer_us = 0;
        row.mode = exclusive;
        row.token = 0;
      }
    } else {
      if (held) {
        Remove(key, *held, context);
        --meta.holders;
      }
      row.mode = held && held->mode == exclusive ? exclusive : want.mode;
      row.session = want.session;
    }
    ++row.depth;
    // Never less than was asked for before.
    row.ttl_us = std::max(row.ttl_us, want.ttl_us);
    row.delay_us = std::max(row.delay_us, want.delay_us);
    if (row.token == 0) {
      row.token = ++meta.last_token;
      t_.tokens.Put(row.token, TokenRow{name, want.owner});
      ++meta.holders;
      Count(name, +1, 0);
      CountOfSession(row.session, +1);
      if (row.session != 0) {
        t_.session_holds.Put({row.session, name, want.owner}, NoRow{});
        context.sessions().Tie(row.session, context.service());
      }
    }
    if (row.session == 0) {
      SetLease(key, &row, std::max(row.expires_us, context.lease_now().us + row.ttl_us), context);
    }
    held ? t_.holders.Put(key, row) : t_.holders.PutNew(key, row);
  }
  t_.meta.Put(kOnlyRow, meta);
}

void Book::Enqueue(WaiterRow want, WriteContext& context) {
  MetaRow meta = t_.meta.Get(kOnlyRow).value_or(MetaRow{});
  const uint64_t ticket = ++meta.last_ticket;
  meta.waiting += want.names.size();
  t_.meta.Put(kOnlyRow, meta);
  for (size_t i = 0; i < want.names.size(); ++i) {
    const LineKey place{want.names[i], RankAt(want, i), ticket};
    t_.line.PutNew(place, NoRow{});
    if (want.mode == exclusive) t_.writers.PutNew(place, NoRow{});
    Count(want.names[i], 0, +1);
  }
  t_.waiting.Put(want.owner, TicketRow{ticket});
  if (want.session != 0) {
    t_.session_waits.PutNew({want.session, ticket}, NoRow{});
    context.sessions().Tie(want.session, context.service());
    CountOfSession(want.session, static_cast<int>(want.names.size()));
  }
  context.SetLeaseTimer(LeaseTime{want.deadline_us}, WaiterTimer(ticket), &want.timer_us);
  t_.waiters.PutNew(ticket, std::move(want));
}

void Book::WaitLonger(uint64_t ticket, int64_t deadline_us, WriteContext& context) {
  WaiterRow waiter = *t_.waiters.Find(ticket);
  if (waiter.deadline_us >= deadline_us) return;
  waiter.deadline_us = deadline_us;
  context.SetLeaseTimer(LeaseTime{deadline_us}, WaiterTimer(ticket), &waiter.timer_us);
  t_.waiters.Put(ticket, std::move(waiter));
}

void Book::LeaveLine(uint64_t ticket, WriteContext& context) {
  WaiterRow waiter = *t_.waiters.Find(ticket);
  for (size_t i = 0; i < waiter.names.size(); ++i) {
    const LineKey place{waiter.names[i], RankAt(waiter, i), ticket};
    t_.line.EraseKnown(place);
    if (waiter.mode == exclusive) t_.writers.EraseKnown(place);
    Count(waiter.names[i], 0, -1);
  }
  MetaRow meta = *t_.meta.Get(kOnlyRow);
  meta.waiting -= waiter.names.size();
  t_.meta.Put(kOnlyRow, meta);
  context.CancelLeaseTimer(WaiterTimer(ticket), &waiter.timer_us);
  t_.waiting.EraseKnown(waiter.owner);
  if (waiter.session != 0) {
    t_.session_waits.EraseKnown({waiter.session, ticket});
    CountOfSession(waiter.session, -static_cast<int>(waiter.names.size()));
  }
  t_.waiters.EraseKnown(ticket);
  context.Touch(TopicOf(waiter.owner));
}

void Book::Remove(const HolderKey& key, const HolderRow& row, WriteContext& context) {
  const auto& [name, owner] = key;
  t_.holders.EraseKnown(key);
  t_.tokens.EraseKnown(row.token);
  Count(name, -1, 0);
  CountOfSession(row.session, -1);
  if (row.session != 0) t_.session_holds.EraseKnown({row.session, name, owner});
  int64_t timer_us = row.timer_us;
  context.CancelLeaseTimer(HolderTimer(name, owner, row.token), &timer_us);
}

void Book::Drop(const HolderKey& key, WriteContext& context) {
  const HolderRow row = *t_.holders.Find(key);
  Remove(key, row, context);
  MetaRow meta = *t_.meta.Get(kOnlyRow);
  --meta.holders;
  t_.meta.Put(kOnlyRow, meta);
}

void Book::Lose(const HolderKey& key, bool ran_out, std::set<std::string>* freed,
                WriteContext& context) {
  const auto& [name, owner] = key;
  const int64_t delay_us = t_.holders.Find(key)->delay_us;
  if (const auto waits = t_.waiting.Get(owner)) {
    const WaiterRow waiter = *t_.waiters.Find(waits->ticket);
    if (std::binary_search(waiter.names.begin(), waiter.names.end(), name)) {
      freed->insert(waiter.names.begin(), waiter.names.end());
      LeaveLine(waits->ticket, context);
    }
  }
  Drop(key, context);
  freed->insert(name);
  if (!ran_out || delay_us == 0) return;
  const LeaseTime until{context.lease_now().us + delay_us};
  DelayRow delay = t_.delays.Get(name).value_or(DelayRow{});
  if (delay.until_us >= until.us) return;
  delay.until_us = until.us;
  context.SetLeaseTimer(until, DelayTimer(name), &delay.timer_us);
  t_.delays.Put(name, delay);
}

bool IsOver(const HolderRow& row, const state_machine::Sessions& sessions, LeaseTime now) {
  return row.session == 0 ? row.expires_us <= now.us : !sessions.Alive(row.session, now);
}

void Book::EndIfOver(const std::string& name, const std::string& owner, WriteContext& context) {
  const auto held = t_.Held(name, owner);
  if (!held || !IsOver(*held, context.sessions(), context.lease_now())) return;
  if (held->session != 0) {
    context.sessions().EndIfOver(held->session, context);
    return;
  }
  std::set<std::string> freed;
  Lose({name, owner}, true, &freed, context);
  Advance(std::move(freed), context);
}

bool Book::StillThere(const WaiterRow& waiter, WriteContext& context) const {
  if (waiter.deadline_us <= context.lease_now().us) return false;
  for (const std::string& name : waiter.names) {
    const auto held = t_.Held(name, waiter.owner);
    if (held && IsOver(*held, context.sessions(), context.lease_now())) return false;
  }
  return waiter.session == 0 || context.sessions().Alive(waiter.session, context.lease_now());
}

void Book::AdvanceLine(const std::string& name, std::set<std::string>* more,
                       WriteContext& context) {
  LineKey from{name, 0, 0};
  while (t_.Counts(name).waiting > 0) {
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
  std::set<std::string> freed;
  for (const uint64_t ticket : tickets) {
    const WaiterRow waiter = *t_.waiters.Find(ticket);
    freed.insert(waiter.names.begin(), waiter.names.end());
    LeaveLine(ticket, context);
  }
  for (const HolderKey& key : holds) Lose(key, !closed, &freed, context);
  Advance(std::move(freed), context);
}

void Book::HolderDue(const std::string& name, const std::string& owner, uint64_t token,
                     WriteContext& context) {
  const HolderRow* row = t_.holders.Find({name, owner});
  if (row == nullptr || row->token != token || row->session != 0) return;
  HolderRow fired = *row;
  fired.timer_us = 0;
  if (fired.expires_us > context.lease_now().us) {
    SetLease({name, owner}, &fired, fired.expires_us, context);
    t_.holders.Put({name, owner}, fired);
    return;
  }
  std::set<std::string> freed;
  Lose({name, owner}, true, &freed, context);
  Advance(std::move(freed), context);
}

void Book::WaiterDue(uint64_t ticket, WriteContext& context) {
  const WaiterRow* row = t_.waiters.Find(ticket);
  if (row == nullptr) return;
  WaiterRow fired = *row;
  fired.timer_us = 0;
  if (fired.deadline_us > context.lease_now().us) {
    context.SetLeaseTimer(LeaseTime{fired.deadline_us}, WaiterTimer(ticket), &fired.timer_us);
    t_.waiters.Put(ticket, std::move(fired));
    return;
  }
  LeaveLine(ticket, context);
  Advance({fired.names.begin(), fired.names.end()}, context);
}

void Book::DelayDue(const std::string& name, WriteContext& context) {
  auto delay = t_.delays.Get(name);
  if (!delay) return;
  delay->timer_us = 0;
  if (delay->until_us > context.lease_now().us) {
    context.SetLeaseTimer(LeaseTime{delay->until_us}, DelayTimer(name), &delay->timer_us);
    t_.delays.Put(name, *delay);
    return;
  }
  t_.delays.Erase(name);
  Advance({name}, context);
}

}  // namespace holdfast::locks

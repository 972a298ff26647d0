#include "services/cache/lines.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/base/check.h"

namespace holdfast::cache {
namespace {

// The first byte of a timer's key says what it is for.
constexpr char kPlaceOver = 'p';
constexpr char kSessionRest = 's';

std::string NumberedTimer(char kind, uint64_t number) {
  std::string key(1, kind);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

uint64_t NumberIn(std::string_view key) {
  uint64_t number = 0;
  for (const char byte : key.substr(1)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

bool Conflicts(Want want, Mode held) {
  return want == Want::kWrite || want == Want::kExclusive || held == exclusive;
}

}  // namespace

std::string Lines::TopicOf(const std::string& key) { return "k" + key; }
std::string Lines::TopicOfRecalls(uint64_t session) { return "r" + std::to_string(session); }

void Lines::VisitHolders(const std::string& key, Visit visit) const {
  if (CrowdOf(key).holders == 0) return;
  t_.holders.Scan({key, 0}, [&](const HolderKey& at, const HolderRow& row) {
    return std::get<0>(at) == key && visit(std::get<1>(at), row);
  });
}

bool Lines::IsLate(const std::string& key, const Asker& asker) const {
  if (asker.session == 0) return false;
  const HolderKey place{key, asker.session};
  if (const auto row = t_.holders.Get(place); row && row->line > asker.line) return true;
  const auto has = t_.places.Get(place);
  return has && t_.waiters.Get(has->ticket)->line > asker.line;
}

bool Lines::InTheWayOfWrite(const std::string& key, const Asker& asker, const At& at) const {
  bool found = false;
  VisitHolders(key, [&](uint64_t session, const HolderRow&) {
    found = session != asker.session && at.sessions.Alive(session, at.now);
    return !found;
  });
  return found;
}

bool Lines::InTheWay(const std::string& key, Want want, uint64_t but) const {
  bool found = false;
  VisitHolders(key, [&](uint64_t session, const HolderRow& row) {
    found = session != but && Conflicts(want, row.mode);
    return !found;
  });
  return found;
}

bool Lines::HeldExclusively(const std::string& key, const At& at) const {
  bool found = false;
  VisitHolders(key, [&](uint64_t session, const HolderRow& row) {
    found = row.mode == exclusive && at.sessions.Alive(session, at.now);
    return false;  // Where one is exclusive there is no other.
  });
  return found;
}

void Lines::Count(uint64_t session, int by) {
  CountRow row = t_.counts.Get(session).value_or(CountRow{});
  row.count = static_cast<uint64_t>(static_cast<int64_t>(row.count) + by);
  row.count == 0 ? t_.counts.Erase(session) : t_.counts.Put(session, row);
}

void Lines::CountCrowd(const std::string& key, int holders, int waiters) {
  CrowdRow row = CrowdOf(key);
  row.holders = static_cast<uint32_t>(static_cast<int>(row.holders) + holders);
  row.waiters = static_cast<uint32_t>(static_cast<int>(row.waiters) + waiters);
  row.holders + row.waiters == 0 ? t_.crowds.Erase(key) : t_.crowds.Put(key, row);
}

bool Lines::HasRoom(uint64_t session) const {
  return t_.counts.Get(session).value_or(CountRow{}).count < bounds::kCacheSessionLinesMax &&
         meta().lines < bounds::kCacheLinesMax;
}

void Lines::Hold(const std::string& key, const Asker& asker, Mode mode, WriteContext& context) {
  HolderRow row;
  row.mode = mode;
  row.line = asker.line;
  t_.holders.Put({key, asker.session}, row);
  t_.session_lines.Put({asker.session, key}, NoRow{});
  Count(asker.session, +1);
  CountCrowd(key, +1, 0);
  LinesMeta now = meta();
  ++now.lines;
  t_.meta.Put(kOnlyRow, now);
  context.sessions().Tie(asker.session, context.service());
}

void Lines::Drop(const std::string& key, uint64_t session, WriteContext& context) {
  const HolderRow row = *t_.holders.Get({key, session});
  if (row.recall != 0) t_.recalls.Erase({session, row.recall});
  t_.holders.Erase({key, session});
  t_.session_lines.Erase({session, key});
  Count(session, -1);
  CountCrowd(key, -1, 0);
  LinesMeta now = meta();
  --now.lines;
  t_.meta.Put(kOnlyRow, now);
  context.Touch(TopicOf(key));
}

void Lines::DropSpent(const std::string& key, const Asker& asker, WriteContext& context) {
  std::vector<uint64_t> spent;
  VisitHolders(key, [&](uint64_t session, const HolderRow&) {
    const bool own = asker.session != 0 && session == asker.session;
    if (own || !context.sessions().Alive(session, context.lease_now())) spent.push_back(session);
    return true;
  });
  for (const uint64_t session : spent) Drop(key, session, context);
}

void Lines::Recall(const std::string& key, Want want, uint64_t but, WriteContext& context) {
  const Mode keep = want == Want::kShared || want == Want::kAny ? shared : unspecified;
  std::vector<std::pair<uint64_t, HolderRow>> recalled;
  VisitHolders(key, [&](uint64_t session, const HolderRow& row) {
    if (session == but || !Conflicts(want, row.mode)) return true;
    // Once is enough, unless it was to keep what it is now to give up.
    const bool told = row.recall != 0 &&
                      (keep == shared || t_.recalls.Get({session, row.recall})->keep != shared);
    if (!told) recalled.emplace_back(session, row);
    return true;
  });
  if (recalled.empty()) return;
  LinesMeta now = meta();
  for (auto& [session, row] : recalled) {
    if (row.recall != 0) t_.recalls.Erase({session, row.recall});
    row.recall = ++now.last_recall;
    t_.recalls.Put({session, row.recall}, RecallRow{key, keep});
    t_.holders.Put({key, session}, row);
    context.Touch(TopicOfRecalls(session));
  }
  t_.meta.Put(kOnlyRow, now);
}

bool Lines::Enqueue(WaiterRow waiter, WriteContext& context) {
  const HolderKey place{waiter.key, waiter.session};
  if (const auto has = t_.places.Get(place)) {  // Its place stays; what it is for may change.
    const WaiterRow before = *t_.waiters.Get(has->ticket);
    waiter.deadline_us = std::max(waiter.deadline_us, before.deadline_us);
    t_.waiters.Put(has->ticket, std::move(waiter));
    return true;
  }
  if (CrowdOf(waiter.key).waiters >= bounds::kCacheWaitersMax) {
    // There is one more place, for all writers that find no other.
    if (waiter.want != Want::kWrite) return false;
    if (waiter.session != 0) {
      waiter.session = waiter.line = 0;
      return Enqueue(std::move(waiter), context);
    }
  }
  CountCrowd(waiter.key, 0, +1);
  LinesMeta now = meta();
  const uint64_t ticket = ++now.last_ticket;
  t_.meta.Put(kOnlyRow, now);
  t_.line.Put({waiter.key, ticket}, NoRow{});
  t_.places.Put(place, TicketRow{ticket});
  if (waiter.session != 0) {
    t_.session_waits.Put({waiter.session, ticket}, NoRow{});
    Count(waiter.session, +1);
    context.sessions().Tie(waiter.session, context.service());
  }
  context.SetLeaseTimer(LeaseTime{waiter.deadline_us}, NumberedTimer(kPlaceOver, ticket));
  t_.waiters.Put(ticket, std::move(waiter));
  return true;
}

void Lines::Leave(uint64_t ticket, WriteContext& context) {
  const WaiterRow waiter = *t_.waiters.Get(ticket);
  CountCrowd(waiter.key, 0, -1);
  t_.line.Erase({waiter.key, ticket});
  t_.places.Erase({waiter.key, waiter.session});
  if (waiter.session != 0) {
    t_.session_waits.Erase({waiter.session, ticket});
    Count(waiter.session, -1);
  }
  t_.waiters.Erase(ticket);
  context.Touch(TopicOf(waiter.key));
}

void Lines::Advance(const std::string& key, WriteContext& context) {
  if (CrowdOf(key).waiters == 0) return;
  DropSpent(key, Asker{}, context);
  for (uint64_t from = 0;;) {
    // One at a time: granting changes the tables.
    std::optional<uint64_t> first;
    t_.line.Scan({key, from}, [&](const PlaceKey& at, const NoRow&) {
      if (std::get<0>(at) == key) first = std::get<1>(at);
      return false;
    });
    if (!first) return;
    from = *first + 1;
    WaiterRow waiter = *t_.waiters.Get(*first);
    const bool gone =
        waiter.deadline_us <= context.lease_now().us ||
        (waiter.session != 0 && !context.sessions().Alive(waiter.session, context.lease_now()));
    if (gone) {
      Leave(*first, context);
      continue;
    }
    if (InTheWay(key, waiter.want, waiter.session)) {
      Recall(key, waiter.want, waiter.session, context);
      return;
    }
    if (waiter.want == Want::kWrite) {
      // Its turn; if it does not come back soon, it will not.
      const int64_t soon_us = context.lease_now().us + int64_t{bounds::kCachePlaceMs} * 1'000;
      if (waiter.deadline_us > soon_us) {
        waiter.deadline_us = soon_us;
        context.SetLeaseTimer(LeaseTime{soon_us}, NumberedTimer(kPlaceOver, *first));
        t_.waiters.Put(*first, std::move(waiter));
      }
      context.Touch(TopicOf(key));
      return;
    }
    Leave(*first, context);
    // What the session has of the key under a lower number it has given up by asking.
    if (t_.holders.Get({key, waiter.session})) Drop(key, waiter.session, context);
    const CrowdRow others = CrowdOf(key);
    const bool alone = others.holders + others.waiters == 0;
    const Mode mode = waiter.want == Want::kExclusive || (waiter.want == Want::kAny && alone)
                          ? exclusive
                          : shared;
    Hold(key, Asker{waiter.session, waiter.line}, mode, context);
  }
}

bool Lines::Blocked(const std::string& key, const Asker& asker, uint32_t wait_ms,
                    WriteContext& context) {
  DropSpent(key, asker, context);
  if (CrowdOf(key).holders == 0) return false;
  WaiterRow waiter;
  waiter.key = key;
  waiter.session = asker.session;
  waiter.line = asker.line;
  waiter.deadline_us = context.lease_now().us + (int64_t{wait_ms} + bounds::kCachePlaceMs) * 1'000;
  Enqueue(std::move(waiter), context);
  Advance(key, context);
  return true;
}

void Lines::NotYet(const std::string& key, const Asker& asker, WriteContext& context) {
  if (const auto place = t_.places.Get({key, asker.session})) {
    WaiterRow waiter = *t_.waiters.Get(place->ticket);
    const int64_t soon_us = context.lease_now().us + int64_t{bounds::kCachePlaceMs} * 1'000;
    if (waiter.want == Want::kWrite && waiter.deadline_us < soon_us) {
      waiter.deadline_us = soon_us;  // Its timer looks again when it comes.
      t_.waiters.Put(place->ticket, std::move(waiter));
    }
  }
  Advance(key, context);
}

bool Lines::Done(const std::string& key, const Asker& asker, bool hold, WriteContext& context) {
  const auto place = t_.places.Get({key, asker.session});
  if (place) {
    const WaiterRow waiter = *t_.waiters.Get(place->ticket);
    if (waiter.want == Want::kWrite) Leave(place->ticket, context);
  }
  const bool holds = hold && asker.session != 0 && asker.line != 0 && CrowdOf(key).waiters == 0 &&
                     HasRoom(asker.session);
  if (holds) Hold(key, asker, shared, context);
  Advance(key, context);
  return holds;
}

Lines::Fetched Lines::Fetch(const std::string& key, const Asker& asker, Want want, uint32_t wait_ms,
                            WriteContext& context) {
  const HolderKey place{key, asker.session};
  if (IsLate(key, asker)) return Fetched::kSuperseded;
  if (Held(key, asker)) return Fetched::kGranted;  // Asked again.
  DropSpent(key, asker, context);
  WaiterRow waiter;
  waiter.key = key;
  waiter.session = asker.session;
  waiter.want = want;
  waiter.line = asker.line;
  waiter.deadline_us = context.lease_now().us + int64_t{wait_ms} * 1'000 + 1;
  if (CrowdOf(key).holders >= bounds::kCacheHoldersMax || !HasRoom(asker.session) ||
      !Enqueue(std::move(waiter), context)) {
    Advance(key, context);  // It has given up its own.
    return Fetched::kTooMany;
  }
  Advance(key, context);
  if (Held(key, asker)) return Fetched::kGranted;
  if (wait_ms != 0) return Fetched::kWaiting;
  Leave(t_.places.Get(place)->ticket, context);
  Advance(key, context);
  return Fetched::kHeld;
}

bool Lines::Waits(const std::string& key, const Asker& asker) const {
  const auto place = t_.places.Get({key, asker.session});
  return place && t_.waiters.Get(place->ticket)->line == asker.line;
}

std::optional<HolderRow> Lines::Held(const std::string& key, const Asker& asker) const {
  auto row = t_.holders.Get({key, asker.session});
  if (row && row->line != asker.line) return std::nullopt;
  return row;
}

bool Lines::Release(const std::string& key, const Asker& asker, WriteContext& context) {
  if (!Held(key, asker)) return false;
  Drop(key, asker.session, context);
  Advance(key, context);
  return true;
}

void Lines::WrittenBack(const std::string& key, const Asker& asker, uint64_t write, Mode keep,
                        WriteContext& context) {
  HolderRow row = *Held(key, asker);
  if (keep != shared && keep != exclusive) {
    Drop(key, asker.session, context);
    Advance(key, context);
    return;
  }
  row.written = write;
  if (keep == shared && row.mode == exclusive) {
    row.mode = shared;
    if (row.recall != 0 && t_.recalls.Get({asker.session, row.recall})->keep == shared) {
      t_.recalls.Erase({asker.session, row.recall});
      row.recall = 0;
    }
  }
  t_.holders.Put({key, asker.session}, row);
  Advance(key, context);
}

void Lines::SessionEnded(uint64_t session, WriteContext& context) {
  // A bit at a time: what is left is in nobody's way, as its session does not live.
  std::vector<std::string> keys;
  t_.session_lines.Scan({session, ""}, [&](const SessionLine& at, const NoRow&) {
    if (std::get<0>(at) != session || keys.size() == bounds::kCacheSweptPerEntry) return false;
    keys.push_back(std::get<1>(at));
    return true;
  });
  std::vector<uint64_t> tickets;
  t_.session_waits.Scan({session, 0}, [&](const SessionSeq& at, const NoRow&) {
    if (std::get<0>(at) != session || tickets.size() == bounds::kCacheSweptPerEntry) return false;
    tickets.push_back(std::get<1>(at));
    return true;
  });
  for (const std::string& key : keys) {
    if (t_.holders.Get({key, session})) Drop(key, session, context);
    Advance(key, context);
  }
  for (const uint64_t ticket : tickets) {
    const auto waiter = t_.waiters.Get(ticket);
    if (!waiter) continue;  // Serving a line of the session's keys has found it gone.
    Leave(ticket, context);
    Advance(waiter->key, context);
  }
  context.Touch(TopicOfRecalls(session));
  if (!keys.empty() || !tickets.empty()) {
    context.SetTimer(context.now(), NumberedTimer(kSessionRest, session));
  }
}

void Lines::OnTimer(std::string_view key, WriteContext& context) {
  const uint64_t number = NumberIn(key);
  if (key.front() == kSessionRest) {
    SessionEnded(number, context);
    return;
  }
  const auto waiter = t_.waiters.Get(number);
  if (!waiter) return;
  if (waiter->deadline_us > context.lease_now().us) {
    context.SetLeaseTimer(LeaseTime{waiter->deadline_us}, NumberedTimer(kPlaceOver, number));
    return;
  }
  Leave(number, context);
  Advance(waiter->key, context);
}

void Lines::ScanRecalls(
    uint64_t session, uint64_t cursor,
    absl::FunctionRef<bool(uint64_t recall, const RecallRow&, const HolderRow&)> visit) const {
  t_.recalls.Scan({session, cursor}, [&](const SessionSeq& at, const RecallRow& row) {
    if (std::get<0>(at) != session) return false;
    if (std::get<1>(at) == cursor) return true;
    return visit(std::get<1>(at), row, *t_.holders.Get({row.key, session}));
  });
}

}  // namespace holdfast::cache

#include "services/locks/locks.h"

#include <algorithm>
#include <limits>

#include "src/base/bounds.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/sessions.h"

namespace holdfast::locks {
namespace {

constexpr uint64_t kOnlyRow = 0;
constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
constexpr int kShownMax = 100;

WaiterRow WantOf(const AcquireRequest& request) {
  WaiterRow want;
  want.owner = request.owner();
  want.mode = request.mode() == shared ? shared : exclusive;
  want.names.assign(request.names().begin(), request.names().end());
  if (!request.name().empty()) want.names.push_back(request.name());
  std::sort(want.names.begin(), want.names.end());
  want.names.erase(std::unique(want.names.begin(), want.names.end()), want.names.end());
  want.session = request.session();
  const uint32_t ttl_ms = request.ttl_ms() != 0 ? request.ttl_ms() : bounds::kLockTtlMsDefault;
  want.ttl_us = int64_t{ttl_ms} * 1'000;
  want.delay_us = int64_t{request.lock_delay_ms()} * 1'000;
  return want;
}

Result<void> ValidateAcquire(const AcquireRequest& request) {
  if (request.name().empty() == request.names().empty()) {
    return Fail(InvalidArgument(
        request.name().empty() ? "name" : "names",
        request.name().empty() ? "is required, or names" : "must not be given together with name"));
  }
  for (int i = 0; i < request.names_size(); ++i) {
    const size_t size = request.names(i).size();
    if (size >= 1 && size <= bounds::kLockNameBytesMax) continue;
    return Fail(InvalidArgument("names[" + std::to_string(i) + "]",
                                "must have 1 to " + std::to_string(bounds::kLockNameBytesMax) +
                                    " bytes, has " + std::to_string(size)));
  }
  if (request.session() != 0 && request.ttl_ms() != 0) {
    return Fail(InvalidArgument("ttl_ms", "must not be given together with session"));
  }
  return {};
}

// Whether the owner has all that it wants; tells what it has.
bool HoldsAll(const Tables& tables, const WaiterRow& want, AcquireReply* reply) {
  for (const std::string& name : want.names) {
    const auto held = tables.holders.Get({name, want.owner});
    if (!held || (held->mode == shared && want.mode == exclusive)) {
      reply->clear_locks();
      return false;
    }
    Grant* grant = reply->add_locks();
    grant->set_name(name);
    grant->set_token(held->token);
    grant->set_depth(held->depth);
  }
  reply->set_token(reply->locks(0).token());
  return true;
}

bool SameWant(const WaiterRow& a, const WaiterRow& b) {
  return a.names == b.names && a.mode == b.mode && a.session == b.session;
}

void Describe(const HolderKey& key, const HolderRow& row, const ReadContext& context,
              Holder* holder) {
  holder->set_name(std::get<0>(key));
  holder->set_owner(std::get<1>(key));
  holder->set_mode(row.mode);
  holder->set_token(row.token);
  holder->set_depth(row.depth);
  holder->set_session(row.session);
  const int64_t left_us = row.session != 0 ? 0 : row.expires_us - context.lease_now.us;
  holder->set_left_ms(static_cast<uint32_t>(std::max<int64_t>(left_us, 0) / 1'000));
}

// A lease that is over is over, though its timer may not have fired yet.
bool IsOver(const HolderRow& row, const state_machine::Sessions& sessions, LeaseTime now) {
  return row.session == 0 ? row.expires_us <= now.us : !sessions.Alive(row.session, now);
}

}  // namespace

AcquireOutcome::Code Locks::TryAcquire(const AcquireRequest& request, const WaiterRow& want,
                                       WriteContext& context, AcquireReply* reply) {
  const Tables& tables = book_.tables();
  if (want.session != 0 && !context.sessions().Alive(want.session, context.lease_now())) {
    return AcquireOutcome::session_not_found;
  }
  if (const auto waits = tables.waiting.Get(want.owner)) {
    // Asked again without an idempotency key.
    return SameWant(*tables.waiters.Get(waits->ticket), want) ? AcquireOutcome::waiting
                                                              : AcquireOutcome::owner_is_waiting;
  }
  for (const std::string& name : want.names) {
    const auto held = book_.Held(name, want.owner);
    if (held && held->depth >= bounds::kLockDepthMax) return AcquireOutcome::too_deep;
  }
  const uint32_t of_session =
      want.session == 0 ? 0 : tables.sessions.Get(want.session).value_or(CountRow{}).count;
  const uint64_t of_all = tables.meta.Get(kOnlyRow).value_or(MetaRow{}).holders;
  if (of_session + want.names.size() > bounds::kLocksPerSessionMax ||
      of_all + want.names.size() > bounds::kLocksMax) {
    return AcquireOutcome::too_many_locks;
  }
  const auto blocker = book_.Blocker(want, kLast, context.lease_now());
  if (!blocker) {
    book_.Grant(want, context);
    HoldsAll(tables, want, reply);
    return AcquireOutcome::granted;
  }
  reply->set_blocked_by(*blocker);
  if (request.wait_ms() == 0) return AcquireOutcome::lock_held;
  for (std::string& owner : book_.CycleOf(want)) reply->add_cycle(std::move(owner));
  if (reply->cycle_size() > 0) return AcquireOutcome::deadlock;
  for (const std::string& name : want.names) {
    if (book_.Waiting(name) >= bounds::kLockWaitersMax) return AcquireOutcome::too_many_waiters;
  }
  WaiterRow waiter = want;
  waiter.deadline_us = context.lease_now().us + int64_t{request.wait_ms()} * 1'000;
  book_.Enqueue(std::move(waiter), context);
  return AcquireOutcome::waiting;
}

Result<void> Locks::Acquire(const AcquireRequest& request, WriteContext& context,
                            AcquireReply* reply) {
  WaiterRow want = WantOf(request);
  want.upgrades = book_.UpgradesOf(want);
  reply->set_outcome(TryAcquire(request, want, context, reply));
  return {};
}

Result<void> Locks::AwaitAcquire(const AcquireRequest& request, const ReadContext& context,
                                 AcquireReply* reply) const {
  const WaiterRow want = WantOf(request);
  const Tables& tables = book_.tables();
  if (const auto waits = tables.waiting.Get(want.owner)) {
    const auto waiter = tables.waiters.Get(waits->ticket);
    if (SameWant(*waiter, want)) {
      reply->set_outcome(AcquireOutcome::waiting);
      const auto blocker = book_.Blocker(*waiter, waits->ticket, context.lease_now);
      if (blocker) reply->set_blocked_by(*blocker);
      context.WaitFor(Book::TopicOf(want.owner));
      return {};
    }
  }
  if (HoldsAll(tables, want, reply)) {
    reply->set_outcome(AcquireOutcome::granted);
    return {};
  }
  reply->set_outcome(AcquireOutcome::lock_held);
  if (const auto blocker = book_.Blocker(want, kLast, context.lease_now)) {
    reply->set_blocked_by(*blocker);
  }
  return {};
}

Result<void> Locks::Release(const ReleaseRequest& request, WriteContext& context,
                            ReleaseReply* reply) {
  Tables& tables = book_.tables();
  const HolderKey key{request.name(), request.owner()};
  const HolderRow* held = tables.holders.Find(key);
  if (held != nullptr && request.token() != 0 && request.token() != held->token) {
    reply->set_outcome(ReleaseOutcome::fenced_off);
    reply->set_depth(held->depth);
    return {};
  }
  std::set<std::string> freed;
  if (const auto waits = tables.waiting.Get(request.owner())) {
    const WaiterRow waiter = *tables.waiters.Get(waits->ticket);
    if (std::binary_search(waiter.names.begin(), waiter.names.end(), request.name())) {
      freed.insert(waiter.names.begin(), waiter.names.end());
      book_.LeaveLine(waits->ticket, context);
      held = tables.holders.Find(key);
    }
  }
  if (held == nullptr) {
    reply->set_outcome(freed.empty() ? ReleaseOutcome::not_held : ReleaseOutcome::left_line);
  } else if (held->depth > 1) {
    HolderRow row = *held;
    reply->set_depth(--row.depth);
    tables.holders.Put(key, row);
    reply->set_outcome(ReleaseOutcome::still_held);
  } else {
    book_.Drop(key, false, context);
    freed.insert(request.name());
    reply->set_outcome(ReleaseOutcome::released);
  }
  book_.Advance(std::move(freed), context);
  return {};
}

Result<void> Locks::Extend(const ExtendRequest& request, WriteContext& context,
                           ExtendReply* reply) {
  const HolderKey key{request.name(), request.owner()};
  const HolderRow* held = book_.tables().holders.Find(key);
  if (held == nullptr || IsOver(*held, context.sessions(), context.lease_now())) {
    reply->set_outcome(ExtendOutcome::not_held);
    return {};
  }
  if (request.token() != 0 && request.token() != held->token) {
    reply->set_outcome(ExtendOutcome::fenced_off);
    return {};
  }
  if (held->session != 0) {
    reply->set_outcome(ExtendOutcome::of_session);
    return {};
  }
  HolderRow row = *held;
  if (request.ttl_ms() != 0) row.ttl_us = int64_t{request.ttl_ms()} * 1'000;
  book_.SetLease(key, &row, context.lease_now().us + row.ttl_us, context);
  book_.tables().holders.Put(key, row);
  reply->set_outcome(ExtendOutcome::extended);
  reply->set_ttl_ms(static_cast<uint32_t>(row.ttl_us / 1'000));
  return {};
}

Result<void> Locks::Check(const CheckRequest& request, WriteContext& context, CheckReply* reply) {
  reply->set_outcome(CheckOutcome::fenced_off);
  book_.tables().holders.Scan({request.name(), ""},
                              [&](const HolderKey& key, const HolderRow& row) {
                                if (std::get<0>(key) != request.name()) return false;
                                if (row.token != request.token()) return true;
                                if (!IsOver(row, context.sessions(), context.lease_now())) {
                                  reply->set_outcome(CheckOutcome::valid);
                                }
                                return false;
                              });
  return {};
}

Result<void> Locks::Get(const GetRequest& request, const ReadContext& context, Lock* reply) const {
  const Tables& tables = book_.tables();
  const std::string& name = request.name();
  reply->set_name(name);
  tables.holders.Scan({name, ""}, [&](const HolderKey& key, const HolderRow& row) {
    if (std::get<0>(key) != name || reply->holders_size() == kShownMax) return false;
    Describe(key, row, context, reply->add_holders());
    return true;
  });
  tables.line.Scan({name, 0, 0}, [&](const LineKey& key, const NoRow&) {
    if (std::get<0>(key) != name || reply->waiters_size() == kShownMax) return false;
    const auto row = tables.waiters.Get(std::get<2>(key));
    Waiter* waiter = reply->add_waiters();
    waiter->set_owner(row->owner);
    waiter->set_mode(row->mode);
    waiter->set_session(row->session);
    const int64_t left_us = std::max<int64_t>(row->deadline_us - context.lease_now.us, 0);
    waiter->set_left_ms(static_cast<uint32_t>(left_us / 1'000));
    return true;
  });
  if (book_.Delayed(name, context.lease_now)) {
    const int64_t left_us = tables.delays.Get(name)->until_us - context.lease_now.us;
    reply->set_delay_ms(static_cast<uint32_t>(left_us / 1'000));
  }
  return {};
}

Result<void> Locks::List(const ListRequest& request, const ReadContext& context,
                         ListReply* reply) const {
  const size_t limit = request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
  const HolderKey after{request.after_name(), request.after_owner()};
  book_.tables().holders.Scan(after, [&](const HolderKey& key, const HolderRow& row) {
    if (key == after) return true;
    if (static_cast<size_t>(reply->holders_size()) == limit) {
      reply->set_more(true);
      return false;
    }
    Describe(key, row, context, reply->add_holders());
    return true;
  });
  return {};
}

void Locks::OnTimer(WriteContext& context, std::string_view key) {
  const auto number = [&] {
    uint64_t value = 0;
    for (size_t i = 1; i <= 8; ++i) value = value << 8 | static_cast<uint8_t>(key[i]);
    return value;
  };
  switch (key.front()) {
    case 'h': {
      constexpr size_t kNameAt = 10;
      const auto size = static_cast<uint8_t>(key[kNameAt - 1]);
      book_.HolderDue(std::string(key.substr(kNameAt, size)),
                      std::string(key.substr(kNameAt + size)), number(), context);
      return;
    }
    case 'w': book_.WaiterDue(number(), context); return;
    default: book_.DelayDue(std::string(key.substr(1)), context);
  }
}

void Locks::OnSessionEnd(WriteContext& context, uint64_t session, bool closed) {
  book_.SessionEnded(session, closed, context);
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.locks.Locks", std::make_unique<Locks>(registry.store()))
      .Write("Acquire", &Locks::Acquire, &ValidateAcquire)
      .Read("AwaitAcquire", &Locks::AwaitAcquire, &ValidateAcquire)
      .Write("Release", &Locks::Release)
      .Write("Extend", &Locks::Extend)
      .Write("Check", &Locks::Check)
      .Read("Get", &Locks::Get)
      .Read("List", &Locks::List);
}

}  // namespace holdfast::locks

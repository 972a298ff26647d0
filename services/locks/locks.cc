#include "services/locks/locks.h"

#include <algorithm>
#include <limits>

#include "services/locks/cycle.h"
#include "src/base/bounds.h"
#include "src/base/text.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/sessions.h"

namespace holdfast::locks {
namespace {

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

// Names and owners go into logs, lists and file names of whoever reads them.
template <class Request>
Result<void> ValidateNames(const Request& request) {
  constexpr char kReason[] = "must not have control characters";
  if (HasControlCharacter(request.name())) return Fail(InvalidArgument("name", kReason));
  if constexpr (requires { request.owner(); }) {
    if (HasControlCharacter(request.owner())) return Fail(InvalidArgument("owner", kReason));
  }
  if constexpr (requires { request.names(); }) {
    for (int i = 0; i < request.names_size(); ++i) {
      if (!HasControlCharacter(request.names(i))) continue;
      return Fail(InvalidArgument("names[" + std::to_string(i) + "]", kReason));
    }
  }
  return {};
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
  if (!Mode_IsValid(request.mode())) {
    return Fail(InvalidArgument(
        "mode", "must be exclusive or shared, is " + std::to_string(request.mode())));
  }
  if (request.session() != 0 && request.ttl_ms() != 0) {
    return Fail(InvalidArgument("ttl_ms", "must not be given together with session"));
  }
  return ValidateNames(request);
}

// Whether the owner has all that it wants, under the lease that it names; tells what it has.
bool HoldsAll(const Tables& tables, const WaiterRow& want, const state_machine::Sessions& sessions,
              LeaseTime now, AcquireReply* reply) {
  std::vector<HolderRow> rows;
  for (const std::string& name : want.names) {
    const auto held = tables.Held(name, want.owner);
    if (!held || held->session != want.session || IsOver(*held, sessions, now)) return false;
    if (held->mode == shared && want.mode == exclusive) return false;
    rows.push_back(*held);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    Grant* grant = reply->add_locks();
    grant->set_name(want.names[i]);
    grant->set_token(rows[i].token);
    grant->set_depth(rows[i].depth);
  }
  reply->set_token(rows.front().token);
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

}  // namespace

AcquireOutcome::Code Locks::TryAcquire(const AcquireRequest& request, WriteContext& context,
                                       AcquireReply* reply) {
  const Tables& tables = book_.tables();
  WaiterRow want = WantOf(request);
  if (want.session != 0 && !context.sessions().Alive(want.session, context.lease_now())) {
    return AcquireOutcome::session_not_found;
  }
  for (const std::string& name : want.names) book_.EndIfOver(name, want.owner, context);
  want.deadline_us = context.lease_now().us + int64_t{request.wait_ms()} * 1'000;
  if (const auto waits = tables.waiting.Get(want.owner)) {
    // Asked again without an idempotency key.
    if (!SameWant(*tables.waiters.Get(waits->ticket), want)) {
      return AcquireOutcome::owner_is_waiting;
    }
    book_.WaitLonger(waits->ticket, want.deadline_us, context);
    return AcquireOutcome::waiting;
  }
  for (const std::string& name : want.names) {
    const auto held = tables.Held(name, want.owner);
    const bool once_more = held && held->session == want.session;
    if (once_more && held->depth >= bounds::kLockDepthMax) return AcquireOutcome::too_deep;
  }
  if (!book_.HasRoom(want)) return AcquireOutcome::too_many_locks;
  want.upgrades = book_.UpgradesOf(want);
  const auto blocker = book_.Blocker(want, kLast, context.lease_now());
  if (!blocker) {
    book_.Grant(want, context);
    HoldsAll(tables, want, context.sessions(), context.lease_now(), reply);
    return AcquireOutcome::granted;
  }
  reply->set_blocked_by(*blocker);
  if (request.wait_ms() == 0) return AcquireOutcome::lock_held;
  for (const std::string& name : want.names) {
    if (tables.Counts(name).waiting >= bounds::kLockWaitersMax) {
      return AcquireOutcome::too_many_waiters;
    }
  }
  for (std::string& owner : CycleOf(tables, want)) reply->add_cycle(std::move(owner));
  if (reply->cycle_size() > 0) return AcquireOutcome::deadlock;
  book_.Enqueue(std::move(want), context);
  return AcquireOutcome::waiting;
}

Result<void> Locks::Acquire(const AcquireRequest& request, WriteContext& context,
                            AcquireReply* reply) {
  reply->set_outcome(TryAcquire(request, context, reply));
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
  if (HoldsAll(tables, want, *context.sessions, context.lease_now, reply)) {
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
  book_.EndIfOver(request.name(), request.owner(), context);
  const HolderRow* held = tables.holders.Find(key);
  if (held != nullptr && request.token() != 0 && request.token() != held->token) {
    reply->set_outcome(ReleaseOutcome::fenced_off);
    reply->set_depth(held->depth);
    return {};
  }
  std::set<std::string> freed;
  // Who gives up a lease that ended long ago does not mean what its owner waits for since.
  const auto waits =
      held != nullptr || request.token() == 0 ? tables.waiting.Get(request.owner()) : std::nullopt;
  if (waits) {
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
    book_.Drop(key, context);
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
  const Tables& tables = book_.tables();
  const auto of_token = tables.tokens.Get(request.token());
  if (!of_token || of_token->name != request.name()) return {};
  const auto held = tables.holders.Get({of_token->name, of_token->owner});
  if (held && !IsOver(*held, context.sessions(), context.lease_now())) {
    reply->set_outcome(CheckOutcome::valid);
  }
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
      .Write("Release", &Locks::Release, &ValidateNames<ReleaseRequest>)
      .Write("Extend", &Locks::Extend, &ValidateNames<ExtendRequest>)
      .Write("Check", &Locks::Check, &ValidateNames<CheckRequest>)
      .Read("Get", &Locks::Get, &ValidateNames<GetRequest>)
      .Read("List", &Locks::List);
}

}  // namespace holdfast::locks

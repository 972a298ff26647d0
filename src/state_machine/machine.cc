#include "src/state_machine/machine.h"

#include <google/protobuf/arena.h>
#include <xxhash.h>

#include "holdfast/log.pb.h"
#include "src/base/behaviour.h"
#include "src/base/bounds.h"
#include "src/base/reached.h"
#include "src/state_machine/canonical.h"
#include "src/state_machine/repeated_key.h"
#include "src/state_machine/sessions.h"
#include "src/state_machine/timers.h"
#include "src/store/table.h"

namespace holdfast::state_machine {
namespace {

constexpr uint8_t kMachine = 0;  // The machine's own number among the services.
constexpr uint64_t kOnlyRow = 0;

google::protobuf::ArenaOptions ArenaIn(char* block) {
  google::protobuf::ArenaOptions options;
  options.initial_block = block;
  options.initial_block_size = bounds::kApplyArenaBytes;
  options.start_block_size = bounds::kApplyArenaBytes;
  options.max_block_size = bounds::kApplyArenaBytes;
  return options;
}

// (method, principal, key) in one string; lengths first, so that no two triples share one.
std::string IdempotencyRowKey(uint8_t service, uint8_t method, const std::string& principal,
                              const std::string& idempotency_key) {
  std::string key;
  key.push_back(static_cast<char>(service));
  key.push_back(static_cast<char>(method));
  key.push_back(static_cast<char>(principal.size()));
  key += principal;
  key += idempotency_key;
  return key;
}

// A timer of the machine's own is an idempotency key's, which begins with the number of a service,
// or a session's, which begins with 0.
std::string SessionTimerKey(uint64_t session) {
  std::string key(1, '\0');
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(session >> shift));
  return key;
}
std::optional<uint64_t> SessionOfTimer(std::string_view key) {
  if (key.size() != 9 || key.front() != '\0') return std::nullopt;
  uint64_t session = 0;
  for (const char byte : key.substr(1)) session = session << 8 | static_cast<uint8_t>(byte);
  return session;
}

std::string UnknownTo() {
  return ", which this program, Holdfast " + ThisProgram().release +
         ", does not know. Install the release that the other nodes run, and start this node again "
         "on the same data folder.";
}

}  // namespace

void WriteContext::SetTimer(LogTime due, std::string_view key) {
  scope_->timers.Set(due, service_, key);
}
void WriteContext::CancelTimer(LogTime due, std::string_view key) {
  scope_->timers.Cancel(due, service_, key);
}
void WriteContext::SetSessionTimer(LeaseTime due, uint64_t session, int64_t* timer_us) {
  For(kMachine).SetLeaseTimer(due, SessionTimerKey(session), timer_us);
}
void WriteContext::CancelSessionTimer(uint64_t session, int64_t* timer_us) {
  For(kMachine).CancelLeaseTimer(SessionTimerKey(session), timer_us);
}

struct Machine::Tables {
  // Where the machine stands. In the same run as the rows it speaks of.
  struct PositionRow {
    uint64_t applied = 0;
    int64_t now_us = 0;
    uint64_t digest = 0;
    auto Fields() { return std::tie(applied, now_us, digest); }
    auto Fields() const { return std::tie(applied, now_us, digest); }
  };
  // The first definitive outcome under an idempotency key.
  struct IdempotencyRow {
    uint64_t fingerprint_high = 0;  // XXH3-128 of the canonical request.
    uint64_t fingerprint_low = 0;
    std::string reply;
    auto Fields() { return std::tie(fingerprint_high, fingerprint_low, reply); }
    auto Fields() const { return std::tie(fingerprint_high, fingerprint_low, reply); }
  };

  // What the log means, since which entry.
  struct BehaviourRow {
    uint64_t version = 0;
    uint64_t since = 0;
    std::string release;  // The first that can carry it out, for a program that cannot.
    auto Fields() { return std::tie(version, since, release); }
    auto Fields() const { return std::tie(version, since, release); }
  };

  explicit Tables(store::Store& store)
      : position(store, {kMachine, 1}, "position"),
        idempotency(store, {kMachine, 2}, "idempotency"),
        timers(store),
        sessions(store),
        leases(store),
        behaviour(store, {kMachine, 4}, "behaviour") {}

  store::HashTable<uint64_t, PositionRow> position;
  store::HashTable<std::string, IdempotencyRow> idempotency;
  Timers timers;
  Sessions sessions;
  LeaseClock leases;
  store::HashTable<uint64_t, BehaviourRow> behaviour;
};

Machine::Machine(store::Store& store, Registry& registry)
    : store_(store),
      registry_(registry),
      tables_(std::make_unique<Tables>(store)),
      arena_block_(new char[bounds::kApplyArenaBytes]),
      arena_(ArenaIn(arena_block_.get())) {
  absl::MutexLock lock(&store_.mutex());
  if (const auto* row = tables_->position.Find(kOnlyRow)) {
    position_ = Position{LogIndex(row->applied), LogTime{row->now_us}, row->digest};
  }
  if (const auto* row = tables_->behaviour.Find(kOnlyRow)) {
    position_.behaviour = static_cast<uint32_t>(row->version);
    behaviour_.store(position_.behaviour, std::memory_order_release);
  }
  applied_.store(position_.applied.value, std::memory_order_release);
  tables_->timers.Load();
  tables_->leases.Load();
}

Machine::~Machine() = default;

size_t Machine::Apply(LogIndex index, std::string_view entry, std::vector<Outcome>* outcomes) {
  if (outcomes != nullptr) outcomes->clear();
  touched_.clear();
  const auto* parsed =
      static_cast<const LogEntry*>(entry_.Parse(LogEntry::default_instance(), entry));
  HOLDFAST_CHECK(parsed != nullptr, "log entry " + index.ToString() + " does not parse");
  absl::MutexLock lock(&store_.mutex());
  HOLDFAST_CHECK(index == position_.applied.Next(),
                 "entry " + index.ToString() + " after " + position_.applied.ToString());
  if (!entry.empty()) {
    // A new leader's clock may lag the old one's; time inside the log still only grows.
    const LogTime before = position_.now;
    position_.now = LogTime{std::max(parsed->time_us(), before.us + 1)};
    tables_->leases.Advance(before, position_.now);
    if (parsed->has_step()) TakeStep(parsed->step(), index);
    FireTimers(index, entry.size());
    if (outcomes != nullptr) outcomes->reserve(static_cast<size_t>(parsed->requests_size()));
    for (const LogRequest& request : parsed->requests()) {
      Outcome outcome = ApplyRequest(request, index, outcomes != nullptr);
      if (outcomes != nullptr) outcomes->push_back(std::move(outcome));
    }
  }
  if (entry.empty()) tables_->leases.NewLeader();
  position_.applied = index;
  const uint64_t changes = store_.EndEntry();
  const uint64_t chain[] = {position_.digest, index.value, changes};
  position_.digest = XXH3_64bits(chain, sizeof(chain));
  tables_->position.Put(kOnlyRow, {index.value, position_.now.us, position_.digest});
  store_.EndEntry();
#ifdef HOLDFAST_CHECK_EVERY_ENTRY
  CheckInvariants();
#endif
  applied_.store(index.value, std::memory_order_release);
  return static_cast<size_t>(parsed->requests_size());
}

// A step that is not one, as two leaders may have said the same, changes nothing.
void Machine::TakeStep(const BehaviourStep& step, LogIndex index) {
  if (step.version() <= behaviour()) return;
  const std::string unfit = WhyUnfit(ThisProgram(), step.version(), step.release(), "this node");
  if (!unfit.empty()) ProgramUnfit("entry " + index.ToString() + ": " + unfit);
  tables_->behaviour.Put(kOnlyRow, {step.version(), index.value, step.release()});
  position_.behaviour = step.version();
  behaviour_.store(step.version(), std::memory_order_release);
}

std::optional<Error> Machine::NotYet(const Method& method) const {
  return method.NotYet(std::max(behaviour(), 1u));
}

Result<void> Machine::Fits(const std::string& where) const {
  absl::ReaderMutexLock lock(&store_.mutex());
  const auto row = tables_->behaviour.Get(kOnlyRow);
  if (!row) return {};
  const std::string unfit =
      WhyUnfit(ThisProgram(), static_cast<uint32_t>(row->version), row->release, where);
  if (unfit.empty()) return {};
  const size_t line = unfit.find('\n');
  return Fail(
      Error{ErrorCode::kUnimplemented, unfit.substr(0, line), "", unfit.substr(line + 1), 0});
}

EntryScope Machine::ScopeOf(LogIndex index) {
  return {store_,   tables_->timers, tables_->leases, tables_->sessions,        registry_,
          touched_, index,           position_.now,   std::max(behaviour(), 1u)};
}

void Machine::FireTimers(LogIndex index, size_t entry_bytes) {
  // A large entry sets many, as every idempotency key and message id has one: about as many must
  // fire, or they would pile up for as long as the load lasts.
  const size_t max = std::clamp(entry_bytes / bounds::kTimerBytesMin, bounds::kTimersPerEntryMax,
                                bounds::kTimerChangesPerEntryMax);
  const std::vector<Timers::Timer> due = tables_->timers.Due(position_.now, max);
  if (due.empty()) return;
  // Not their number alone is bounded: the end of one session may drop a thousand locks.
  const size_t enough = store_.Mark().position + bounds::kTimerChangesPerEntryMax;
  for (const Timers::Timer& timer : due) {
    if (store_.Mark().position >= enough) break;
    if (tables_->timers.Take(timer)) Fire(timer, index);  // If none before it has cancelled it.
  }
  tables_->timers.Taken();
}

void Machine::Fire(const Timers::Timer& timer, LogIndex index) {
  EntryScope scope = ScopeOf(index);
  WriteContext context(scope, timer.service);
  if (timer.service == kMachine) {
    if (const auto session = SessionOfTimer(timer.key)) {
      tables_->sessions.OnTimer(*session, context);
    } else {
      tables_->idempotency.Erase(timer.key);
    }
    return;
  }
  Service* service = registry_.FindService(timer.service);
  if (service == nullptr) {
    ProgramUnfit("entry " + index.ToString() + " has a timer of service " +
                 std::to_string(timer.service) + UnknownTo());
  }
  HOLDFAST_REACHED("state_machine.machine.timer_fires");
  service->OnTimer(context, timer.key);
}

Outcome Machine::ApplyRequest(const LogRequest& request, LogIndex index, bool told) {
  const bool in_range = request.service() <= UINT8_MAX && request.method() <= UINT8_MAX;
  const Method* method = in_range ? registry_.Find(static_cast<uint8_t>(request.service()),
                                                   static_cast<uint8_t>(request.method()))
                                  : nullptr;
  // Nodes that know the method would do what this one cannot: going on would be divergence.
  if (method == nullptr || method->kind() != WRITE) {
    ProgramUnfit("entry " + index.ToString() + " has a write of service " +
                 std::to_string(request.service()) + ", method " +
                 std::to_string(request.method()) + UnknownTo());
  }
  if (auto not_yet = NotYet(*method)) return {Fail(*std::move(not_yet)), false};
  const Message* body = bodies_[method].Parse(*method->request, request.body());
  if (body == nullptr) {
    return {Fail(InvalidArgument(
                "", "the request does not parse as " + method->request->GetTypeName())),
            false};
  }
  // Once more, though the API has done so: what this entry does must follow from the entry alone.
  if (Result<void> valid = method->validate_parsed(*body, request.body()); !valid)
    return {Fail(valid.error()), false};

  Tables::IdempotencyRow row;
  std::string row_key;
  if (!request.idempotency_key().empty()) {
    row_key = IdempotencyRowKey(method->service_id, method->method_id, request.principal(),
                                request.idempotency_key());
    const std::string canonical = Canonical(*body);
    const XXH128_hash_t hash = XXH3_128bits(canonical.data(), canonical.size());
    row.fingerprint_high = hash.high64;
    row.fingerprint_low = hash.low64;
    if (const auto* first = tables_->idempotency.Find(row_key)) {
      if (first->fingerprint_high == hash.high64 && first->fingerprint_low == hash.low64) {
        HOLDFAST_REACHED("state_machine.machine.repeats_an_answer");
        return {first->reply, true};
      }
      return {Fail(Error{ErrorCode::kIdempotencyKeyReused,
                         "this idempotency key was used with another request", "idempotency-key",
                         "Send a new key with a new request; repeat a request unchanged.", 0}),
              false};
    }
  }

  const store::Savepoint mark = store_.Mark();
  EntryScope scope = ScopeOf(index);
  WriteContext context(scope, method->service_id);
  arena_.Reset();
  Message* reply = method->reply->New(&arena_);
  if (Result<void> done = method->write(*body, context, reply); !done) {
    HOLDFAST_REACHED("state_machine.machine.rolls_back");
    store_.RollbackTo(mark);
    return {Fail(done.error()), false};
  }
  if (!told && row_key.empty()) return {std::string(), false};
  std::string bytes = Canonical(*reply);
  if (!row_key.empty()) {
    row.reply = bytes;
    const LogTime expiry{position_.now.us + bounds::kIdempotencyRetentionUs};
    tables_->timers.Set(expiry, kMachine, row_key);
    tables_->idempotency.Put(row_key, std::move(row));
  }
  return {std::move(bytes), false};
}

void Machine::CheckInvariants() const {
  for (const auto& [id, service] : registry_.services()) {
    const std::optional<std::string> broken = service->CheckInvariants();
    HOLDFAST_CHECK(!broken.has_value(), "service " + std::to_string(id) + " after entry " +
                                            position_.applied.ToString() + ": " +
                                            broken.value_or(""));
  }
}

std::optional<LogTime> Machine::NextTimer() const {
  const int64_t next = tables_->timers.next_us();
  if (next == Timers::kNever) return std::nullopt;
  return LogTime{next};
}

Result<std::string> Machine::Read(const Method& method, const Message& request, Position* at,
                                  std::optional<Topic>* waits_for) const {
  google::protobuf::Arena arena;
  Message* reply = method.reply->New(&arena);
  {
    absl::ReaderMutexLock lock(&store_.mutex());
    *at = position_;
    const ReadContext context{
        position_.applied,  position_.now,     tables_->leases.At(position_.now),
        &tables_->sessions, method.service_id, waits_for};
    if (Result<void> done = method.read(request, context, reply); !done) {
      return Fail(done.error());
    }
  }
  return Canonical(*reply);
}

std::optional<Machine::Kept> Machine::LastReply(const Method& method, const std::string& principal,
                                                const std::string& key, uint32_t from) const {
  std::optional<Kept> last;
  const auto find = [&](uint32_t repeat) {
    auto row =
        tables_->idempotency.Get(IdempotencyRowKey(method.service_id, method.method_id, principal,
                                                   repeat == 0 ? key : RepeatedKey(key, repeat)));
    if (row) last = Kept{repeat, std::move(row->reply)};
    return row.has_value();
  };
  if (!find(from)) return std::nullopt;
  // They are stored one after the other and forgotten in the same order, so the last one is found
  // in few steps, however many there are.
  uint32_t step = 1;
  while (find(last->repeat + step)) step *= 2;
  while ((step /= 2) > 0) find(last->repeat + step);
  return last;
}

std::optional<Machine::Kept> Machine::FindLastReply(const Method& method,
                                                    const std::string& principal,
                                                    const std::string& key, uint32_t from,
                                                    Position* at) const {
  absl::ReaderMutexLock lock(&store_.mutex());
  *at = position_;
  return LastReply(method, principal, key, from);
}

LeaseTime Machine::lease_now() const { return tables_->leases.At(position_.now); }

Position Machine::position() const {
  absl::ReaderMutexLock lock(&store_.mutex());
  return position_;
}

}  // namespace holdfast::state_machine

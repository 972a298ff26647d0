#include "services/cache/cache.h"

#include <algorithm>

#include "services/cache/validate.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/sessions.h"

namespace holdfast::cache {
namespace {

Want WantOf(Mode mode) {
  switch (mode) {
    case exclusive: return Want::kExclusive;
    case any: return Want::kAny;
    default: return Want::kShared;
  }
}

Lines::Asker AskerOf(const FetchRequest& request) { return {request.session(), request.line()}; }

}  // namespace

bool Cache::Describe(const std::string& key, const ReadContext& context, Entry* entry) const {
  const auto row = entries_.Get(key, context.now);
  if (!row) return false;
  entry->set_key(key);
  entry->set_version(row->version);
  (row->is_text ? *entry->mutable_value() : *entry->mutable_data()) = entries_.ValueOf(key);
  if (row->expires_us != 0) {
    const int64_t left_ms = (row->expires_us - context.now.us) / 1'000;
    entry->set_ttl_ms(static_cast<uint64_t>(std::max<int64_t>(left_ms, 1)));
  }
  entry->set_exclusive(lines_.HeldExclusively(key, {*context.sessions, context.lease_now}));
  return true;
}

Result<void> Cache::Get(const GetRequest& request, const ReadContext& context, Entry* reply) const {
  const std::string& key = request.key().empty() ? request.k() : request.key();
  if (Describe(key, context, reply)) return {};
  return Fail(NotFound("there is no key '" + key + "'"));
}

Result<void> Cache::GetMany(const GetManyRequest& request, const ReadContext& context,
                            GetManyReply* reply) const {
  size_t bytes = 0;
  for (const std::string& key : request.keys()) {
    if (bytes >= bounds::kCachePageBytesMax) break;
    Entry* entry = reply->add_entries();
    if (Describe(key, context, entry)) {
      bytes += entry->ByteSizeLong();
    } else {
      reply->mutable_entries()->RemoveLast();
    }
    reply->set_answered(reply->answered() + 1);
  }
  return {};
}

void Cache::FillStats(StatsReply* reply) const {
  const EntriesMeta entries = entries_.meta();
  const LinesMeta lines = lines_.meta();
  reply->set_entries(entries.entries);
  reply->set_bytes(entries.bytes);
  reply->set_max_bytes(entries.bytes_max);
  reply->set_last_version(entries.last_version);
  reply->set_evicted(entries.evicted);
  reply->set_expired(entries.expired);
  reply->set_lines(lines.lines);
  reply->set_recalls(lines.last_recall);
}

Result<void> Cache::Stats(const StatsRequest& /*request*/, const ReadContext& /*context*/,
                          StatsReply* reply) const {
  FillStats(reply);
  return {};
}

Result<void> Cache::Fetch(const FetchRequest& request, WriteContext& context, FetchReply* reply) {
  if (!context.sessions().Alive(request.session(), context.lease_now())) {
    reply->set_outcome(FetchOutcome::session_not_found);
    return {};
  }
  switch (lines_.Fetch(request.key(), AskerOf(request), WantOf(request.mode()), request.wait_ms(),
                       context)) {
    case Lines::Fetched::kSuperseded: reply->set_outcome(FetchOutcome::superseded); break;
    case Lines::Fetched::kTooMany: reply->set_outcome(FetchOutcome::too_many_lines); break;
    case Lines::Fetched::kHeld: reply->set_outcome(FetchOutcome::held); break;
    case Lines::Fetched::kWaiting: reply->set_outcome(FetchOutcome::waiting); break;
    case Lines::Fetched::kGranted:
      // Without the value: what a write answers may be kept for a day.
      reply->set_outcome(FetchOutcome::granted);
      reply->set_mode(lines_.Held(request.key(), AskerOf(request))->mode);
      entries_.Touch(request.key(), context);
  }
  return {};
}

Result<void> Cache::AwaitFetch(const FetchRequest& request, const ReadContext& context,
                               FetchReply* reply) const {
  if (!context.sessions->Alive(request.session(), context.lease_now)) {
    reply->set_outcome(FetchOutcome::session_not_found);
  } else if (const auto held = lines_.Held(request.key(), AskerOf(request))) {
    // Nobody else has written since it was granted.
    reply->set_outcome(FetchOutcome::fetched);
    reply->set_mode(held->mode);
    reply->set_found(Describe(request.key(), context, reply->mutable_entry()));
    if (!reply->found()) reply->clear_entry();
  } else if (lines_.Waits(request.key(), AskerOf(request))) {
    reply->set_outcome(FetchOutcome::waiting);
    context.WaitFor(Lines::TopicOf(request.key()));
  } else {
    reply->set_outcome(FetchOutcome::not_held);
  }
  return {};
}

Result<void> Cache::Recalls(const RecallsRequest& request, const ReadContext& context,
                            RecallsReply* reply) const {
  reply->set_cursor(request.after());
  reply->set_session_found(context.sessions->Alive(request.session(), context.lease_now));
  if (!reply->session_found()) return {};
  lines_.ScanRecalls(request.session(), request.after(),
                     [&](uint64_t recall, const RecallRow& row, const HolderRow& held) {
                       if (static_cast<size_t>(reply->recalls_size()) == bounds::kPageRowsMax) {
                         return false;
                       }
                       Recall* told = reply->add_recalls();
                       told->set_key(row.key);
                       told->set_line(held.line);
                       told->set_keep(row.keep);
                       reply->set_cursor(recall);
                       return true;
                     });
  if (reply->recalls_size() == 0) context.WaitFor(Lines::TopicOfRecalls(request.session()));
  return {};
}

Result<void> Cache::Release(const ReleaseRequest& request, WriteContext& context,
                            ReleaseReply* reply) {
  for (const Line& line : request.lines()) {
    if (lines_.Release(line.key(), {request.session(), line.line()}, context)) {
      reply->set_released(reply->released() + 1);
    }
  }
  return {};
}

Result<void> Cache::WriteBack(const WriteBackRequest& request, WriteContext& context,
                              WriteBackReply* reply) {
  const Lines::Asker asker{request.session(), request.line()};
  if (!context.sessions().Alive(request.session(), context.lease_now())) {
    reply->set_outcome(WriteBackOutcome::session_not_found);
    return {};
  }
  const auto held = lines_.Held(request.key(), asker);
  if (!held || held->mode != exclusive) {
    reply->set_outcome(WriteBackOutcome::not_held);
    return {};
  }
  if (request.write() <= held->written) {
    reply->set_outcome(WriteBackOutcome::superseded);
    return {};
  }
  if (request.change() == put) {
    Value value =
        request.data().empty() ? Value{request.value(), true} : Value{request.data(), false};
    if (!entries_.Fits(request.key(), value)) {
      reply->set_outcome(WriteBackOutcome::too_large);
      return {};
    }
    const int64_t expires_us =
        request.ttl_ms() == 0 ? 0
                              : context.now().us + static_cast<int64_t>(request.ttl_ms()) * 1'000;
    reply->set_version(entries_.Put(request.key(), std::move(value), expires_us, context));
  } else if (request.change() == erase) {
    entries_.Erase(request.key(), context);
  }
  lines_.WrittenBack(request.key(), asker, request.write(), request.keep(), context);
  reply->set_outcome(WriteBackOutcome::written);
  return {};
}

void Cache::OnTimer(WriteContext& context, std::string_view key) {
  if (Entries::OwnsTimer(key)) {
    entries_.OnTimer(key, context);
  } else {
    lines_.OnTimer(key, context);
  }
}

void Cache::OnSessionEnd(WriteContext& context, uint64_t session, bool /*closed*/) {
  lines_.SessionEnded(session, context);
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.cache.Cache", std::make_unique<Cache>(registry.store()))
      .Write("Set", &Cache::Set, &Validate)
      .Write("CompareAndSet", &Cache::CompareAndSet, &Validate)
      .Write("Delete", &Cache::Delete, &Validate)
      .Write("Increment", &Cache::Increment, &Validate)
      .Write("SetMany", &Cache::SetMany, &Validate)
      .Write("DeletePrefix", &Cache::DeletePrefix)
      .Write("Touch", &Cache::Touch, &Validate)
      .Write("Configure", &Cache::Configure, &Validate)
      .Read("Get", &Cache::Get, &Validate)
      .Read("GetMany", &Cache::GetMany, &Validate)
      .Read("Stats", &Cache::Stats)
      .Write("Fetch", &Cache::Fetch)
      .Read("AwaitFetch", &Cache::AwaitFetch)
      .Read("Recalls", &Cache::Recalls)
      .Write("Release", &Cache::Release)
      .Write("WriteBack", &Cache::WriteBack, &Validate)
      .Read("AwaitSet", &Cache::Await<SetRequest>, &Validate)
      .Read("AwaitCompareAndSet", &Cache::Await<CompareAndSetRequest>, &Validate)
      .Read("AwaitDelete", &Cache::Await<DeleteRequest>, &Validate)
      .Read("AwaitIncrement", &Cache::Await<IncrementRequest>, &Validate)
      .Read("AwaitSetMany", &Cache::Await<SetManyRequest>, &Validate)
      .Read("AwaitDeletePrefix", &Cache::Await<DeletePrefixRequest>)
      .Write("CheckVersion", &Cache::CheckVersion);
}

}  // namespace holdfast::cache

// Writes of values. Each first finds out whether clients hold the lines of its keys; as long as
// they do nothing is done, and nobody sees anything of it.

#include <charconv>

#include "services/cache/cache.h"

namespace holdfast::cache {
namespace {

template <class Request>
Value ValueOf(const Request& request) {
  if (request.data().empty()) return Value{request.value(), true};
  return Value{request.data(), false};
}

int64_t ExpiryOf(uint64_t ttl_ms, const WriteContext& context) {
  return ttl_ms == 0 ? 0 : context.now().us + static_cast<int64_t>(ttl_ms) * 1'000;
}

template <class Request>
Lines::Asker AskerOf(const Request& request) {
  if constexpr (requires { request.session(); }) {
    return {request.session(), request.line()};
  } else {
    return {};
  }
}

// Only whole numbers as they are written by us: no sign but '-', no leading zeros or blanks.
std::optional<int64_t> NumberIn(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end || std::to_string(number) != text) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

template <class Request>
std::vector<std::string> Cache::KeysOf(const Request& request, LogTime now) const {
  if constexpr (std::is_same_v<Request, DeletePrefixRequest>) {
    return entries_.Under(request.prefix(), now, bounds::kCacheBatchKeysMax);
  } else if constexpr (std::is_same_v<Request, SetManyRequest>) {
    std::vector<std::string> keys;
    for (const NewEntry& entry : request.entries()) keys.push_back(entry.key());
    return keys;
  } else {
    return {request.key()};
  }
}

template <class Request>
bool Cache::Refused(const Request& request, const std::vector<std::string>& keys,
                    WriteContext& context, WriteReply* reply) {
  const Lines::Asker asker = AskerOf(request);
  if (asker.session != 0 && !context.sessions().Alive(asker.session, context.lease_now())) {
    reply->set_outcome(WriteOutcome::session_not_found);
    return true;
  }
  // Only a write of one key has a session.
  if (asker.session != 0 && lines_.IsLate(keys.front(), asker)) {
    reply->set_outcome(WriteOutcome::superseded);
    return true;
  }
  std::vector<const std::string*> not_blocked;
  uint64_t holders = 0;
  for (const std::string& key : keys) {
    // As many as one key may have; the others are recalled when these have answered.
    const bool enough = holders >= bounds::kCacheHoldersMax;
    holders += lines_.HoldersOf(key);
    if (!enough && !lines_.Blocked(key, asker, request.wait_ms(), context)) {
      not_blocked.push_back(&key);
      continue;
    }
    if (reply->held_key().empty()) reply->set_held_key(key);
    reply->set_outcome(WriteOutcome::held);
    if (enough) break;
  }
  if (reply->outcome() != WriteOutcome::held) return false;
  for (const std::string* key : not_blocked) lines_.NotYet(*key, asker, context);
  return true;
}

template <class Request>
Result<void> Cache::Await(const Request& request, const ReadContext& context,
                          WriteReply* reply) const {
  const Lines::Asker asker = AskerOf(request);
  const Lines::At at{*context.sessions, context.lease_now};
  if (asker.session != 0 && !at.sessions.Alive(asker.session, at.now)) {
    reply->set_outcome(WriteOutcome::session_not_found);
    return {};
  }
  reply->set_outcome(WriteOutcome::free);
  for (const std::string& key : KeysOf(request, context.now)) {
    if (lines_.IsLate(key, asker)) break;  // Ask again, and be told so.
    if (!lines_.InTheWayOfWrite(key, asker, at)) continue;
    if (!lines_.WriterHasPlace(key, asker)) break;
    reply->set_outcome(WriteOutcome::held);
    reply->set_held_key(key);
    context.WaitFor(Lines::TopicOf(key));
    break;
  }
  return {};
}

template <class Request>
void Cache::Store(const Request& request, const std::string& key, Value value, int64_t expires_us,
                  WriteContext& context, WriteReply* reply) {
  if (!entries_.Fits(key, value)) {
    lines_.Done(key, AskerOf(request), false, context);
    reply->set_outcome(WriteOutcome::too_large);
    return;
  }
  reply->set_version(entries_.Put(key, std::move(value), expires_us, context));
  reply->set_holding(lines_.Done(key, AskerOf(request), true, context));
  reply->set_outcome(WriteOutcome::stored);
}

Result<void> Cache::Set(const SetRequest& request, WriteContext& context, WriteReply* reply) {
  if (Refused(request, {request.key()}, context, reply)) return {};
  Store(request, request.key(), ValueOf(request), ExpiryOf(request.ttl_ms(), context), context,
        reply);
  return {};
}

Result<void> Cache::CompareAndSet(const CompareAndSetRequest& request, WriteContext& context,
                                  WriteReply* reply) {
  if (Refused(request, {request.key()}, context, reply)) return {};
  const uint64_t version = entries_.Get(request.key(), context.now()).value_or(EntryRow{}).version;
  if (version != request.version()) {
    lines_.Done(request.key(), AskerOf(request), false, context);
    reply->set_outcome(WriteOutcome::version_mismatch);
    reply->set_version(version);
    return {};
  }
  Store(request, request.key(), ValueOf(request), ExpiryOf(request.ttl_ms(), context), context,
        reply);
  return {};
}

Result<void> Cache::Delete(const DeleteRequest& request, WriteContext& context, WriteReply* reply) {
  if (Refused(request, {request.key()}, context, reply)) return {};
  const bool was_there = entries_.Erase(request.key(), context);
  reply->set_holding(lines_.Done(request.key(), AskerOf(request), true, context));
  reply->set_deleted(was_there ? 1 : 0);
  reply->set_outcome(was_there ? WriteOutcome::deleted : WriteOutcome::not_found);
  return {};
}

Result<void> Cache::Increment(const IncrementRequest& request, WriteContext& context,
                              WriteReply* reply) {
  const std::string& key = request.key();
  if (Refused(request, {key}, context, reply)) return {};
  const auto row = entries_.Get(key, context.now());
  const auto before = row ? NumberIn(entries_.ValueOf(key)) : 0;
  if (!before) {
    lines_.Done(key, AskerOf(request), false, context);
    reply->set_outcome(WriteOutcome::not_a_number);
    return {};
  }
  int64_t sum = 0;
  if (__builtin_add_overflow(*before, request.by() == 0 ? 1 : request.by(), &sum)) {
    lines_.Done(key, AskerOf(request), false, context);
    reply->set_outcome(WriteOutcome::overflow);
    return {};
  }
  const int64_t expires_us = row ? row->expires_us : ExpiryOf(request.ttl_ms(), context);
  Store(request, key, Value{std::to_string(sum), true}, expires_us, context, reply);
  if (reply->outcome() == WriteOutcome::stored) reply->set_number(sum);
  return {};
}

Result<void> Cache::SetMany(const SetManyRequest& request, WriteContext& context,
                            WriteReply* reply) {
  if (Refused(request, KeysOf(request, context.now()), context, reply)) return {};
  // Together they are less than a request, and the least limit is more than that.
  for (const NewEntry& entry : request.entries()) {
    Store(request, entry.key(), ValueOf(entry), ExpiryOf(entry.ttl_ms(), context), context, reply);
  }
  return {};
}

Result<void> Cache::DeletePrefix(const DeletePrefixRequest& request, WriteContext& context,
                                 WriteReply* reply) {
  const std::vector<std::string> keys = KeysOf(request, context.now());
  if (Refused(request, keys, context, reply)) return {};
  for (const std::string& key : keys) {
    entries_.Erase(key, context);
    lines_.Done(key, {}, false, context);
  }
  reply->set_deleted(static_cast<uint32_t>(keys.size()));
  reply->set_more(keys.size() == bounds::kCacheBatchKeysMax);
  reply->set_outcome(WriteOutcome::deleted);
  return {};
}

Result<void> Cache::Touch(const TouchRequest& request, WriteContext& context, TouchReply* reply) {
  for (const std::string& key : request.keys()) {
    if (entries_.Touch(key, context)) reply->set_touched(reply->touched() + 1);
  }
  return {};
}

Result<void> Cache::Configure(const ConfigureRequest& request, WriteContext& context,
                              StatsReply* reply) {
  entries_.Configure(request.max_bytes(), context);
  FillStats(reply);
  return {};
}

template Result<void> Cache::Await(const SetRequest&, const ReadContext&, WriteReply*) const;
template Result<void> Cache::Await(const CompareAndSetRequest&, const ReadContext&,
                                   WriteReply*) const;
template Result<void> Cache::Await(const DeleteRequest&, const ReadContext&, WriteReply*) const;
template Result<void> Cache::Await(const IncrementRequest&, const ReadContext&, WriteReply*) const;
template Result<void> Cache::Await(const SetManyRequest&, const ReadContext&, WriteReply*) const;
template Result<void> Cache::Await(const DeletePrefixRequest&, const ReadContext&,
                                   WriteReply*) const;

}  // namespace holdfast::cache

#include "services/cache/model.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <type_traits>

namespace holdfast::cache {
namespace {

// Only whole numbers as they are written here.
std::optional<int64_t> NumberIn(const std::string& text) {
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = read.ec == std::errc() && std::to_string(number) == text;
  return whole ? std::optional(number) : std::nullopt;
}

}  // namespace

// --- Time

void Model::Pass(const Moment& at) {
  now_ = at;
  sessions_.Now(at);
  std::multimap<std::tuple<int64_t, int, Alarm>, uint64_t> due;
  for (const auto& [due_us, id] : sessions_.TakeDue()) due.insert({{due_us, 0, Alarm{}}, id});
  while (!alarms_.empty() && alarms_.begin()->due_us <= at.log_us) {
    due.insert({{alarms_.begin()->due_us, 1, *alarms_.begin()}, 0});
    alarms_.erase(alarms_.begin());
  }
  for (const auto& [key, session] : due) {
    if (std::get<1>(key) == 1) {
      LookAt(std::get<2>(key));
    } else if (sessions_.LookAt(session)) {
      SessionEnded(session);
    }
  }
}

void Model::LookAt(const Alarm& alarm) {
  if (alarm.kind == 'v') return Evict(entries_.size());
  if (alarm.kind == 'e') {
    const Stored* entry = Find(alarm.key);
    if (entry == nullptr || entry->expires_us != alarm.due_us) return;
    Forget(alarm.key);
    ++expired_;
    return;
  }
  std::vector<Waiter>& waiters = lines_[alarm.key].waiters;
  for (auto at = waiters.begin(); at != waiters.end(); ++at) {
    if (at->ticket != alarm.ticket) continue;
    if (at->deadline_us > now_.lease_us()) {
      alarms_.insert({now_.LogTimeOf(at->deadline_us), 'p', alarm.ticket, alarm.key});
      return;
    }
    waiters.erase(at);
    return Serve(alarm.key);
  }
}

sessions::SessionReply Model::Close(const sessions::CloseRequest& request) {
  auto reply = sessions_.Close(request);
  if (reply.outcome() == sessions::SessionOutcome::closed) SessionEnded(request.id());
  return reply;
}

// First the lines that it held, by key, then its places, in the order of coming.
void Model::SessionEnded(uint64_t session) {
  std::vector<std::pair<uint64_t, std::string>> places;
  for (const auto& [key, line] : lines_) {
    for (const Waiter& waiter : line.waiters) {
      if (waiter.session == session) places.emplace_back(waiter.ticket, key);
    }
  }
  std::sort(places.begin(), places.end());
  for (auto& [key, line] : lines_) {
    if (line.holders.erase(session) != 0) Serve(key);
  }
  for (const auto& [ticket, key] : places) {
    std::vector<Waiter>& waiters = lines_[key].waiters;
    const size_t before = waiters.size();
    std::erase_if(waiters,
                  [ticket = ticket](const Waiter& waiter) { return waiter.ticket == ticket; });
    if (waiters.size() != before) Serve(key);
  }
}

// --- Entries

const Model::Stored* Model::Find(const std::string& key) const {
  for (const Stored& entry : entries_) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::vector<std::string> Model::Keys() const {
  std::vector<std::string> keys;
  for (const Stored& entry : entries_) keys.push_back(entry.key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

uint64_t Model::BytesOf(const Stored& entry) {
  return entry.key.size() + entry.value.size() + bounds::kCacheEntryBytes;
}

uint64_t Model::BytesKept() const {
  uint64_t bytes = 0;
  for (const Stored& entry : entries_) bytes += BytesOf(entry);
  return bytes;
}

void Model::Forget(const std::string& key) {
  std::erase_if(entries_, [&](const Stored& entry) { return entry.key == key; });
}

void Model::Evict(size_t limit) {
  for (; limit > 0 && BytesKept() > bytes_max_; --limit) {
    entries_.pop_front();
    ++evicted_;
  }
}

uint64_t Model::Put(const std::string& key, std::string value, bool is_text, int64_t expires_us) {
  Forget(key);
  entries_.push_back({key, std::move(value), is_text, ++last_version_, expires_us});
  last_written_[key] = last_version_;
  if (expires_us != 0) alarms_.insert({expires_us, 'e', 0, key});
  // As many as the new one may take the place of.
  Evict(BytesOf(entries_.back()) / bounds::kCacheEntryBytes + 1);
  return last_version_;
}

bool Model::Erase(const std::string& key) {
  const bool was_there = Find(key) != nullptr;
  Forget(key);
  last_written_[key] = 0;
  return was_there;
}

bool Model::Use(const std::string& key) {
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->key != key) continue;
    entries_.splice(entries_.end(), entries_, at);
    return true;
  }
  return false;
}

int64_t Model::ExpiryOf(uint64_t ttl_ms) const {
  return ttl_ms == 0 ? 0 : now_.log_us + static_cast<int64_t>(ttl_ms) * 1'000;
}

// --- Lines

Model::Holder* Model::HolderOf(const std::string& key, const Asker& asker) {
  std::map<uint64_t, Holder>& holders = lines_[key].holders;
  const auto found = holders.find(asker.session);
  return found == holders.end() || found->second.line != asker.line ? nullptr : &found->second;
}

const Model::Holder* Model::HolderOf(const std::string& key, const Asker& asker) const {
  const auto line = lines_.find(key);
  if (line == lines_.end()) return nullptr;
  const auto found = line->second.holders.find(asker.session);
  const bool held = found != line->second.holders.end() && found->second.line == asker.line;
  return held ? &found->second : nullptr;
}

bool Model::IsLate(const std::string& key, const Asker& asker) const {
  const auto line = lines_.find(key);
  if (asker.session == 0 || line == lines_.end()) return false;
  const auto held = line->second.holders.find(asker.session);
  if (held != line->second.holders.end() && held->second.line > asker.line) return true;
  const auto& waiters = line->second.waiters;
  return std::any_of(waiters.begin(), waiters.end(), [&](const Waiter& waiter) {
    return waiter.session == asker.session && waiter.line > asker.line;
  });
}

// Who asks gives up what it has; who has ended has nothing.
void Model::DropSpent(const std::string& key, const Asker& asker) {
  std::erase_if(lines_[key].holders, [&](const auto& held) {
    return (asker.session != 0 && held.first == asker.session) || !sessions_.Alive(held.first);
  });
}

bool Model::Blocked(const std::string& key, const Asker& asker, uint32_t wait_ms) {
  DropSpent(key, asker);
  if (lines_[key].holders.empty()) return false;
  const int64_t until_us = now_.lease_us() + (int64_t{wait_ms} + bounds::kCachePlaceMs) * 1'000;
  Enqueue(key, {0, asker.session, asker.line, true, shared, until_us});
  Serve(key);
  return true;
}

void Model::NotYet(const std::string& key, const Asker& asker) {
  const int64_t soon_us = now_.lease_us() + int64_t{bounds::kCachePlaceMs} * 1'000;
  for (Waiter& waiter : lines_[key].waiters) {
    const bool own = waiter.session == asker.session && waiter.writes;
    if (own) waiter.deadline_us = std::max(waiter.deadline_us, soon_us);
  }
  Serve(key);
}

bool Model::Done(const std::string& key, const Asker& asker, bool hold) {
  Line& line = lines_[key];
  std::erase_if(line.waiters, [&](const Waiter& waiter) {
    return waiter.writes && waiter.session == asker.session;
  });
  const bool holds = hold && asker.session != 0 && line.waiters.empty();
  if (holds) line.holders[asker.session] = Holder{shared, asker.line};
  Serve(key);
  return holds;
}

void Model::Enqueue(const std::string& key, Waiter waiter) {
  for (Waiter& other : lines_[key].waiters) {
    if (other.session != waiter.session) continue;
    waiter.ticket = other.ticket;
    waiter.deadline_us = std::max(waiter.deadline_us, other.deadline_us);
    other = waiter;
    return;
  }
  waiter.ticket = ++last_ticket_;
  lines_[key].waiters.push_back(waiter);
  alarms_.insert({now_.LogTimeOf(waiter.deadline_us), 'p', waiter.ticket, key});
}

void Model::Serve(const std::string& key) {
  Line& line = lines_[key];
  if (line.waiters.empty()) return;
  DropSpent(key, Asker{});
  while (!line.waiters.empty()) {
    Waiter& first = line.waiters.front();
    if (first.deadline_us <= now_.lease_us() ||
        (first.session != 0 && !sessions_.Alive(first.session))) {
      line.waiters.erase(line.waiters.begin());
      continue;
    }
    bool in_the_way = false;
    for (auto& [session, holder] : line.holders) {
      if (session == first.session) continue;
      if (!first.alone() && holder.mode == shared) continue;
      in_the_way = true;
      // Once is enough, unless it was to keep what it is now to give up.
      if (holder.recall != 0 && !(first.alone() && holder.may_share)) continue;
      holder.recall = ++last_recall_;
      holder.may_share = !first.alone();
    }
    if (in_the_way) return;
    if (first.writes) {
      // Its turn; if it does not come back soon, it will not.
      const int64_t soon_us = now_.lease_us() + int64_t{bounds::kCachePlaceMs} * 1'000;
      if (first.deadline_us > soon_us) {
        first.deadline_us = soon_us;
        alarms_.insert({now_.LogTimeOf(soon_us), 'p', first.ticket, key});
      }
      return;
    }
    const Waiter served = first;
    line.waiters.erase(line.waiters.begin());
    line.holders.erase(served.session);
    const bool alone = line.holders.empty() && line.waiters.empty();
    const bool exclusively = served.mode == exclusive || (served.mode == any && alone);
    line.holders[served.session] = Holder{exclusively ? exclusive : shared, served.line};
  }
}

std::string Model::Forgotten() const {
  for (const auto& [key, line] : lines_) {
    if (line.waiters.empty() || line.waiters.front().writes) continue;
    const Waiter& first = line.waiters.front();
    const bool in_the_way =
        std::any_of(line.holders.begin(), line.holders.end(), [&](const auto& held) {
          return held.first != first.session && (first.alone() || held.second.mode == exclusive);
        });
    if (!in_the_way) return key;
  }
  return "";
}

// --- Writes

template <class Request>
Model::Asker Model::AskerOf(const Request& request) {
  if constexpr (requires { request.session(); }) {
    return {request.session(), request.line()};
  } else {
    return {};
  }
}

template <class Request>
std::vector<std::string> Model::KeysOf(const Request& request) const {
  std::vector<std::string> keys;
  if constexpr (std::is_same_v<Request, DeletePrefixRequest>) {
    for (const std::string& key : Keys()) {
      if (key.starts_with(request.prefix())) keys.push_back(key);
    }
  } else if constexpr (std::is_same_v<Request, SetManyRequest>) {
    for (const NewEntry& entry : request.entries()) keys.push_back(entry.key());
  } else {
    keys.push_back(request.key());
  }
  return keys;
}

template <class Request>
bool Model::Refused(const Request& request, const std::vector<std::string>& keys,
                    WriteReply* reply) {
  const Asker asker = AskerOf(request);
  if (asker.session != 0 && !sessions_.Alive(asker.session)) {
    reply->set_outcome(WriteOutcome::session_not_found);
    return true;
  }
  if (asker.session != 0 && IsLate(keys.front(), asker)) {
    reply->set_outcome(WriteOutcome::superseded);
    return true;
  }
  std::vector<std::string> not_blocked;
  for (const std::string& key : keys) {
    if (!Blocked(key, asker, request.wait_ms())) {
      not_blocked.push_back(key);
      continue;
    }
    if (reply->held_key().empty()) reply->set_held_key(key);
    reply->set_outcome(WriteOutcome::held);
  }
  if (reply->outcome() != WriteOutcome::held) return false;
  for (const std::string& key : not_blocked) NotYet(key, asker);
  return true;
}

template <class Values>
void Model::Store(const std::string& key, const Values& values, int64_t expires_us,
                  const Asker& asker, WriteReply* reply) {
  const bool is_text = values.data().empty();
  const std::string& value = is_text ? values.value() : values.data();
  const bool fits = key.size() + value.size() + bounds::kCacheEntryBytes <= bytes_max_;
  reply->set_outcome(fits ? WriteOutcome::stored : WriteOutcome::too_large);
  if (fits) reply->set_version(Put(key, value, is_text, expires_us));
  const bool holds = Done(key, asker, fits);
  if (fits) reply->set_holding(holds);
}

WriteReply Model::Set(const SetRequest& request) {
  WriteReply reply;
  if (Refused(request, {request.key()}, &reply)) return reply;
  Store(request.key(), request, ExpiryOf(request.ttl_ms()), AskerOf(request), &reply);
  return reply;
}

WriteReply Model::CompareAndSet(const CompareAndSetRequest& request) {
  WriteReply reply;
  if (Refused(request, {request.key()}, &reply)) return reply;
  const Stored* entry = Find(request.key());
  const uint64_t version = entry == nullptr ? 0 : entry->version;
  if (version == request.version()) {
    Store(request.key(), request, ExpiryOf(request.ttl_ms()), AskerOf(request), &reply);
    return reply;
  }
  Done(request.key(), AskerOf(request), false);
  reply.set_outcome(WriteOutcome::version_mismatch);
  reply.set_version(version);
  return reply;
}

WriteReply Model::Delete(const DeleteRequest& request) {
  WriteReply reply;
  if (Refused(request, {request.key()}, &reply)) return reply;
  const bool was_there = Erase(request.key());
  reply.set_holding(Done(request.key(), AskerOf(request), true));
  reply.set_deleted(was_there ? 1 : 0);
  reply.set_outcome(was_there ? WriteOutcome::deleted : WriteOutcome::not_found);
  return reply;
}

WriteReply Model::Increment(const IncrementRequest& request) {
  WriteReply reply;
  if (Refused(request, {request.key()}, &reply)) return reply;
  const Stored* entry = Find(request.key());
  const auto before = entry == nullptr ? std::optional<int64_t>(0) : NumberIn(entry->value);
  int64_t sum = 0;
  if (!before) {
    reply.set_outcome(WriteOutcome::not_a_number);
  } else if (__builtin_add_overflow(*before, request.by() == 0 ? 1 : request.by(), &sum)) {
    reply.set_outcome(WriteOutcome::overflow);
  } else {
    NewEntry values;
    values.set_value(std::to_string(sum));
    const int64_t expires_us = entry == nullptr ? ExpiryOf(request.ttl_ms()) : entry->expires_us;
    Store(request.key(), values, expires_us, AskerOf(request), &reply);
    if (reply.outcome() == WriteOutcome::stored) reply.set_number(sum);
    return reply;
  }
  Done(request.key(), AskerOf(request), false);
  return reply;
}

WriteReply Model::SetMany(const SetManyRequest& request) {
  WriteReply reply;
  if (Refused(request, KeysOf(request), &reply)) return reply;
  for (const NewEntry& entry : request.entries()) {
    Store(entry.key(), entry, ExpiryOf(entry.ttl_ms()), Asker{}, &reply);
  }
  return reply;
}

WriteReply Model::DeletePrefix(const DeletePrefixRequest& request) {
  WriteReply reply;
  const std::vector<std::string> keys = KeysOf(request);
  if (Refused(request, keys, &reply)) return reply;
  for (const std::string& key : keys) {
    Erase(key);
    Done(key, Asker{}, false);
  }
  reply.set_deleted(static_cast<uint32_t>(keys.size()));
  reply.set_outcome(WriteOutcome::deleted);
  return reply;
}

TouchReply Model::Touch(const TouchRequest& request) {
  TouchReply reply;
  for (const std::string& key : request.keys()) {
    if (Use(key)) reply.set_touched(reply.touched() + 1);
  }
  return reply;
}

StatsReply Model::Configure(const ConfigureRequest& request) {
  bytes_max_ = request.max_bytes();
  alarms_.insert({now_.log_us, 'v', 0, ""});
  return Stats(StatsRequest());
}

FetchReply Model::Fetch(const FetchRequest& request) {
  FetchReply reply;
  const std::string& key = request.key();
  const Asker asker = AskerOf(request);
  const auto granted = [&] {
    const Holder* held = HolderOf(key, asker);
    if (held == nullptr) return false;
    reply.set_outcome(FetchOutcome::granted);
    reply.set_mode(held->mode);
    Use(key);
    return true;
  };
  if (!sessions_.Alive(request.session())) {
    reply.set_outcome(FetchOutcome::session_not_found);
  } else if (IsLate(key, asker)) {
    reply.set_outcome(FetchOutcome::superseded);
  } else if (!granted()) {
    DropSpent(key, asker);
    const Mode mode = request.mode() == unspecified ? shared : request.mode();
    const int64_t until_us = now_.lease_us() + int64_t{request.wait_ms()} * 1'000 + 1;
    Enqueue(key, {0, request.session(), request.line(), false, mode, until_us});
    Serve(key);
    if (granted()) return reply;
    reply.set_outcome(request.wait_ms() == 0 ? FetchOutcome::held : FetchOutcome::waiting);
    if (request.wait_ms() != 0) return reply;
    std::erase_if(lines_[key].waiters,
                  [&](const Waiter& waiter) { return waiter.session == request.session(); });
    Serve(key);
  }
  return reply;
}

ReleaseReply Model::Release(const ReleaseRequest& request) {
  ReleaseReply reply;
  for (const cache::Line& line : request.lines()) {
    if (HolderOf(line.key(), {request.session(), line.line()}) == nullptr) continue;
    lines_[line.key()].holders.erase(request.session());
    Serve(line.key());
    reply.set_released(reply.released() + 1);
  }
  return reply;
}

WriteBackReply Model::WriteBack(const WriteBackRequest& request) {
  WriteBackReply reply;
  const std::string& key = request.key();
  Holder* held = HolderOf(key, AskerOf(request));
  const bool is_text = request.data().empty();
  const std::string& value = is_text ? request.value() : request.data();
  if (!sessions_.Alive(request.session())) {
    reply.set_outcome(WriteBackOutcome::session_not_found);
  } else if (held == nullptr || held->mode != exclusive) {
    reply.set_outcome(WriteBackOutcome::not_held);
  } else if (request.write() <= held->written) {
    reply.set_outcome(WriteBackOutcome::superseded);
  } else if (request.change() == put &&
             key.size() + value.size() + bounds::kCacheEntryBytes > bytes_max_) {
    reply.set_outcome(WriteBackOutcome::too_large);
  } else {
    reply.set_outcome(WriteBackOutcome::written);
    if (request.change() == put) {
      reply.set_version(Put(key, value, is_text, ExpiryOf(request.ttl_ms())));
    }
    if (request.change() == erase) Erase(key);
    held->written = request.write();
    if (request.keep() == shared) {
      held->mode = shared;
      if (held->may_share) held->recall = 0;
      held->may_share = false;
    } else if (request.keep() != exclusive) {
      lines_[key].holders.erase(request.session());
    }
    Serve(key);
  }
  return reply;
}

// --- Reads

bool Model::Describe(const std::string& key, Entry* entry) const {
  const Stored* stored = Find(key);
  if (stored == nullptr) return false;
  entry->set_key(key);
  (stored->is_text ? *entry->mutable_value() : *entry->mutable_data()) = stored->value;
  entry->set_version(stored->version);
  if (stored->expires_us != 0) {
    const int64_t left_ms = (stored->expires_us - now_.log_us) / 1'000;
    entry->set_ttl_ms(static_cast<uint64_t>(std::max<int64_t>(left_ms, 1)));
  }
  const auto line = lines_.find(key);
  if (line == lines_.end()) return true;
  for (const auto& [session, holder] : line->second.holders) {
    entry->set_exclusive(holder.mode == exclusive && sessions_.Alive(session));
  }
  return true;
}

std::optional<Entry> Model::Get(const GetRequest& request) const {
  Entry entry;
  const bool found = Describe(request.key().empty() ? request.k() : request.key(), &entry);
  return found ? std::optional(entry) : std::nullopt;
}

GetManyReply Model::GetMany(const GetManyRequest& request) const {
  GetManyReply reply;
  size_t bytes = 0;
  for (const std::string& key : request.keys()) {
    if (bytes >= bounds::kCachePageBytesMax) break;
    Entry entry;
    if (Describe(key, &entry)) {
      bytes += entry.ByteSizeLong();
      *reply.add_entries() = entry;
    }
    reply.set_answered(reply.answered() + 1);
  }
  return reply;
}

StatsReply Model::Stats(const StatsRequest& /*request*/) const {
  StatsReply reply;
  reply.set_entries(entries_.size());
  reply.set_bytes(BytesKept());
  reply.set_max_bytes(bytes_max_);
  reply.set_last_version(last_version_);
  reply.set_evicted(evicted_);
  reply.set_expired(expired_);
  for (const auto& [key, line] : lines_) reply.set_lines(reply.lines() + line.holders.size());
  reply.set_recalls(last_recall_);
  return reply;
}

FetchReply Model::AwaitFetch(const FetchRequest& request) const {
  FetchReply reply;
  reply.set_outcome(FetchOutcome::not_held);
  const auto line = lines_.find(request.key());
  if (!sessions_.Alive(request.session())) {
    reply.set_outcome(FetchOutcome::session_not_found);
  } else if (const Holder* held = HolderOf(request.key(), AskerOf(request))) {
    reply.set_outcome(FetchOutcome::fetched);
    reply.set_mode(held->mode);
    Entry entry;
    reply.set_found(Describe(request.key(), &entry));
    if (reply.found()) *reply.mutable_entry() = entry;
  } else if (line != lines_.end()) {
    for (const Waiter& waiter : line->second.waiters) {
      if (waiter.session == request.session() && waiter.line == request.line()) {
        reply.set_outcome(FetchOutcome::waiting);
      }
    }
  }
  return reply;
}

RecallsReply Model::Recalls(const RecallsRequest& request) const {
  RecallsReply reply;
  reply.set_cursor(request.after());
  reply.set_session_found(sessions_.Alive(request.session()));
  if (!reply.session_found()) return reply;
  std::map<uint64_t, Recall> recalls;
  for (const auto& [key, line] : lines_) {
    const auto held = line.holders.find(request.session());
    if (held == line.holders.end() || held->second.recall <= request.after()) continue;
    Recall& recall = recalls[held->second.recall];
    recall.set_key(key);
    recall.set_line(held->second.line);
    recall.set_keep(held->second.may_share ? shared : unspecified);
  }
  for (const auto& [number, recall] : recalls) {
    *reply.add_recalls() = recall;
    reply.set_cursor(number);
  }
  return reply;
}

template <class Request>
WriteReply Model::Await(const Request& request) const {
  WriteReply reply;
  const Asker asker = AskerOf(request);
  if (asker.session != 0 && !sessions_.Alive(asker.session)) {
    reply.set_outcome(WriteOutcome::session_not_found);
    return reply;
  }
  reply.set_outcome(WriteOutcome::free);
  for (const std::string& key : KeysOf(request)) {
    if (IsLate(key, asker)) break;
    const auto line = lines_.find(key);
    if (line == lines_.end()) continue;
    const auto& [holders, waiters] = line->second;
    const bool in_the_way = std::any_of(holders.begin(), holders.end(), [&](const auto& held) {
      return held.first != asker.session && sessions_.Alive(held.first);
    });
    if (!in_the_way) continue;
    const bool has_place = std::any_of(waiters.begin(), waiters.end(), [&](const Waiter& waiter) {
      return waiter.session == asker.session || waiter.session == 0;
    });
    if (!has_place) break;
    reply.set_outcome(WriteOutcome::held);
    reply.set_held_key(key);
    break;
  }
  return reply;
}

template WriteReply Model::Await(const SetRequest&) const;
template WriteReply Model::Await(const CompareAndSetRequest&) const;
template WriteReply Model::Await(const DeleteRequest&) const;
template WriteReply Model::Await(const IncrementRequest&) const;
template WriteReply Model::Await(const SetManyRequest&) const;
template WriteReply Model::Await(const DeletePrefixRequest&) const;

}  // namespace holdfast::cache

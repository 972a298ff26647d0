#include "src/client/near_cache_core.h"

#include <algorithm>
#include <utility>

#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

constexpr char kFetch[] = "/holdfast.cache.Cache/Fetch";
constexpr char kGet[] = "/holdfast.cache.Cache/Get";
constexpr char kSet[] = "/holdfast.cache.Cache/Set";
constexpr char kDelete[] = "/holdfast.cache.Cache/Delete";
constexpr char kRelease[] = "/holdfast.cache.Cache/Release";
constexpr char kWriteBack[] = "/holdfast.cache.Cache/WriteBack";
constexpr char kCompareAndSet[] = "/holdfast.cache.Cache/CompareAndSet";

milliseconds Until(std::chrono::steady_clock::time_point deadline) {
  return std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
}

Error TimeIsUp() {
  return Error{ErrorCode::kDeadlineExceeded,
               "others did not give up the line in time; nothing was done", "", "Try again.", 0};
}
Error Closed() { return Error{ErrorCode::kUnavailable, "the near cache is closed", "", "", 0}; }
Error NoSession() {
  return Error{ErrorCode::kUnavailable,
               "the near cache has no session: the cluster cannot be reached", "", "Try again.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

template <class Request>
void FillValue(const std::string& bytes, Request* request) {
  const bool ascii =
      std::all_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) == 0; });
  (ascii ? *request->mutable_value() : *request->mutable_data()) = bytes;
}

template <class Message>
std::optional<Message> Parse(const Result<Reply>& reply) {
  Message message;
  if (!reply || !message.ParseFromString(reply->body)) return std::nullopt;
  return message;
}

}  // namespace

// --- A turn

void NearCacheCore::Turn::Release(uint64_t session, const std::string& key, uint64_t number) {
  cache::Line* line = releases_[session].add_lines();
  line->set_key(key);
  line->set_line(number);
}

void NearCacheCore::Turn::LetGo() {
  if (!lock_.owns_lock()) return;
  for (auto& [session, request] : releases_) {
    request.set_session(session);
    for (int from = 0; from < request.lines_size();) {
      cache::ReleaseRequest part;
      part.set_session(session);
      const int to = std::min<int>(from + 1'000, request.lines_size());
      for (; from < to; ++from) *part.add_lines() = request.lines(from);
      Job job;
      job.method = kRelease;
      job.request = part.SerializeAsString();
      job.session = session;
      jobs_.push_back(std::move(job));
    }
  }
  releases_.clear();
  struct Outgoing {
    uint64_t number;
    Job job;
  };
  std::vector<Outgoing> outgoing;
  for (Job& job : std::exchange(jobs_, {})) {
    const uint64_t number = ++core_.last_call_;
    core_.under_way_.emplace(number, std::nullopt);
    outgoing.push_back({number, std::move(job)});
  }
  const std::vector<std::string> lost = std::exchange(lost_, {});
  core_.stats_.lost += lost.size();
  lock_.unlock();
  for (Outgoing& call : outgoing) {
    CallOptions options;
    options.idempotency_key = call.job.idempotency_key;
    options.repeatable = call.job.repeatable && call.job.idempotency_key.empty();
    options.timeout = call.job.timeout.count() != 0 ? call.job.timeout : core_.options_.timeout;
    const char* method = call.job.method;
    std::string request = call.job.request;
    NearCacheCore& core = core_;
    Pending pending = core.client_.CallAsync(
        method, std::move(request), options,
        [&core, number = call.number, job = std::move(call.job)](Result<Reply> reply) mutable {
          Turn turn(core);
          core.JobEnded(turn, std::move(job), reply);
          turn.LetGo();
          // The last thing that is done: Close waits for it.
          std::lock_guard lock(core.mutex_);
          core.under_way_.erase(number);
          core.changed_.notify_all();
        });
    std::lock_guard lock(core.mutex_);
    const auto at = core.under_way_.find(call.number);
    if (at != core.under_way_.end()) at->second = pending;
  }
  if (core_.options_.lost) {
    for (const std::string& key : lost) core_.options_.lost(key);
  }
}

// --- Lines

NearCacheCore::Line& NearCacheCore::LineOf(const std::string& key) {
  auto& line = lines_[key];
  if (line == nullptr) {
    line = std::make_unique<Line>();
    line->key = key;
    uses_.push_front(line.get());
    line->used = uses_.begin();
    Count(*line);
  }
  return *line;
}

void NearCacheCore::Count(Line& line) {
  const size_t bytes = line.key.size() + line.bytes.size();
  bytes_ = bytes_ - line.counted + bytes;
  line.counted = bytes;
}

NearValue NearCacheCore::ValueOf(const Line& line) const {
  const bool there = line.found && (!line.expires || Clock::now() < *line.expires);
  if (!there) return {};
  return {true, line.bytes, line.state == LineState::kModified ? 0 : line.version};
}

void NearCacheCore::Take(Line& line, const cache::FetchReply& reply, TimePoint asked) {
  const cache::Entry& entry = reply.entry();
  line.found = reply.found();
  line.bytes = entry.value().empty() ? entry.data() : entry.value();
  line.version = entry.version();
  line.expires.reset();
  // From before it was asked: over here a little earlier than over there.
  if (entry.ttl_ms() != 0) line.expires = asked + milliseconds(entry.ttl_ms());
  Count(line);
}

LineAction NearCacheCore::React(Turn& turn, Line& line, LineEvent event) {
  const LineTransition transition = NextOf(line.state, event);
  HOLDFAST_CHECK(
      transition.action != LineAction::kNever,
      std::string("a line that is ") + NameOf(line.state) + " met '" + NameOf(event) + "'");
  if (IsBusy(line.state) && !IsBusy(transition.next)) changed_.notify_all();
  line.state = transition.next;
  switch (transition.action) {
    case LineAction::kPostpone:
      if (line.postponed != LineEvent::kRecall) line.postponed = event;
      break;
    case LineAction::kRelease: Release(turn, line); break;
    case LineAction::kDowngrade: {
      cache::WriteBackRequest request;
      request.set_session(line.session);
      request.set_key(line.key);
      request.set_line(line.number);
      request.set_write(++last_write_);
      request.set_keep(cache::shared);
      Job job;
      job.method = kWriteBack;
      job.request = request.SerializeAsString();
      job.session = line.session;
      turn.Send(std::move(job));
      break;
    }
    case LineAction::kWriteBack: SendWriteBack(turn, line, cache::exclusive); break;
    case LineAction::kWriteBackShared: SendWriteBack(turn, line, cache::shared); break;
    case LineAction::kWriteBackRelease:
    case LineAction::kRescue: SendWriteBack(turn, line, cache::unspecified); break;
    case LineAction::kLose: turn.Lost(line.key); break;
    default: break;
  }
  return transition.action;
}

void NearCacheCore::Release(Turn& turn, const Line& line) {
  turn.Release(line.session, line.key, line.number);
}

void NearCacheCore::Answered(Turn& turn, Line& line, LineEvent event) {
  React(turn, line, event);
  Settle(turn, line);
}

// What was postponed counts now; and of a line that is not held nothing is kept.
void NearCacheCore::Settle(Turn& turn, Line& line) {
  if (IsBusy(line.state)) return;
  if (const auto event = std::exchange(line.postponed, std::nullopt)) React(turn, line, *event);
  if (line.state != LineState::kInvalid) return;
  bytes_ -= line.counted;
  uses_.erase(line.used);
  lines_.erase(std::string(line.key));
}

void NearCacheCore::MakeRoom(Turn& turn) {
  size_t bytes = bytes_;
  size_t lines = lines_.size();
  std::vector<Line*> victims;
  for (auto at = uses_.rbegin(); at != uses_.rend(); ++at) {
    if (bytes <= options_.bytes_max && lines <= options_.lines_max) break;
    if (IsBusy((*at)->state) || *at == uses_.front()) continue;
    bytes -= (*at)->counted;
    --lines;
    victims.push_back(*at);
  }
  stats_.evictions += victims.size();
  for (Line* victim : victims) {
    React(turn, *victim, LineEvent::kEvict);
    Settle(turn, *victim);
  }
}

// --- Writing back

void NearCacheCore::SendWriteBack(Turn& turn, Line& line, cache::Mode keep) {
  if (line.writing_back) {
    line.write_back_next = true;
    return;
  }
  line.writing_back = true;
  line.carried = line.changes;
  cache::WriteBackRequest request;
  request.set_session(line.session);
  request.set_key(line.key);
  request.set_line(line.number);
  request.set_write(++last_write_);
  request.set_keep(keep);
  const NearValue value = ValueOf(line);
  if (value.found) {
    request.set_change(cache::put);
    FillValue(value.bytes, &request);
    if (line.expires) {
      request.set_ttl_ms(static_cast<uint64_t>(std::max<int64_t>(Until(*line.expires).count(), 1)));
    }
  } else {
    request.set_change(cache::erase);
  }
  // Under a key, so that it has one answer however often it is sent.
  const std::string name = "near-" + std::to_string(line.session) + "-" +
                           std::to_string(line.number) + "-" + std::to_string(request.write());
  Job job;
  job.method = kWriteBack;
  job.request = request.SerializeAsString();
  job.idempotency_key = name;
  job.session = line.session;
  job.done = [key = line.key](NearCacheCore& core, Turn& its, const Result<Reply>& reply) {
    core.WroteBack(its, key, reply);
  };
  turn.Send(std::move(job));
}

void NearCacheCore::WroteBack(Turn& turn, const std::string& key, const Result<Reply>& reply) {
  Line& line = *lines_.at(key);
  line.writing_back = false;
  const auto answer = Parse<cache::WriteBackReply>(reply);
  const bool written = answer && (answer->outcome() == cache::WriteBackOutcome::written ||
                                  answer->outcome() == cache::WriteBackOutcome::superseded);
  if (written) line.version = answer->version();
  if (std::exchange(line.write_back_next, false)) {
    SendWriteBack(turn, line,
                  line.state == LineState::kLeaving ? cache::unspecified : cache::shared);
  } else if (!written && line.state == LineState::kModified) {
    React(turn, line, LineEvent::kLeaseEnd);  // Which writes back once more.
  } else if (!written) {
    if (line.state != LineState::kLeaving) React(turn, line, LineEvent::kLeaseEnd);
    Rescue(turn, line);
  } else if (line.state != LineState::kModified || line.carried == line.changes) {
    Answered(turn, line, LineEvent::kWrittenBack);
  } else {
    dirty_.emplace_back(Clock::now() + options_.write_back_after, key);
    wake_.notify_all();
  }
}

// The right is gone. If nobody has written since, the value can still be stored: the version says
// so. Of a key that was absent nothing does: it may have been written and deleted since.
void NearCacheCore::Rescue(Turn& turn, Line& line) {
  const NearValue value = ValueOf(line);
  if (!value.found || line.version == 0 || closed_) {
    Answered(turn, line, LineEvent::kNotWrittenBack);
    return;
  }
  cache::CompareAndSetRequest request;
  request.set_key(line.key);
  request.set_version(line.version);
  FillValue(value.bytes, &request);
  if (line.expires) {
    request.set_ttl_ms(static_cast<uint64_t>(std::max<int64_t>(Until(*line.expires).count(), 1)));
  }
  request.set_wait_ms(static_cast<uint32_t>(std::min<int64_t>(options_.timeout.count(), 60'000)));
  line.writing_back = true;
  Job job;
  job.method = kCompareAndSet;
  job.request = request.SerializeAsString();
  job.idempotency_key =
      "near-rescue-" + std::to_string(line.session) + "-" + std::to_string(line.number);
  job.once = true;
  job.done = [key = line.key](NearCacheCore& core, Turn& its, const Result<Reply>& reply) {
    Line& rescued = *core.lines_.at(key);
    rescued.writing_back = false;
    rescued.postponed.reset();  // Of a session that has ended.
    const auto answer = Parse<cache::WriteReply>(reply);
    const bool stored = answer && answer->outcome() == cache::WriteOutcome::stored;
    core.Answered(its, rescued, stored ? LineEvent::kWrittenBack : LineEvent::kNotWrittenBack);
  };
  turn.Send(std::move(job));
}

// --- Calls of the program

Result<Reply> NearCacheCore::CallNow(const char* method, const google::protobuf::Message& request,
                                     TimePoint deadline, const std::string& idempotency_key) {
  CallOptions options;
  options.timeout = std::max(Until(deadline), milliseconds(1));
  options.idempotency_key = idempotency_key;
  options.repeatable = idempotency_key.empty();
  return client_.Call(method, request.SerializeAsString(), options);
}

bool NearCacheCore::WaitForChange(Turn& turn, TimePoint deadline) {
  turn.LetGo();
  turn.TakeAgain();
  // Not for longer than it takes until the lease is looked at again.
  const TimePoint soon = std::min(deadline, Clock::now() + milliseconds(100));
  changed_.wait_until(turn.lock(), soon);
  return Clock::now() < deadline;
}

std::optional<Result<NearValue>> NearCacheCore::Fetch(Turn& turn, const std::string& key,
                                                      cache::Mode mode, TimePoint deadline) {
  ++stats_.misses;
  const uint64_t session = session_;
  Line& line = *lines_.at(key);
  line.session = session;
  line.number = ++last_number_;
  cache::FetchRequest request;
  request.set_session(session);
  request.set_key(key);
  request.set_mode(mode);
  request.set_line(line.number);
  turn.LetGo();
  const TimePoint asked = Clock::now();
  Result<Reply> reply = Fail(TimeIsUp());
  std::optional<cache::FetchReply> answer;
  do {  // A node may answer before the time is up; asked again it keeps the place in line.
    const int64_t left_ms = std::clamp<int64_t>(Until(deadline).count(), 1, 60'000);
    request.set_wait_ms(static_cast<uint32_t>(left_ms));
    reply = CallNow(kFetch, request, deadline);
    answer = Parse<cache::FetchReply>(reply);
  } while (answer && Clock::now() < deadline &&
           (answer->outcome() == cache::FetchOutcome::waiting ||
            answer->outcome() == cache::FetchOutcome::granted));
  turn.TakeAgain();
  const auto outcome = answer ? answer->outcome() : cache::FetchOutcome::unspecified;
  if (outcome == cache::FetchOutcome::fetched) {
    Take(line, *answer, asked);
    const NearValue value = ValueOf(line);
    // No more than was asked for, and not less.
    const bool all = answer->mode() == cache::exclusive;
    React(turn, line,
          mode == cache::exclusive && !all ? LineEvent::kNotGranted
          : mode != cache::shared && all   ? LineEvent::kGrantedExclusive
                                           : LineEvent::kGrantedShared);
    return value;  // The caller settles it, once it has read or written.
  }
  Answered(turn, line, LineEvent::kNotGranted);
  if (outcome == cache::FetchOutcome::session_not_found) LoseLease(turn, session);
  if (!reply) return Fail(std::move(reply.error()));
  if (outcome == cache::FetchOutcome::too_many_lines) {
    return Fail(Error{ErrorCode::kResourceExhausted, "there is no room for another line", "",
                      "Hold fewer lines, or read with cache.Get.", 100});
  }
  return std::nullopt;
}

Result<NearValue> NearCacheCore::Get(const std::string& key) {
  const TimePoint deadline = Clock::now() + options_.timeout;
  Turn turn(*this);
  do {
    if (closing_) return Fail(Closed());
    if (!LeaseHolds()) {
      if (WaitForChange(turn, deadline)) continue;
      return Fail(NoSession());
    }
    Line& line = LineOf(key);
    uses_.splice(uses_.begin(), uses_, line.used);
    switch (React(turn, line, LineEvent::kRead)) {
      case LineAction::kServe: ++stats_.hits; return ValueOf(line);
      case LineAction::kFetch: {
        const auto mode = options_.writes == Writes::kBack ? cache::any : cache::shared;
        auto ended = Fetch(turn, key, mode, deadline);
        if (ended && *ended) Settle(turn, *lines_.at(key));
        MakeRoom(turn);
        if (ended && !*ended && ended->error().code == ErrorCode::kResourceExhausted) {
          turn.LetGo();
          cache::GetRequest request;
          request.set_key(key);
          CallOptions options;
          options.consistency = Consistency::kLinearizable;
          options.timeout = std::max(Until(deadline), milliseconds(1));
          auto read = client_.Call<cache::Entry>(kGet, request, options);
          if (read && !read->message.exclusive()) {
            const cache::Entry& entry = read->message;
            return NearValue{true, entry.value().empty() ? entry.data() : entry.value(),
                             entry.version()};
          }
          if (!read && read.error().code == ErrorCode::kNotFound) return NearValue{};
        }
        if (ended) return *std::move(ended);
        break;
      }
      default:
        if (!WaitForChange(turn, deadline)) return Fail(TimeIsUp());
    }
  } while (Clock::now() < deadline);
  return Fail(TimeIsUp());
}

std::optional<Result<void>> NearCacheCore::Store(Turn& turn, const std::string& key,
                                                 const std::optional<std::string>& bytes,
                                                 milliseconds ttl, TimePoint deadline) {
  const uint64_t session = session_;
  Line& line = *lines_.at(key);
  line.session = session;
  line.number = ++last_number_;
  cache::SetRequest set;
  set.set_key(key);
  set.set_session(session);
  set.set_line(line.number);
  set.set_ttl_ms(static_cast<uint64_t>(ttl.count()));
  if (bytes) FillValue(*bytes, &set);
  cache::DeleteRequest erase;
  erase.set_key(key);
  erase.set_session(session);
  erase.set_line(line.number);
  turn.LetGo();
  const TimePoint asked = Clock::now();
  const auto wait_ms =
      static_cast<uint32_t>(std::clamp<int64_t>(Until(deadline).count(), 1, 60'000));
  set.set_wait_ms(wait_ms);
  erase.set_wait_ms(wait_ms);
  const std::string name =
      "near-set-" + std::to_string(session) + "-" + std::to_string(line.number);
  Result<Reply> reply = Fail(TimeIsUp());
  std::optional<cache::WriteReply> answer;
  cache::WriteOutcome::Code outcome = cache::WriteOutcome::unspecified;
  do {  // As in Fetch. All of these are one write: another node may go on with an earlier one.
    reply = bytes ? CallNow(kSet, set, deadline, name) : CallNow(kDelete, erase, deadline, name);
    answer = Parse<cache::WriteReply>(reply);
    outcome = answer ? answer->outcome() : cache::WriteOutcome::unspecified;
  } while (Clock::now() < deadline &&
           (outcome == cache::WriteOutcome::held || outcome == cache::WriteOutcome::free));
  turn.TakeAgain();
  const bool done = outcome == cache::WriteOutcome::stored ||
                    outcome == cache::WriteOutcome::deleted ||
                    outcome == cache::WriteOutcome::not_found;
  if (done) {
    line.found = bytes.has_value();
    line.bytes = bytes.value_or("");
    line.version = answer->version();
    line.expires.reset();
    if (ttl.count() != 0) line.expires = asked + ttl;
    Count(line);
  }
  Answered(turn, line,
           done && answer->holding() ? LineEvent::kGrantedShared : LineEvent::kNotGranted);
  MakeRoom(turn);
  if (done) return Result<void>{};
  if (outcome == cache::WriteOutcome::session_not_found) LoseLease(turn, session);
  if (!reply) return Fail(std::move(reply.error()));
  if (outcome == cache::WriteOutcome::too_large) {
    return Fail(Error{ErrorCode::kTooLarge, "all that the cache may hold is less than this value",
                      "", "", 0});
  }
  return std::nullopt;
}

Result<void> NearCacheCore::Write(const std::string& key, std::optional<std::string> bytes,
                                  milliseconds ttl) {
  if (key.empty() || key.size() > bounds::kCacheKeyBytesMax) {
    return Fail(InvalidArgument(
        "key", "must have 1 to " + std::to_string(bounds::kCacheKeyBytesMax) + " bytes"));
  }
  if (bytes && bytes->size() > bounds::kCacheValueBytesMax) {
    return Fail(Error{ErrorCode::kTooLarge,
                      "the value has " + std::to_string(bytes->size()) + " bytes; at most " +
                          std::to_string(bounds::kCacheValueBytesMax) + " are allowed",
                      "", "", 0});
  }
  const TimePoint deadline = Clock::now() + options_.timeout;
  const auto event =
      options_.writes == Writes::kBack ? LineEvent::kWriteLocal : LineEvent::kWriteThrough;
  Turn turn(*this);
  do {
    if (closing_) return Fail(Closed());
    if (!LeaseHolds()) {
      if (WaitForChange(turn, deadline)) continue;
      return Fail(NoSession());
    }
    // What is on its way back still takes memory.
    if (bytes_ > 2 * options_.bytes_max) {
      if (!WaitForChange(turn, deadline)) break;
      continue;
    }
    Line* line = &LineOf(key);
    uses_.splice(uses_.begin(), uses_, line->used);
    LineAction action = React(turn, *line, event);
    if (action == LineAction::kStore) {
      if (auto ended = Store(turn, key, bytes, ttl, deadline)) return *std::move(ended);
      continue;
    }
    if (action == LineAction::kFetchExclusive) {
      const auto ended = Fetch(turn, key, cache::exclusive, deadline);
      if (!ended) continue;
      if (!*ended) return Fail(ended->error());
      line = lines_.at(key).get();
      // Still in the same turn, so that a recall does not take the line before it was of use.
      if (MayWrite(line->state)) {
        action = React(turn, *line, event);
      } else {
        Settle(turn, *line);
        continue;
      }
    }
    if (action == LineAction::kWrite) {
      line->found = bytes.has_value();
      line->bytes = std::move(bytes).value_or("");
      line->expires.reset();
      if (ttl.count() != 0) line->expires = Clock::now() + ttl;
      // The first change since the last write back sets the time of the next one.
      if (line->changes++ == line->carried && !line->writing_back) {
        dirty_.emplace_back(Clock::now() + options_.write_back_after, key);
        wake_.notify_all();
      }
      Count(*line);
      Settle(turn, *line);
      MakeRoom(turn);
      return {};
    }
    if (!WaitForChange(turn, deadline)) break;
  } while (Clock::now() < deadline);
  return Fail(TimeIsUp());
}

NearCacheStats NearCacheCore::stats() const {
  std::lock_guard lock(mutex_);
  NearCacheStats stats = stats_;
  stats.lines = lines_.size();
  stats.bytes = bytes_;
  return stats;
}

// --- near_cache.h

NearCache::NearCache(Client& client, NearCacheOptions options)
    : core_(std::make_unique<NearCacheCore>(client, std::move(options))) {}
NearCache::~NearCache() { (void)core_->Close(); }
Result<NearValue> NearCache::Get(const std::string& key) { return core_->Get(key); }
Result<void> NearCache::Set(const std::string& key, std::string bytes, milliseconds ttl) {
  return core_->Write(key, std::move(bytes), ttl);
}
Result<void> NearCache::Erase(const std::string& key) {
  return core_->Write(key, std::nullopt, {});
}
Result<void> NearCache::Close() { return core_->Close(); }
NearCacheStats NearCache::stats() const { return core_->stats(); }

}  // namespace holdfast::client

#include "sim/cache_requests.h"

#include "src/base/bounds.h"

namespace holdfast::sim {
namespace {

constexpr size_t kSessionsKnown = 3;
// None that there is: whoever signs with the session of a near cache has that one read what is old.
constexpr uint64_t kSessionUnknown = 1'000'000'000;
constexpr size_t kHeldKnown = 8;
// Some of them are all that the cache may hold.
constexpr uint64_t kLargeBytesMin = 200 << 10;
constexpr uint64_t kLargeBytesMax = 700 << 10;

}  // namespace

// "n..." has numbers, mostly; "k1" and "k12" begin alike.
std::string CacheRequests::Key() {
  switch (random_.Between(0, 7)) {
    case 0: return "n" + std::to_string(random_.Between(1, 2));
    case 1: return "k12";
    default: return "k" + std::to_string(random_.Between(1, 3));
  }
}

uint64_t CacheRequests::Session() {
  if (sessions_.empty() || random_.OneIn(40)) return kSessionUnknown;
  return sessions_[random_.Between(0, sessions_.size() - 1)];
}

CacheRequests::Held CacheRequests::Line() {
  if (held_.empty() || random_.OneIn(8)) return {Session(), Key(), Number()};
  return held_[random_.Between(0, held_.size() - 1)];
}

uint32_t CacheRequests::WaitMs() {
  if (random_.OneIn(3)) return 0;
  return static_cast<uint32_t>(random_.Between(1, random_.OneIn(2) ? 300 : 3'000));
}

template <class Request>
void CacheRequests::Sign(Request* request) {
  if (const uint32_t wait_ms = WaitMs(); wait_ms != 0) request->set_wait_ms(wait_ms);
  if (!random_.OneIn(3)) return;
  request->set_session(Session());
  request->set_line(Number());
}

cache::SetRequest CacheRequests::Set() {
  cache::SetRequest request;
  request.set_key(Key());
  if (random_.OneIn(5)) {
    request.set_data(Value());
  } else {
    request.set_value(request.key()[0] == 'n' ? std::to_string(++values_) : Value());
  }
  if (random_.OneIn(4)) request.set_ttl_ms(random_.Between(1, 2'000));
  Sign(&request);
  return request;
}

cache::CompareAndSetRequest CacheRequests::CompareAndSet() {
  cache::CompareAndSetRequest request;
  request.set_key(Key());
  if (!random_.OneIn(4)) request.set_version(versions_[request.key()]);
  request.set_value(Value());
  if (random_.OneIn(6)) request.set_ttl_ms(random_.Between(1, 2'000));
  Sign(&request);
  return request;
}

cache::FetchRequest CacheRequests::Fetch() {
  cache::FetchRequest request;
  request.set_session(Session());
  request.set_key(Key());
  request.set_line(Number());
  request.set_mode(static_cast<cache::Mode>(random_.Between(0, 3)));
  if (const uint32_t wait_ms = WaitMs(); wait_ms != 0) request.set_wait_ms(wait_ms);
  return request;
}

Asked CacheRequests::OfLines() {
  switch (random_.Between(0, 7)) {
    case 0:
    case 1:
    case 2: {
      cache::ReleaseRequest request;
      const Held held = Line();
      request.set_session(held.session);
      request.add_lines()->set_key(held.key);
      request.mutable_lines(0)->set_line(held.line);
      return AskedOf("cache.Release", request);
    }
    case 3:
    case 4: {
      cache::WriteBackRequest request;
      const Held held = Line();
      request.set_session(held.session);
      request.set_key(held.key);
      request.set_line(held.line);
      request.set_write(++numbers_ + random_.Between(0, 2));
      request.set_change(static_cast<cache::Change>(random_.Between(0, 2)));
      if (request.change() == cache::put) request.set_value(Value());
      request.set_keep(static_cast<cache::Mode>(random_.Between(0, 2)));
      return AskedOf("cache.WriteBack", request);
    }
    default: return AskedOf("cache.Fetch", Fetch());
  }
}

Asked CacheRequests::Large() {
  cache::SetRequest request;
  request.set_key("large" + std::to_string(random_.Between(1, 9)));
  request.set_value(Value());
  request.mutable_value()->append(random_.Between(kLargeBytesMin, kLargeBytesMax), 'x');
  return AskedOf("cache.Set", request);
}

Asked CacheRequests::Rare() {
  switch (random_.Between(0, 11)) {
    case 0: {
      cache::ConfigureRequest request;
      request.set_max_bytes(bounds::kCacheBytesMin + random_.Between(0, 1 << 20));
      return AskedOf("cache.Configure", request);
    }
    case 1:
    case 2: {
      cache::DeletePrefixRequest request;
      request.set_prefix(random_.OneIn(2) ? "k1" : "n");
      if (const uint32_t wait_ms = WaitMs(); wait_ms != 0) request.set_wait_ms(wait_ms);
      return AskedOf("cache.DeletePrefix", request);
    }
    case 3:
    case 4: {
      cache::SetManyRequest request;
      for (const char* key : {"k1", "k12", "n1"}) {
        cache::NewEntry* entry = request.add_entries();
        entry->set_key(key);
        entry->set_value(std::to_string(++values_));
        if (random_.OneIn(4)) entry->set_ttl_ms(random_.Between(1, 2'000));
      }
      if (const uint32_t wait_ms = WaitMs(); wait_ms != 0) request.set_wait_ms(wait_ms);
      return AskedOf("cache.SetMany", request);
    }
    case 5:
    case 6:
    case 7: {
      cache::TouchRequest request;
      for (uint64_t i = random_.Between(1, 3); i > 0; --i) {
        request.add_keys(random_.OneIn(2) ? Key()
                                          : "large" + std::to_string(random_.Between(1, 9)));
      }
      return AskedOf("cache.Touch", request);
    }
    case 8: {
      sessions::CloseRequest request;
      request.set_id(Session());
      if (random_.OneIn(3)) return AskedOf("sessions.Close", request);
      [[fallthrough]];
    }
    default: return Large();
  }
}

Asked CacheRequests::Make() {
  if (numbers_ == 0) {  // As little as may be, so that some have to go.
    ++numbers_;
    cache::ConfigureRequest request;
    request.set_max_bytes(bounds::kCacheBytesMin);
    return AskedOf("cache.Configure", request);
  }
  if (sessions_.empty() || random_.OneIn(24)) {
    sessions::OpenRequest request;
    request.set_ttl_ms(static_cast<uint32_t>(random_.Between(1'000, 2'500)));
    return AskedOf("sessions.Open", request);
  }
  switch (random_.Between(0, 23)) {
    case 0:
    case 1: {
      sessions::KeepAliveRequest request;
      request.set_id(Session());
      return AskedOf("sessions.KeepAlive", request);
    }
    case 2: return Rare();
    case 3:
    case 4:
    case 5: return AskedOf("cache.CompareAndSet", CompareAndSet());
    case 6:
    case 7: {
      cache::DeleteRequest request;
      request.set_key(Key());
      Sign(&request);
      return AskedOf("cache.Delete", request);
    }
    case 8:
    case 9: {
      cache::IncrementRequest request;
      request.set_key(random_.OneIn(4) ? Key() : "n" + std::to_string(random_.Between(1, 2)));
      if (random_.OneIn(2)) request.set_by(static_cast<int64_t>(random_.Between(0, 9)) - 4);
      if (random_.OneIn(4)) request.set_ttl_ms(random_.Between(1, 2'000));
      Sign(&request);
      return AskedOf("cache.Increment", request);
    }
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
    case 15: return AskedOf("cache.Set", Set());
    default: return OfLines();
  }
}

Asked CacheRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  switch (random_.Between(0, 7)) {
    case 0:
    case 1: {
      cache::GetRequest request;
      request.set_key(Key());
      return AskedOf("cache.Get", request);
    }
    case 2: {
      cache::GetManyRequest request;
      for (const char* key : {"k1", "k2", "k12", "n1"}) request.add_keys(key);
      return AskedOf("cache.GetMany", request);
    }
    case 3: return AskedOf("cache.Stats", cache::StatsRequest());
    case 4: {
      cache::RecallsRequest request;
      request.set_session(Session());
      if (random_.OneIn(3)) request.set_after(random_.Between(1, 50));
      if (const uint32_t wait_ms = WaitMs(); wait_ms != 0) request.set_wait_ms(wait_ms);
      return AskedOf("cache.Recalls", request);
    }
    case 5: {
      cache::FetchRequest request = Fetch();
      const Held held = Line();
      request.set_session(held.session);
      request.set_key(held.key);
      request.set_line(held.line);
      return AskedOf("cache.AwaitFetch", request);
    }
    case 6: return AskedOf("cache.AwaitCompareAndSet", CompareAndSet());
    default: return AskedOf("cache.AwaitSet", Set());
  }
}

void CacheRequests::Learn(const std::string& method, const google::protobuf::Message& request,
                          const std::string& reply) {
  if (method == "sessions.Open") {
    sessions::SessionReply opened;
    if (!opened.ParseFromString(reply) || opened.id() == 0) return;
    sessions_.push_front(opened.id());
    if (sessions_.size() > kSessionsKnown) sessions_.pop_back();
  } else if (method == "cache.Fetch") {
    cache::FetchReply fetched;
    if (!fetched.ParseFromString(reply)) return;
    const auto& fetch = static_cast<const cache::FetchRequest&>(request);
    const bool holds = fetched.outcome() == cache::FetchOutcome::granted ||
                       fetched.outcome() == cache::FetchOutcome::fetched;
    if (holds) held_.push_front({fetch.session(), fetch.key(), fetch.line()});
    if (fetched.found()) versions_[fetch.key()] = fetched.entry().version();
  } else if (method == "cache.Set") {
    cache::WriteReply written;
    if (!written.ParseFromString(reply)) return;
    const auto& set = static_cast<const cache::SetRequest&>(request);
    if (written.version() != 0) versions_[set.key()] = written.version();
    if (written.holding()) held_.push_front({set.session(), set.key(), set.line()});
  } else if (method == "cache.CompareAndSet") {
    cache::WriteReply written;
    if (!written.ParseFromString(reply)) return;
    versions_[static_cast<const cache::CompareAndSetRequest&>(request).key()] = written.version();
  }
  while (held_.size() > kHeldKnown) held_.pop_back();
}

}  // namespace holdfast::sim

#include "sim/coordination_requests.h"

namespace holdfast::sim {
namespace {

constexpr size_t kSessionsKnown = 4;
// None that there is: whoever closes the session of a near cache has that one read what is old.
constexpr uint64_t kSessionUnknown = 1'000'000'000;
constexpr size_t kHeldKnown = 8;

}  // namespace

std::string CoordinationRequests::Name() { return "l" + std::to_string(random_.Between(1, 4)); }
std::string CoordinationRequests::Owner() { return "o" + std::to_string(random_.Between(1, 6)); }

uint64_t CoordinationRequests::Session() {
  if (sessions_.empty() || random_.OneIn(40)) return kSessionUnknown;
  return sessions_[random_.Between(0, sessions_.size() - 1)];
}

uint64_t CoordinationRequests::TokenOf(const std::string& name, const std::string& owner) {
  for (const Held& held : held_) {
    if (held.name == name && held.owner == owner) return held.token;
  }
  return random_.Between(1, 50);
}

locks::AcquireRequest CoordinationRequests::Acquire() {
  locks::AcquireRequest request;
  request.set_owner(Owner());
  request.set_mode(random_.OneIn(3) ? locks::shared : locks::exclusive);
  if (random_.OneIn(4)) {
    for (uint64_t i = random_.Between(1, 3); i > 0; --i) request.add_names(Name());
  } else {
    request.set_name(Name());
  }
  switch (random_.Between(0, 3)) {
    case 0:
    case 1: request.set_session(Session()); break;
    case 2: request.set_ttl_ms(static_cast<uint32_t>(random_.Between(1, 300))); break;
    default: request.set_ttl_ms(static_cast<uint32_t>(random_.Between(300, 4'000))); break;
  }
  if (random_.OneIn(2)) {
    const uint64_t longest = random_.OneIn(2) ? 300 : 3'000;
    request.set_wait_ms(static_cast<uint32_t>(random_.Between(1, longest)));
  }
  if (random_.OneIn(4)) {
    request.set_lock_delay_ms(static_cast<uint32_t>(random_.Between(1, 1'000)));
  }
  return request;
}

locks::ReleaseRequest CoordinationRequests::Release() {
  locks::ReleaseRequest request;
  request.set_name(Name());
  request.set_owner(Owner());
  if (!held_.empty() && !random_.OneIn(4)) {
    const Held& held = held_[random_.Between(0, held_.size() - 1)];
    request.set_name(held.name);
    request.set_owner(held.owner);
  }
  if (random_.OneIn(3)) request.set_token(TokenOf(request.name(), request.owner()));
  return request;
}

locks::CheckRequest CoordinationRequests::Check() {
  locks::CheckRequest request;
  request.set_name(Name());
  request.set_token(random_.Between(1, 50));
  if (!held_.empty() && !random_.OneIn(8)) {
    const size_t last = random_.OneIn(2) ? 0 : held_.size() - 1;
    const Held& held = held_[random_.Between(0, last)];
    request.set_name(held.name);
    request.set_token(held.token);
  }
  return request;
}

Asked CoordinationRequests::Make() {
  if (sessions_.empty() || random_.OneIn(24)) {
    sessions::OpenRequest request;
    request.set_ttl_ms(static_cast<uint32_t>(random_.Between(1'000, 2'500)));
    request.set_name("n" + std::to_string(random_.Between(1, 99)));
    return AskedOf("sessions.Open", request);
  }
  switch (random_.Between(0, 23)) {
    case 0:
    case 1:
    case 2: {
      sessions::KeepAliveRequest request;
      request.set_id(Session());
      return AskedOf("sessions.KeepAlive", request);
    }
    case 3: {
      if (!random_.OneIn(3)) return AskedOf("locks.Check", Check());
      sessions::CloseRequest request;
      request.set_id(Session());
      return AskedOf("sessions.Close", request);
    }
    case 4:
    case 5: {
      locks::ExtendRequest request;
      const locks::ReleaseRequest like = Release();
      request.set_name(like.name());
      request.set_owner(like.owner());
      request.set_token(like.token());
      if (random_.OneIn(2)) {
        request.set_ttl_ms(static_cast<uint32_t>(random_.Between(1, 3'000)));
      }
      return AskedOf("locks.Extend", request);
    }
    case 6:
    case 7: return AskedOf("locks.Check", Check());
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13: return AskedOf("locks.Release", Release());
    default: return AskedOf("locks.Acquire", Acquire());
  }
}

Asked CoordinationRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  switch (random_.Between(0, 4)) {
    case 0: {
      sessions::GetRequest request;
      request.set_id(Session());
      return AskedOf("sessions.Get", request);
    }
    case 1: {
      sessions::ListRequest request;
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 3)));
      if (random_.OneIn(3)) request.set_after(Session());
      return AskedOf("sessions.List", request);
    }
    case 2: {
      locks::ListRequest request;
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 3)));
      if (random_.OneIn(3)) request.set_after_name(Name());
      return AskedOf("locks.List", request);
    }
    case 3:
      if (random_.OneIn(3)) return AskedOf("locks.AwaitAcquire", Acquire());
      [[fallthrough]];
    default: {
      locks::GetRequest request;
      request.set_name(Name());
      return AskedOf("locks.Get", request);
    }
  }
}

void CoordinationRequests::Learn(const std::string& method,
                                 const google::protobuf::Message& request,
                                 const std::string& reply) {
  if (method == "sessions.Open") {
    sessions::SessionReply opened;
    if (!opened.ParseFromString(reply) || opened.id() == 0) return;
    sessions_.push_front(opened.id());
    if (sessions_.size() > kSessionsKnown) sessions_.pop_back();
  } else if (method == "locks.Acquire") {
    locks::AcquireReply acquired;
    if (!acquired.ParseFromString(reply)) return;
    const std::string& owner = static_cast<const locks::AcquireRequest&>(request).owner();
    for (const locks::Grant& grant : acquired.locks()) {
      held_.push_front({grant.name(), owner, grant.token()});
    }
    while (held_.size() > kHeldKnown) held_.pop_back();
  }
}

}  // namespace holdfast::sim

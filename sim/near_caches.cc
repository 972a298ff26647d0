#include "sim/near_caches.h"

#include "services/sessions/sessions.pb.h"
#include "sim/methods.h"
#include "src/base/reached.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kTickUsMax = 20'000;
constexpr uint64_t kPatienceMs = 400;  // Before a message is sent again.
constexpr uint64_t kPauseMs = 100;     // Before what failed is tried again.
constexpr uint64_t kTimeoutMs = 2'000;
constexpr uint32_t kRecallsWaitMs = 1'000;

}  // namespace

NearCaches::NearCaches(World& world, Cluster& cluster, Checker& checker, uint64_t count)
    : world_(world), cluster_(cluster), checker_(checker) {
  for (uint64_t id = 1; id <= count; ++id) {
    auto near = std::make_unique<Near>();
    near->id = id;
    near->writes_back = world_.random.OneIn(2);
    near->ttl_ms = world_.random.Between(1'000, 2'500);
    nears_.push_back(std::move(near));
    TickLater(*nears_.back());
  }
}

NearCaches::~NearCaches() = default;

void NearCaches::Finish() {
  finishing_ = true;
  for (const auto& near : nears_) Die(*near);
}

// --- Time

void NearCaches::TickLater(Near& near) {
  world_.events.After(world_.random.Between(1, kTickUsMax),
                      [this, alive = std::weak_ptr(alive_), &near] {
                        if (!alive.expired() && !finishing_) Tick(near);
                      });
}

void NearCaches::Die(Near& near) {
  ++near.life;
  near.up = false;
  near.session = 0;
  near.opening = near.following = false;
  near.cut_until_us = 0;
  near.lines.clear();
}

void NearCaches::Tick(Near& near) {
  TickLater(near);
  if (!near.up) {
    near.up = world_.random.OneIn(30);
    return;
  }
  if (world_.random.OneIn(400)) {
    world_.Trace("near cache " + std::to_string(near.id) + " dies");
    Die(near);
    return;
  }
  if (world_.random.OneIn(400)) {
    const uint64_t ms = world_.random.Between(100, 2 * near.ttl_ms);
    world_.Trace("near cache " + std::to_string(near.id) + " is cut off for " + std::to_string(ms) +
                 " ms");
    near.cut_until_us = InMs(ms);
  }
  const uint64_t now_us = world_.events.now_us();
  // A program looks at its clock now and then only; what it serves, it serves by the clock.
  if (near.session != 0 && now_us >= near.lease_until_us && world_.random.OneIn(3)) {
    HOLDFAST_REACHED("sim.near_caches.lease_runs_out");
    LoseLease(near);
  }
  if (near.session == 0 && !near.opening) Open(near);
  if (near.session != 0 && now_us >= near.keep_alive_at_us) KeepAlive(near);
  if (near.session != 0 && !near.following) Follow(near);
  const std::string key = "k" + std::to_string(world_.random.Between(1, 3));
  if (!LeaseHolds(near)) return;
  switch (world_.random.Between(0, 9)) {
    case 0:
    case 1: Write(near, key); break;
    case 2:
    case 3:
      if (near.lines.contains(key)) {
        const bool flush = !near.lines[key].writing_back && world_.random.OneIn(2);
        React(near, key, flush ? LineEvent::kFlush : LineEvent::kEvict);
        Settle(near, key);
      }
      break;
    default: Read(near, key);
  }
}

// --- The session

void NearCaches::Open(Near& near) {
  near.opening = true;
  sessions::OpenRequest request;
  request.set_ttl_ms(static_cast<uint32_t>(near.ttl_ms));
  request.set_name("near cache " + std::to_string(near.id));
  Call call = CallOf("sessions.Open", Shared(request), "o" + std::to_string(++keys_));
  call.until_us = InMs(kTimeoutMs);
  call.heard = [this, &near, asked_us = world_.events.now_us()](const std::string* reply) {
    near.opening = false;
    const auto opened = ParsedOrNot<sessions::SessionReply>(reply);
    if (!opened || opened->outcome() != sessions::SessionOutcome::opened) return;
    near.session = opened->id();
    near.cursor = 0;
    near.following = false;
    // A tenth is left for clocks that run at different speeds.
    near.lease_until_us = asked_us + near.ttl_ms * 900;
    near.keep_alive_at_us = asked_us + near.ttl_ms * 1'000 / 3;
  };
  Send(near, std::move(call));
}

void NearCaches::KeepAlive(Near& near) {
  near.keep_alive_at_us = InMs(near.ttl_ms / 3);
  sessions::KeepAliveRequest request;
  request.set_id(near.session);
  Call call = CallOf("sessions.KeepAlive", Shared(request));
  call.session = near.session;
  call.until_us = InMs(near.ttl_ms / 3);
  call.heard = [this, &near, session = near.session,
                asked_us = world_.events.now_us()](const std::string* reply) {
    if (near.session != session) return;
    const auto kept = ParsedOrNot<sessions::SessionReply>(reply);
    if (!kept) {
      near.keep_alive_at_us = InMs(kPauseMs);
    } else if (kept->outcome() == sessions::SessionOutcome::kept) {
      near.lease_until_us = std::max(near.lease_until_us, asked_us + near.ttl_ms * 900);
    } else {
      LoseLease(near);
    }
  };
  Send(near, std::move(call));
}

void NearCaches::LoseLease(Near& near) {
  near.session = 0;
  near.following = false;
  std::vector<std::string> keys;
  for (const auto& [key, line] : near.lines) keys.push_back(key);
  for (const std::string& key : keys) {
    React(near, key, LineEvent::kLeaseEnd);
    Settle(near, key);
  }
}

void NearCaches::Follow(Near& near) {
  near.following = true;
  cache::RecallsRequest request;
  request.set_session(near.session);
  request.set_after(near.cursor);
  request.set_wait_ms(kRecallsWaitMs);
  Call call = CallOf("cache.Recalls", Shared(request));
  call.session = near.session;
  call.heard = [this, &near, session = near.session](const std::string* reply) {
    if (near.session != session) return;
    near.following = false;
    if (const auto recalls = ParsedOrNot<cache::RecallsReply>(reply)) Recalled(near, *recalls);
  };
  Send(near, std::move(call));
}

void NearCaches::Recalled(Near& near, const cache::RecallsReply& reply) {
  if (!reply.session_found()) {
    LoseLease(near);
    return;
  }
  near.cursor = reply.cursor();
  for (const cache::Recall& recall : reply.recalls()) {
    const auto found = near.lines.find(recall.key());
    const bool ours = found != near.lines.end() && found->second.session == near.session &&
                      found->second.number == recall.line();
    if (ours) {
      HOLDFAST_REACHED("sim.near_caches.is_recalled");
      React(near, recall.key(),
            recall.keep() == cache::shared ? LineEvent::kRecallToShared : LineEvent::kRecall);
      Settle(near, recall.key());
    } else {
      Release(near, near.session, recall.key(), recall.line());
    }
  }
}

// --- Messages

NearCaches::Call NearCaches::CallOf(const char* method,
                                    std::shared_ptr<google::protobuf::Message> request,
                                    std::string key) {
  Call call;
  call.method = method;
  call.request = std::move(request);
  call.key = std::move(key);
  return call;
}

void NearCaches::Send(Near& near, Call call) {
  if (call.asked_us == 0) {
    call.asked_us = world_.events.now_us();
    call.after = checker_.told();
  }
  Try(near, std::make_shared<Call>(std::move(call)));
}

void NearCaches::Try(Near& near, const std::shared_ptr<Call>& call) {
  const uint64_t now_us = world_.events.now_us();
  const bool is_over = (call->session != 0 && call->session != near.session) ||
                       (call->until_us != 0 && now_us >= call->until_us);
  if (std::exchange(call->tried, true) && is_over) {
    call->done = true;
    if (call->heard) call->heard(nullptr);
    return;
  }
  // Sent again when there is no answer in time; who waits has more of it.
  const uint64_t patience_ms = kPatienceMs + WaitMsOf(*call->request);
  world_.events.After(world_.random.Between(kPatienceMs, patience_ms) * 1'000,
                      [this, alive = std::weak_ptr(alive_), &near, life = near.life, call] {
                        if (!alive.expired() && near.life == life && !call->done) Try(near, call);
                      });
  if (IsCut(near) || world_.random.OneIn(20)) return;  // Lost.
  const std::string& method = call->method;
  const bool is_read = method == "cache.Recalls";
  const std::string key = !call->key.empty() || is_read ? call->key : "n" + std::to_string(++keys_);
  const LogIndex after = call->key.empty() ? checker_.told() : call->after;
  const uint64_t tried_us = call->key.empty() ? now_us : call->asked_us;
  node::CallOptions options;
  options.idempotency_key = key;
  options.deadline = std::chrono::steady_clock::time_point::max();
  if (is_read) options.after = near.token;
  const int copies = world_.random.OneIn(10) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    const uint64_t late_us = world_.random.OneIn(10) ? 500'000 : 5'000;
    world_.events.After(
        world_.random.Between(0, late_us), [this, alive = std::weak_ptr(alive_), &near,
                                            life = near.life, call, key, after, tried_us, options] {
          if (alive.expired() || finishing_) return;
          const NodeId node(world_.random.Between(1, cluster_.size()));
          cluster_.Call(node, call->method, *call->request, options,
                        [this, alive, &near, life, call, key, after, tried_us](node::Reply reply) {
                          if (alive.expired() || near.life != life) return;
                          Hear(near, call, key, tried_us, after, reply);
                        });
        });
  }
}

void NearCaches::Hear(Near& near, const std::shared_ptr<Call>& call, const std::string& key,
                      uint64_t tried_us, LogIndex after, const node::Reply& reply) {
  if (call->done || IsCut(near) || !reply.body) return;
  call->done = true;
  near.token = std::max(near.token, reply.position);
  if (call->method == "cache.Recalls") {
    ReadRecord record;
    record.method = call->method;
    record.request = call->request->SerializeAsString();
    record.position = reply.position;
    record.found = true;
    record.reply = *reply.body;
    checker_.Answer(std::move(record));
  } else {
    WriteRecord record;
    record.key = key;
    record.method = call->method;
    record.request = call->request->SerializeAsString();
    record.awaits = AwaitsOf(call->method, *call->request);
    record.began_us = tried_us;
    record.after = after;
    record.position = reply.position;
    record.replayed = reply.replayed;
    record.reply = *reply.body;
    checker_.Acknowledge(std::move(record));
  }
  if (call->heard) call->heard(&*reply.body);
}

}  // namespace holdfast::sim

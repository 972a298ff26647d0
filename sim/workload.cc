#include "sim/workload.h"

#include "sim/methods.h"
#include "src/base/bounds.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kAttemptsMax = 12;

}  // namespace

Workload::Workload(World& world, Cluster& cluster, Checker& checker, WorkloadOptions options)
    : world_(world),
      cluster_(cluster),
      checker_(checker),
      options_(options),
      requests_(world.random, options.shares, options.accounts) {
  requests_.SetClock(
      [&world] { return Cluster::kEpochUs + static_cast<int64_t>(world.events.now_us()); });
  for (size_t i = 0; i < options.clients; ++i) {
    clients_.push_back(std::make_unique<Client>());
    NextLater(*clients_.back());
  }
}

Workload::~Workload() = default;

bool Workload::done() const {
  for (const auto& client : clients_) {
    if (client->busy) return false;
  }
  return true;
}

std::string Workload::Describe() const {
  std::string text;
  for (const auto& client : clients_) {
    if (!client->write) continue;
    const WriteRecord& record = client->write->record;
    text += "\n  " + record.method + " with key " + record.key + ": " +
            ShowRequest(record.method, record.request);
  }
  return text;
}

NodeId Workload::SomeNode() {
  const NodeId leader = cluster_.Leader();
  if (leader.value != 0 && world_.random.OneIn(2)) return leader;
  return NodeId(world_.random.Between(1, cluster_.size()));
}

// Who waits for something has more of it, mostly.
uint64_t Workload::PatienceUs(const google::protobuf::Message& request) {
  const uint64_t wait_ms = WaitMsOf(request);
  const bool waits = wait_ms != 0 && !world_.random.OneIn(4);
  const uint64_t more_ms = waits ? wait_ms + 2 * bounds::kAwaitGraceMs : 0;
  return (more_ms + world_.random.Between(options_.patience_ms_min, options_.patience_ms_max)) *
         1000;
}

void Workload::NextLater(Client& client) {
  world_.events.After(world_.random.Between(0, options_.pause_us_max),
                      [this, alive = std::weak_ptr(alive_), &client] {
                        if (!alive.expired()) Next(client);
                      });
}

void Workload::Next(Client& client) {
  if (finishing_) return;
  client.busy = true;
  if (last_key_ >= options_.writes_max || world_.random.OneIn(4)) {
    Read(client);
    return;
  }
  client.write = std::make_unique<Write>();
  Asked asked = requests_.Make();
  WriteRecord& record = client.write->record;
  record.key = "k" + std::to_string(++last_key_);
  record.method = asked.method;
  record.request = asked.request->SerializeAsString();
  record.awaits = AwaitsOf(asked.method, *asked.request);
  record.began_us = world_.events.now_us();
  record.after = checker_.told();
  client.write->request = std::move(asked.request);
  TryWrite(client);
}

void Workload::TryWrite(Client& client) {
  const uint64_t operation = ++client.operation;
  const Write& write = *client.write;
  if (!finishing_ && ++client.write->attempts > kAttemptsMax) {
    ++abandoned_;  // It may still happen, later than anyone would think.
    client.write.reset();
    client.busy = false;
    NextLater(client);
    return;
  }
  world_.events.After(PatienceUs(*write.request),
                      [this, alive = std::weak_ptr(alive_), &client, operation] {
                        if (alive.expired() || client.operation != operation) return;
                        TryWrite(client);
                      });
  node::CallOptions options;
  options.idempotency_key = write.record.key;
  options.deadline = std::chrono::steady_clock::time_point::max();
  // At times the same request is under way twice.
  const int copies = world_.random.OneIn(10) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    cluster_.Call(SomeNode(), write.record.method, *write.request, options,
                  [this, alive = std::weak_ptr(alive_), &client, operation](node::Reply reply) {
                    if (!alive.expired()) Answered(client, operation, std::move(reply));
                  });
    if (client.operation != operation) return;  // Answered at once.
  }
}

void Workload::Answered(Client& client, uint64_t operation, node::Reply reply) {
  if (client.operation != operation) return;
  if (!reply.body) {
    // Nobody knows: again, after a moment.
    if (finishing_) {
      world_.Trace(client.write->record.method + " with key " + client.write->record.key +
                   " was answered: " + reply.body.error().message);
    }
    const uint64_t again = ++client.operation;
    world_.events.After(world_.random.Between(1'000, 100'000),
                        [this, alive = std::weak_ptr(alive_), &client, again] {
                          if (!alive.expired() && client.operation == again) TryWrite(client);
                        });
    return;
  }
  ++client.operation;
  WriteRecord record = std::move(client.write->record);
  requests_.Learn(record.method, *client.write->request, *reply.body);
  client.write.reset();
  record.position = reply.position;
  record.replayed = reply.replayed;
  record.reply = std::move(*reply.body);
  client.token = std::max(client.token, reply.position);
  checker_.Acknowledge(std::move(record));
  client.busy = false;
  NextLater(client);
}

Asked Workload::NextRead(Client& client) {
  if (auto page = std::exchange(client.next_page, std::nullopt)) return std::move(*page);
  // About as far back as the run, and a little into the future.
  const int64_t begin_us = Cluster::kEpochUs;
  const int64_t end_us = begin_us + static_cast<int64_t>(world_.events.now_us()) + 5'000'000;
  return requests_.MakeRead(begin_us, end_us);
}

void Workload::Read(Client& client) {
  const uint64_t operation = ++client.operation;
  const Asked asked = NextRead(client);
  ReadRecord record;
  record.method = asked.method;
  record.request = asked.request->SerializeAsString();
  record.rows_before = asked.rows_before;
  node::CallOptions options;
  options.deadline = std::chrono::steady_clock::time_point::max();
  switch (world_.random.Between(0, 2)) {
    case 0:
      options.consistency = Consistency::kLinearizable;
      record.after = checker_.told();
      break;
    case 1:
      options.consistency = Consistency::kSession;
      options.after = client.token;
      // Without a token a session begins where the cluster is.
      record.after = client.token.value != 0 ? client.token : checker_.told();
      break;
    case 2: options.consistency = Consistency::kStale; break;
  }
  const auto give_up = [this, alive = std::weak_ptr(alive_), &client, operation] {
    if (alive.expired() || client.operation != operation) return;
    ++client.operation;
    client.busy = false;
    NextLater(client);
  };
  world_.events.After(PatienceUs(*asked.request), give_up);
  cluster_.Call(SomeNode(), asked.method, *asked.request, options,
                [this, give_up, alive = std::weak_ptr(alive_), &client, operation, asked,
                 record](node::Reply reply) mutable {
                  if (alive.expired() || client.operation != operation) return;
                  record.found = reply.body.has_value();
                  // A page may also be asked of a node that has not come so far.
                  if (!record.found && reply.body.error().code != ErrorCode::kNotFound) {
                    give_up();
                    return;
                  }
                  record.position = reply.position;
                  if (record.found) record.reply = std::move(*reply.body);
                  if (record.found && !world_.random.OneIn(3)) {
                    client.next_page = requests_.NextPage(asked, record.reply);
                  }
                  client.token = std::max(client.token, record.position);
                  checker_.Answer(std::move(record));
                  give_up();
                });
}

}  // namespace holdfast::sim

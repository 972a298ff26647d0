#include "sim/queue_requests.h"

namespace holdfast::sim {
namespace {

constexpr size_t kDeliveriesKnown = 24;
constexpr uint32_t kMessagesMax = 80;
constexpr uint32_t kPartitionsMax = 12;

}  // namespace

QueueRequests::QueueRequests(Random& random)
    : random_(random),
      visibility_seconds_(static_cast<uint32_t>(random.Between(1, 2))),
      window_seconds_(static_cast<uint32_t>(random.Between(1, 4))) {}

std::string QueueRequests::Queue() {
  if (random_.OneIn(6)) return random_.OneIn(4) ? "grave" : "dead";
  if (random_.OneIn(6)) return "brief";
  return random_.OneIn(2) ? "mail" : "jobs";
}

queues::CreateRequest QueueRequests::Create(const std::string& name) {
  queues::CreateRequest request;
  request.set_name(name);
  request.set_partitions(3);
  request.set_visibility_seconds(visibility_seconds_);
  request.set_max_messages(kMessagesMax);
  if (name == "grave") return request;
  if (name == "dead") {
    request.set_dead_letter("grave");
    request.set_max_deliveries(1);
    return request;
  }
  request.add_groups("default");
  request.add_groups("audit");
  if (name == "mail" || name == "brief") return request;
  request.set_dedup_window_seconds(window_seconds_);
  request.set_dead_letter("dead");
  request.set_max_deliveries(2);
  return request;
}

queues::CreateGroupRequest QueueRequests::CreateGroup() {
  queues::CreateGroupRequest request;
  request.set_queue("jobs");
  request.set_group("parted");
  request.set_partitioned(true);
  return request;
}

// It goes, or a group of it does, and comes back.
Asked QueueRequests::Brief() {
  switch (random_.Between(0, 5)) {
    case 0: {
      queues::DeleteRequest request;
      request.set_name(random_.OneIn(4) ? Queue() : "brief");
      if (request.name() == "mail" || request.name() == "jobs") request.set_name("brief");
      return AskedOf("queues.Delete", request);
    }
    case 1:
    case 2: {
      queues::DeleteGroupRequest request;
      request.set_queue("brief");
      request.set_group(random_.OneIn(4) ? "default" : "audit");
      return AskedOf("queues.DeleteGroup", request);
    }
    case 3: return AskedOf("queues.Create", Create("brief"));
    default: {
      queues::CreateGroupRequest request;
      request.set_queue("brief");
      request.set_group(random_.OneIn(4) ? "default" : "audit");
      return AskedOf("queues.CreateGroup", request);
    }
  }
}

// A message id always has the same content, or nearly always.
queues::PublishRequest QueueRequests::Publish() {
  queues::PublishRequest request;
  request.set_queue(Queue());
  ++published_;
  if (random_.OneIn(2)) {
    const uint64_t id = published_ / 3 + random_.Between(0, 7);
    request.set_message_id("m" + std::to_string(id));
    request.set_payload("p" + std::to_string(random_.OneIn(12) ? id + 1 : id));
    if (id % 4 != 0) request.set_key("k" + std::to_string(id % 3));
    if (id % 3 == 0) {
      (*request.mutable_headers())["h"] = std::to_string(random_.OneIn(12) ? id + 1 : id);
    }
    return request;
  }
  request.set_payload("u" + std::to_string(published_));
  if (!random_.OneIn(5)) request.set_key("k" + std::to_string(random_.Between(0, 2)));
  if (random_.OneIn(8)) request.set_delay_ms(random_.Between(1, 1'500));
  if (random_.OneIn(8)) (*request.mutable_headers())["h"] = request.payload();
  return request;
}

queues::PullRequest QueueRequests::Pull() {
  queues::PullRequest request;
  request.set_queue(Queue());
  const bool for_dead = request.queue() == "dead" || request.queue() == "grave";
  if (!for_dead && random_.OneIn(2)) request.set_group("audit");
  if (request.queue() == "jobs" && random_.OneIn(3)) {
    request.set_group("parted");
    request.set_partition(static_cast<uint32_t>(random_.Between(0, partitions_ - 1)));
  }
  request.set_max(static_cast<uint32_t>(random_.Between(0, 5)));
  request.set_consumer("c" + std::to_string(random_.Between(1, 3)));
  if (random_.OneIn(4)) request.set_visibility_seconds(1);
  if (random_.OneIn(3)) request.set_wait_ms(static_cast<uint32_t>(random_.Between(1, 1'500)));
  return request;
}

template <class Request>
Request QueueRequests::Named() {
  Request request;
  request.set_queue(Queue());
  for (uint64_t i = random_.Between(1, 3); i > 0 && !deliveries_.empty(); --i) {
    // Mostly the last ones; some long gone.
    const size_t last = random_.OneIn(3) ? deliveries_.size() - 1 : deliveries_.size() / 4;
    const auto& [queue, delivery] = deliveries_[random_.Between(0, last)];
    request.set_queue(queue);
    request.add_deliveries(delivery);
  }
  if (request.deliveries().empty()) request.add_deliveries("1-1-1-1");
  return request;
}

Asked QueueRequests::Rare() {
  switch (random_.Between(0, 7)) {
    case 0: return AskedOf("queues.Create", Create(Queue()));
    case 6:
    case 7: return Brief();
    case 1: return AskedOf("queues.CreateGroup", CreateGroup());
    case 2: {
      queues::UpdateRequest request;
      request.set_name("jobs");
      if (partitions_ < kPartitionsMax) partitions_ += static_cast<uint32_t>(random_.Between(0, 2));
      request.set_partitions(partitions_);
      return AskedOf("queues.Update", request);
    }
    case 3: {
      if (!random_.OneIn(4)) return AskedOf("queues.Pop", queues::PopRequest());
      queues::PurgeRequest request;
      request.set_name(Queue());
      return AskedOf("queues.Purge", request);
    }
    case 4: {
      queues::PushRequest request;
      request.set_key("k" + std::to_string(random_.Between(0, 2)));
      request.set_payload("u" + std::to_string(++published_));
      return AskedOf("queues.Push", request);
    }
    default: return AskedOf("queues.Pop", queues::PopRequest());
  }
}

Asked QueueRequests::Make() {
  switch (++made_) {
    case 1: return AskedOf("queues.Create", Create("grave"));
    case 2: return AskedOf("queues.Create", Create("dead"));
    case 3: return AskedOf("queues.Create", Create("jobs"));
    case 4: return AskedOf("queues.Create", Create("mail"));
    case 5: return AskedOf("queues.Create", Create("brief"));
    case 6: return AskedOf("queues.CreateGroup", CreateGroup());
    default: break;
  }
  // Should the first ones have come the other way round.
  if (made_ < 40 && random_.OneIn(6)) return Rare();
  switch (random_.Between(0, 27)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: return AskedOf("queues.Publish", Publish());
    case 7: {
      queues::PublishBatchRequest request;
      for (uint64_t i = random_.Between(1, 4); i > 0; --i) {
        const queues::PublishRequest one = Publish();
        request.set_queue(one.queue());
        queues::NewMessage* message = request.add_messages();
        message->set_key(one.key());
        message->set_payload(one.payload());
        message->set_message_id(one.message_id());
        message->set_delay_ms(one.delay_ms());
        *message->mutable_headers() = one.headers();
      }
      return AskedOf("queues.PublishBatch", request);
    }
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14: return AskedOf("queues.Pull", Pull());
    case 15:
    case 16: {
      auto request = Named<queues::NackRequest>();
      if (random_.OneIn(2)) request.set_delay_ms(random_.Between(1, 1'500));
      request.set_error("e" + std::to_string(random_.Between(1, 9)));
      return AskedOf("queues.Nack", request);
    }
    case 17: {
      auto request = Named<queues::ExtendRequest>();
      if (random_.OneIn(2)) {
        request.set_visibility_seconds(static_cast<uint32_t>(random_.Between(1, 3)));
      }
      return AskedOf("queues.Extend", request);
    }
    case 18:
      if (random_.OneIn(3)) {
        queues::RedriveRequest request;
        request.set_queue(random_.OneIn(2) ? "grave" : "dead");
        if (random_.OneIn(6)) request.set_group(random_.OneIn(2) ? "default" : "audit");
        request.set_max(static_cast<uint32_t>(random_.Between(0, 3)));
        return AskedOf("queues.Redrive", request);
      }
      return Rare();
    default: return AskedOf("queues.Ack", Ack());
  }
}

Asked QueueRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  switch (random_.Between(0, 4)) {
    case 0: {
      queues::GetRequest request;
      request.set_name(Queue());
      return AskedOf("queues.Get", request);
    }
    case 1: return AskedOf("queues.List", queues::ListRequest());
    case 2: {
      queues::PeekRequest request;
      request.set_queue(Queue());
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 9)));
      if (random_.OneIn(3)) request.set_cursor(std::to_string(random_.Between(1, 99)));
      return AskedOf("queues.Peek", request);
    }
    case 3: {
      queues::PullRequest request = Pull();
      if (random_.OneIn(2)) request.clear_wait_ms();
      return AskedOf("queues.AwaitPull", request);
    }
    default: {
      queues::StatsRequest request;
      request.set_queue(Queue());
      request.set_partitions(random_.OneIn(2));
      return AskedOf("queues.Stats", request);
    }
  }
}

void QueueRequests::Learn(const std::string& method, const google::protobuf::Message& request,
                          const std::string& reply) {
  if (method != "queues.Pull") return;
  queues::PullReply pulled;
  if (!pulled.ParseFromString(reply)) return;
  const std::string& queue = static_cast<const queues::PullRequest&>(request).queue();
  for (const queues::Message& message : pulled.messages()) {
    deliveries_.emplace_front(queue, message.delivery());
  }
  while (deliveries_.size() > kDeliveriesKnown) deliveries_.pop_back();
}

}  // namespace holdfast::sim

// Pulling, and what becomes of a delivery.

#include <algorithm>
#include <set>

#include "services/queues/describe.h"
#include "services/queues/queues.h"
#include "services/queues/validate.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {

// Whether the request may read, and from where.
Queues::Reader Queues::ReaderOf(const PullRequest& request, const QueueRow* queue) {
  Reader reader;
  if (queue == nullptr) {
    reader.refused = PullOutcome::queue_not_found;
    return reader;
  }
  reader.queue = queue;
  reader.group = queue->FindGroup(request.group().empty() ? kDefault : request.group());
  if (reader.group == nullptr) {
    reader.refused = PullOutcome::group_not_found;
  } else if (reader.group->partitioned != request.has_partition()) {
    reader.refused = reader.group->partitioned ? PullOutcome::partition_required
                                               : PullOutcome::group_not_partitioned;
  } else if (request.has_partition() && request.partition() >= queue->partitions) {
    reader.refused = PullOutcome::partition_not_found;
  }
  reader.place = request.partition();
  return reader;
}

void Queues::FillTaken(const QueueRow& queue, const GroupEntry& group, Delivery::Taken taken,
                       int64_t visible_us, Message* message) const {
  FillMessage(taken.head.sequence, taken.message, std::move(taken.body), queue.partitions, message);
  message->set_delivery(
      DeliveryId{queue.number, group.number, taken.head.sequence, taken.head.attempt}.Text());
  message->set_attempt(taken.head.attempt);
  FillTime(visible_us, message->mutable_visible());
  if (taken.message.dead) {
    FillDeadLetter(*taken.origin, message->mutable_dead_letter());
  }
}

Result<void> Queues::Pull(const PullRequest& request, WriteContext& context, PullReply* reply) {
  const auto queue = FindQueue(request.queue());
  const Reader reader = ReaderOf(request, queue ? &*queue : nullptr);
  if (reader.refused != PullOutcome::unspecified) {
    reply->set_outcome(reader.refused);
    return {};
  }
  const uint64_t out = tables_.groups.Find({queue->number, reader.group->number})->in_flight;
  if (out >= bounds::kQueueInFlightMax) {
    reply->set_outcome(PullOutcome::too_many_in_flight);
    return {};
  }
  const uint32_t seconds =
      request.visibility_seconds() == 0 ? queue->visibility_seconds : request.visibility_seconds();
  Delivery::Pull pull;
  pull.place = reader.place;
  pull.messages_max =
      std::min<uint64_t>(std::max(request.max(), 1u), bounds::kQueueInFlightMax - out);
  pull.bytes_max = bounds::kQueuePullBytesMax;
  pull.consumer = request.consumer();
  Delivery delivery(tables_, moved_, context);
  pull.until = delivery.After(int64_t{seconds} * 1'000'000);
  const int64_t visible_us = context.now().us + int64_t{seconds} * 1'000'000;
  for (Delivery::Taken& taken : delivery.Take(*queue, *reader.group, pull)) {
    FillTaken(*queue, *reader.group, std::move(taken), visible_us, reply->add_messages());
  }
  delivery.Finish();
  reply->set_outcome(reply->messages().empty() ? PullOutcome::empty : PullOutcome::pulled);
  return {};
}

Result<void> Queues::AwaitPull(const PullRequest& request, const ReadContext& context,
                               PullReply* reply) const {
  const auto queue = tables_.queues.Get(request.queue());
  const Reader reader = ReaderOf(request, queue ? &*queue : nullptr);
  if (reader.refused != PullOutcome::unspecified) {
    reply->set_outcome(reader.refused);
    return {};
  }
  const PlaceKey place{queue->number, reader.group->number, reader.place};
  const auto ready = tables_.places.Get(place);
  if (ready && ready->ready > 0) {
    reply->set_outcome(PullOutcome::available);
    return {};
  }
  reply->set_outcome(PullOutcome::empty);
  context.WaitFor(TopicOf(*queue, reader.group->number, reader.place));
  return {};
}

Result<void> Queues::Pop(const PopRequest& /*request*/, WriteContext& context, PullReply* reply) {
  PullRequest request;
  request.set_queue(kDefault);
  request.set_consumer("pop");
  if (!FindQueue(kDefault)) {  // Comes into being with its first message.
    reply->set_outcome(PullOutcome::empty);
    return {};
  }
  auto pulled = Pull(request, context, reply);
  if (!pulled || reply->messages().empty()) return pulled;
  const auto queue = FindQueue(kDefault);
  const auto id = DeliveryId::Parse(reply->messages(0).delivery());
  const std::string lane = LaneOf(reply->messages(0).key(), id->sequence);
  Delivery delivery(tables_, moved_, context);
  delivery.Done(*queue, *queue->FindGroup(kDefault), lane,
                HeadRow(*tables_.heads.Find({id->queue, id->group, lane})));
  delivery.Finish();
  reply->mutable_messages(0)->clear_delivery();  // It is done with.
  reply->mutable_messages(0)->clear_visible();
  return {};
}

template <class Request, class Act>
void Queues::ForEach(const Request& request, WriteContext& context, AckReply* reply, Act act) {
  const auto queue = FindQueue(request.queue());
  Delivery delivery(tables_, moved_, context);
  for (const std::string& text : request.deliveries()) {
    AckResult* result = reply->add_results();
    if (!queue) {
      result->set_outcome(AckOutcome::queue_not_found);
      continue;
    }
    result->set_outcome(AckOutcome::expired);
    const auto id = DeliveryId::Parse(text);
    const GroupEntry* group = nullptr;
    for (const GroupEntry& entry : queue->groups) {
      if (entry.number == id->group) group = &entry;
    }
    if (id->queue != queue->number || group == nullptr) continue;
    const MessageRow* message = tables_.messages.Find({id->queue, id->sequence});
    if (message == nullptr) continue;
    const std::string lane = LaneOf(message->key, id->sequence);
    const HeadRow* head = tables_.heads.Find({id->queue, id->group, lane});
    // It names one attempt: a later one belongs to somebody else. Whether its time is over is
    // decided here, not by when the timer gets round to it.
    if (head == nullptr || head->state != HeadState::kOut || head->sequence != id->sequence ||
        head->attempt != id->attempt || head->at_us <= context.lease_now().us) {
      continue;
    }
    act(*queue, *group, lane, HeadRow(*head), delivery, result);
  }
  delivery.Finish();
  if (reply->results_size() == 1) reply->set_outcome(reply->results(0).outcome());
}

Result<void> Queues::Ack(const AckRequest& request, WriteContext& context, AckReply* reply) {
  ForEach(request, context, reply,
          [](const QueueRow& queue, const GroupEntry& group, const std::string& lane,
             const HeadRow& head, Delivery& delivery, AckResult* result) {
            delivery.Done(queue, group, lane, head);
            result->set_outcome(AckOutcome::acked);
          });
  return {};
}

Result<void> Queues::Nack(const NackRequest& request, WriteContext& context, AckReply* reply) {
  ForEach(request, context, reply,
          [&](const QueueRow& queue, const GroupEntry& group, const std::string& lane,
              const HeadRow& head, Delivery& delivery, AckResult* result) {
            const bool dead =
                delivery.Fail(queue, group, lane, head, request.error(), request.delay_ms());
            result->set_outcome(dead ? AckOutcome::dead_lettered : AckOutcome::retried);
            if (dead) return;
            FillTime(delivery.now_us() + static_cast<int64_t>(request.delay_ms()) * 1'000,
                     result->mutable_visible());
          });
  return {};
}

Result<void> Queues::Extend(const ExtendRequest& request, WriteContext& context, AckReply* reply) {
  ForEach(request, context, reply,
          [&](const QueueRow& queue, const GroupEntry& group, const std::string& lane,
              const HeadRow& head, Delivery& delivery, AckResult* result) {
            const uint32_t seconds = request.visibility_seconds() == 0
                                         ? queue.visibility_seconds
                                         : request.visibility_seconds();
            const int64_t more_us = int64_t{seconds} * 1'000'000;
            delivery.Extend(queue.number, group.number, lane, head, delivery.After(more_us));
            result->set_outcome(AckOutcome::extended);
            FillTime(delivery.now_us() + more_us, result->mutable_visible());
          });
  return {};
}

Result<void> Queues::Redrive(const RedriveRequest& request, WriteContext& context,
                             RedriveReply* reply) {
  const auto queue = FindQueue(request.queue());
  if (!queue) {
    reply->set_outcome(RedriveOutcome::queue_not_found);
    return {};
  }
  const GroupEntry* group = queue->FindGroup(request.group().empty() ? kDefault : request.group());
  // Whoever has but one group means that; of several the request has to say which.
  if (group == nullptr && request.group().empty() && queue->groups.size() == 1) {
    group = &queue->groups.front();
  }
  if (group == nullptr) {
    reply->set_outcome(RedriveOutcome::group_not_found);
    return {};
  }
  reply->set_outcome(RedriveOutcome::redriven);
  std::vector<uint64_t> places;
  tables_.places.Scan(
      {queue->number, group->number, 0}, [&](const PlaceKey& key, const PlaceRow& row) {
        if (std::get<0>(key) != queue->number || std::get<1>(key) != group->number) {
          return false;
        }
        if (row.ready > 0) places.push_back(std::get<2>(key));
        return true;
      });
  Delivery delivery(tables_, moved_, context);
  uint32_t budget = request.max() == 0 ? 100 : request.max();
  for (const uint64_t place : places) {
    std::set<std::string> left;
    uint64_t last = 0;
    while (!reply->more()) {
      const auto next = delivery.NextReady(queue->number, group->number, place, last);
      if (!next) break;
      last = next->order;
      const std::string& lane = next->lane;
      if (left.contains(lane)) continue;  // It went to the back; others may have come behind it.
      if (budget == 0 || !delivery.HasRoom()) {
        reply->set_more(true);
        break;
      }
      --budget;
      const HeadRow head = *tables_.heads.Find({queue->number, group->number, lane});
      const MessageKey key{queue->number, head.sequence};
      const bool is_dead = tables_.messages.Find(key)->dead;
      auto origin = is_dead ? tables_.origins.Get(key) : std::nullopt;
      const auto target = origin ? FindQueue(origin->queue) : std::nullopt;
      const bool back =
          target && target->id == origin->queue_id &&
          std::any_of(target->groups.begin(), target->groups.end(),
                      [&](const auto& entry) { return entry.number == origin->group; });
      if (!back) {
        // The rest of its key stays behind it.
        delivery.Requeue(*queue, *group, lane);
        left.insert(lane);
        reply->set_left(reply->left() + 1);
        continue;
      }
      delivery.SendBack(*queue, *group, lane, head, *target, *std::move(origin));
      reply->set_moved(reply->moved() + 1);
    }
  }
  delivery.Finish();
  return {};
}

}  // namespace holdfast::queues

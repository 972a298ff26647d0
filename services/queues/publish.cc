// Publishing: a message id is looked up, the bounds are, then the message goes into its lane.

#include <xxhash.h>

#include "services/queues/describe.h"
#include "services/queues/queues.h"
#include "services/queues/ring.h"
#include "services/queues/validate.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {
namespace {

uint64_t HashOf(const std::string& bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t HashOf(const Headers& headers) {
  std::string bytes;
  for (const auto& [name, value] : headers) {
    store::EncodeKey(std::tuple<std::string, std::string>(name, value), &bytes);
  }
  return HashOf(bytes);
}

// What there is of each kind of request.
const std::string& DataOf(const PushRequest& request) { return request.payload(); }
uint64_t DelayOf(const PushRequest& /*request*/) { return 0; }
Headers HeadersOf(const PushRequest& /*request*/) { return {}; }
bool IsText(const PushRequest& /*request*/) { return true; }
template <class Request>
bool IsText(const Request& request) {
  return request.data().empty();
}
template <class Request>
const std::string& DataOf(const Request& request) {
  return IsText(request) ? request.payload() : request.data();
}
template <class Request>
uint64_t DelayOf(const Request& request) {
  return request.delay_ms();
}
template <class Request>
Headers HeadersOf(const Request& request) {
  return Headers(request.headers().begin(), request.headers().end());
}

// The first thing in which what was published under an id differs, as the API names it.
std::string Difference(const IdRow& a, const IdRow& b) {
  if (a.key_hash != b.key_hash) return "key";
  if (a.is_text != b.is_text || a.payload_hash != b.payload_hash) {
    return a.is_text || b.is_text ? "payload" : "data";
  }
  if (a.delay_ms != b.delay_ms) return "delay_ms";
  if (a.headers_hash != b.headers_hash) return "headers";
  return "";
}

}  // namespace

template <class Request>
void Queues::PublishOne(const QueueRow& queue, const Request& request, Delivery& delivery,
                        WriteContext& context, PublishReply* reply) {
  const int64_t now_us = context.now().us;
  BodyRow body{DataOf(request), IsText(request), HeadersOf(request)};
  const auto answer = [&](PublishOutcome::Code outcome, const Delivery::Added& message,
                          int64_t published_us) {
    reply->set_outcome(outcome);
    reply->set_sequence(message.sequence);
    reply->set_partition(message.partition);
    FillTime(published_us, reply->mutable_published());
  };

  const IdKey id_key{queue.id, request.message_id()};
  IdRow id;
  int64_t forgotten_us = 0;  // When an id that was forgotten should have been cleaned up.
  if (!request.message_id().empty()) {
    id.delay_ms = DelayOf(request);
    id.key_hash = HashOf(request.key());
    id.payload_hash = HashOf(body.payload);
    id.headers_hash = HashOf(body.headers);
    id.is_text = body.is_text;
    const IdRow* known = tables_.ids.Find(id_key);
    if (known != nullptr && now_us < known->expires_us) {
      reply->set_field(Difference(*known, id));
      const bool same = reply->field().empty();
      reply->set_duplicate(same);
      const std::string lane = LaneOf(request.key(), known->sequence);
      answer(
          same ? PublishOutcome::already_published : PublishOutcome::exists_with_different_content,
          {known->sequence, PartitionOf(lane, queue.partitions)}, known->published_us);
      return;
    }
    if (known != nullptr) forgotten_us = known->expires_us;
  }

  MessageRow message;
  message.key = request.key();
  message.message_id = request.message_id();
  message.published_us = now_us;
  if (DelayOf(request) > 0)
    message.due_us = now_us + static_cast<int64_t>(DelayOf(request)) * 1'000;
  message.bytes = body.payload.size() + message.key.size() + message.message_id.size();
  for (const auto& [name, value] : body.headers) message.bytes += name.size() + value.size();
  const LevelRow& level = delivery.Level(queue.number);
  if (level.messages >= queue.max_messages || level.bytes + message.bytes > queue.max_bytes) {
    reply->set_outcome(PublishOutcome::queue_full);
    return;
  }

  const Delivery::Added added = delivery.Add(queue, std::move(message), std::move(body));
  if (!request.message_id().empty()) {
    const std::string timer = TimerKey(timer::kId, id_key);
    if (forgotten_us != 0) context.CancelTimer(LogTime{forgotten_us}, timer);
    id.sequence = added.sequence;
    id.published_us = now_us;
    id.expires_us = now_us + int64_t{queue.dedup_window_seconds} * 1'000'000;
    context.SetTimer(LogTime{id.expires_us}, timer);
    tables_.ids.Put(id_key, id);
  }
  answer(PublishOutcome::published, added, now_us);
}

Result<void> Queues::Publish(const PublishRequest& request, WriteContext& context,
                             PublishReply* reply) {
  const auto queue = FindQueue(request.queue());
  if (!queue) {
    reply->set_outcome(PublishOutcome::queue_not_found);
    return {};
  }
  Delivery delivery(tables_, moved_, context);
  PublishOne(*queue, request, delivery, context, reply);
  delivery.Finish();
  return {};
}

Result<void> Queues::PublishBatch(const PublishBatchRequest& request, WriteContext& context,
                                  PublishBatchReply* reply) {
  const auto queue = FindQueue(request.queue());
  Delivery delivery(tables_, moved_, context);
  for (const NewMessage& message : request.messages()) {
    PublishReply* result = reply->add_results();
    if (queue) {
      PublishOne(*queue, message, delivery, context, result);
    } else {
      result->set_outcome(PublishOutcome::queue_not_found);
    }
  }
  delivery.Finish();
  return {};
}

Result<void> Queues::Push(const PushRequest& request, WriteContext& context, PublishReply* reply) {
  if (!FindQueue(kDefault)) {
    CreateRequest create;
    create.set_name(kDefault);
    if (!NewQueue(create, context.now().us)) {
      reply->set_outcome(PublishOutcome::too_many_queues);
      return {};
    }
  }
  const auto queue = FindQueue(kDefault);
  Delivery delivery(tables_, moved_, context);
  PublishOne(*queue, request, delivery, context, reply);
  delivery.Finish();
  return {};
}

}  // namespace holdfast::queues

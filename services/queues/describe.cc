#include "services/queues/describe.h"

#include <charconv>

#include "services/queues/delivery.h"
#include "services/queues/ring.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {

std::string DeliveryId::Text() const {
  return std::to_string(queue) + "-" + std::to_string(group) + "-" + std::to_string(sequence) +
         "-" + std::to_string(attempt);
}

std::optional<DeliveryId> DeliveryId::Parse(const std::string& id) {
  DeliveryId parsed;
  const char* at = id.data();
  const char* end = at + id.size();
  const auto number = [&](auto* value) {
    const auto read = std::from_chars(at, end, *value);
    at = read.ptr;
    return read.ec == std::errc();
  };
  const auto dash = [&] { return at != end && *at++ == '-'; };
  const bool read = number(&parsed.queue) && dash() && number(&parsed.group) && dash() &&
                    number(&parsed.sequence) && dash() && number(&parsed.attempt) && at == end;
  // Other spellings of the same numbers are refused, too.
  if (!read || parsed.Text() != id) return std::nullopt;
  return parsed;
}

void FillMessage(Sequence sequence, const MessageRow& row, BodyRow body, uint32_t partitions,
                 Message* message) {
  message->set_sequence(sequence);
  message->set_key(row.key);
  message->set_message_id(row.message_id);
  message->set_partition(PartitionOf(LaneOf(row.key, sequence), partitions));
  FillTime(row.published_us, message->mutable_published());
  (body.is_text ? *message->mutable_payload() : *message->mutable_data()) = std::move(body.payload);
  for (const auto& [name, value] : body.headers) (*message->mutable_headers())[name] = value;
}

void FillDeadLetter(const OriginRow& origin, DeadLetter* dead_letter) {
  dead_letter->set_queue(origin.queue);
  dead_letter->set_group(origin.group_name);
  dead_letter->set_sequence(origin.sequence);
  FillTime(origin.published_us, dead_letter->mutable_published());
  dead_letter->set_attempts(origin.attempts);
  for (const AttemptEntry& entry : origin.history) {
    Attempt* attempt = dead_letter->add_history();
    FillTime(entry.time_us, attempt->mutable_time());
    attempt->set_consumer(entry.consumer);
    attempt->set_error(entry.error);
    attempt->set_attempt(entry.attempt);
  }
  if (!origin.history.empty()) dead_letter->set_last_error(origin.history.back().error);
}

}  // namespace holdfast::queues

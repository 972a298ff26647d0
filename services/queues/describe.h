// Rows as the messages that callers see, and the names of deliveries.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <optional>
#include <string>

#include "services/queues/queues.pb.h"
#include "services/queues/tables.h"

namespace holdfast::queues {

// What an ack names: one attempt of one group to deliver one message.
struct DeliveryId {
  QueueNumber queue = 0;
  GroupNumber group = 0;
  Sequence sequence = 0;
  uint32_t attempt = 0;

  std::string Text() const;                                       // "3-1-42-2"
  static std::optional<DeliveryId> Parse(const std::string& id);  // Only what Text makes.
};

// All but what a delivery adds.
void FillMessage(Sequence sequence, const MessageRow& row, BodyRow body, uint32_t partitions,
                 Message* message);
void FillDeadLetter(const OriginRow& origin, DeadLetter* dead_letter);

}  // namespace holdfast::queues

// What queues promise: no message is lost, none comes to two at once within its time, a key is in
// order and one at a time, a message id is published once within its window, and a message is acked
// once for a group.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "services/queues/queues.pb.h"
#include "sim/promised.h"

namespace holdfast::sim {

class QueuePromises {
 public:
  // `exact`: as for LeasePromises.
  explicit QueuePromises(bool exact) : exact_(exact) {}

  void Applied(const Entry& entry);
  void Hear(const Told& told);
  // At the end; `ask` a node that has all of the log.
  void Check(const AskNode& ask) const;

 private:
  // Number of the queue, number of the group, sequence: what of a delivery's name is the message's.
  using MessageOf = std::tuple<uint64_t, uint64_t, uint64_t>;
  struct Delivery {
    std::string id;
    std::string queue;
    std::string group;
    std::string key;
    std::string payload;
    MessageOf message;
    LogIndex at;
    uint64_t began_us = 0;
    uint64_t visible_us = 0;  // Asked for; 0: as the queue has it.
  };
  struct Published {
    std::string queue;
    std::string payload;
    std::string message_id;
    uint64_t sequence = 0;
    int64_t log_us = 0;  // When, as it was told.
    LogIndex at;
    uint64_t began_us = 0;
  };
  using Named = std::map<std::string, std::vector<LogIndex>>;  // By delivery, in the log.

  static MessageOf MessageIn(const std::string& delivery);
  void HearPublished(const Told& told, const queues::PublishRequest& request,
                     const queues::PublishReply& reply);
  void CheckTimes() const;
  void CheckOrder() const;
  void CheckWindows() const;
  void CheckLost(const AskNode& ask) const;
  bool IsNamed(const Named& named, const std::string& delivery, LogIndex to) const;
  std::vector<const Delivery*> InOrder() const;

  const bool exact_;
  std::map<LogIndex, uint64_t> true_us_;  // Of entries that ask something of queues.
  Named acks_, nacks_, extends_;
  std::set<std::string> purged_;
  std::set<std::string> deleted_;                        // Or refused to go.
  std::map<std::string, queues::CreateRequest> queues_;  // As they were created first.
  std::map<std::string, Delivery> deliveries_;           // That clients got.
  std::vector<Published> published_;
  std::map<MessageOf, std::string> acked_;  // By which delivery, as a client was told.
};

}  // namespace holdfast::sim

// What clients ask of queues: few keys, message ids that repeat, deliveries that are acked twice,
// too late, or not at all, dead letters that are sent back.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "services/queues/queues.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

// Queues: "jobs", whose dead letters go to "dead", and from there to "grave"; "mail", whose
// messages come again for ever; "brief", which is deleted and made anew, as is a group of it; and
// "default", into which Push and Pop reach.
class QueueRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit QueueRequests(Random& random);

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

  queues::AckRequest Ack() { return Named<queues::AckRequest>(); }
  queues::PublishRequest Publish();

 private:
  std::string Queue();
  queues::CreateRequest Create(const std::string& name);
  queues::CreateGroupRequest CreateGroup();
  Asked Brief();
  queues::PullRequest Pull();
  Asked Rare();
  // Of deliveries that somebody got.
  template <class Request>
  Request Named();

  Random& random_;
  const uint32_t visibility_seconds_;
  const uint32_t window_seconds_;
  uint64_t made_ = 0;
  uint64_t published_ = 0;
  uint32_t partitions_ = 3;
  std::deque<std::pair<std::string, std::string>> deliveries_;  // (queue, delivery)
};

}  // namespace holdfast::sim

// What clients ask of chat rooms: two rooms at a time with few members, messages that follow others
// which are there, held back, or never come, sent twice and with other words, edits and deletions
// of one's own and of others, and read positions that would go back.
#pragma once

#include <optional>
#include <string>

#include "services/chat/chat.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

class ChatRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit ChatRequests(Random& random) : random_(random) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

 private:
  std::string Room();
  std::string Member();
  // Of the near past and the near future.
  std::string Id();
  template <class Request>
  Request OfAMember();
  chat::PostRequest Post();
  chat::ReceiveRequest Receive();

  Random& random_;
  uint64_t last_id_ = 1;      // The newest that anybody has tried.
  uint64_t last_number_ = 0;  // The highest that anybody was given.
  uint64_t deleted_ = 0;      // Rooms.
};

}  // namespace holdfast::sim

// What clients ask of to-do lists: two users with few lists, tasks that are edited at versions seen
// and not, moved into one place again and again, done, opened, deleted twice.
#pragma once

#include <optional>
#include <string>

#include "services/todo/todo.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

class TodoRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit TodoRequests(Random& random) : random_(random) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

 private:
  std::string User();
  std::string List();
  uint64_t Id();
  uint64_t Anchor();
  uint64_t Version() { return random_.OneIn(3) ? random_.Between(1, 4) : 0; }
  google::protobuf::Timestamp Time();
  todo::MoveRequest Move();
  template <class Request>
  Asked OfATask(const char* method);

  Random& random_;
  uint64_t last_id_ = 0;  // The highest that anybody was given.
};

}  // namespace holdfast::sim

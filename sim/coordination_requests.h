// What clients ask of sessions and locks: few locks and owners, leases that end, places in line,
// sessions that are kept alive for a while and then forgotten.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "services/locks/locks.pb.h"
#include "services/sessions/sessions.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

class CoordinationRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit CoordinationRequests(Random& random) : random_(random) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

  // With a token that was given out, the last one of that lock mostly.
  locks::CheckRequest Check();
  locks::ReleaseRequest Release();
  locks::AcquireRequest Acquire();

 private:
  std::string Name();
  std::string Owner();
  uint64_t Session();
  uint64_t TokenOf(const std::string& name, const std::string& owner);

  Random& random_;
  std::deque<uint64_t> sessions_;  // The last ones that were opened.
  struct Held {
    std::string name;
    std::string owner;
    uint64_t token = 0;
  };
  std::deque<Held> held_;  // The last grants.
};

}  // namespace holdfast::sim

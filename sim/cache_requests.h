// What clients ask of the cache: few keys, writes that wait for lines and writes that do not, lines
// that are taken, given up late or never, values that end, and some so large that others have to
// go.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "services/cache/cache.pb.h"
#include "services/sessions/sessions.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

class CacheRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit CacheRequests(Random& random) : random_(random) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

  cache::SetRequest Set();
  cache::CompareAndSetRequest CompareAndSet();

 private:
  struct Held {
    uint64_t session = 0;
    std::string key;
    uint64_t line = 0;
  };
  std::string Key();
  std::string Value() { return "v" + std::to_string(++values_); }
  uint64_t Session();
  // Mostly a new one, at times one that comes late.
  uint64_t Number() { return random_.OneIn(8) ? random_.Between(1, numbers_ + 1) : ++numbers_; }
  Held Line();
  uint32_t WaitMs();
  // As a near cache asks, or anybody.
  template <class Request>
  void Sign(Request* request);
  cache::FetchRequest Fetch();
  Asked OfLines();
  Asked Large();
  Asked Rare();

  Random& random_;
  uint64_t values_ = 0;
  uint64_t numbers_ = 0;
  std::deque<uint64_t> sessions_;             // The last ones that were opened ...
  std::deque<Held> held_;                     // ... and the last lines that were taken.
  std::map<std::string, uint64_t> versions_;  // As they were told last.
};

}  // namespace holdfast::sim

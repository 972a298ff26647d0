// The near cache: lines of the cache service (services/cache/README.md) kept in this program, and
// never older than what anybody was told is written.
//
//   client::Client bank({"127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"});
//   client::NearCache prices(bank);
//   auto price = prices.Get("sku-1");          // From the cluster the first time, then from here.
//   prices.Set("sku-1", "1250");               // Done when no other program can read the old
//   value.
//
// A line is held as long as the near cache's session lives; the cluster recalls it when somebody
// else wants to write. A value is served from here only while the session surely lives: its time is
// counted from before the last sign of life was sent, on the monotonic clock, with a tenth of it to
// spare for clocks that run at different speeds. Without contact to the cluster calls then fail
// with kUnavailable rather than answer from memory.
//
// Writes::kThrough: a write has returned when a majority has it on disk and no near cache can serve
// an older value. Nothing of it is ever lost.
// Writes::kBack: a write has returned when it is in this program's memory, on a line that nobody
// else holds; others see it when they ask, never an older value. It reaches the cluster within
// `write_back_after`, when somebody asks for the line, or with Close. Until then it is lost when
// this program dies or is cut off for longer than its session lasts; `lost` tells the keys if the
// program lives. Readers without a near cache (cache.Get) see what the cluster has.
//
// Thread-safe; calls block. One thread of its own, beside the client's. Bounded by bytes and by
// lines; what was used longest ago goes first.
// Failure: every operating error comes back as an Error.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "src/client/client.h"

namespace holdfast::client {

enum class Writes { kThrough, kBack };

struct NearCacheOptions {
  Writes writes = Writes::kThrough;
  size_t bytes_max = 64 << 20;                      // Of keys and values.
  size_t lines_max = 10'000;                        // At most 65,536: more a session does not get.
  std::chrono::milliseconds session_ttl{10'000};    // At least 1 s.
  std::chrono::milliseconds write_back_after{200};  // Of Writes::kBack.
  std::chrono::milliseconds timeout{5'000};         // Of each call.
  std::string name = "near cache";                  // Of the session, for people.
  // Of Writes::kBack: a write to this key is lost, or may be. On any thread; must not block, nor
  // call the near cache.
  std::function<void(const std::string& key)> lost;
};

struct NearValue {
  bool found = false;
  std::string bytes;
  uint64_t version = 0;  // As the cluster has it; 0 of what it does not have yet.
};

struct NearCacheStats {
  uint64_t hits = 0;    // Answered from here.
  uint64_t misses = 0;  // Asked the cluster.
  uint64_t recalls = 0;
  uint64_t evictions = 0;
  uint64_t lost = 0;
  uint64_t lines = 0;  // Held now ...
  uint64_t bytes = 0;  // ... and what they take.
};

class NearCacheCore;

class NearCache {
 public:
  // The client outlives it. Opens its session in the background; calls wait for it.
  explicit NearCache(Client& client, NearCacheOptions options = {});
  ~NearCache();  // As Close.
  NearCache(const NearCache&) = delete;
  NearCache& operator=(const NearCache&) = delete;

  Result<NearValue> Get(const std::string& key);
  // Values are stored as text where they are ASCII, and as bytes otherwise. `ttl`: 0 for ever.
  // kOutcomeUnknown: a write through may or may not be done, and may yet be, later.
  Result<void> Set(const std::string& key, std::string bytes, std::chrono::milliseconds ttl = {});
  Result<void> Erase(const std::string& key);

  // Writes back what is not there yet and ends the session; calls fail from here on. An error says
  // that something was lost.
  Result<void> Close();

  NearCacheStats stats() const;

 private:
  const std::unique_ptr<NearCacheCore> core_;
};

}  // namespace holdfast::client

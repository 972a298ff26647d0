// The cache: storing and reading values of 128 bytes under 100,000 keys; Redis that writes its log
// through before it answers, and etcd beside it.
#include <cstdlib>
#include <random>
#include <string>

#include "bench/cluster/peers.h"
#include "bench/cluster/stage.h"
#include "services/cache/cache.pb.h"

namespace holdfast::bench {
namespace {

// Redis is one node, and with appendfsync always durable on one disk; etcd has three.
const PeerCases kCases = {{"set_128B_P1", {"set", "RESP, appendfsync always"}},
                          {"get_128B_P1", {"get", "RESP"}},
                          {"set_128B_then_WAIT1", {"set", "RESP, then WAIT for one replica"}},
                          {"put_128B_leader", {"set", "Put, leader"}},
                          {"get_linearizable_leader", {"get", "Range, linearizable"}},
                          {"get_serializable_leader", {"get", "Range, serializable"}}};

constexpr uint64_t kKeys = 100'000;
constexpr int kValueBytes = 128;

std::string Key(uint64_t number) { return "key-" + std::to_string(number); }

void Sets(Stage& stage, const std::string& door, int clients) {
  const MakeDraw make = [](int client) -> Draw {
    return [random = std::mt19937_64(static_cast<uint64_t>(client))]() mutable {
      cache::SetRequest request;
      request.set_key(Key(random() % kKeys));
      request.set_value(std::string(kValueBytes, 'v'));
      return Ask{"/holdfast.cache.Cache/Set", request.SerializeAsString()};
    };
  };
  const Judge judge = [](const std::string& body) {
    cache::WriteReply reply;
    return reply.ParseFromString(body) && reply.outcome() == cache::WriteOutcome::stored ? 1 : 0;
  };
  stage.Line("set", door, clients, SingleCalls(make, judge));
}

void Gets(Stage& stage, Consistency consistency, int node, const std::string& where, int clients) {
  static constexpr const char* kNames[] = {"session", "linearizable", "stale"};
  const std::string door =
      std::string("pipe, ") + kNames[static_cast<int>(consistency)] + ", " + where;
  if (!stage.Wanted("get", door)) return;
  const MakeDraw make = [consistency](int client) -> Draw {
    return [consistency, random = std::mt19937_64(static_cast<uint64_t>(client))]() mutable {
      cache::GetRequest request;
      request.set_key(Key(random() % kKeys));
      return Ask{"/holdfast.cache.Cache/Get", request.SerializeAsString(), consistency};
    };
  };
  const Judge judge = [](const std::string& body) {
    cache::Entry entry;
    return entry.ParseFromString(body) && entry.value().size() == kValueBytes ? 1 : 0;
  };
  stage.Add(Measure("get", door,
                    OverPipe({stage.cluster().grpc(node)}, clients, SingleCalls(make, judge)),
                    stage.settings().seconds, stage.cluster()));
}

void StoreAll(Stage& stage) {
  const auto client = stage.NewClient();
  for (uint64_t number = 0; number < kKeys;) {
    cache::SetManyRequest request;
    while (number < kKeys && request.entries_size() < 1'000) {
      auto* entry = request.add_entries();
      entry->set_key(Key(number++));
      entry->set_value(std::string(kValueBytes, 'v'));
    }
    MustCall<cache::WriteReply>(*client, "/holdfast.cache.Cache/SetMany", request);
  }
}

}  // namespace

int RunCache(const Settings& settings) {
  Stage stage(settings, MeasurePeers(settings.peers, {"redis.sh always wait", "etcd.sh load"},
                                     kCases, settings.seconds));
  if (!stage.Begin(", " + std::to_string(kKeys) + " keys")) return EXIT_FAILURE;
  StoreAll(stage);
  for (const int clients : {1, 64, 256}) Sets(stage, "pipe", clients);
  for (const int clients : {1, 64, 256}) Sets(stage, "gRPC", clients);
  for (const int clients : {1, 64, 256}) {
    Gets(stage, Consistency::kLinearizable, stage.leader(), "leader", clients);
    Gets(stage, Consistency::kSession, stage.follower(), "follower", clients);
  }
  Gets(stage, Consistency::kStale, stage.follower(), "follower", 64);
  stage.End();
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench

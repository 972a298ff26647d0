// Locks: taking and releasing one that nobody else wants, and handing one on among many; etcd's
// locks beside them.
#include <cstdlib>
#include <memory>
#include <string>

#include "bench/cluster/peers.h"
#include "bench/cluster/stage.h"
#include "services/locks/locks.pb.h"

namespace holdfast::bench {
namespace {

// etcd's client holds a lease for all of its run, as ours here have a session; a lock is a key, and
// waiting for it is watching the one before.
const PeerCases kCases = {{"lock_unlock_own_names", {"lock + unlock, own", "Lock, Unlock"}},
                          {"lock_unlock_one_name", {"lock + unlock, one for all", "Lock, Unlock"}}};

constexpr uint32_t kTtlMs = 30'000;
constexpr uint32_t kWaitMs = 9'000;

// Takes a lock, waiting for it if need be, and releases it.
class LockAndUnlock : public Script {
 public:
  LockAndUnlock(std::string name, std::string owner)
      : name_(std::move(name)), owner_(std::move(owner)) {}

  Ask Begin() override {
    locks::AcquireRequest request;
    request.set_name(name_);
    request.set_owner(owner_);
    request.set_ttl_ms(kTtlMs);
    request.set_wait_ms(kWaitMs);
    held_ = false;
    return Ask{"/holdfast.locks.Locks/Acquire", request.SerializeAsString()};
  }
  std::variant<Ask, int> Next(const std::string* reply) override {
    if (reply == nullptr) return 0;
    if (held_) {
      locks::ReleaseReply released;
      return released.ParseFromString(*reply) &&
                     released.outcome() == locks::ReleaseOutcome::released
                 ? 1
                 : 0;
    }
    locks::AcquireReply acquired;
    held_ =
        acquired.ParseFromString(*reply) && acquired.outcome() == locks::AcquireOutcome::granted;
    if (!held_) return 0;
    locks::ReleaseRequest request;
    request.set_name(name_);
    request.set_owner(owner_);
    request.set_token(acquired.token());
    return Ask{"/holdfast.locks.Locks/Release", request.SerializeAsString()};
  }

 private:
  const std::string name_;
  const std::string owner_;
  bool held_ = false;
};

void LockLine(Stage& stage, const std::string& door, int clients, bool one_for_all) {
  const std::string run = stage.NextRun();
  stage.Line(one_for_all ? "lock + unlock, one for all" : "lock + unlock, own", door, clients,
             [&](int client) {
               const std::string own = run + "-" + std::to_string(client);
               return std::make_unique<LockAndUnlock>(one_for_all ? run : own, own);
             });
}

}  // namespace

int RunLocks(const Settings& settings) {
  Stage stage(settings, MeasurePeers(settings.peers, {"etcd.sh load"}, kCases, settings.seconds));
  if (!stage.Begin("")) return EXIT_FAILURE;
  for (const int clients : {1, 16, 64}) LockLine(stage, "pipe", clients, false);
  for (const int clients : {1, 16, 64}) LockLine(stage, "gRPC", clients, false);
  for (const int clients : {2, 16, 64}) LockLine(stage, "pipe", clients, true);
  stage.End();
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench

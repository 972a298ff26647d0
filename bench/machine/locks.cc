// Locks that are taken and released, one by one or from hand to hand.
#include "bench/machine/workload.h"
#include "services/locks/locks.pb.h"
#include "src/base/check.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kInLine = 16;
constexpr char kOne[] = "one-for-all";

std::string Owner(uint64_t number) { return "client-" + std::to_string(number); }

class Locks : public Workload {
 public:
  explicit Locks(Node& node) : entry_(node.registry()) {}

  void Acquire(const std::string& name, uint64_t owner, uint32_t wait_ms) {
    locks::AcquireRequest request;
    request.set_name(name);
    request.set_owner(Owner(owner));
    request.set_ttl_ms(3'600'000);
    request.set_wait_ms(wait_ms);
    entry_.Add("/holdfast.locks.Locks/Acquire", request);
  }
  void Release(const std::string& name, uint64_t owner) {
    locks::ReleaseRequest request;
    request.set_name(name);
    request.set_owner(Owner(owner));
    entry_.Add("/holdfast.locks.Locks/Release", request);
  }

 protected:
  EntryMaker entry_;
};

class OwnLocks : public Locks {
 public:
  using Locks::Locks;
  // As many are held meanwhile.
  void Prepare(Node& node, uint64_t history, uint64_t /*total*/) override {
    for (uint64_t i = 0; i < history;) {
      for (const uint64_t end = i + 1'000; i < end; ++i) {
        Acquire("held-" + std::to_string(i), i, 0);
      }
      node.Apply(entry_.Finish());
    }
  }
  double Run(Node& node, uint64_t count) override {
    for (uint64_t i = 0; i < count; ++i) {
      Acquire("lock-" + std::to_string(i), i, 0);
      Release("lock-" + std::to_string(i), i);
    }
    const double took = node.Apply(entry_.Finish());
    locks::ReleaseReply last;
    HOLDFAST_CHECK(last.ParseFromString(*node.outcomes().back().reply) &&
                       last.outcome() == locks::ReleaseOutcome::released,
                   "a lock was not released");
    return took;
  }
};

class Handover : public Locks {
 public:
  using Locks::Locks;
  void Prepare(Node& node, uint64_t /*history*/, uint64_t /*total*/) override {
    for (uint64_t i = 0; i <= kInLine; ++i) Acquire(kOne, i, 60'000);
    node.Apply(entry_.Finish());
  }
  double Run(Node& node, uint64_t count) override {
    for (uint64_t i = 0; i < count; ++i) {
      Release(kOne, holder_);
      Acquire(kOne, holder_, 60'000);  // At the end of the line.
      holder_ = (holder_ + 1) % (kInLine + 1);
    }
    const double took = node.Apply(entry_.Finish());
    locks::AcquireReply last;
    HOLDFAST_CHECK(last.ParseFromString(*node.outcomes().back().reply) &&
                       last.outcome() == locks::AcquireOutcome::waiting,
                   "the lock was not handed on");
    return took;
  }

 private:
  uint64_t holder_ = 0;
};

}  // namespace

std::unique_ptr<Workload> NewLocks(Node& node, bool handover) {
  if (handover) return std::make_unique<Handover>(node);
  return std::make_unique<OwnLocks>(node);
}

}  // namespace holdfast::bench

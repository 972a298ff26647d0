// The pipe: one stream that carries many requests of any method (pipe.proto, docs/pipe.md). They
// pass the same method table, checks and dispatcher as unary calls, and get the same errors.
//
// A pipe is bounded as bounds.h says. A request past a bound is refused with resource_exhausted,
// and nothing of it is done. A client that does not take its replies is not read from any more, and
// after a while is cut off.
#pragma once

#include <grpcpp/alarm.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "src/api/grpc/stream.h"
#include "src/base/error.h"
#include "src/node/dispatcher.h"
#include "src/state_machine/registry.h"

namespace holdfast::api::grpc {

// All pipes of a node. Thread-safe.
class Pipes : public std::enable_shared_from_this<Pipes> {
 public:
  // Both outlive the server; the dispatcher's calls under way may outlive it and this.
  static std::shared_ptr<Pipes> Make(const state_machine::Registry& registry,
                                     node::Dispatcher& dispatcher,
                                     std::chrono::milliseconds write_time_max);

  // Serves a new stream; nullptr when there are as many as there may be, in all or on its
  // connection.
  Stream* Open(Wire& wire);
  // Takes no request any more, and lets clients end their pipes when all replies have come.
  void Drain();

  size_t open() const;
  // Of requests that are not answered and replies that are not sent.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  class Pipe;
  Pipes(const state_machine::Registry& registry, node::Dispatcher& dispatcher,
        std::chrono::milliseconds write_time_max)
      : registry_(registry), dispatcher_(dispatcher), write_time_max_(write_time_max) {}

  void Watch();  // Under mutex_: looks through the pipes after a while, as long as there are any.
  void CutOffStuck();
  void Leave(Pipe* pipe);
  std::vector<std::shared_ptr<Pipe>> All() const;

  const state_machine::Registry& registry_;
  node::Dispatcher& dispatcher_;
  const std::chrono::milliseconds write_time_max_;
  std::atomic<size_t> bytes_{0};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::set<Pipe*> pipes_;
  std::map<std::string, size_t> of_connection_;
  std::unique_ptr<::grpc::Alarm> watch_;  // Null while there is nothing to watch.
};

}  // namespace holdfast::api::grpc

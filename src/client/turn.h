// One turn of the client's core: its mutex, held, and what is done once it is let go. Internal to
// the client.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "src/base/batch.h"
#include "src/client/core.h"

namespace holdfast::client {

class Core::Turn {
 public:
  explicit Turn(Core& core) : lock_(core.mutex_) {}
  ~Turn() {
    lock_.unlock();
    for (const auto& [pipe, stub] : opened_) pipe->Open(*stub);
    for (const auto& pipe : written_) {
      Batch::AtEnd([pipe] { pipe->Flush(); });
    }
    for (const auto& pipe : closed_) pipe->Close();
    for (auto& [done, result] : ended_) done(std::move(result));
  }
  std::unique_lock<std::mutex>& lock() { return lock_; }

  void Ended(Done done, Result<Reply> result) {
    ended_.emplace_back(std::move(done), std::move(result));
  }
  void Opened(std::shared_ptr<Pipe> pipe, grpc::GenericStub* stub) {
    opened_.emplace_back(std::move(pipe), stub);
  }
  void Written(const std::shared_ptr<Pipe>& pipe) {
    if (written_.empty() || written_.back() != pipe) written_.push_back(pipe);
  }
  void Closed(std::shared_ptr<Pipe> pipe) { closed_.push_back(std::move(pipe)); }
  // An operation that has ended lives as long as who may still look at it.
  void Keep(std::unique_ptr<Operation> operation) { kept_.push_back(std::move(operation)); }

 private:
  std::unique_lock<std::mutex> lock_;
  std::vector<std::pair<Done, Result<Reply>>> ended_;
  std::vector<std::pair<std::shared_ptr<Pipe>, grpc::GenericStub*>> opened_;
  std::vector<std::shared_ptr<Pipe>> written_;
  std::vector<std::shared_ptr<Pipe>> closed_;
  std::vector<std::unique_ptr<Operation>> kept_;
};

}  // namespace holdfast::client

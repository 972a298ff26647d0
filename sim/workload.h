// Clients of the services: each does one thing at a time, gives up waiting now and then, and
// repeats what it does not know the end of, with the same key, through whichever node it likes.
// Some calls wait at their node for what is not there yet (docs/waiting.md).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/mix.h"

namespace holdfast::sim {

struct WorkloadOptions {
  size_t clients = 4;
  uint64_t pause_us_max = 20'000;  // Between two things.
  uint64_t patience_ms_min = 50;   // Before a call counts as lost.
  uint64_t patience_ms_max = 2'000;
  uint64_t writes_max = 4'000;
  size_t accounts = 7;  // Few, so that most requests meet something.
  Shares shares;
};

class Workload {
 public:
  Workload(World& world, Cluster& cluster, Checker& checker, WorkloadOptions options);
  ~Workload();

  // From now on nobody begins anything new; what is under way is repeated until it is answered.
  void Finish() { finishing_ = true; }
  bool done() const;  // After Finish: nothing is under way.
  uint64_t abandoned() const { return abandoned_; }
  std::string Describe() const;  // Writes that are under way.

 private:
  struct Write {
    WriteRecord record;
    std::shared_ptr<google::protobuf::Message> request;
    uint64_t attempts = 0;
  };
  struct Client {
    LogIndex token;          // The highest position that it was told.
    uint64_t operation = 0;  // Grows with each try; what belongs to an earlier one is dropped.
    std::unique_ptr<Write> write;
    std::optional<Asked> next_page;  // Of a list that it reads.
    bool busy = false;
  };

  void NextLater(Client& client);
  void Next(Client& client);
  void TryWrite(Client& client);
  Asked NextRead(Client& client);
  void Read(Client& client);
  void Answered(Client& client, uint64_t operation, node::Reply reply);
  NodeId SomeNode();
  // How long a client has patience with this request.
  uint64_t PatienceUs(const google::protobuf::Message& request);

  World& world_;
  Cluster& cluster_;
  Checker& checker_;
  const WorkloadOptions options_;
  Mix requests_;
  std::vector<std::unique_ptr<Client>> clients_;
  // Events and replies that outlive the workload find it gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool finishing_ = false;
  uint64_t last_key_ = 0;
  uint64_t abandoned_ = 0;
};

}  // namespace holdfast::sim

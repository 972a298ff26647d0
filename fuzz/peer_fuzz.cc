// Bytes of a peer's stream -> frames -> Raft messages, errors, and pieces of a checkpoint.
#include "fuzz/input.h"
#include "holdfast/peer.pb.h"
#include "src/base/executor.h"
#include "src/base/file_system_faulty.h"
#include "src/node/checkpoint_fetch.h"
#include "src/node/wire.h"

namespace holdfast::node {
namespace {

constexpr NodeId kLeader{2};

// Tasks wait until they are run: nothing here has threads.
class Queue : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  void PostAfter(uint64_t, Task task) override { Post(std::move(task)); }
  void RunAll() {
    while (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<Task> tasks_;
};

void CheckRaft(RaftMessage& message) {
  const auto decoded = FromWire(message);
  if (!decoded) return;
  RaftMessage again = ToWire(*decoded);
  const std::string bytes = again.SerializeAsString();
  const auto decoded_again = FromWire(again);
  HOLDFAST_CHECK(decoded_again && ToWire(*decoded_again).SerializeAsString() == bytes,
                 "a Raft message that changes on its way");
}

void CheckError(const ErrorMessage& message) {
  const Error error = FromWire(message);
  const Error again = FromWire(ToWire(error));
  HOLDFAST_CHECK(again.code == error.code && again.message == error.message,
                 "an error that changes on its way");
}

// What a leader sends while this node fetches its checkpoint.
class Fetch {
 public:
  Fetch()
      : fetch_({files_, "/nowhere/incoming", "/nowhere/checkpoint", queue_,
                [this](Task task) { queue_.Post(std::move(task)); },
                [this](NodeId, CheckpointRequest request) { Asked(request); },
                [](const CheckpointManifest&) {}}) {
    fetch_.Begin(now_ms_, kLeader);
  }
  void Receive(CheckpointReply reply) {
    fetch_.Receive(now_ms_, kLeader, std::move(reply));
    Go();
  }
  void Go() {
    now_ms_ += 10;
    queue_.RunAll();
    fetch_.Step(now_ms_);
    if (!fetch_.active()) fetch_.Begin(now_ms_, kLeader);
  }

 private:
  void Asked(const CheckpointRequest& request) {
    HOLDFAST_CHECK(request.bytes() <= bounds::kCheckpointPieceBytes, "asks for more than a piece");
    HOLDFAST_CHECK(++asked_ < 100'000, "asks without end");
  }

  FaultyFileSystem files_;
  Queue queue_;
  uint64_t now_ms_ = 1'000;
  size_t asked_ = 0;
  CheckpointFetch fetch_;
};

}  // namespace
}  // namespace holdfast::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::node;
  PeerBatch batch;
  if (!batch.ParseFromArray(data, static_cast<int>(size))) return 0;
  std::optional<Fetch> fetch;
  for (PeerFrame& frame : *batch.mutable_frames()) {
    if (frame.has_raft()) CheckRaft(*frame.mutable_raft());
    if (frame.forward_result().has_error()) CheckError(frame.forward_result().error());
    if (frame.has_checkpoint_reply()) {
      if (!fetch) fetch.emplace();
      fetch->Receive(std::move(*frame.mutable_checkpoint_reply()));
    }
  }
  return 0;
}

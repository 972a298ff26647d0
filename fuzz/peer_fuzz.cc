// Bytes of a peer's stream -> frames -> Raft messages, errors, and pieces of a checkpoint.
#include <google/protobuf/io/coded_stream.h>

#include <cstring>

#include "fuzz/input.h"
#include "holdfast/peer.pb.h"
#include "src/base/file_system_faulty.h"
#include "src/base/testing/queue_executor.h"
#include "src/node/checkpoint_fetch.h"
#include "src/node/peer_frames.h"
#include "src/node/wire.h"

namespace holdfast::node {
namespace {

constexpr NodeId kLeader{2};

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

// As bytes of a connection, in pieces.
template <class Take>
void Feed(FrameReader& reader, std::string_view bytes, const Take& take) {
  while (!bytes.empty()) {
    const auto room = reader.Room();
    HOLDFAST_CHECK(room.size() > 0, "no room for bytes that have come");
    HOLDFAST_CHECK(room.size() <= 4 * bounds::kPeerFrameBytesMax, "room for more than a frame");
    const size_t piece = std::min({bytes.size(), room.size(), size_t{1} + bytes.size() / 3});
    std::memcpy(room.data(), bytes.data(), piece);
    reader.Came(piece);
    bytes.remove_prefix(piece);
    if (!take()) return;
  }
}

void ReadAnything(std::string_view bytes) {
  FrameReader reader;
  Feed(reader, bytes, [&] {
    PeerFrame frame;
    FrameReader::Next next;
    while ((next = reader.Take(bounds::kPeerFrameBytesMax, &frame)) == FrameReader::Next::kFrame) {
    }
    return next == FrameReader::Next::kMore;
  });
}

void CheckFrame(const PeerFrame& frame) {
  std::string bytes;
  AppendFrame(frame, &bytes);
  FrameReader reader;
  bool came = false;
  Feed(reader, bytes, [&] {
    PeerFrame again;
    const auto next = reader.Take(bounds::kPeerFrameBytesMax, &again);
    HOLDFAST_CHECK(next != FrameReader::Next::kBroken, "a frame that does not read back");
    came |= next == FrameReader::Next::kFrame;
    return true;
  });
  HOLDFAST_CHECK(came, "a frame that does not arrive");
}

// The input holds frames as a repeated field 1 does.
std::vector<PeerFrame> ParseFrames(const uint8_t* data, size_t size) {
  std::vector<PeerFrame> frames;
  google::protobuf::io::CodedInputStream coded(data, static_cast<int>(size));
  uint32_t length = 0;
  std::string bytes;
  while (coded.ReadTag() == 0x0a && coded.ReadVarint32(&length) && length <= size &&
         coded.ReadString(&bytes, static_cast<int>(length))) {
    PeerFrame frame;
    if (frame.ParseFromString(bytes)) frames.push_back(std::move(frame));
  }
  return frames;
}

// What a leader sends while this node fetches its checkpoint.
class Fetch {
 public:
  Fetch()
      : fetch_({files_, "/nowhere/incoming", "/nowhere/checkpoint", queue_,
                [this](Task task) { queue_.Post(std::move(task)); },
                [this](NodeId, CheckpointRequest request) {
                  Asked(request);
                  return true;
                },
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
  testing::QueueExecutor queue_;
  uint64_t now_ms_ = 1'000;
  size_t asked_ = 0;
  CheckpointFetch fetch_;
};

}  // namespace
}  // namespace holdfast::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::node;
  std::optional<Fetch> fetch;
  ReadAnything({reinterpret_cast<const char*>(data), size});
  for (PeerFrame& frame : ParseFrames(data, size)) {
    CheckFrame(frame);
    if (frame.has_raft()) CheckRaft(*frame.mutable_raft());
    if (frame.forward_result().has_error()) CheckError(frame.forward_result().error());
    if (frame.has_checkpoint_reply()) {
      if (!fetch) fetch.emplace();
      fetch->Receive(std::move(*frame.mutable_checkpoint_reply()));
    }
  }
  return 0;
}

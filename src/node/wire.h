// Between Raft's messages as we hold them and as they travel (peer.proto).
#pragma once

#include <optional>

#include "holdfast/peer.pb.h"
#include "src/base/error_message.h"
#include "src/raft/message.h"

namespace holdfast::node {

RaftMessage ToWire(const raft::Message& message);
// Empty when the bytes are no message; payloads are moved out of `message`.
std::optional<raft::Message> FromWire(RaftMessage& message);

}  // namespace holdfast::node

// Between Raft's messages and errors as we hold them and as they travel (peer.proto).
#pragma once

#include <optional>

#include "holdfast/peer.pb.h"
#include "src/base/error.h"
#include "src/raft/message.h"

namespace holdfast::node {

RaftMessage ToWire(const raft::Message& message);
// Empty when the bytes are no message; payloads are moved out of `message`.
std::optional<raft::Message> FromWire(RaftMessage& message);

ErrorMessage ToWire(const Error& error);
Error FromWire(const ErrorMessage& message);

}  // namespace holdfast::node

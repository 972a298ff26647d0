// Between what nodes say to one another as we hold it and as it travels (peer.proto): Raft's
// messages, and writes that are passed on to the leader.
#pragma once

#include <optional>
#include <string>

#include "holdfast/log.pb.h"
#include "holdfast/peer.pb.h"
#include "src/base/bounds.h"
#include "src/base/error_message.h"
#include "src/node/dispatcher.h"
#include "src/raft/message.h"

namespace holdfast::node {

RaftMessage ToWire(const raft::Message& message);
// Empty when the bytes are no message; payloads are moved out of `message`.
std::optional<raft::Message> FromWire(RaftMessage& message);

// A write on its way to the leader under `id`, and what became of it on its way back. What is large
// is moved out of the message.
ForwardWrite ToWire(uint64_t id, const LogRequest& request, uint64_t timeout_ms);
LogRequest FromWire(ForwardWrite& forward);
ForwardResult ToWire(uint64_t id, Reply reply);
Reply FromWire(ForwardResult& result);

}  // namespace holdfast::node

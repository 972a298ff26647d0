// The one door between the API and the node: a method, its request, how to treat it, and a reply.
#pragma once

#include <absl/functional/any_invocable.h>
#include <google/protobuf/message.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "src/base/consistency.h"
#include "src/base/error.h"
#include "src/base/ids.h"
#include "src/state_machine/registry.h"

namespace holdfast::node {

using holdfast::Consistency;

// What a caller says beside the request itself: HTTP headers, gRPC metadata.
struct CallOptions {
  std::string idempotency_key;  // `idempotency-key`; writes only. Empty: none.
  std::string principal;        // Who calls; scopes idempotency keys. Empty: anonymous.
  Consistency consistency = Consistency::kSession;  // `holdfast-consistency`
  LogIndex after;                                   // `holdfast-after`; 0: no token.
  std::chrono::steady_clock::time_point deadline;
  bool default_deadline = false;  // The caller named none: what it waits for comes on top.
  // True once nobody takes the answer any more: what waits then takes nothing. Null: not known.
  std::shared_ptr<const std::atomic<bool>> gone;
};

struct Reply {
  Result<std::string> body;  // The reply message's bytes.
  LogIndex position;         // The log position that the reply reflects; 0 when none does.
  bool replayed = false;     // `idempotency-replayed: true`
  std::chrono::milliseconds age{
      0};  // Stale reads: how long ago this node last heard of the log's end.
};

using Done = absl::AnyInvocable<void(Reply)>;

// Who answers, and who leads as far as it knows.
struct Leadership {
  NodeId self;    // 0: a node without a number, in tests.
  NodeId leader;  // 0: none known.
  Term term;
};

// Thread-safe. `done` is called exactly once, on any thread, perhaps before Call returns; it must
// not block. `request` is a validated message of the method's type.
class Dispatcher {
 public:
  virtual ~Dispatcher() = default;
  virtual void Call(const state_machine::Method& method, std::string request, CallOptions options,
                    Done done) = 0;
  // Whether a call of `method` would be refused now, because this node has more than it can do in
  // time: asked before a request is read and parsed, so that refusing it costs little.
  virtual std::optional<Error> Refusal(const state_machine::Method& /*method*/) {
    return std::nullopt;
  }
  // A request that was refused before it could become a call; for whoever counts.
  virtual void NoteRefused(ErrorCode /*code*/) {}
  // For clients that look for the leader. Cheap: asked with every message of replies.
  virtual node::Leadership Leadership() const { return {}; }
};

}  // namespace holdfast::node

// The C++ client: calls any method of the method table on whichever node answers.
//
//   client::Client bank({"127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"});
//   auto reply = bank.Call<ledger::TransferReply>("/holdfast.ledger.Ledger/Pay", request);
//
// What it does for the caller:
//   * Keeps a pipe to each node that it talks to (docs/pipe.md). Calls that are made at the same
//     time, by threads or by CallAsync, travel together.
//   * Sends writes and linearizable reads to the leader, as far as it is known. Other reads go to
//     the first endpoint, and on to another only when that one fails: list the nearest first.
//   * Tries the next node when one does not answer, with a growing pause after each full round,
//     until the call's time is up. A node gets a little less than that time, so that its answer at
//     the end arrives; and what a node said is told before what only shows that others are gone.
//   * Never does a write twice. What certainly was not done is tried again; what may have been done
//     is repeated only under an idempotency key, which the client makes up unless told not to.
//     Without a key the answer is outcome_unknown.
//   * Keeps the session: the highest log position it has seen goes out with every session read, so
//     that a read at any node sees this client's writes and never goes back in time.
//   * Is bounded: past kClientRequestsMax calls or kClientBytesMax bytes under way a call fails at
//     once with resource_exhausted, and nothing of it is done. A call that has ended holds nothing:
//     what was not sent of it yet is not sent any more.
//
// Thread-safe: share one client among all threads; they then share one session. It has one thread
// of its own, beside gRPC's.
// Failure: every operating error comes back as an Error; a domain outcome is part of the reply.
#pragma once

#include <absl/functional/any_invocable.h>
#include <google/protobuf/message.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/consistency.h"
#include "src/base/error.h"
#include "src/base/ids.h"

namespace holdfast::client {

using holdfast::Consistency;

// More addresses than nodes are fine (two names of one node), but a longer list is a mistake.
using bounds::kEndpointsMax;

struct Options {
  std::chrono::milliseconds timeout{bounds::kDeadlineMsDefault};  // Of a call that names none.
  // How long one node may keep a call that can be repeated elsewhere: a call that hangs costs this
  // much, not the whole time. Longer than a failover, which the node waits out by itself. A node
  // that gives no sign of life at all loses such calls sooner, after about a second.
  std::chrono::milliseconds attempt_timeout{3'000};
  std::chrono::milliseconds connect_timeout{1'000};
  std::chrono::milliseconds pause_min{20};  // After the first round over all nodes; then doubled.
  std::chrono::milliseconds pause_max{500};
  bool auto_key = true;  // Make up an idempotency key for a write that has none.
};

struct CallOptions {
  std::string idempotency_key;  // 1 to 255 printable ASCII characters. Empty: see auto_key.
  // Of a write without a key: doing it twice is doing it once, so it needs none. It is repeated
  // like a read, and the nodes keep nothing of it.
  bool repeatable = false;
  Consistency consistency = Consistency::kSession;
  LogIndex after;  // Reads see at least this position, beside what the session has seen.
  std::chrono::milliseconds timeout{0};  // 0: that of the client.
};

struct Reply {
  std::string body;                  // The reply message's bytes.
  LogIndex position;                 // The log position it reflects; 0 when none does.
  bool replayed = false;             // The stored answer to an earlier call under the same key.
  std::chrono::milliseconds age{0};  // Of a stale read.
};

template <class Message>
struct TypedReply {
  Message message;
  LogIndex position;
  bool replayed = false;
  std::chrono::milliseconds age{0};
};

using Done = absl::AnyInvocable<void(Result<Reply>)>;

// "host:port,host:port" as a list.
Result<std::vector<std::string>> ParseEndpoints(std::string_view text);

class Core;

// A call that CallAsync has begun. Letting go of it changes nothing.
class Pending {
 public:
  // Ends the call as if its time were up now, unless it has ended: its function runs before Cancel
  // returns, with deadline_exceeded if certainly nothing was done, or outcome_unknown for a write
  // that was sent. Not after the client is gone.
  void Cancel();

 private:
  friend class Client;
  Pending(Core& core, uint64_t number) : core_(&core), number_(number) {}

  Core* core_;
  uint64_t number_;
};

class Client {
 public:
  // `endpoints` is not empty. Connects with the first call.
  explicit Client(std::vector<std::string> endpoints, Options options = {});
  // Ends what is under way as Cancel does, and what those calls' functions begin now at once, with
  // the same error ("the client is closed"). Not from within a call's function.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Blocks until the call has ended. `method` as gRPC writes it:
  // "/holdfast.ledger.Ledger/CreateTransfer". A method whose .proto is not part of this program
  // counts as a write.
  Result<Reply> Call(const std::string& method, std::string request,
                     const CallOptions& options = {});

  template <class ReplyMessage>
  Result<TypedReply<ReplyMessage>> Call(const std::string& method,
                                        const google::protobuf::Message& request,
                                        const CallOptions& options = {});

  // Does not block. `done` is called exactly once, on any thread, perhaps before this returns; it
  // must not block, and may make calls. Those that it makes travel together with those of others
  // that are answered at the same time.
  Pending CallAsync(const std::string& method, std::string request, const CallOptions& options,
                    Done done);

  template <class ReplyMessage>
  Pending CallAsync(const std::string& method, const google::protobuf::Message& request,
                    const CallOptions& options,
                    absl::AnyInvocable<void(Result<TypedReply<ReplyMessage>>)> done);

  // The highest position that a reply to this client has carried.
  LogIndex position() const;

 private:
  const std::unique_ptr<Core> core_;
};

// --- Templates

template <class ReplyMessage>
Result<TypedReply<ReplyMessage>> ToTyped(const std::string& method, Result<Reply> reply) {
  if (!reply) return Fail(std::move(reply.error()));
  TypedReply<ReplyMessage> typed;
  if (!typed.message.ParseFromString(reply->body)) {
    return Fail(Error{ErrorCode::kInternal, "the reply of " + method + " could not be read", "",
                      "is the client of the same version as the node?", 0});
  }
  typed.position = reply->position;
  typed.replayed = reply->replayed;
  typed.age = reply->age;
  return typed;
}

template <class ReplyMessage>
Result<TypedReply<ReplyMessage>> Client::Call(const std::string& method,
                                              const google::protobuf::Message& request,
                                              const CallOptions& options) {
  return ToTyped<ReplyMessage>(method, Call(method, request.SerializeAsString(), options));
}

template <class ReplyMessage>
Pending Client::CallAsync(const std::string& method, const google::protobuf::Message& request,
                          const CallOptions& options,
                          absl::AnyInvocable<void(Result<TypedReply<ReplyMessage>>)> done) {
  return CallAsync(method, request.SerializeAsString(), options,
                   [method, done = std::move(done)](Result<Reply> reply) mutable {
                     done(ToTyped<ReplyMessage>(method, std::move(reply)));
                   });
}

}  // namespace holdfast::client

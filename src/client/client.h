// The C++ client: calls any method of the method table on whichever node answers.
//
//   client::Client bank({"127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"});
//   auto reply = bank.Call<ledger::TransferReply>("/holdfast.ledger.Ledger/Pay", request);
//
// What it does for the caller:
//   * Tries the next node when one does not answer, with a growing pause after each full round,
//     until the call's time is up.
//   * Never does a write twice. What certainly was not done is tried again; what may have been done
//     is repeated only under an idempotency key, which the client makes up unless told not to.
//     Without a key the answer is outcome_unknown.
//   * Keeps the session: the highest log position it has seen goes out with every session read, so
//     that a read at any node sees this client's writes and never goes back in time.
//
// Thread-safe: share one client among threads; they then share one session. Calls block.
// Failure: every operating error comes back as an Error; a domain outcome is part of the reply.
#pragma once

#include <google/protobuf/message.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/error.h"
#include "src/base/ids.h"
#include "src/node/dispatcher.h"

namespace holdfast::client {

using node::Consistency;

// More addresses than nodes are fine (two names of one node), but a longer list is a mistake.
inline constexpr size_t kEndpointsMax = 64;

struct Options {
  std::chrono::milliseconds timeout{bounds::kDeadlineMsDefault};  // Of a call that names none.
  // How long one node may keep a call that can be repeated elsewhere: a node that hangs costs this
  // much, not the whole time. Longer than a failover, which the node waits out by itself.
  std::chrono::milliseconds attempt_timeout{3'000};
  std::chrono::milliseconds connect_timeout{1'000};
  std::chrono::milliseconds pause_min{20};  // After the first round over all nodes; then doubled.
  std::chrono::milliseconds pause_max{500};
  bool auto_key = true;  // Make up an idempotency key for a write that has none.
};

struct CallOptions {
  std::string idempotency_key;  // 1 to 255 printable ASCII characters. Empty: see auto_key.
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

// "host:port,host:port" as a list.
Result<std::vector<std::string>> ParseEndpoints(std::string_view text);

class Client {
 public:
  // `endpoints` is not empty. Connects with the first call.
  explicit Client(std::vector<std::string> endpoints, Options options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // `method` as gRPC writes it: "/holdfast.ledger.Ledger/CreateTransfer". A method whose .proto is
  // not part of this program counts as a write.
  Result<Reply> Call(const std::string& method, const std::string& request,
                     const CallOptions& options = {});

  template <class ReplyMessage>
  Result<TypedReply<ReplyMessage>> Call(const std::string& method,
                                        const google::protobuf::Message& request,
                                        const CallOptions& options = {});

  // The highest position that a reply to this client has carried.
  LogIndex position() const { return LogIndex(position_.load(std::memory_order_relaxed)); }

 private:
  class Endpoint;
  struct Prepared;  // A call as every attempt at it needs it.
  struct Attempt;   // How one attempt ended.

  Attempt TryOnce(Endpoint& endpoint, const Prepared& call) const;
  void NotePosition(LogIndex position);
  std::string MakeKey();

  const Options options_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::atomic<size_t> preferred_{0};  // The endpoint that answered last.
  std::atomic<uint64_t> position_{0};
  const std::string key_prefix_;  // 128 random bits; with the counter, unique for ever.
  std::atomic<uint64_t> keys_made_{0};
};

// --- Templates

template <class ReplyMessage>
Result<TypedReply<ReplyMessage>> Client::Call(const std::string& method,
                                              const google::protobuf::Message& request,
                                              const CallOptions& options) {
  Result<Reply> reply = Call(method, request.SerializeAsString(), options);
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

}  // namespace holdfast::client

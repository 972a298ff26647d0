// For the tests of the client: a node on a port of its own that speaks the pipe and answers as the
// test says.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/pipe.pb.h"
#include "src/api/grpc/pipe_frames.h"
#include "src/base/error_message.h"
#include "src/client/client.h"
#include "tests/support/free_ports.h"

namespace holdfast::client::testing {

using std::chrono::milliseconds;

inline constexpr char kRead[] = "/holdfast.api.testing.Shop/Get";
inline constexpr char kWrite[] = "/holdfast.api.testing.Shop/Create";

// What a node answers.
struct Answer {
  std::optional<Error> error = std::nullopt;
  std::string body;
  uint64_t position = 0;
  bool replayed = false;
  uint64_t age_ms = 0;
  bool never = false;  // Keeps the caller waiting until the node stops or the caller gives up.
};

inline Answer Fails(ErrorCode code) { return {Error{code, "no", "", "", 0}}; }
inline Answer Unavailable() { return Fails(ErrorCode::kUnavailable); }
inline Answer Unknown() { return Fails(ErrorCode::kOutcomeUnknown); }
inline Answer Never() { return {.never = true}; }

// A node that answers by a script: one function for all calls, which runs one at a time. It speaks
// the pipe and nothing else.
class FakeNode : public grpc::CallbackGenericService {
 public:
  using Script = std::function<Answer(const PipeRequest&)>;

  explicit FakeNode(Script script, uint64_t number = 0, int port = 0)
      : script_(std::move(script)), number_(number), port_(port) {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(-1);
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeNode() override { Stop(); }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }
  // Told with every message from here on.
  void SetLeader(uint64_t leader, uint64_t term) {
    std::lock_guard lock(mutex_);
    leader_ = leader;
    term_ = term;
  }
  // Keeps new pipes waiting for their first message.
  void KeepSilent() { silent_ = true; }
  // From here on it says nothing, as if its machine had died; the connection stays.
  void Freeze() { frozen_ = true; }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<PipeRequest> seen() const {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  size_t calls() const { return seen().size(); }
  size_t pipes() const {
    std::lock_guard lock(mutex_);
    return pipes_;
  }
  size_t messages() const {
    std::lock_guard lock(mutex_);
    return messages_;
  }
  void WaitForCalls(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return seen_.size() >= count; });
  }
  void WaitForCall() { WaitForCalls(1); }
  // Signs of life that it was asked for, and gave unless it was frozen; they are no calls.
  // False: they did not come within 20 s.
  bool WaitForPings(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return pings_ >= count; });
  }
  std::vector<uint64_t> WaitForCancels(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return cancelled_.size() >= count; });
    return cancelled_;
  }

 private:
  // Reads a message, answers it, reads the next one.
  class Reactor : public grpc::ServerGenericBidiReactor {
   public:
    explicit Reactor(FakeNode& node) : node_(node) {
      if (node.silent_) {
        StartRead(&incoming_);
      } else {
        Write(node.Greet());
      }
    }
    void OnWriteDone(bool ok) override {
      if (!ok) return End();
      StartRead(&incoming_);
    }
    void OnReadDone(bool ok) override {
      PipeRequests requests;
      if (!ok || !requests.ParseFromString(Flat(incoming_))) return End();
      const PipeReplies replies = node_.Take(requests);
      if (replies.replies_size() == 0) return StartRead(&incoming_);
      Write(replies);
    }
    void OnCancel() override { End(); }
    void OnDone() override { delete this; }

   private:
    static std::string Flat(const grpc::ByteBuffer& buffer) {
      std::vector<grpc::Slice> slices;
      std::string bytes;
      if (!buffer.Dump(&slices).ok()) return bytes;
      for (const auto& slice : slices) {
        bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      }
      return bytes;
    }
    void Write(const PipeReplies& replies) {
      outgoing_ = api::grpc::ToPipeBuffer(replies.SerializeAsString());
      StartWrite(&outgoing_);
    }
    void End() {
      if (!ended_.exchange(true)) Finish(grpc::Status::CANCELLED);
    }
    FakeNode& node_;
    grpc::ByteBuffer incoming_;
    grpc::ByteBuffer outgoing_;
    std::atomic<bool> ended_{false};
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Reactor(*this);
  }
  void Lead(PipeReplies* replies) const {
    replies->set_node(number_);
    replies->set_leader(leader_);
    replies->set_term(term_);
  }
  PipeReplies Greet() {
    std::lock_guard lock(mutex_);
    ++pipes_;
    PipeReplies hello;
    Lead(&hello);
    return hello;
  }
  PipeReplies Take(const PipeRequests& requests) {
    std::lock_guard lock(mutex_);
    ++messages_;
    PipeReplies replies;
    for (const PipeRequest& request : requests.requests()) {
      if (request.name() == "/holdfast.cluster.Cluster/Leader") {
        ++pings_;
        if (!frozen_) replies.add_replies()->set_id(request.id());
        continue;
      }
      seen_.push_back(request);
      if (frozen_) continue;
      const Answer answer = script_(request);
      if (answer.never) continue;
      PipeReply* reply = replies.add_replies();
      reply->set_id(request.id());
      reply->set_position(answer.position);
      reply->set_replayed(answer.replayed);
      reply->set_age_ms(answer.age_ms);
      if (answer.error) {
        *reply->mutable_error() = ToWire(*answer.error);
      } else {
        reply->set_body(answer.body);
      }
    }
    cancelled_.insert(cancelled_.end(), requests.cancelled().begin(), requests.cancelled().end());
    Lead(&replies);
    changed_.notify_all();
    return replies;
  }

  const Script script_;
  const uint64_t number_;
  std::atomic<bool> silent_{false};
  std::atomic<bool> frozen_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PipeRequest> seen_;
  std::vector<uint64_t> cancelled_;
  uint64_t leader_ = 0;
  uint64_t term_ = 0;
  size_t pipes_ = 0;
  size_t messages_ = 0;
  size_t pings_ = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Answers with the request's own bytes.
inline Answer Echo(const PipeRequest& request) { return {.body = request.body()}; }

// The answers in turn, then echoes.
inline FakeNode::Script InTurn(std::vector<Answer> answers) {
  auto next = std::make_shared<size_t>(0);
  return [answers = std::move(answers), next](const PipeRequest& seen) {
    return *next < answers.size() ? answers[(*next)++] : Echo(seen);
  };
}

// An attempt ends by an answer or a loss; a machine with other things to do ends none before.
inline Options Quick() {
  Options options;
  options.timeout = milliseconds(5'000);
  options.attempt_timeout = milliseconds(3'000);
  options.pause_min = milliseconds(1);
  options.pause_max = milliseconds(5);
  return options;
}
inline Options WithoutKeys() {
  Options options = Quick();
  options.auto_key = false;
  return options;
}

inline CallOptions Within(int64_t ms) {
  CallOptions options;
  options.timeout = milliseconds(ms);
  return options;
}

// The address of a node that is not there.
inline std::string DeadAddress() { return holdfast::testing::FreeAddress(); }

}  // namespace holdfast::client::testing

// The client's end of one pipe to one node: sends what its owner has for it, one write at a time,
// and hands on what comes. Internal to the client.
//
//   Open -> OnMessage (the first one: the pipe is up) ... -> OnDown -> OnGone
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <mutex>
#include <string>

namespace holdfast::client {

// Thread-safe. Owned by itself from Open until OnGone, beside whoever holds it.
class Pipe : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
             public std::enable_shared_from_this<Pipe> {
 public:
  class Events {  // Called on gRPC's threads, one at a time for each pipe.
   public:
    virtual ~Events() = default;
    // False: the message makes no sense; the pipe is closed.
    virtual bool OnMessage(Pipe& pipe, const grpc::ByteBuffer& message) = 0;
    // What is to be sent next; empty: nothing. On any thread, under the pipe's mutex.
    virtual std::string NextMessage(Pipe& pipe) = 0;
    virtual void OnDown(Pipe& pipe, const grpc::Status& status) = 0;
    // After OnDown, once a pipe holds its channel no more. Whoever lets go of a channel last must
    // not be one of gRPC's threads: it would wait for itself.
    virtual void OnGone() = 0;
  };

  // `endpoint` is for the owner. `events` outlives OnGone.
  Pipe(Events& events, size_t endpoint) : endpoint(endpoint), events_(events) {}

  void Open(grpc::GenericStub& stub);
  // There is something to send: asks for it at once, or when the write under way has ended. Not
  // once the pipe is broken: OnDown comes.
  void Flush();
  // Ends it: OnDown comes.
  void Close() { context_.TryCancel(); }

  const size_t endpoint;

  // --- gRPC's
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void Release();  // Under mutex_.
  void Gather(bool gathering);

  Events& events_;
  std::shared_ptr<Pipe> self_;  // From Open until OnDone.
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::mutex mutex_;
  bool writing_ = false;
  // A message is being handed on: what the callers that it wakes ask next leaves together.
  bool gathering_ = false;
  bool broken_ = false;
  bool read_ended_ = false;
};

}  // namespace holdfast::client

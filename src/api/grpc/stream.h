// A gRPC call as a stream of messages both ways, in the shape of gRPC's own reactors, but on our
// completion queues (queues.h): what happens to it is told on one thread, one thing at a time.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include "src/api/grpc/status.h"
#include "src/base/executor.h"

namespace holdfast::api::grpc {

// What a stream does things with; its queue's, and there until the stream is told OnDone.
class Wire {
 public:
  virtual ::grpc::GenericServerContext& context() = 0;
  // Only on the queue's thread. Told OnReadDone.
  virtual void Read(::grpc::ByteBuffer* into) = 0;
  // Any thread, one at a time. Told OnWriteDone.
  virtual void Write(const ::grpc::ByteBuffer& message) = 0;
  // Any thread, once, with no write under way, and nothing is written after it. The second form
  // takes a last message along, at no further cost.
  virtual void Finish(const ::grpc::Status& status) = 0;
  virtual void WriteAndFinish(const ::grpc::ByteBuffer& message) = 0;
  // Any thread: runs `task` on the queue's thread, soon. Only until the stream has finished.
  virtual void Post(Task task) = 0;

 protected:
  ~Wire() = default;
};

class Stream {
 public:
  explicit Stream(Wire& wire) : wire_(wire) {}
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Once, before all else: the first read, for one.
  virtual void Start() = 0;
  virtual void OnReadDone(bool /*ok*/) {}  // Not ok: the client sends no more, or has gone.
  virtual void OnWriteDone(bool /*ok*/) {}
  // The client has gone, its time is up, or the server stops; Finish is due all the same.
  virtual void OnCancel() {}
  // It has begun to read, and nothing has come for too long; of one that does not idle. Finish is
  // due; it is told of that read no more, nor of a cancellation.
  virtual void OnLate();
  // The last it is told: finished, and nothing is under way. It lets go of itself.
  virtual void OnDone() = 0;
  // Its messages are many requests, and it sees to batches of them (base/batch.h) by itself.
  virtual bool batches() const { return false; }
  // Its reads and writes may take any time: it limits them by itself. Every step of another one
  // has to be done within bounds::kGrpcStepMsMax, or its call is ended.
  virtual bool idles() const { return false; }

 protected:
  Wire& wire_;
};

// That nothing was done, for who brought no request in time.
inline Error BroughtNoRequest() {
  return Error{ErrorCode::kDeadlineExceeded, "the call brought no request in time", "",
               "nothing was done", 0};
}

inline void Stream::OnLate() { wire_.Finish(ToStatus(BroughtNoRequest(), wire_.context())); }

}  // namespace holdfast::api::grpc

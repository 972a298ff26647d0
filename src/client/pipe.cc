#include "src/client/pipe.h"

namespace holdfast::client {

void Pipe::Open(grpc::GenericStub& stub) {
  self_ = shared_from_this();
  stub.PrepareBidiStreamingCall(&context_, api::grpc::kPipeMethod, {}, this);
  AddHold();  // Writes begin outside of gRPC's calls to us; let go of when none can begin any more.
  StartRead(&incoming_);
  StartCall();
}

void Pipe::Send(const PipeRequest& request) {
  std::lock_guard lock(mutex_);
  if (!broken_) queue_.Append(PipeRequests::kRequestsFieldNumber, request);
}

void Pipe::SendCancel(uint64_t id) {
  PipeRequests message;
  message.add_cancelled(id);
  std::lock_guard lock(mutex_);
  if (!broken_) queue_.AppendMessage(message.SerializeAsString());
}

void Pipe::Flush() {
  {
    std::lock_guard lock(mutex_);
    if (writing_ || gathering_ || broken_ || queue_.empty()) return;
    writing_ = true;
    outgoing_ = api::grpc::ToPipeBuffer(queue_.Take());
  }
  StartWrite(&outgoing_);
}

void Pipe::Gather(bool gathering) {
  std::lock_guard lock(mutex_);
  gathering_ = gathering;
}

void Pipe::OnWriteDone(bool ok) {
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    broken_ |= !ok;
    if (broken_) {
      queue_.Clear();
      return Release();
    }
  }
  Flush();
}

void Pipe::OnReadDone(bool ok) {
  if (ok) {
    Gather(true);
    ok = events_.OnMessage(*this, incoming_);
    Gather(false);
    if (!ok) Close();
  }
  if (ok) {
    Flush();
    return StartRead(&incoming_);
  }
  std::lock_guard lock(mutex_);
  broken_ = read_ended_ = true;
  Release();
}

// The read ends when the stream does, so nothing begins any more once it has.
void Pipe::Release() {
  if (read_ended_ && !writing_) RemoveHold();
}

void Pipe::OnDone(const grpc::Status& status) {
  Events& events = events_;
  std::shared_ptr<Pipe> self = std::move(self_);
  events.OnDown(*this, status);
  self.reset();
  events.OnGone();
}

}  // namespace holdfast::client

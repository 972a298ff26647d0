#include "src/client/pipe.h"

#include "src/api/grpc/pipe_frames.h"

namespace holdfast::client {

void Pipe::Open(grpc::GenericStub& stub) {
  self_ = shared_from_this();
  stub.PrepareBidiStreamingCall(&context_, api::grpc::kPipeMethod, {}, this);
  AddHold();  // Writes begin outside of gRPC's calls to us; let go of when none can begin any more.
  StartRead(&incoming_);
  StartCall();
}

void Pipe::Flush() {
  {
    std::lock_guard lock(mutex_);
    if (writing_ || gathering_ || broken_) return;
    std::string message = events_.NextMessage(*this);
    if (message.empty()) return;
    writing_ = true;
    outgoing_ = api::grpc::ToPipeBuffer(std::move(message));
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
    outgoing_.Clear();
    if (broken_) return Release();
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

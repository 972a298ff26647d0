// For the tests of gRPC: bytes in and out of its buffers, and a two-way stream.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::api::testing {

inline ::grpc::ByteBuffer Pack(const std::string& bytes) {
  const ::grpc::Slice slice(bytes);
  return ::grpc::ByteBuffer(&slice, 1);
}

inline std::string Unpack(const ::grpc::ByteBuffer& buffer) {
  std::vector<::grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const auto& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// A two-way stream of any method, one step at a time.
class Stream {
 public:
  Stream(::grpc::GenericStub& stub, const std::string& method) {
    stream_ = stub.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(this);
    Next();
  }
  ~Stream() {
    context_.TryCancel();
    Finish();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  bool Write(const std::string& bytes) {
    stream_->Write(Pack(bytes), this);
    return Next();
  }
  bool Read(google::protobuf::Message* message) {
    ::grpc::ByteBuffer buffer;
    stream_->Read(&buffer, this);
    return Next() && message->ParseFromString(Unpack(buffer));
  }
  ::grpc::Status Finish() {
    if (!finished_) {
      finished_ = true;
      stream_->Finish(&status_, this);
      Next();
    }
    return status_;
  }
  void WritesDone() {
    stream_->WritesDone(this);
    Next();
  }

 private:
  bool Next() {
    void* tag;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  ::grpc::ClientContext context_;
  ::grpc::CompletionQueue queue_;
  std::unique_ptr<::grpc::GenericClientAsyncReaderWriter> stream_;
  ::grpc::Status status_;
  bool finished_ = false;
};

}  // namespace holdfast::api::testing

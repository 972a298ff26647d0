// Between gRPC's buffers and bytes. No state; any thread.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <string>
#include <string_view>

namespace holdfast::api::grpc {

// The bytes in one piece, without a copy where they lie in one.
inline ::grpc::Slice Flat(const ::grpc::ByteBuffer& buffer) {
  ::grpc::Slice bytes;
  if (!buffer.TrySingleSlice(&bytes).ok()) buffer.DumpToSingleSlice(&bytes);
  return bytes;
}

inline std::string_view View(const ::grpc::Slice& bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

inline bool Parse(const ::grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message) {
  const ::grpc::Slice bytes = Flat(buffer);
  return message->ParseFromArray(bytes.begin(), static_cast<int>(bytes.size()));
}

inline ::grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const ::grpc::Slice slice(bytes);
  return ::grpc::ByteBuffer(&slice, 1);
}

}  // namespace holdfast::api::grpc

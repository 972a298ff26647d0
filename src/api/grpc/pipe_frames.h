// The bytes of the pipe's messages (pipe.proto): written one element at a time, as requests and
// replies come, and read one at a time, so that a message of thousands of them is never held twice.
// Shared by the node and the client library. No state; any thread.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <deque>
#include <memory>
#include <string>

#include "src/base/bounds.h"

namespace holdfast::api::grpc {

inline constexpr char kPipeMethod[] = "/holdfast.Pipe/Connect";

// Appends `message` as an element of a repeated field.
inline void AppendElement(int field, const google::protobuf::MessageLite& message,
                          std::string* out) {
  using Coded = google::protobuf::io::CodedOutputStream;
  using Wire = google::protobuf::internal::WireFormatLite;
  const size_t body = message.ByteSizeLong();
  const uint32_t tag = Wire::MakeTag(field, Wire::WIRETYPE_LENGTH_DELIMITED);
  const size_t head = Coded::VarintSize32(tag) + Coded::VarintSize32(static_cast<uint32_t>(body));
  const size_t before = out->size();
  out->resize(before + head + body);
  auto* at = reinterpret_cast<uint8_t*>(out->data() + before);
  at = Coded::WriteVarint32ToArray(tag, at);
  at = Coded::WriteVarint32ToArray(static_cast<uint32_t>(body), at);
  message.SerializeWithCachedSizesToArray(at);
}

// Calls `element` with each element of repeated field `field`, and merges the rest into `rest`,
// which must not know that field's elements. `scratch` is used again for every element. False when
// the bytes are no such message, or `element` returned false.
template <class Element, class Rest, class Take>
bool ReadElements(const ::grpc::ByteBuffer& buffer, int field, Element* scratch, Rest* rest,
                  const Take& take) {
  using Wire = google::protobuf::internal::WireFormatLite;
  ::grpc::ByteBuffer alias =
      buffer;  // The reader wants one that may be changed; nothing is copied.
  ::grpc::ProtoBufferReader reader(&alias);
  google::protobuf::io::CodedInputStream coded(&reader);
  const uint32_t wanted = Wire::MakeTag(field, Wire::WIRETYPE_LENGTH_DELIMITED);
  std::string others;
  google::protobuf::io::StringOutputStream others_stream(&others);
  {
    google::protobuf::io::CodedOutputStream others_coded(&others_stream);
    while (const uint32_t tag = coded.ReadTag()) {
      if (tag != wanted) {
        if (!Wire::SkipField(&coded, tag, &others_coded)) return false;
        continue;
      }
      int size = 0;
      if (!coded.ReadVarintSizeAsInt(&size)) return false;
      const auto limit = coded.PushLimit(size);
      scratch->Clear();
      // Tag 0, or the end of a group, ends a message too: what comes must end with its length.
      if (!scratch->MergeFromCodedStream(&coded) || coded.BytesUntilLimit() != 0 ||
          !coded.ConsumedEntireMessage()) {
        return false;
      }
      coded.PopLimit(limit);
      if (!take(*scratch)) return false;
    }
    if (!coded.ConsumedEntireMessage() || !reader.status().ok()) return false;
  }
  return rest->ParseFromString(others);
}

// What waits to be sent: encoded elements, cut into messages. Not thread-safe.
class PipeQueue {
 public:
  bool empty() const { return messages_.empty(); }
  size_t bytes() const { return bytes_; }

  // Returns the bytes that it takes.
  size_t Append(int field, const google::protobuf::MessageLite& element) {
    const size_t size = element.ByteSizeLong();
    if (messages_.empty() || messages_.back().size() + size > bounds::kPipeMessageBytesTarget) {
      messages_.emplace_back();
    }
    std::string& message = messages_.back();
    const size_t before = message.size();
    AppendElement(field, element, &message);
    bytes_ += message.size() - before;
    return message.size() - before;
  }
  // A message of its own, such as the first; also an empty one.
  void AppendMessage(std::string message) {
    bytes_ += message.size();
    messages_.push_back(std::move(message));
  }
  // The oldest message. Not when empty.
  std::string Take() {
    std::string message = std::move(messages_.front());
    messages_.pop_front();
    bytes_ -= message.size();
    return message;
  }
  void Clear() {
    messages_.clear();
    bytes_ = 0;
  }

 private:
  std::deque<std::string> messages_;
  size_t bytes_ = 0;
};

// The bytes without a copy.
inline ::grpc::ByteBuffer ToPipeBuffer(std::string bytes) {
  auto* owned = new std::string(std::move(bytes));
  const ::grpc::Slice slice(
      owned->data(), owned->size(), [](void* string) { delete static_cast<std::string*>(string); },
      owned);
  return ::grpc::ByteBuffer(&slice, 1);
}

}  // namespace holdfast::api::grpc

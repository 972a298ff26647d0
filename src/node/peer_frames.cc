#include "src/node/peer_frames.h"

#include <xxhash.h>

#include <cstring>

#include "src/base/check.h"

namespace holdfast::node {
namespace {

constexpr size_t kReadBytes = 64 << 10;

void PutU32(uint32_t value, char* at) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<char>(value >> (8 * i));
}
uint32_t GetU32(const char* at) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(at[i])} << (8 * i);
  return value;
}

uint32_t Checksum(const char* bytes, size_t length) {
  return static_cast<uint32_t>(XXH3_64bits(bytes, length));
}

}  // namespace

void AppendFrame(const PeerFrame& frame, std::string* out) {
  const size_t length = frame.ByteSizeLong();
  HOLDFAST_CHECK(length <= bounds::kPeerFrameBytesMax,
                 "a frame of " + std::to_string(length) + " bytes for a peer");
  const size_t begin = out->size();
  out->resize(begin + kFrameHeaderBytes + length);
  char* header = out->data() + begin;
  char* body = header + kFrameHeaderBytes;
  frame.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(body));
  PutU32(static_cast<uint32_t>(length), header);
  PutU32(Checksum(body, length), header + 4);
}

FrameReader::FrameReader() : buffer_(kReadBytes) {}

boost::asio::mutable_buffer FrameReader::Room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.size() > kReadBytes) std::vector<char>(kReadBytes).swap(buffer_);
  } else if (end_ == buffer_.size() && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  return boost::asio::buffer(buffer_.data() + end_, buffer_.size() - end_);
}

FrameReader::Next FrameReader::Take(size_t bytes_max, PeerFrame* frame) {
  if (end_ - begin_ < kFrameHeaderBytes) return Next::kMore;
  const char* header = buffer_.data() + begin_;
  const size_t length = GetU32(header);
  if (length > bytes_max) return Next::kBroken;
  if (end_ - begin_ < kFrameHeaderBytes + length) return Next::kMore;
  const char* body = header + kFrameHeaderBytes;
  begin_ += kFrameHeaderBytes + length;
  if (GetU32(header + 4) != Checksum(body, length)) return Next::kBroken;
  return frame->ParseFromArray(body, static_cast<int>(length)) ? Next::kFrame : Next::kBroken;
}

}  // namespace holdfast::node

// Frames as bytes of a connection between nodes (docs/formats/peer.md): length, checksum,
// PeerFrame. TCP's own checksum lets one damaged segment of 65,536 pass, and an entry's checksum is
// made by whoever stores it.
#pragma once

#include <boost/asio/buffer.hpp>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/bounds.h"

namespace holdfast::node {

inline constexpr size_t kFrameHeaderBytes = 8;

// The frame's message must not be longer than kPeerFrameBytesMax.
void AppendFrame(const PeerFrame& frame, std::string* out);

// Takes frames from bytes that come in pieces. What it holds grows with what has come, never with
// what is only announced.
class FrameReader {
 public:
  FrameReader();

  // Where the next bytes may be put, never empty; then say how many came.
  boost::asio::mutable_buffer Room();
  void Came(size_t bytes) { end_ += bytes; }

  enum class Next {
    kFrame,   // Here it is.
    kMore,    // It has not come as a whole.
    kBroken,  // Too long, damaged or no frame; nothing that follows means anything.
  };
  // `bytes_max`: of its message.
  Next Take(size_t bytes_max, PeerFrame* frame);

 private:
  std::vector<char> buffer_;
  size_t begin_ = 0;  // Of what has come and is not taken.
  size_t end_ = 0;
};

}  // namespace holdfast::node

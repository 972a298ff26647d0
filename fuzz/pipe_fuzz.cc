// Bytes of a message on a pipe, in slices as the network cuts them -> requests and replies.
#include "fuzz/input.h"
#include "holdfast/pipe.pb.h"
#include "src/api/grpc/pipe_frames.h"

namespace holdfast::api::grpc {
namespace {

::grpc::ByteBuffer Sliced(std::string_view bytes, size_t slice_bytes) {
  std::vector<::grpc::Slice> slices;
  while (!bytes.empty()) {
    slices.emplace_back(bytes.data(), std::min(slice_bytes, bytes.size()));
    bytes.remove_prefix(slices.back().size());
  }
  return {slices.data(), slices.size()};
}

// What one reads element by element is what the parser of whole messages reads, and what a queue
// makes of it says the same.
template <class Whole, class Element, class Elements>
void Check(std::string_view bytes, size_t slice_bytes, int field, const Elements& elements) {
  const auto read = [&](const ::grpc::ByteBuffer& buffer, Whole* message) {
    Element scratch;
    std::vector<Element> found;
    const bool understood =
        ReadElements(buffer, field, &scratch, message, [&found](Element& element) {
          found.push_back(element);
          return true;
        });
    HOLDFAST_CHECK(!understood || elements(message)->empty(), "elements in what is left");
    for (Element& element : found) *elements(message)->Add() = std::move(element);
    return understood;
  };
  Whole message;
  Whole whole;
  const bool understood = read(Sliced(bytes, slice_bytes), &message);
  const bool parsed = whole.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  HOLDFAST_CHECK(understood || !parsed, "not understood, but it parses");
  // protobuf's own readers differ where a number takes more bytes than it needs: that of streams
  // takes it, that of memory does not.
  if (!understood || !parsed) return;
  HOLDFAST_CHECK(message.SerializeAsString() == whole.SerializeAsString(),
                 "two parsers read two messages");

  PipeQueue queue;
  size_t bytes_queued = 0;
  for (const Element& element : *elements(&message)) bytes_queued += queue.Append(field, element);
  HOLDFAST_CHECK(queue.bytes() == bytes_queued, "a queue that miscounts");
  Whole again;
  while (!queue.empty()) {
    HOLDFAST_CHECK(read(ToPipeBuffer(queue.Take()), &again), "does not read what it wrote");
  }
  HOLDFAST_CHECK(queue.bytes() == 0, "a queue that miscounts");
  Whole sent;
  *elements(&sent) = *elements(&message);
  HOLDFAST_CHECK(again.SerializeAsString() == sent.SerializeAsString(),
                 "another message than was queued");
}

}  // namespace
}  // namespace holdfast::api::grpc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::api::grpc;
  fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  const size_t slice_bytes = 1 + mode / 2;
  if (mode % 2 == 0) {
    Check<PipeRequests, PipeRequest>(input.Rest(), slice_bytes, PipeRequests::kRequestsFieldNumber,
                                     [](PipeRequests* m) { return m->mutable_requests(); });
  } else {
    Check<PipeReplies, PipeReply>(input.Rest(), slice_bytes, PipeReplies::kRepliesFieldNumber,
                                  [](PipeReplies* m) { return m->mutable_replies(); });
  }
  return 0;
}

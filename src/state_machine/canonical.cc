#include "src/state_machine/canonical.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace holdfast::state_machine {

std::string Canonical(const google::protobuf::Message& message) {
  constexpr size_t kStreamSlackBytes = 32;  // With so much to spare it never asks for more.
  std::string bytes;
  bytes.reserve(message.ByteSizeLong() + kStreamSlackBytes);
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeWithCachedSizes(&coded);
  }  // Leaving the scope trims `bytes` to what was written.
  return bytes;
}

}  // namespace holdfast::state_machine

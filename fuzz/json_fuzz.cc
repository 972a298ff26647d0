// JSON text -> message -> text -> message.
#include "fuzz/input.h"
#include "services/ledger/ledger.pb.h"
#include "src/api/json.h"
#include "src/api/testing/shop.pb.h"
#include "src/state_machine/canonical.h"

namespace holdfast::api {
namespace {

std::unique_ptr<google::protobuf::Message> NewMessage(uint8_t which) {
  switch (which % 4) {
    case 0: return std::make_unique<testing::Everything>();
    case 1: return std::make_unique<testing::Tree>();
    case 2: return std::make_unique<ledger::CreateTransactionRequest>();
    default: return std::make_unique<testing::GetRequest>();
  }
}

void CheckRoundTrip(const google::protobuf::Message& message) {
  for (const JsonStyle style : {JsonStyle::kCompact, JsonStyle::kPretty}) {
    const std::string text = ToJson(message, style);
    const std::unique_ptr<google::protobuf::Message> again(message.New());
    const Result<void> parsed = ParseJson(text, again.get());
    HOLDFAST_CHECK(parsed, "does not read what it wrote: " + parsed.error().message + ": " + text);
    HOLDFAST_CHECK(ToJson(*again, style) == text, "reads something else than it wrote: " + text);
  }
  const std::string bytes = state_machine::Canonical(message);
  const std::unique_ptr<google::protobuf::Message> again(message.New());
  HOLDFAST_CHECK(again->ParseFromString(bytes) && state_machine::Canonical(*again) == bytes,
                 "bytes are not canonical");
}

}  // namespace
}  // namespace holdfast::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  const std::unique_ptr<google::protobuf::Message> message = api::NewMessage(mode);
  if (mode < 128) {
    if (api::ParseJson(input.Rest(), message.get())) api::CheckRoundTrip(*message);
    return 0;
  }
  // Query parameters and flags.
  api::FieldWriter writer(message.get());
  bool good = true;
  while (good && !input.empty()) {
    const std::string_view name = input.Bytes();
    good = writer.Set(name, input.Bytes()).has_value();
  }
  if (good) api::CheckRoundTrip(*message);
  return 0;
}

// Bytes of a gRPC request -> message of any method -> validation -> canonical bytes and JSON.
#include "fuzz/input.h"
#include "src/api/call.h"
#include "src/api/json.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::api {
namespace {

struct World {
  World() : store(std::make_unique<store::MemoryBase>()), registry(store) {
    RegisterServices(registry);
    registry.Finish();
  }
  store::Store store;
  state_machine::Registry registry;
};

std::optional<std::string_view> Word(fuzz::Input& input) {
  const uint8_t present = input.Byte();
  return present == 0 ? std::nullopt : std::optional(input.Bytes());
}

}  // namespace
}  // namespace holdfast::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  static api::World& world = *new api::World();
  fuzz::Input input(data, size);
  const auto& methods = world.registry.methods();
  const state_machine::Method& method = *methods[input.Byte() % methods.size()];
  const api::CallWords words{api::Word(input), api::Word(input), api::Word(input),
                             api::Word(input)};
  const std::chrono::steady_clock::time_point now{};
  const auto options = api::ParseCallWords(method, words, now);
  HOLDFAST_CHECK(!options || options->deadline > now, "a deadline that has passed");

  const std::unique_ptr<google::protobuf::Message> message(method.request->New());
  if (!message->ParseFromString(std::string(input.Rest()))) return 0;
  const auto bytes = api::EncodeRequest(method, *message);
  if (!bytes) return 0;
  const std::unique_ptr<google::protobuf::Message> again(method.request->New());
  HOLDFAST_CHECK(again->ParseFromString(*bytes), "does not parse what it encoded");
  const auto bytes_again = api::EncodeRequest(method, *again);
  HOLDFAST_CHECK(bytes_again && *bytes_again == *bytes, "the bytes are not canonical");
  api::ToJson(*message);
  return 0;
}

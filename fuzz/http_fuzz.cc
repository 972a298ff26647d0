// Bytes of a connection -> HTTP parser with the server's bounds -> router -> handler -> validated
// request of a service -> response.
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "fuzz/input.h"
#include "src/api/http/beast_request.h"
#include "src/api/http/handler.h"
#include "src/api/json.h"
#include "src/base/bounds.h"
#include "src/state_machine/canonical.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::api::http {
namespace {

namespace beast = boost::beast;
namespace asio = boost::asio;

// Checks what reaches the log, and answers with a reply or an error.
class CheckingNode : public node::Dispatcher {
 public:
  void Call(const state_machine::Method& method, std::string request, node::CallOptions options,
            node::Done done) override {
    const std::unique_ptr<google::protobuf::Message> message(method.request->New());
    HOLDFAST_CHECK(message->ParseFromString(request), "the request does not parse");
    HOLDFAST_CHECK(method.validate(*message), "the request was not validated");
    HOLDFAST_CHECK(state_machine::Canonical(*message) == request, "the request is not canonical");
    HOLDFAST_CHECK(options.idempotency_key.size() <= bounds::kIdempotencyKeyBytesMax,
                   "an idempotency key beyond its bound");
    node::Reply reply;
    if (request.size() % 4 == 3) {
      reply.body = Fail(InvalidArgument("field", "is wrong"));
    } else {
      const std::unique_ptr<google::protobuf::Message> answer(method.reply->New());
      answer->ParseFromString(request);  // Whatever of it fits.
      reply.body = answer->SerializeAsString();
    }
    reply.position = LogIndex(7);
    done(std::move(reply));
  }
};

struct World {
  World() : store(std::make_unique<store::MemoryBase>()), registry(store) {
    RegisterServices(registry);
    registry.Finish();
    handler = std::make_unique<Handler>(registry, node, "1.0", [] { return std::string("x 1\n"); });
  }
  store::Store store;
  state_machine::Registry registry;
  CheckingNode node;
  std::unique_ptr<Handler> handler;
};

void Handle(const beast::http::request<beast::http::string_body>& message) {
  static World& world = *new World();
  int answers = 0;
  const auto watch = [] { return std::shared_ptr<const std::atomic<bool>>(); };
  world.handler->Handle(RequestOf(message), watch, [&answers](Render render) {
    ++answers;
    const Response response = std::move(render)();
    HOLDFAST_CHECK(response.status >= 200 && response.status < 600, "no status of HTTP");
    for (const auto& [name, value] : response.headers) {
      HOLDFAST_CHECK((name + value).find_first_of("\r\n") == std::string::npos,
                     "a header that ends its line");
    }
  });
  HOLDFAST_CHECK(answers == 1, "answered " + std::to_string(answers) + " times");
}

}  // namespace
}  // namespace holdfast::api::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace http = boost::beast::http;
  using namespace holdfast;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // One request after another, as pipelining has it.
  while (!bytes.empty()) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(bounds::kHttpHeaderBytesMax);
    parser.body_limit(bounds::kHttpBodyBytesMax);
    parser.eager(true);
    boost::system::error_code error;
    const size_t used = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (error || !parser.is_done()) return 0;
    api::http::Handle(parser.get());
    bytes.remove_prefix(used);
  }
  return 0;
}

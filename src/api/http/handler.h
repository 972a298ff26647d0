// From one HTTP request to one HTTP response, without sockets: routes it, turns JSON and
// parameters into the method's request, calls the dispatcher and turns the reply into JSON.
//
// Bodies are JSON whatever Content-Type says: curl -d labels its JSON as a form.
#pragma once

#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/api/http/router.h"
#include "src/node/dispatcher.h"

namespace holdfast::api::http {

// Views are valid during Handle only. Header names compare without case.
struct Request {
  std::string_view verb;    // "GET", ...
  std::string_view target;  // Path and query, as sent.
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
};

struct Response {
  int status = 200;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool droppable = false;  // Of a read: may be refused instead where memory is short.
};

// The same error, as a response.
Response ProblemResponse(const Error& error);
Response ProblemResponse(const Error& error, int status);

// Makes the response. Deferred, so that the thread on which a reply arrives (it may be the one that
// applies the log) does not write JSON: run it where there is time.
using Render = absl::AnyInvocable<Response() &&>;
using Respond = absl::AnyInvocable<void(Render)>;
// Begins to look out for the end of the connection; what it gives out turns true then.
using Watch = absl::FunctionRef<std::shared_ptr<const std::atomic<bool>>()>;

class Handler {
 public:
  // All outlive the handler and every call under way. `version` is shown by OpenAPI. `metrics`
  // makes the page /metrics, which is not there without it.
  Handler(const state_machine::Registry& registry, node::Dispatcher& dispatcher,
          const std::string& version, std::function<std::string()> metrics = nullptr);

  // The answer to a request that this node has no time for, or nothing for one that is never
  // refused like this: pages, and methods that need neither log nor store, such as /health.
  // Thread-safe.
  std::optional<Response> Refuse(const Request& request, const Error& error) const;

  // Thread-safe. `respond` is called exactly once, on any thread, perhaps before Handle returns.
  // `watch` is called before that, if the call may wait for what is not there yet.
  void Handle(const Request& request, Watch watch, Respond respond) const;

 private:
  Response Page(const Request& request, std::string_view path) const;

  Router router_;
  node::Dispatcher& dispatcher_;
  std::function<std::string()> metrics_;
  std::string openapi_;
  std::string index_;
};

}  // namespace holdfast::api::http

#include "src/client/client.h"

#include <absl/synchronization/notification.h>

#include <algorithm>

#include "src/client/core.h"

namespace holdfast::client {

Result<std::vector<std::string>> ParseEndpoints(std::string_view text) {
  std::vector<std::string> endpoints;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    const size_t colon = one.rfind(':');
    const std::string_view port = colon == one.npos ? "" : one.substr(colon + 1);
    const bool number =
        !port.empty() && port.size() <= 5 && port[0] != '0' &&
        std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (colon == 0 || !number || std::stoi(std::string(port)) > 65'535) {
      return Fail(InvalidArgument(
          "endpoints", "'" + std::string(one.substr(0, 64)) + "' is not of the form host:port"));
    }
    endpoints.emplace_back(one);
    if (endpoints.size() > kEndpointsMax) {
      return Fail(InvalidArgument("endpoints",
                                  "are more than " + std::to_string(kEndpointsMax) + " addresses"));
    }
    if (comma == text.npos) return endpoints;
    text.remove_prefix(comma + 1);
  }
}

void Pending::Cancel() { core_->Cancel(number_); }

Client::Client(std::vector<std::string> endpoints, Options options)
    : core_(std::make_unique<Core>(std::move(endpoints), options)) {}

Client::~Client() { core_->Close(); }

LogIndex Client::position() const { return core_->position(); }

Pending Client::CallAsync(const std::string& method, std::string request,
                          const CallOptions& options, Done done) {
  return Pending(*core_, core_->Begin(method, std::move(request), options, std::move(done)));
}

Result<Reply> Client::Call(const std::string& method, std::string request,
                           const CallOptions& options) {
  absl::Notification ended;
  Result<Reply> result;
  core_->Begin(method, std::move(request), options, [&](Result<Reply> reply) {
    result = std::move(reply);
    ended.Notify();
  });
  ended.WaitForNotification();
  return result;
}

}  // namespace holdfast::client

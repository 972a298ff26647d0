// Asks every node of --endpoints the same question at once, each by itself. One thread; a Context
// at hand.
#pragma once

#include <future>
#include <string>
#include <vector>

#include "src/cli/commands.h"

namespace holdfast::cli {

// How long a node may take to say how it is: one that hangs should not hide the others for long.
inline constexpr std::chrono::milliseconds kAskTimeout{2'000};

template <class Reply>
struct Asked {
  std::string endpoint;
  Result<Reply> reply;
};

// A client for each endpoint, kept from one question to the next.
class Nodes {
 public:
  explicit Nodes(const std::vector<std::string>& endpoints) {
    for (const std::string& endpoint : endpoints) {
      nodes_.push_back({endpoint, std::make_unique<client::Client>(std::vector{endpoint})});
    }
  }
  size_t size() const { return nodes_.size(); }

  // In the order of the endpoints.
  template <class Reply, class Request>
  std::vector<Asked<Reply>> Ask(const std::string& method, const Request& request,
                                std::chrono::milliseconds timeout) const {
    std::vector<std::future<Result<Reply>>> answers;
    for (const Node& node : nodes_) {
      answers.push_back(
          std::async(std::launch::async, [client = node.client.get(), &method, &request, timeout] {
            client::CallOptions options;
            options.timeout = timeout;
            auto reply = client->Call<Reply>(method, request, options);
            return reply ? Result<Reply>(std::move(reply->message)) : Fail(reply.error());
          }));
    }
    std::vector<Asked<Reply>> asked;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      asked.push_back({nodes_[i].endpoint, answers[i].get()});
    }
    return asked;
  }

 private:
  struct Node {
    std::string endpoint;
    std::unique_ptr<client::Client> client;
  };
  std::vector<Node> nodes_;
};

// Of --endpoints, or an Error that says what is wrong with them.
Result<Nodes> NodesOf(Context& context);

// The time that --timeout allows, at most kAskTimeout.
Result<std::chrono::milliseconds> AskTimeoutOf(const Context& context);

// Rows under a header, columns aligned: text to the left, what begins with a digit to the right.
std::string Columns(const std::vector<std::string>& header,
                    const std::vector<std::vector<std::string>>& rows);

// "12.3 MiB", "4d 2h", "1.2 ms".
std::string BytesText(uint64_t bytes);
std::string AgeText(uint64_t ms);
std::string MicrosText(double us);

// Repeats `show` every `interval`, `count` times (0: until Ctrl-C), clearing the screen of a
// terminal before each. Returns the last exit code.
int Repeat(Context& context, uint64_t count, std::chrono::milliseconds interval,
           const std::function<int()>& show);

}  // namespace holdfast::cli

// The ways in which a client reaches the cluster, each as a number of closed-loop clients.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "bench/cluster/load.h"
#include "src/base/consistency.h"

namespace holdfast::bench {

// One call.
struct Ask {
  std::string method;  // "/holdfast.ledger.Ledger/CreateTransfer"
  std::string body;    // The request message; for HTTP, JSON.
  Consistency consistency = Consistency::kSession;
};

// What one client does: operations of one call or several, one after another.
class Script {
 public:
  virtual ~Script() = default;
  // The first call of the next operation.
  virtual Ask Begin() = 0;
  // With the reply to the last call, or null when it failed: the operation's next call, or, when it
  // is over, how many things it has got done (0: it is not what was asked for).
  virtual std::variant<Ask, int> Next(const std::string* reply) = 0;
};
using MakeScript = std::function<std::unique_ptr<Script>(int client)>;

// Operations of one call. `Draw` draws a client's next one, `Judge` says how many things a reply
// stands for.
using Draw = std::function<Ask()>;
using MakeDraw = std::function<Draw(int client)>;
using Judge = std::function<int(const std::string& body)>;
MakeScript SingleCalls(MakeDraw make, Judge judge);

// All clients share one client library object, as the threads of one program would.
Callers OverPipe(const std::vector<uint16_t>& ports, int clients, const MakeScript& make);
// One call each, over a few connections.
Callers OverGrpc(uint16_t port, int clients, const MakeScript& make);
// A connection each, kept alive. `Ask::method` is the path of a POST.
Callers OverHttp(uint16_t port, int clients, const MakeScript& make);

}  // namespace holdfast::bench

// The ways in which a client reaches the cluster, each as a number of closed-loop clients.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/payments/load.h"
#include "src/base/consistency.h"

namespace holdfast::bench {

// What a client asks for, and how to read the answer.
struct Ask {
  std::string method;  // "/holdfast.ledger.Ledger/CreateTransfer"
  std::string body;    // The request message; for HTTP, JSON.
  Consistency consistency = Consistency::kSession;
};
// Draws the next request of one client.
using Draw = std::function<Ask()>;
using MakeDraw = std::function<Draw(int client)>;
// How many transfers or reads a reply stands for; 0: it is not what was asked for.
using Judge = std::function<int(const std::string& body)>;

// All clients share one client library object, as the threads of one program would.
Callers OverPipe(const std::vector<uint16_t>& ports, int clients, const MakeDraw& make,
                 const Judge& judge);
// One call each, over a few connections.
Callers OverGrpc(uint16_t port, int clients, const MakeDraw& make, const Judge& judge);
// A connection each, kept alive. `Ask::method` is the path of a POST.
Callers OverHttp(uint16_t port, int clients, const MakeDraw& make, const Judge& judge);

}  // namespace holdfast::bench

// A caller that makes transfers the way a careful one does: the very same request, again and
// again, through one node after another, until somebody knows how it ended.
#pragma once

#include <string>
#include <vector>

#include "services/ledger/ledger.pb.h"
#include "src/client/client.h"
#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"

namespace holdfast::testing {

enum class Door { kHttp, kGrpc };

// How a transfer ended, whichever door it took.
struct Answer {
  Door door = Door::kHttp;
  std::string bytes;    // As they came: JSON, or the reply message.
  std::string outcome;  // "created", ...; or the code of an error: "idempotency_key_reused", ...
  std::string field;    // Of an error.
  bool replayed = false;
  bool repeated = false;        // The first answers were that nobody knew, or there was none.
  ledger::TransferReply reply;  // Empty after an error.
};

// One thread at a time. Reads nothing of the cluster but ports.
class TransferCaller {
 public:
  // Begins at `node`, and goes on to the others when that one does not answer.
  TransferCaller(const ProcessCluster& cluster, int node, Door door);

  // `key` may be empty. An answer with an empty outcome: nobody knew within 40 s.
  Answer Transfer(const ledger::CreateTransferRequest& request, const std::string& key);

 private:
  // False: not answered, or the outcome is open.
  bool TryHttp(const std::string& body, const std::string& key, Answer* answer);
  bool TryGrpc(const std::string& body, const std::string& key, Answer* answer);

  const Door door_;
  std::vector<HttpClient> http_;
  std::vector<std::unique_ptr<client::Client>> grpc_;
  size_t next_;
};

ledger::CreateTransferRequest MakeTransfer(const std::string& id, const std::string& from,
                                           const std::string& to, int64_t amount);

// The linearizable balance of an account, as `node` tells it; fails the test when it does not.
int64_t BalanceAt(const ProcessCluster& cluster, int node, const std::string& account);

// Opens an account; `overdraft` as JSON: "true", "0", "500".
void OpenAccount(const ProcessCluster& cluster, const std::string& id,
                 const std::string& overdraft = "true");

}  // namespace holdfast::testing

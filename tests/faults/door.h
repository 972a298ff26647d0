// The ways into a node: the client library on its pipe, gRPC without a library, HTTP with JSON. One
// call of any of them is one attempt or, with the library, as many as fit into its time.
// Thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "src/client/client.h"

namespace holdfast::faults {

struct Address {
  std::string host;
  uint16_t http = 0;
  uint16_t grpc = 0;
  std::string endpoint() const { return host + ":" + std::to_string(grpc); }
};

// A call of the ledger.
struct Ask {
  std::string method;  // "CreateTransfer"
  std::shared_ptr<google::protobuf::Message> request;
  client::CallOptions options;  // The timeout is not 0.
};

class Door {
 public:
  virtual ~Door() = default;
  virtual const char* name() const = 0;
  // Blocks. That no answer came, for whatever reason, is kOutcomeUnknown.
  virtual Result<client::Reply> Call(const Ask& ask) = 0;
  // The highest position that an answer through this door has carried: its session.
  LogIndex position() const { return LogIndex(position_.load()); }

 protected:
  void Saw(LogIndex position);

 private:
  std::atomic<uint64_t> position_{0};
};

// `nodes`, the nearest first, are not empty. The library goes on to the others by itself; the other
// doors lead to the first one alone.
std::unique_ptr<Door> MakePipeDoor(const std::vector<Address>& nodes);
std::unique_ptr<Door> MakeGrpcDoor(const Address& node);
std::unique_ptr<Door> MakeHttpDoor(const Address& node);

// What callers of these doors give a node that does not answer.
client::Options ClientOptions();
// "/holdfast.ledger.Ledger/CreateTransfer"
std::string PathOf(const std::string& method);
const char* TextOf(Consistency consistency);

}  // namespace holdfast::faults

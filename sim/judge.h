// What a service must answer: its reference model, replayed in the order of the log. A service
// comes with one of these and with requests (requests.h).
#pragma once

#include <google/protobuf/util/message_differencer.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/sessions/moment.h"
#include "sim/requests.h"
#include "sim/world.h"
#include "src/base/ids.h"
#include "src/state_machine/canonical.h"

namespace holdfast::sim {

using Moment = sessions::Moment;

// A read that was answered.
struct ReadRecord {
  std::string method;
  std::string request;
  uint64_t rows_before = 0;  // See Asked.
  LogIndex after;            // It must have seen at least this.
  LogIndex position;
  bool found = false;
  std::string reply;
  bool near = false;  // Served by a client from a line of the cache that it held.
};

class Judge {
 public:
  virtual ~Judge() = default;
  // An entry of the log begins: what is due by then happens.
  virtual void Begin(const Moment& at) = 0;
  // A write of this entry; the reply's bytes.
  virtual std::string Execute(const std::string& method, const std::string& body) = 0;
  // What an answer says that the model does not; empty: nothing.
  virtual std::string Difference(const ReadRecord& read) const = 0;
  // All that it knows, and back to that: a list of writes is undone.
  using Saved = std::shared_ptr<const void>;
  virtual Saved Save() const = 0;
  virtual void Restore(const Saved& saved) = 0;
  // Questions whose answers show everything that there is.
  virtual std::vector<Asked> Everything() const = 0;
  // What must never be so, at the end, and is; empty: nothing.
  virtual std::string Broken() const { return ""; }
};

// One that knows what its model does.
template <class Model>
class ModelJudge : public Judge {
 public:
  Saved Save() const override { return std::make_shared<const Model>(model_); }
  void Restore(const Saved& saved) override { model_ = *static_cast<const Model*>(saved.get()); }

 protected:
  Model model_;
};

// All services, by name: "ledger". Some have a judge in common.
using Judges = std::map<std::string, std::shared_ptr<Judge>>;
Judges MakeJudges();

// --- For judges

template <class Message>
Message Parsed(const std::string& bytes) {
  Message message;
  Require(message.ParseFromString(bytes), "a request or a reply does not parse");
  return message;
}

// Runs one request on a model; the reply's bytes.
template <class Request, class Ask>
std::string Answer(const std::string& body, Ask ask) {
  return state_machine::Canonical(ask(Parsed<Request>(body)));
}

// What a reply says that is not expected; nullopt: there is no such thing.
template <class Message>
std::string Differ(const std::optional<Message>& expected, const ReadRecord& read) {
  std::optional<Message> found;
  if (read.found) found = Parsed<Message>(read.reply);
  if (found.has_value() == expected.has_value() &&
      (!found || google::protobuf::util::MessageDifferencer::Equals(*found, *expected))) {
    return "";
  }
  return "saw\n  " + (found ? found->ShortDebugString() : "nothing") + "\nand the model has\n  " +
         (expected ? expected->ShortDebugString() : "nothing");
}

}  // namespace holdfast::sim

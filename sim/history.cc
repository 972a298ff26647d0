#include "sim/history.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <optional>

#include "sim/model_reads.h"

namespace holdfast::sim {
namespace {

using google::protobuf::util::MessageDifferencer;

// Runs one request on the model; the reply's bytes.
template <class Request, class Reply>
std::string RunOn(ledger::Model& model, Reply (ledger::Model::*method)(const Request&),
                  const std::string& body) {
  Request request;
  Require(request.ParseFromString(body), "a committed request does not parse");
  return (model.*method)(request).SerializeAsString();
}

std::string RunOn(ledger::Model& model, const std::string& method, const std::string& body) {
  using ledger::Model;
  if (method == "CreateAccount") return RunOn(model, &Model::CreateAccount, body);
  if (method == "CreateAccounts") return RunOn(model, &Model::CreateAccounts, body);
  if (method == "CloseAccount") return RunOn(model, &Model::CloseAccount, body);
  if (method == "ReopenAccount") return RunOn(model, &Model::ReopenAccount, body);
  if (method == "CreateTransfer") return RunOn(model, &Model::CreateTransfer, body);
  if (method == "CreateTransfers") return RunOn(model, &Model::CreateTransfers, body);
  if (method == "PostTransfer") return RunOn(model, &Model::PostTransfer, body);
  if (method == "VoidTransfer") return RunOn(model, &Model::VoidTransfer, body);
  if (method == "CreateTransaction") return RunOn(model, &Model::CreateTransaction, body);
  if (method == "ReverseTransfer") return RunOn(model, &Model::ReverseTransfer, body);
  if (method == "Pay") return RunOn(model, &Model::Pay, body);
  throw Violation("the model does not know the method " + method);
}

template <class Message>
bool SameMessage(const std::string& a, const std::string& b) {
  Message first;
  Message second;
  return first.ParseFromString(a) && second.ParseFromString(b) &&
         MessageDifferencer::Equals(first, second);
}

// Maps have no order in bytes, so replies are compared as messages.
bool SameReply(const std::string& method, const std::string& a, const std::string& b) {
  if (a == b) return true;
  if (method == "CreateAccounts") return SameMessage<ledger::CreateAccountsReply>(a, b);
  if (method == "CreateTransfers") return SameMessage<ledger::CreateTransfersReply>(a, b);
  if (method.ends_with("Account")) return SameMessage<ledger::AccountReply>(a, b);
  return SameMessage<ledger::TransferReply>(a, b);
}

template <class Message>
std::string Show(const std::string& bytes) {
  Message message;
  return message.ParseFromString(bytes) ? message.ShortDebugString() : "(does not parse)";
}

std::string ShowReply(const std::string& method, const std::string& bytes) {
  if (method == "CreateAccounts") return Show<ledger::CreateAccountsReply>(bytes);
  if (method == "CreateTransfers") return Show<ledger::CreateTransfersReply>(bytes);
  if (method.ends_with("Account")) return Show<ledger::AccountReply>(bytes);
  return Show<ledger::TransferReply>(bytes);
}

}  // namespace

void History::Acknowledge(WriteRecord record) {
  ++writes_;
  to_check_.push_back(std::move(record));
}

void History::Answer(ReadRecord record) {
  ++reads_;
  Require(record.position >= record.after, record.method + " was answered at entry " +
                                               record.position.ToString() +
                                               " and had to see entry " + record.after.ToString());
  reads_to_check_.emplace(record.position, std::move(record));
}

void History::Replay(const std::string& payload, const NameOf& name_of) {
  CheckReads();
  replayed_ = replayed_.Next();
  if (payload.empty()) return;
  LogEntry entry;
  Require(entry.ParseFromString(payload), "a committed entry does not parse");
  now_us_ = std::max(entry.time_us(), now_us_ + 1);  // Log time grows, whatever clocks do.
  model_.Advance(now_us_);
  for (const LogRequest& request : entry.requests()) {
    const std::string& method =
        name_of(static_cast<uint8_t>(request.service()), static_cast<uint8_t>(request.method()));
    const std::string key = method + " " + request.idempotency_key();
    if (!request.idempotency_key().empty() && executed_.contains(key)) continue;
    executed_[key] = {replayed_, RunOn(model_, method, request.body())};
  }
}

void History::Check() {
  CheckReads();
  for (const WriteRecord& record : to_check_) CheckWrite(record);
  to_check_.clear();
}

const std::string* History::ReplyTo(const std::string& method, const std::string& key) const {
  const auto found = executed_.find(method + " " + key);
  return found == executed_.end() ? nullptr : &found->second.reply;
}

void History::CheckWrite(const WriteRecord& record) const {
  const auto found = executed_.find(record.method + " " + record.key);
  Require(found != executed_.end(), "lost: " + record.method + " with key " + record.key +
                                        " was acknowledged at entry " + record.position.ToString() +
                                        " and is nowhere in the log");
  const Executed& executed = found->second;
  Require(record.replayed ? executed.index <= record.position : executed.index == record.position,
          record.method + " with key " + record.key + " was done by entry " +
              executed.index.ToString() + ", its reply says " + record.position.ToString());
  Require(executed.index > record.after,
          "strict serializability: " + record.method + " with key " + record.key +
              " began after entry " + record.after.ToString() +
              " was told to somebody, and is entry " + executed.index.ToString());
  Require(SameReply(record.method, record.reply, executed.reply),
          record.method + " with key " + record.key + " at entry " + executed.index.ToString() +
              " was answered\n  " + ShowReply(record.method, record.reply) +
              "\nand the model says\n  " + ShowReply(record.method, executed.reply));
}

// Those of the entries replayed so far.
void History::CheckReads() {
  while (!reads_to_check_.empty() && reads_to_check_.begin()->first <= replayed_) {
    const ReadRecord& read = reads_to_check_.begin()->second;
    const std::string difference =
        Difference(model_, read.method, read.request, read.rows_before,
                   read.found ? std::optional(read.reply) : std::nullopt);
    Require(difference.empty(),
            read.method + " at entry " + read.position.ToString() + " " + difference);
    reads_to_check_.erase(reads_to_check_.begin());
  }
}

}  // namespace holdfast::sim

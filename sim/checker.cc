#include "sim/checker.h"

#include <google/protobuf/util/message_differencer.h>

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

std::string Name(NodeId node) { return "node " + node.ToString(); }

}  // namespace

void Checker::Leads(NodeId node, Term term) {
  const auto [it, is_new] = leaders_.emplace(term, node);
  if (is_new) world_.Trace(Name(node) + " leads term " + term.ToString());
  Require(it->second == node, "election safety: " + Name(node) + " and " + Name(it->second) +
                                  " both lead term " + term.ToString());
}

void Checker::Applied(NodeId node, LogIndex index, Term term, const std::string& payload,
                      uint64_t digest) {
  world_.Note(node.value << 48 ^ index.value);
  world_.Note(digest);
  if (index.value == entries_.size() + 1) {
    entries_.push_back({term, payload, digest});
    return;
  }
  Require(index.value <= entries_.size(), Name(node) + " applies entry " + index.ToString() +
                                              ", and nobody has applied the one before");
  const Known& known = entries_[index.value - 1];
  Require(known.term == term && known.payload == payload,
          "state machine safety: " + Name(node) + " applies another entry " + index.ToString() +
              " (term " + term.ToString() + ") than was applied before (term " +
              known.term.ToString() + ")");
  Require(known.digest == digest,
          "determinism: " + Name(node) + " has another digest at entry " + index.ToString());
}

void Checker::Stands(NodeId node, LogIndex index, uint64_t digest) {
  if (index.value == 0) return;
  Require(index.value <= entries_.size(),
          Name(node) + " starts at entry " + index.ToString() + ", which nobody has applied");
  Require(entries_[index.value - 1].digest == digest,
          Name(node) + " starts with another digest at entry " + index.ToString());
}

void Checker::Acknowledge(WriteRecord record) {
  ++writes_;
  world_.Note(record.position.value);
  Require(record.position.value <= entries_.size(), "a write was acknowledged at entry " +
                                                        record.position.ToString() +
                                                        ", which nobody has applied");
  told_ = std::max(told_, record.position);
  to_check_.push_back(std::move(record));
}

void Checker::Answer(ReadRecord record) {
  ++reads_;
  world_.Note(record.position.value);
  Require(record.position >= record.after,
          "a read of " + record.account + " was answered at entry " + record.position.ToString() +
              " and had to see entry " + record.after.ToString());
  Require(record.position.value <= entries_.size(), "a read saw an entry that nobody has applied");
  told_ = std::max(told_, record.position);
  reads_to_check_.emplace(record.position, std::move(record));
}

void Checker::Replay(
    const std::function<const std::string&(uint8_t service, uint8_t method)>& name_of) {
  CheckReads(replayed_);
  while (replayed_.value < entries_.size()) {
    replayed_ = replayed_.Next();
    const std::string& payload = entries_[replayed_.value - 1].payload;
    if (!payload.empty()) {
      LogEntry entry;
      Require(entry.ParseFromString(payload), "a committed entry does not parse");
      now_us_ = std::max(entry.time_us(), now_us_ + 1);  // Log time grows, whatever clocks do.
      model_.Advance(now_us_);
      for (const LogRequest& request : entry.requests()) {
        const std::string& method = name_of(static_cast<uint8_t>(request.service()),
                                            static_cast<uint8_t>(request.method()));
        const std::string key = method + " " + request.idempotency_key();
        if (!request.idempotency_key().empty() && executed_.contains(key)) continue;
        executed_[key] = {replayed_, RunOn(model_, method, request.body())};
      }
    }
    CheckReads(replayed_);
  }
  for (const WriteRecord& record : to_check_) CheckWrite(record);
  to_check_.clear();
}

void Checker::CheckWrite(const WriteRecord& record) const {
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

void Checker::CheckReads(LogIndex at) {
  for (auto it = reads_to_check_.begin(); it != reads_to_check_.end() && it->first <= at;
       it = reads_to_check_.erase(it)) {
    const ReadRecord& read = it->second;
    const auto expected = model_.GetAccount(read.account);
    Require(expected.has_value() == read.found &&
                (!read.found ||
                 SameMessage<ledger::Account>(read.reply, expected->SerializeAsString())),
            "a read of " + read.account + " at entry " + at.ToString() + " saw\n  " +
                (read.found ? Show<ledger::Account>(read.reply) : "nothing") +
                "\nand the model has\n  " + (expected ? expected->ShortDebugString() : "nothing"));
  }
}

}  // namespace holdfast::sim

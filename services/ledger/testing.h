// One node without a network, for the ledger's tests: requests go through the log entries, the
// machine and the store that a real node has, on a disk in memory.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/log.pb.h"
#include "services/ledger/ledger.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"
#include "src/store/store.h"

namespace holdfast::ledger {

void Register(state_machine::Registry& registry);

inline constexpr int64_t kSecond = 1'000'000;
inline constexpr int64_t kEpoch = 1'700'000'000 * kSecond;

class TestNode {
 public:
  explicit TestNode(std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>())
      : store_(std::make_unique<store::MemoryBase>(std::move(disk))), registry_(store_) {
    Register(registry_);
    registry_.Finish();
    machine_ = std::make_unique<state_machine::Machine>(store_, registry_);
  }

  // Applies one entry; what the log of a cluster would hold.
  std::vector<state_machine::Outcome> Apply(const std::string& entry) {
    std::vector<state_machine::Outcome> outcomes;
    machine_->Apply(machine_->applied().Next(), entry, &outcomes);
    return outcomes;
  }

  static void AddRequest(const std::string& method, const google::protobuf::Message& request,
                         LogEntry* entry, state_machine::Registry& registry) {
    const auto* found = registry.Find("/holdfast.ledger.Ledger/" + method);
    HOLDFAST_CHECK(found != nullptr, "no method " + method);
    LogRequest* added = entry->add_requests();
    added->set_service(found->service_id);
    added->set_method(found->method_id);
    added->set_body(request.SerializeAsString());
  }

  // One write in an entry of its own, a millisecond after the last.
  template <class Reply>
  Result<Reply> TryWrite(const std::string& method, const google::protobuf::Message& request) {
    LogEntry entry;
    entry.set_time_us(now_us_ += 1'000);
    AddRequest(method, request, &entry, registry_);
    log_.push_back(entry.SerializeAsString());
    auto outcomes = Apply(log_.back());
    if (!outcomes[0].reply) return Fail(outcomes[0].reply.error());
    Reply reply;
    HOLDFAST_CHECK(reply.ParseFromString(*outcomes[0].reply), "a reply does not parse");
    return reply;
  }

  template <class Reply>
  Reply Write(const std::string& method, const google::protobuf::Message& request) {
    auto reply = TryWrite<Reply>(method, request);
    HOLDFAST_CHECK(reply.has_value(),
                   method + ": " + reply.error().field + " " + reply.error().message);
    return *reply;
  }

  template <class Reply>
  Result<Reply> Read(const std::string& method, const google::protobuf::Message& request) const {
    const auto* found = registry_.Find("/holdfast.ledger.Ledger/" + method);
    HOLDFAST_CHECK(found != nullptr, "no method " + method);
    if (Result<void> valid = found->validate(request); !valid) return Fail(valid.error());
    state_machine::Position at;
    auto bytes = machine_->Read(*found, request, &at);
    if (!bytes) return Fail(bytes.error());
    Reply reply;
    HOLDFAST_CHECK(reply.ParseFromString(*bytes), "a reply does not parse");
    return reply;
  }

  // An entry without requests, so late.
  void Tick(int64_t later_us) {
    LogEntry entry;
    entry.set_time_us(now_us_ += later_us);
    log_.push_back(entry.SerializeAsString());
    Apply(log_.back());
  }

  // Time goes by without an entry.
  void Pass(int64_t us) { now_us_ += us; }

  void Checkpoint() {
    std::function<void()> job;
    {
      absl::MutexLock lock(&store_.mutex());
      job = store_.BeginCheckpoint();
    }
    if (job) job();
  }

  // Of the ledger, after any entry.
  std::optional<std::string> Broken() const {
    absl::ReaderMutexLock lock(&store_.mutex());
    return registry_.FindService(2)->CheckInvariants();
  }

  // --- Shorthands
  Account Open(const std::string& id, int64_t overdraft = 0, const std::string& currency = "EUR") {
    CreateAccountRequest request;
    request.set_id(id);
    request.set_currency(currency);
    request.set_overdraft(overdraft);
    const auto reply = Write<AccountReply>("CreateAccount", request);
    HOLDFAST_CHECK(reply.outcome() == AccountOutcome::created, id + " is not new");
    return reply.account();
  }

  static CreateTransferRequest TransferOf(const std::string& id, const std::string& from,
                                          const std::string& to, int64_t amount) {
    CreateTransferRequest request;
    request.set_id(id);
    request.set_from(from);
    request.set_to(to);
    request.set_amount(amount);
    return request;
  }

  TransferReply Move(const std::string& id, const std::string& from, const std::string& to,
                     int64_t amount) {
    return Write<TransferReply>("CreateTransfer", TransferOf(id, from, to, amount));
  }

  TransferReply Hold(const std::string& id, const std::string& from, const std::string& to,
                     int64_t amount, uint32_t timeout_seconds = 0) {
    auto request = TransferOf(id, from, to, amount);
    request.set_pending(true);
    request.set_timeout_seconds(timeout_seconds);
    return Write<TransferReply>("CreateTransfer", request);
  }

  TransferReply Post(const std::string& id, int64_t amount = 0) {
    PostTransferRequest request;
    request.set_id(id);
    if (amount != 0) request.set_amount(amount);
    return Write<TransferReply>("PostTransfer", request);
  }

  TransferReply Void(const std::string& id) {
    VoidTransferRequest request;
    request.set_id(id);
    return Write<TransferReply>("VoidTransfer", request);
  }

  TransferReply Reverse(const std::string& id, const std::string& reversal_id) {
    ReverseTransferRequest request;
    request.set_id(id);
    request.set_reversal_id(reversal_id);
    return Write<TransferReply>("ReverseTransfer", request);
  }

  AccountReply Close(const std::string& id) {
    CloseAccountRequest request;
    request.set_id(id);
    return Write<AccountReply>("CloseAccount", request);
  }

  Account Get(const std::string& id) const {
    GetAccountRequest request;
    request.set_id(id);
    auto account = Read<Account>("GetAccount", request);
    HOLDFAST_CHECK(account.has_value(), account.error().message);
    return *account;
  }

  Transfer GetTransfer(const std::string& id) const {
    GetTransferRequest request;
    request.set_id(id);
    auto transfer = Read<Transfer>("GetTransfer", request);
    HOLDFAST_CHECK(transfer.has_value(), transfer.error().message);
    return *transfer;
  }

  state_machine::Machine& machine() { return *machine_; }
  state_machine::Registry& registry() { return registry_; }
  int64_t now_us() const { return now_us_; }
  const std::vector<std::string>& log() const { return log_; }

 private:
  store::Store store_;
  state_machine::Registry registry_;
  std::unique_ptr<state_machine::Machine> machine_;
  int64_t now_us_ = kEpoch;
  std::vector<std::string> log_;
};

// The word that a caller sees.
inline std::string Name(TransferOutcome::Code code) { return TransferOutcome::Code_Name(code); }
inline std::string Name(AccountOutcome::Code code) { return AccountOutcome::Code_Name(code); }

// bank may go below 0 without limit; ann and bob may not; dora has closed; usa is in USD.
class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() {
    node_.Open("bank", kUnlimited);
    node_.Open("ann");
    node_.Open("bob");
    node_.Open("dora");
    node_.Open("usa", kUnlimited, "USD");
    EXPECT_EQ(Name(node_.Close("dora").outcome()), "closed");
    EXPECT_EQ(Name(node_.Move("salary", "bank", "ann", 1'000).outcome()), "created");
  }
  ~LedgerTest() override { EXPECT_EQ(node_.Broken().value_or(""), ""); }

  // "balance available pending_in pending_out"
  std::string Standing(const std::string& id) {
    const Account account = node_.Get(id);
    return std::to_string(account.balance()) + " " + std::to_string(account.available()) + " " +
           std::to_string(account.pending_in()) + " " + std::to_string(account.pending_out());
  }

  TransferReply Transact(const std::string& id,
                         const std::vector<std::tuple<std::string, std::string, int64_t>>& legs) {
    CreateTransactionRequest request;
    request.set_id(id);
    for (const auto& [from, to, amount] : legs) {
      Leg* leg = request.add_legs();
      leg->set_from(from);
      leg->set_to(to);
      leg->set_amount(amount);
    }
    return node_.Write<TransferReply>("CreateTransaction", request);
  }

  TransferReply Pay(const std::string& id, const std::string& from, const std::string& to,
                    int64_t amount) {
    PayRequest request;
    request.set_transaction_id(id);
    request.set_from_account(from);
    request.set_to_account(to);
    request.set_amount(amount);
    return node_.Write<TransferReply>("Pay", request);
  }

  TestNode node_;
};

}  // namespace holdfast::ledger

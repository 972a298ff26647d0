// The ledger against its reference model, and against itself: equal logs, equal digests; a restart
// from a checkpoint goes on where it was; the journal tells every balance.

#include "services/ledger/model.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "services/ledger/testing.h"

namespace holdfast::ledger {
namespace {

using google::protobuf::util::MessageDifferencer;

template <class Reply>
::testing::AssertionResult Same(const Reply& real, const Reply& expected) {
  if (MessageDifferencer::Equals(real, expected)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "the ledger says\n"
                                       << real.DebugString() << "the model says\n"
                                       << expected.DebugString();
}

// Few names, so that most requests meet something.
class Workload {
 public:
  explicit Workload(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  std::string AccountId() { return "a" + std::to_string(Below(7)); }
  std::string ForeignId() { return "u" + std::to_string(Below(4)); }
  // Ids move on slowly: repeats of the near past are frequent.
  std::string TransferId() { return "t" + std::to_string(progress_ / 3 + Below(12)); }
  void Advance() { ++progress_; }

  int64_t Amount() {
    if (OneIn(40)) return std::numeric_limits<int64_t>::max() - static_cast<int64_t>(Below(50));
    return 1 + static_cast<int64_t>(Below(OneIn(2) ? 4 : 60));
  }

  template <class ProtoMap>
  void Metadata(ProtoMap* metadata) {
    if (!OneIn(4)) return;
    for (uint64_t i = Below(3); i > 0; --i) {
      (*metadata)["k" + std::to_string(i)] = std::to_string(Below(2));
    }
  }

  CreateAccountRequest Account() {
    CreateAccountRequest request;
    request.set_id(AccountId());
    request.set_currency(OneIn(8) ? "USD" : "EUR");
    if (OneIn(2)) request.set_overdraft(OneIn(2) ? kUnlimited : 50);
    if (OneIn(3)) {
      request.set_id(ForeignId());
      request.set_currency(OneIn(8) ? "JPY" : "USD");
      request.set_overdraft(kUnlimited);
    }
    Metadata(request.mutable_metadata());
    return request;
  }

  // Mostly between accounts of the currencies that it needs, as otherwise hardly any would succeed.
  CreateExchangeRequest Exchange() {
    if (last_exchange_ && OneIn(2)) return RepeatExchange();
    CreateExchangeRequest request;
    request.set_id(TransferId());
    const bool out = OneIn(2);
    const auto account = [&](bool foreign) {
      return OneIn(8) != foreign ? ForeignId() : AccountId();
    };
    request.set_from(account(!out));
    request.set_from_liquidity(account(!out));
    request.set_to_liquidity(account(out));
    request.set_to(account(out));
    request.set_amount(Amount());
    request.set_rate(std::to_string(Below(4)) + "." + std::to_string(1 + Below(40)));
    if (OneIn(10)) request.set_rate("0.0001");
    if (OneIn(3)) request.set_spread_ppm(static_cast<uint32_t>(Below(OneIn(2) ? 999'999 : 9'999)));
    request.set_rounding(static_cast<Rounding::Code>(Below(8)));
    Metadata(request.mutable_metadata());
    last_exchange_ = request;
    return request;
  }

  CreateTransferRequest Transfer() {
    if (!recent_.empty() && OneIn(4)) return Repeat();
    CreateTransferRequest request;
    request.set_id(TransferId());
    request.set_from(AccountId());
    request.set_to(AccountId());
    request.set_amount(Amount());
    request.set_pending(OneIn(2));
    if (request.pending() && OneIn(2)) {
      request.set_timeout_seconds(1 + static_cast<uint32_t>(Below(4)));
    }
    Metadata(request.mutable_metadata());
    recent_.push_back(request);
    if (recent_.size() > 10) recent_.pop_front();
    return request;
  }

 private:
  CreateExchangeRequest RepeatExchange() {
    CreateExchangeRequest request = *last_exchange_;
    switch (Below(9)) {
      case 0: request.set_from(AccountId()); break;
      case 1: request.set_to(AccountId()); break;
      case 2: request.set_from_liquidity(AccountId()); break;
      case 3: request.set_to_liquidity(AccountId()); break;
      case 4: request.set_rate(request.rate() + "0"); break;
      case 5: request.set_spread_ppm(7); break;
      case 6: request.set_rounding(static_cast<Rounding::Code>(Below(8))); break;
      case 7: request.set_amount(request.amount() / 2 + 1); break;
      default: break;
    }
    return request;
  }

  // A request of the near past, mostly with one thing changed.
  CreateTransferRequest Repeat() {
    CreateTransferRequest request = recent_[Below(recent_.size())];
    switch (Below(5)) {
      case 0:
        request.set_pending(!request.pending());
        request.clear_timeout_seconds();
        break;
      case 1:
        if (request.pending()) request.set_timeout_seconds(request.timeout_seconds() + 1);
        break;
      case 2: (*request.mutable_metadata())["k1"] = "changed"; break;
      case 3: request.set_from(AccountId()); break;
      default: break;
    }
    return request;
  }

  std::mt19937_64 random_;
  std::deque<CreateTransferRequest> recent_;
  std::optional<CreateExchangeRequest> last_exchange_;
  uint64_t progress_ = 0;
};

class Differential {
 public:
  explicit Differential(uint64_t seed)
      : work_(seed),
        disk_(std::make_shared<store::MemoryDisk>()),
        node_(std::make_unique<TestNode>(disk_)) {}

  // One entry of one to four requests on both sides; every reply must be equal.
  void Step() {
    now_us_ += work_.OneIn(5) ? static_cast<int64_t>(work_.Below(3 * kSecond)) + 1 : 1'000;
    LogEntry entry;
    entry.set_time_us(now_us_);
    compare_.clear();
    model_.Advance(now_us_);
    for (uint64_t i = 1 + work_.Below(4); i > 0; --i) {
      work_.Advance();
      AddRequest(&entry);
    }
    log_.push_back(entry.SerializeAsString());
    const auto outcomes = node_->Apply(log_.back());
    ASSERT_EQ(outcomes.size(), compare_.size());
    for (size_t i = 0; i < outcomes.size(); ++i) {
      ASSERT_TRUE(outcomes[i].reply.has_value()) << outcomes[i].reply.error().message;
      compare_[i](*outcomes[i].reply);
    }
  }

  // Everything that reads can see.
  void CompareStates() {
    ASSERT_EQ(node_->Broken().value_or(""), "");
    ListAccountsRequest list;
    list.set_limit(static_cast<uint32_t>(1 + work_.Below(5)));
    const auto accounts = All<Account, ListAccountsReply>("ListAccounts", list);
    CompareAll(accounts, model_.Accounts());
    ListTransfersRequest journal;
    journal.set_limit(1'000);
    const auto transfers = All<Transfer, ListTransfersReply>("ListTransfers", journal);
    CompareAll(transfers, model_.Transfers());
    for (const Account& account : accounts) CompareHistory(account.id());
    for (int i = 0; i < 30; ++i) {
      GetTransferRequest get;
      get.set_id(work_.TransferId());
      const auto real = node_->Read<Transfer>("GetTransfer", get);
      const auto expected = model_.GetTransfer(get.id());
      ASSERT_EQ(real.has_value(), expected.has_value()) << get.id();
      if (real) {
        ASSERT_TRUE(Same(*real, *expected));
      }
    }
  }

  void Checkpoint() { node_->Checkpoint(); }

  // A crash: what is not in the checkpoint comes back from the log.
  void Restart() {
    node_ = std::make_unique<TestNode>(disk_);
    for (size_t i = node_->machine().applied().value; i < log_.size(); ++i) node_->Apply(log_[i]);
  }

  Workload& work() { return work_; }
  TestNode& node() { return *node_; }
  const std::vector<std::string>& log() const { return log_; }
  const std::map<std::string, int>& seen() const { return seen_; }

 private:
  // Counts the outcomes, so that the test can say that the workload reaches all of them.
  void Count(const AccountReply& reply) { ++seen_[AccountOutcome::Code_Name(reply.outcome())]; }
  void Count(const TransferReply& reply) { ++seen_[TransferOutcome::Code_Name(reply.outcome())]; }
  void Count(const CreateAccountsReply&) {}
  void Count(const CreateTransfersReply&) {}
  void Count(const CheckAccountReply&) {}

  template <class Request, class Reply>
  void Add(const char* method, const Request& request, Reply (Model::*on_model)(const Request&),
           LogEntry* entry) {
    TestNode::AddRequest(method, request, entry, node_->registry());
    const Reply expected = (model_.*on_model)(request);
    Count(expected);
    compare_.push_back([this, method, request, expected](const std::string& bytes) {
      Reply real;
      ASSERT_TRUE(real.ParseFromString(bytes));
      ASSERT_TRUE(Same(real, expected)) << "entry " << log_.size() << ", " << method << "\n"
                                        << request.DebugString();
    });
  }

  void AddRequest(LogEntry* entry) {
    switch (work_.Below(18)) {
      case 0: return Add("CreateAccount", work_.Account(), &Model::CreateAccount, entry);
      case 1: {
        if (work_.OneIn(3)) {
          CreateAccountsRequest request;
          for (int i = 0; i < 3; ++i) *request.add_accounts() = work_.Account();
          return Add("CreateAccounts", request, &Model::CreateAccounts, entry);
        }
        if (work_.OneIn(4)) {
          CheckAccountRequest request;
          request.set_id(work_.AccountId());
          request.set_absent(work_.OneIn(3));
          if (!request.absent()) request.set_at_least(static_cast<int64_t>(work_.Below(60)));
          return Add("CheckAccount", request, &Model::CheckAccount, entry);
        }
        if (work_.OneIn(2)) {
          CloseAccountRequest request;
          request.set_id(work_.AccountId());
          return Add("CloseAccount", request, &Model::CloseAccount, entry);
        }
        ReopenAccountRequest request;
        request.set_id(work_.AccountId());
        return Add("ReopenAccount", request, &Model::ReopenAccount, entry);
      }
      case 2:
      case 3:
      case 4:
      case 5: return Add("CreateTransfer", work_.Transfer(), &Model::CreateTransfer, entry);
      case 6: {
        CreateTransfersRequest request;
        for (uint64_t i = 1 + work_.Below(4); i > 0; --i) {
          *request.add_transfers() = work_.Transfer();
        }
        return Add("CreateTransfers", request, &Model::CreateTransfers, entry);
      }
      case 7:
      case 8:
      case 9: {
        PostTransferRequest request;
        request.set_id(work_.TransferId());
        if (work_.OneIn(2)) request.set_amount(1 + static_cast<int64_t>(work_.Below(20)));
        return Add("PostTransfer", request, &Model::PostTransfer, entry);
      }
      case 10: {
        VoidTransferRequest request;
        request.set_id(work_.TransferId());
        return Add("VoidTransfer", request, &Model::VoidTransfer, entry);
      }
      case 11:
      case 12: {
        CreateTransactionRequest request;
        request.set_id(work_.TransferId());
        for (uint64_t i = 1 + work_.Below(3); i > 0; --i) {
          Leg* leg = request.add_legs();
          leg->set_from(work_.AccountId());
          leg->set_to(work_.AccountId());
          leg->set_amount(work_.OneIn(3) ? 1 : work_.Amount());
        }
        work_.Metadata(request.mutable_metadata());
        return Add("CreateTransaction", request, &Model::CreateTransaction, entry);
      }
      case 13:
      case 14: {
        ReverseTransferRequest request;
        request.set_id(work_.TransferId());
        do {
          request.set_reversal_id(work_.TransferId());
        } while (request.reversal_id() == request.id());
        return Add("ReverseTransfer", request, &Model::ReverseTransfer, entry);
      }
      case 15:
      case 16: return Add("CreateExchange", work_.Exchange(), &Model::CreateExchange, entry);
      default: {
        PayRequest request;
        request.set_transaction_id(work_.TransferId());
        request.set_from_account(work_.AccountId());
        request.set_to_account(work_.AccountId());
        request.set_amount(work_.Amount());
        return Add("Pay", request, &Model::Pay, entry);
      }
    }
  }

  static const google::protobuf::RepeatedPtrField<Account>& PageOf(const ListAccountsReply& reply) {
    return reply.accounts();
  }
  static const google::protobuf::RepeatedPtrField<Transfer>& PageOf(
      const ListTransfersReply& reply) {
    return reply.transfers();
  }
  static const google::protobuf::RepeatedPtrField<AccountTransfer>& PageOf(
      const ListAccountTransfersReply& reply) {
    return reply.transfers();
  }

  template <class Row, class Reply, class Request>
  std::vector<Row> All(const char* method, Request request) {
    std::vector<Row> all;
    for (;;) {
      const auto page = node_->Read<Reply>(method, request);
      HOLDFAST_CHECK(page.has_value(), page.error().message);
      for (const Row& row : PageOf(*page)) all.push_back(row);
      if (page->next_cursor().empty()) return all;
      request.set_cursor(page->next_cursor());
    }
  }

  template <class Row>
  void CompareAll(const std::vector<Row>& real, const std::vector<Row>& expected) {
    ASSERT_EQ(real.size(), expected.size());
    for (size_t i = 0; i < real.size(); ++i) ASSERT_TRUE(Same(real[i], expected[i])) << i;
  }

  void CompareHistory(const std::string& id) {
    for (int i = 0; i < 5; ++i) {
      const int64_t at_us =
          kEpoch + static_cast<int64_t>(work_.Below(static_cast<uint64_t>(now_us_ - kEpoch)));
      GetAccountRequest get;
      get.set_id(id);
      get.mutable_at()->set_seconds(at_us / kSecond);
      get.mutable_at()->set_nanos(static_cast<int32_t>(at_us % kSecond) * 1'000);
      const auto real = node_->Read<Account>("GetAccount", get);
      const auto expected = model_.GetAccount(id, at_us);
      ASSERT_EQ(real.has_value(), expected.has_value());
      if (real) {
        ASSERT_TRUE(Same(*real, *expected));
      }
    }
    // The last minute or so, in small pages.
    ListAccountTransfersRequest list;
    list.set_id(id);
    list.set_limit(static_cast<uint32_t>(1 + work_.Below(20)));
    const int64_t from = std::max(kEpoch, now_us_ - 20 * kSecond) / kSecond;
    const int64_t to = now_us_ / kSecond - 1;
    list.mutable_from()->set_seconds(from);
    list.mutable_to()->set_seconds(to);
    CompareAll(All<AccountTransfer, ListAccountTransfersReply>("ListAccountTransfers", list),
               model_.AccountTransfers(id, from * kSecond, to * kSecond));
  }

  Workload work_;
  Model model_;
  std::shared_ptr<store::MemoryDisk> disk_;
  std::unique_ptr<TestNode> node_;
  int64_t now_us_ = kEpoch;
  std::vector<std::string> log_;
  std::vector<std::function<void(const std::string&)>> compare_;  // One for each request.
  std::map<std::string, int> seen_;
};

class LedgerModelTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(LedgerModelTest, RepliesAndStatesAreThoseOfTheModel) {
  Differential run(GetParam());
  for (int step = 1; step <= 1'000; ++step) {
    ASSERT_NO_FATAL_FAILURE(run.Step()) << "seed " << GetParam();
    if (run.work().OneIn(50)) run.Checkpoint();
    if (run.work().OneIn(150)) run.Restart();
    if (step % 100 == 0) {
      ASSERT_NO_FATAL_FAILURE(run.CompareStates()) << "seed " << GetParam() << " step " << step;
    }
  }
  // The same log on a node that never restarts or checkpoints: the same digest.
  TestNode other;
  for (const std::string& entry : run.log()) other.Apply(entry);
  EXPECT_EQ(other.machine().position().digest, run.node().machine().position().digest);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LedgerModelTest, ::testing::Range(uint64_t{1}, uint64_t{9}));

TEST(LedgerWorkload, ReachesEveryOutcome) {
  std::map<std::string, int> seen;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Differential run(seed);
    for (int step = 0; step < 2'000; ++step) ASSERT_NO_FATAL_FAILURE(run.Step());
    for (const auto& [name, count] : run.seen()) seen[name] += count;
  }
  for (int code = TransferOutcome::Code_MIN + 1; code <= TransferOutcome::Code_MAX; ++code) {
    const auto name = TransferOutcome::Code_Name(static_cast<TransferOutcome::Code>(code));
    EXPECT_GT(seen[name], 0) << name;
  }
  for (int code = AccountOutcome::Code_MIN + 1; code <= AccountOutcome::Code_MAX; ++code) {
    const auto name = AccountOutcome::Code_Name(static_cast<AccountOutcome::Code>(code));
    EXPECT_GT(seen[name], 0) << name;
  }
}

// What README.md tells a client to do, done by a client that knows only the listings.
TEST(LedgerVerification, TheJournalTellsEveryBalance) {
  Differential run(99);
  for (int step = 0; step < 300; ++step) ASSERT_NO_FATAL_FAILURE(run.Step());
  TestNode& node = run.node();
  std::map<std::string, Balance> balances;
  std::map<std::string, uint64_t> last;
  ListTransfersRequest list;
  for (;;) {
    const auto page = node.Read<ListTransfersReply>("ListTransfers", list);
    for (const Transfer& entry : page->transfers()) {
      Balance& from = balances[entry.from()];
      Balance& to = balances[entry.to()];
      last[entry.from()] = last[entry.to()] = entry.sequence();
      const bool hold = entry.kind() == TransferKind::hold;
      const bool ends_hold = entry.kind() == TransferKind::post ||
                             entry.kind() == TransferKind::void_ ||
                             entry.kind() == TransferKind::expiry;
      const int64_t pending = hold        ? entry.amount()
                              : ends_hold ? -(entry.amount() + entry.released())
                                          : 0;
      const int64_t moved = hold ? 0 : entry.amount();
      from.set_pending_out(from.pending_out() + pending);
      to.set_pending_in(to.pending_in() + pending);
      from.set_balance(from.balance() - moved);
      to.set_balance(to.balance() + moved);
    }
    if (page->next_cursor().empty()) break;
    list.set_cursor(page->next_cursor());
  }
  ListAccountsRequest accounts;
  const auto page = node.Read<ListAccountsReply>("ListAccounts", accounts);
  ASSERT_GT(page->accounts_size(), 3);
  for (const Account& account : page->accounts()) {
    EXPECT_EQ(account.last_sequence(), last[account.id()]);
    EXPECT_EQ(account.balance(), balances[account.id()].balance());
    EXPECT_EQ(account.pending_in(), balances[account.id()].pending_in());
    EXPECT_EQ(account.pending_out(), balances[account.id()].pending_out());
  }
}

}  // namespace
}  // namespace holdfast::ledger

#include "services/ledger/cli/branches.h"

#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <set>

#include "holdfast/cluster.pb.h"
#include "services/ledger/ledger.pb.h"
#include "services/ledger/tables.h"
#include "src/api/json.h"
#include "src/base/bounds.h"
#include "src/cli/text.h"

namespace holdfast::ledger {
namespace {

using branches::Entry;
using branches::Event;
using std::chrono::steady_clock;

constexpr char kCurrency[] = "USD";
constexpr char kQuery[] = "query";
constexpr char kDeposit[] = "deposit";
constexpr char kWithdraw[] = "withdraw";
// The hold ends by itself when this command does not renew it.
constexpr uint32_t kHoldForMs = 30'000;
constexpr std::chrono::seconds kHoldRenewal{10};

// "customer 1, event 15 (id 5)": ids are not always unique.
std::string Place(const Entry& customer, int event) {
  std::string place =
      "customer " + std::to_string(customer.id()) + ", event " + std::to_string(event + 1);
  if (customer.events(event).has_id()) {
    place += " (id " + std::to_string(customer.events(event).id()) + ")";
  }
  return place;
}

Result<void> CheckEvent(const Event& event, const std::set<int64_t>& branches) {
  const bool moves = event.interface() == kDeposit || event.interface() == kWithdraw;
  if (!moves && event.interface() != kQuery) {
    return Fail(InvalidArgument(
        "interface", "must be query, deposit or withdraw, and is '" + event.interface() + "'"));
  }
  if (!event.has_branch()) return Fail(InvalidArgument("branch", "is missing"));
  if (!branches.contains(event.branch())) {
    return Fail(
        InvalidArgument("branch", "the file has no branch " + std::to_string(event.branch())));
  }
  if (moves && !event.has_money()) {
    return Fail(InvalidArgument("money", "is missing, and a " + event.interface() + " needs it"));
  }
  if (moves && event.money() < 1) return Fail(InvalidArgument("money", "must be at least 1"));
  if (!moves && event.has_money()) return Fail(InvalidArgument("money", "a query moves none"));
  return {};
}

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text;
  char piece[1 << 16];
  while (in && text.size() <= bounds::kHttpBodyBytesMax) {
    in.read(piece, sizeof(piece));
    text.append(piece, static_cast<size_t>(in.gcount()));
  }
  if (!in.eof() && text.size() <= bounds::kHttpBodyBytesMax) {
    return Fail(InvalidArgument("INPUT", "cannot read " + path));
  }
  if (text.size() > bounds::kHttpBodyBytesMax) {
    return Fail(InvalidArgument(
        "INPUT", "must have at most " + std::to_string(bounds::kHttpBodyBytesMax) + " bytes"));
  }
  return text;
}

// What a customer carries from branch to branch.
struct Session {
  LogIndex wrote;
  LogIndex read;
  int64_t wrote_at = 0;  // The branches.
  int64_t read_at = 0;
};

class Bank {
 public:
  Bank(std::vector<std::string> endpoints, client::CallOptions options, cli::Context& context)
      : endpoints_(std::move(endpoints)), options_(std::move(options)), context_(context) {
    // Accounts of its own, so that every run begins with what the file says.
    std::random_device random;
    run_ = fmt::format("branches-{:08x}{:08x}", random(), random());
  }

  // The account that all branches keep. Every node has it before the first event.
  Result<void> Open(int64_t balance) {
    client::Client client(endpoints_);
    CreateAccountsRequest accounts;
    for (const std::string& id : {run_, Cash()}) {
      CreateAccountRequest* account = accounts.add_accounts();
      account->set_id(id);
      account->set_currency(kCurrency);
      account->set_overdraft(id == run_ ? 0 : kUnlimited);
    }
    auto opened = client.Call<CreateAccountsReply>("/holdfast.ledger.Ledger/CreateAccounts",
                                                   accounts, Quick());
    if (!opened) return Fail(opened.error());
    if (balance > 0) {
      auto paid = Move(client, run_ + "-begin", Cash(), run_, balance, Quick());
      if (!paid) return Fail(paid.error());
    }
    balance_ = balance;
    for (const std::string& endpoint : endpoints_) {
      client::Client node({endpoint});
      client::CallOptions options = Quick();
      options.after = client.position();
      if (auto seen = Balance(node, options); !seen) return Fail(At(endpoint, seen.error()));
    }
    return {};
  }

  // One follower applies everything so much later, until EndHold.
  Result<void> Hold(uint32_t delay_ms) {
    for (const std::string& endpoint : endpoints_) {
      auto held = AskToHold(endpoint, delay_ms);
      if (!held) return Fail(At(endpoint, held.error()));
      if (held->message.leads()) continue;
      held_ = endpoint;
      held_ms_ = delay_ms;
      return {};
    }
    return Fail(Error{ErrorCode::kUnavailable, "there is no follower to hold back", "",
                      "name all nodes in --endpoints", 0});
  }
  void EndHold() {
    if (!held_.empty()) (void)AskToHold(held_, 0);  // Else it ends by itself.
  }
  const std::string& held() const { return held_; }

  // The result of each event, as the seed's format has it, is added to `out`.
  Result<void> Serve(const Entry& customer, std::string* out) {
    // Clients of this customer alone: what it has seen is what it carries, and nothing else.
    std::vector<std::unique_ptr<client::Client>> nodes;
    for (const std::string& endpoint : endpoints_) {
      nodes.push_back(std::make_unique<client::Client>(std::vector{endpoint}));
    }
    Session session;
    for (int i = 0; i < customer.events_size(); ++i) {
      RenewHold();
      const Event& event = customer.events(i);
      const size_t node = static_cast<size_t>(event.branch() - 1) % nodes.size();
      const auto result = Carry(*nodes[node], customer, i, &session);
      if (!result) {
        Error error = At(endpoints_[node], result.error());
        error.message = Place(customer, i) + ": " + error.message;
        return Fail(std::move(error));
      }
      *out += out->empty() ? "[\n" : ",\n";
      *out += fmt::format(R"(  {{"id":{},"recv":[{{"interface":"{}","branch":{},{}}}]}})",
                          customer.id(), event.interface(), event.branch(), *result);
      if (context_.flags().verbose) {
        const bool query = event.interface() == kQuery;
        context_.err() << Place(customer, i) << ": " << event.interface() << " at branch "
                       << event.branch() << " (" << endpoints_[node] << "): " << *result
                       << ", log position " << (query ? session.read : session.wrote).ToString()
                       << "\n";
      }
    }
    sessions_.emplace_back(customer.id(), session);
    return {};
  }

  std::string Summary(const branches::File& file) const {
    std::string text;
    for (const auto& [id, session] : sessions_) {
      text += "customer " + std::to_string(id) + ": ";
      text += session.wrote_at == 0 ? "wrote nothing"
                                    : "last wrote at log position " + session.wrote.ToString() +
                                          " (branch " + std::to_string(session.wrote_at) + ")";
      text += session.read_at == 0 ? ", read nothing"
                                   : ", last read at " + session.read.ToString() + " (branch " +
                                         std::to_string(session.read_at) + ")";
      text += "\n";
    }
    text += std::to_string(events_) + " events, " + std::to_string(refused_) + " refused, of " +
            std::to_string(sessions_.size()) + " customers at " +
            std::to_string(file.entries_size() - static_cast<int>(sessions_.size())) +
            " branches on " + std::to_string(endpoints_.size()) + " nodes";
    if (!held_.empty()) {
      text += "; " + held_ + " was held back by " + std::to_string(held_ms_) + " ms";
    }
    text += "\n";
    if (missed_ == 0) return text + "every query saw what had been written before it\n";
    return text + std::to_string(missed_) + " of " + std::to_string(queries_) +
           " queries did not see what had been written before them; the first: " + first_missed_ +
           "\n";
  }
  bool missed() const { return missed_ > 0; }

 private:
  std::string Cash() const { return run_ + "-cash"; }
  client::CallOptions Quick() const {
    client::CallOptions options;
    options.timeout = options_.timeout;
    return options;
  }
  static Error At(const std::string& endpoint, Error error) {
    error.message = "at " + endpoint + ": " + error.message;
    return error;
  }

  // One event; returns what it came to, as JSON.
  Result<std::string> Carry(client::Client& node, const Entry& customer, int i, Session* session) {
    const Event& event = customer.events(i);
    client::CallOptions options = options_;
    options.after = std::max(session->wrote, session->read);
    ++events_;
    if (event.interface() == kQuery) {
      const auto read = Balance(node, options);
      if (!read) return Fail(read.error());
      session->read = read->position;
      session->read_at = event.branch();
      ++queries_;
      const int64_t balance = read->message.balance();
      if (balance != balance_ && ++missed_ == 1) {
        first_missed_ = Place(customer, i) + ", branch " + std::to_string(event.branch()) +
                        " said " + std::to_string(balance) + " and not " + std::to_string(balance_);
      }
      return "\"balance\":" + std::to_string(balance);
    }
    const bool deposit = event.interface() == kDeposit;
    const std::string id = run_ + "-" + std::to_string(customer.id()) + "-" + std::to_string(i + 1);
    const auto moved =
        Move(node, id, deposit ? Cash() : run_, deposit ? run_ : Cash(), event.money(), options);
    if (!moved) return Fail(moved.error());
    session->wrote = moved->position;
    session->wrote_at = event.branch();
    const bool done = moved->message.outcome() == TransferOutcome::created;
    if (done) balance_ += deposit ? event.money() : -event.money();
    if (!done) ++refused_;
    return std::string(R"("result":")") + (done ? "success" : "fail") + "\"";
  }

  Result<client::TypedReply<Account>> Balance(client::Client& node,
                                              const client::CallOptions& options) const {
    GetAccountRequest request;
    request.set_id(run_);
    return node.Call<Account>("/holdfast.ledger.Ledger/GetAccount", request, options);
  }

  // The id makes a repetition harmless, also after an answer that was lost.
  static Result<client::TypedReply<TransferReply>> Move(client::Client& node, const std::string& id,
                                                        const std::string& from,
                                                        const std::string& to, int64_t amount,
                                                        const client::CallOptions& options) {
    CreateTransferRequest request;
    request.set_id(id);
    request.set_from(from);
    request.set_to(to);
    request.set_amount(amount);
    client::CallOptions write;
    write.timeout = options.timeout;
    return node.Call<TransferReply>("/holdfast.ledger.Ledger/CreateTransfer", request, write);
  }

  Result<client::TypedReply<cluster::HoldBackReply>> AskToHold(const std::string& endpoint,
                                                               uint32_t delay_ms) {
    client::Client node({endpoint});
    cluster::HoldBackRequest request;
    request.set_delay_ms(delay_ms);
    request.set_for_ms(kHoldForMs);
    held_at_ = steady_clock::now();
    return node.Call<cluster::HoldBackReply>("/holdfast.cluster.Cluster/HoldBack", request,
                                             Quick());
  }
  void RenewHold() {
    if (held_.empty() || steady_clock::now() - held_at_ < kHoldRenewal) return;
    (void)AskToHold(held_, held_ms_);  // A node that is gone shows itself by its branches.
  }

  const std::vector<std::string> endpoints_;
  const client::CallOptions options_;
  cli::Context& context_;
  std::string run_;
  int64_t balance_ = 0;  // What all events so far come to.
  std::vector<std::pair<int64_t, Session>> sessions_;
  uint64_t events_ = 0;
  uint64_t queries_ = 0;
  uint64_t refused_ = 0;
  uint64_t missed_ = 0;
  std::string first_missed_;
  std::string held_;
  uint32_t held_ms_ = 0;
  steady_clock::time_point held_at_;
};

int64_t BalanceOf(const branches::File& file) {
  for (const Entry& entry : file.entries()) {
    if (entry.type() == "branch") return entry.balance();
  }
  return 0;
}

}  // namespace

Result<branches::File> ParseBranches(std::string_view json) {
  branches::File file;
  const std::string text = "{\"entries\":" + std::string(json) + "}";
  if (auto parsed = api::ParseJson(text, &file); !parsed) return Fail(parsed.error());

  std::set<int64_t> branches;
  std::set<int64_t> customers;
  std::optional<int64_t> balance;
  for (int i = 0; i < file.entries_size(); ++i) {
    const Entry& entry = file.entries(i);
    const std::string place = "entries[" + std::to_string(i) + "]";
    const bool is_branch = entry.type() == "branch";
    if (!is_branch && entry.type() != "customer") {
      return Fail(InvalidArgument(place + ".type", "must be customer or branch"));
    }
    if (!entry.has_id()) return Fail(InvalidArgument(place + ".id", "is missing"));
    if (!(is_branch ? branches : customers).insert(entry.id()).second) {
      return Fail(InvalidArgument(
          place + ".id", entry.type() + " " + std::to_string(entry.id()) + " is there twice"));
    }
    if (!is_branch) continue;
    if (entry.id() < 1) return Fail(InvalidArgument(place + ".id", "must be at least 1"));
    if (entry.events_size() > 0) {
      return Fail(InvalidArgument(place + ".events", "a branch has none"));
    }
    if (entry.balance() < 0) {
      return Fail(InvalidArgument(place + ".balance", "must be at least 0"));
    }
    if (balance.value_or(entry.balance()) != entry.balance()) {
      return Fail(InvalidArgument(place + ".balance",
                                  "differs from that of the branch before: all branches keep one "
                                  "account"));
    }
    balance = entry.balance();
  }
  for (int i = 0; i < file.entries_size(); ++i) {
    const Entry& customer = file.entries(i);
    for (int j = 0; j < customer.events_size(); ++j) {
      auto checked = CheckEvent(customer.events(j), branches);
      if (checked) continue;
      Error error = checked.error();
      error.field =
          "entries[" + std::to_string(i) + "].events[" + std::to_string(j) + "]." + error.field;
      error.message = error.message + ": " + Place(customer, j);
      return Fail(std::move(error));
    }
  }
  return file;
}

int RunBranches(const BranchesFlags& flags, cli::Context& context) {
  const auto text = ReadFile(flags.input);
  if (!text) return context.Tell(text.error());
  auto file = ParseBranches(*text);
  if (!file) {
    file.error().message = flags.input + ": " + file.error().message;
    return context.Tell(file.error());
  }
  auto endpoints = client::ParseEndpoints(context.flags().endpoints);
  if (!endpoints) return context.Tell(endpoints.error());
  const auto options = context.CallOptions();
  if (!options) return context.Tell(options.error());

  Bank bank(*std::move(endpoints), *options, context);
  if (auto opened = bank.Open(BalanceOf(*file)); !opened) return context.Tell(opened.error());
  if (flags.hold_back_ms > 0) {
    if (auto held = bank.Hold(flags.hold_back_ms); !held) return context.Tell(held.error());
  }
  std::string out;
  for (const Entry& entry : file->entries()) {
    if (entry.type() != "customer") continue;
    if (auto served = bank.Serve(entry, &out); !served) {
      bank.EndHold();
      return context.Tell(served.error());
    }
  }
  bank.EndHold();
  out += out.empty() ? "[]\n" : "\n]\n";
  if (flags.output == "-") {
    context.out() << out;
    context.err() << bank.Summary(*file);
  } else {
    std::ofstream written(flags.output, std::ios::binary | std::ios::trunc);
    written << out;
    written.flush();
    if (!written) return context.Tell(InvalidArgument("output", "cannot write " + flags.output));
    context.out() << bank.Summary(*file);
  }
  return bank.missed() ? cli::kExitRefused : cli::kExitOk;
}

}  // namespace holdfast::ledger

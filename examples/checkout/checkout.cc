// A checkout: charges a customer for an order, exactly once, whatever happens to the nodes, to the
// connection, or to this program.
//
//   checkout HOST:PORT,... ORDER CUSTOMER AMOUNT
//
// Run it twice with the same order: the customer pays once. Exit code 0: paid, 1: refused, 2: ask
// again later, with the same order.
#include <cstdlib>
#include <iostream>
#include <string>

#include "services/ledger/ledger.pb.h"
#include "src/client/client.h"

namespace client = holdfast::client;
namespace ledger = holdfast::ledger;

namespace {

// The shop's account, and the customer's with some money in it. Opening an account that is there
// already, and repeating a transfer under its id, changes nothing.
bool OpenAccounts(client::Client& bank, const std::string& customer) {
  for (const std::string& id : {std::string("shop"), customer}) {
    ledger::CreateAccountRequest account;
    account.set_id(id);
    account.set_currency("EUR");
    account.set_overdraft(id == "shop" ? INT64_MAX : 0);
    const auto opened =
        bank.Call<ledger::AccountReply>("/holdfast.ledger.Ledger/CreateAccount", account);
    if (!opened) {
      std::cerr << "cannot open " << id << ": " << opened.error().message << "\n";
      return false;
    }
  }
  ledger::CreateTransferRequest welcome;
  welcome.set_id("welcome-" + customer);
  welcome.set_from("shop");
  welcome.set_to(customer);
  welcome.set_amount(10'000);
  return bank.Call<ledger::TransferReply>("/holdfast.ledger.Ledger/CreateTransfer", welcome)
      .has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: checkout HOST:PORT,... ORDER CUSTOMER AMOUNT\n";
    return 64;
  }
  const auto endpoints = client::ParseEndpoints(argv[1]);
  if (!endpoints) {
    std::cerr << endpoints.error().message << "\n";
    return 64;
  }
  const std::string order = argv[2];
  const std::string customer = argv[3];
  client::Client bank(*endpoints);
  if (!OpenAccounts(bank, customer)) return 2;

  // The order's number is the transfer's id: no order can be charged twice, for ever. As the
  // idempotency key it also brings a repeat the very same reply.
  ledger::CreateTransferRequest charge;
  charge.set_id("order-" + order);
  charge.set_from(customer);
  charge.set_to("shop");
  charge.set_amount(std::atoll(argv[4]));
  client::CallOptions options;
  options.idempotency_key = "order-" + order;
  options.timeout = std::chrono::seconds(5);
  const auto paid =
      bank.Call<ledger::TransferReply>("/holdfast.ledger.Ledger/CreateTransfer", charge, options);
  if (!paid) {
    // Nobody lost anything: the same call again finds out, and does it if it was not done.
    std::cerr << "order " << order << ": " << paid.error().message << " (" << paid.error().hint
              << ")\n";
    return 2;
  }
  const auto outcome = paid->message.outcome();
  std::cout << "order " << order << ": " << ledger::TransferOutcome::Code_Name(outcome)
            << (paid->replayed ? ", as before" : "") << "\n";

  // A read of the same client sees its own writes, at whichever node.
  ledger::GetAccountRequest get;
  get.set_id(customer);
  const auto account = bank.Call<ledger::Account>("/holdfast.ledger.Ledger/GetAccount", get);
  if (account) std::cout << customer << " has " << account->message.balance() << "\n";
  return outcome == ledger::TransferOutcome::created ? 0 : 1;
}

#include "sim/order_judge.h"

#include <set>

#include "holdfast/atomic.pb.h"
#include "services/ledger/ledger.pb.h"
#include "services/orders/model.h"
#include "sim/atomic_judge.h"
#include "sim/checkouts.h"

namespace holdfast::sim {
namespace {

using orders::Model;

class OrderJudge : public ModelJudge<Model> {
 public:
  explicit OrderJudge(Judges others) {
    others["orders"] = std::shared_ptr<Judge>(std::shared_ptr<void>(), this);
    others_ = std::move(others);
  }

  void Begin(const Moment& at) override { model_.PassTo(at); }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "orders.CreateProduct") return Do(&Model::CreateProduct, body);
    if (method == "orders.UpdateProduct") return Do(&Model::UpdateProduct, body);
    if (method == "orders.ReceiveStock") return Do(&Model::ReceiveStock, body);
    if (method == "orders.WriteOffStock") return Do(&Model::WriteOffStock, body);
    if (method == "orders.CreateCustomer") return Do(&Model::CreateCustomer, body);
    if (method == "orders.PlaceOrder") return Do(&Model::PlaceOrder, body);
    if (method == "orders.ReserveOrder") return Do(&Model::ReserveOrder, body);
    if (method == "orders.PayOrder") return Do(&Model::PayOrder, body);
    if (method == "orders.PackOrder") return Do(&Model::PackOrder, body);
    if (method == "orders.ShipOrder") return Do(&Model::ShipOrder, body);
    if (method == "orders.DeliverOrder") return Do(&Model::DeliverOrder, body);
    if (method == "orders.CancelOrder") return Do(&Model::CancelOrder, body);
    if (method == "orders.ReturnOrder") return Do(&Model::ReturnOrder, body);
    if (method == "orders.CheckOrder") return Do(&Model::CheckOrder, body);
    if (method == "orders.CheckStock") return Do(&Model::CheckStock, body);
    if (method == "orders.Checkout") return Checkout(Parsed<orders::CheckoutRequest>(body));
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace orders;  // NOLINT: the messages of this one service.
    if (read.method == "orders.GetProduct") {
      return Differ(model_.GetProduct(Parsed<GetProductRequest>(read.request)), read);
    }
    if (read.method == "orders.ListProducts") {
      return Differ(std::optional(model_.ListProducts(Parsed<ListProductsRequest>(read.request))),
                    read);
    }
    if (read.method == "orders.GetCustomer") {
      return Differ(model_.GetCustomer(Parsed<GetCustomerRequest>(read.request)), read);
    }
    if (read.method == "orders.ListCustomers") {
      return Differ(std::optional(model_.ListCustomers(Parsed<ListCustomersRequest>(read.request))),
                    read);
    }
    if (read.method == "orders.GetOrder") {
      return Differ(model_.GetOrder(Parsed<GetOrderRequest>(read.request)), read);
    }
    if (read.method == "orders.ListOrders") {
      return Differ(std::optional(model_.ListOrders(Parsed<ListOrdersRequest>(read.request))),
                    read);
    }
    if (read.method == "orders.ListCustomerOrders") {
      return Differ(model_.ListCustomerOrders(Parsed<ListCustomerOrdersRequest>(read.request)),
                    read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  std::vector<Asked> Everything() const override {
    orders::ListProductsRequest products;
    products.set_limit(1'000);
    orders::ListCustomersRequest customers;
    customers.set_limit(1'000);
    std::vector<Asked> all{AskedOf("orders.ListProducts", products),
                           AskedOf("orders.ListCustomers", customers)};
    for (int state = 1; state <= orders::OrderState::Code_MAX; ++state) {
      orders::ListOrdersRequest list;
      list.set_state(static_cast<orders::OrderState::Code>(state));
      list.set_limit(1'000);
      all.push_back(AskedOf("orders.ListOrders", list));
      const orders::ListOrdersReply found = model_.ListOrders(list);
      for (const orders::Order& order : found.orders()) {
        orders::GetOrderRequest get;
        get.set_id(order.id());
        all.push_back(AskedOf("orders.GetOrder", get));
      }
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&) const, const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }

  // A list of writes, all of them or none; with the part that was refused. Its order, its money and
  // its message are all new, or all were there before.
  std::string Checkout(const orders::CheckoutRequest& request) {
    using orders::CheckoutOutcome;
    const std::vector<CheckoutStep> steps = StepsOf(request);
    atomic::ExecuteRequest list;
    for (const CheckoutStep& step : steps) {
      atomic::Write* write = list.add_writes();
      write->set_method(step.method);
      write->set_request(step.request);
    }
    Before before;
    const atomic::ExecuteReply done = ExecuteList(others_, list, &before);
    orders::CheckoutReply reply;
    const auto reject = [&](size_t step, int result, const std::string& reason) {
      reply.set_outcome(CheckoutOutcome::rejected);
      reply.set_failed(steps[step].part);
      reply.set_reason(reason);
      *reply.add_results() = done.results(result);
    };
    if (done.outcome() == atomic::ExecuteOutcome::rejected) {
      reject(done.failed(), 0, done.results(0).outcome());
      return state_machine::Canonical(reply);
    }
    const int first = request.has_lock() ? 1 : 0;
    const auto order = Parsed<orders::OrderReply>(done.results(first).reply());
    const bool is_new = order.outcome() == orders::OrderOutcome::placed;
    int wrong = -1;
    std::string reason;
    for (int i = done.results_size() - 1; i > first; --i) {  // The first of them counts.
      const atomic::WriteResult& result = done.results(i);
      static const std::set<std::string> kNew{"stock_reserved", "created", "paid", "published"};
      if (kNew.contains(result.outcome()) != is_new) {
        wrong = is_new ? i : first;
        reason = done.results(wrong).outcome();
      } else if (result.method() == "ledger.CreateTransfer") {
        const auto money = Parsed<ledger::TransferReply>(result.reply());
        if (money.transfer().currency() == order.order().currency()) continue;
        wrong = i;
        reason = "currency_mismatch";
      }
    }
    if (wrong >= 0) {
      sim::Restore(before);
      reject(static_cast<size_t>(wrong), wrong, reason);
    } else {
      reply.set_outcome(is_new ? CheckoutOutcome::done : CheckoutOutcome::already_done);
      reply.mutable_results()->CopyFrom(done.results());
    }
    return state_machine::Canonical(reply);
  }

  Judges others_;
};

}  // namespace

std::shared_ptr<Judge> MakeOrderJudge(Judges others) {
  return std::make_shared<OrderJudge>(std::move(others));
}

}  // namespace holdfast::sim

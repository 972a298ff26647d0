// Products and customers.

#include "services/orders/describe.h"
#include "services/orders/orders.h"

namespace holdfast::orders {

void Orders::ReplyProduct(const std::string& sku, ProductOutcome::Code outcome,
                          ProductReply* reply) const {
  reply->set_outcome(outcome);
  if (const auto row = tables_.products.Get(sku)) FillProduct(sku, *row, reply->mutable_product());
}

Result<void> Orders::CreateProduct(const CreateProductRequest& request, WriteContext& context,
                                   ProductReply* reply) {
  ProductOutcome::Code outcome = ProductOutcome::created;
  if (const ProductRow* row = tables_.products.Find(request.sku())) {
    // What can be updated later is not compared: a repeat may come after that.
    const bool same = row->currency == request.currency();
    if (!same) reply->set_field("currency");
    outcome = same ? ProductOutcome::already_exists : ProductOutcome::exists_with_different_fields;
  } else {
    ProductRow product;
    product.name = request.name();
    product.price = request.price();
    product.currency = request.currency();
    product.created_us = context.now().us;
    tables_.products.Put(request.sku(), std::move(product));
  }
  ReplyProduct(request.sku(), outcome, reply);
  return {};
}

Result<void> Orders::UpdateProduct(const UpdateProductRequest& request, WriteContext& /*context*/,
                                   ProductReply* reply) {
  ProductOutcome::Code outcome = ProductOutcome::product_not_found;
  if (const ProductRow* row = tables_.products.Find(request.sku())) {
    ProductRow product = *row;
    if (request.has_name()) product.name = request.name();
    if (request.price() != 0) product.price = request.price();
    tables_.products.Put(request.sku(), std::move(product));
    outcome = ProductOutcome::updated;
  }
  ReplyProduct(request.sku(), outcome, reply);
  return {};
}

Result<void> Orders::ReceiveStock(const ReceiveStockRequest& request, WriteContext& /*context*/,
                                  ProductReply* reply) {
  ProductOutcome::Code outcome = ProductOutcome::product_not_found;
  if (const ProductRow* row = tables_.products.Find(request.sku())) {
    ProductRow product = *row;
    outcome = ProductOutcome::overflow;
    // What is on hand is never more than what was received.
    if (!__builtin_add_overflow(product.received, request.quantity(), &product.received)) {
      product.on_hand += request.quantity();
      tables_.products.Put(request.sku(), std::move(product));
      outcome = ProductOutcome::received;
    }
  }
  ReplyProduct(request.sku(), outcome, reply);
  return {};
}

Result<void> Orders::WriteOffStock(const WriteOffStockRequest& request, WriteContext& /*context*/,
                                   ProductReply* reply) {
  ProductOutcome::Code outcome = ProductOutcome::product_not_found;
  if (const ProductRow* row = tables_.products.Find(request.sku())) {
    ProductRow product = *row;
    outcome = ProductOutcome::insufficient_stock;
    if (product.available() >= request.quantity()) {
      product.on_hand -= request.quantity();
      product.written_off += request.quantity();
      tables_.products.Put(request.sku(), std::move(product));
      outcome = ProductOutcome::written_off;
    }
  }
  ReplyProduct(request.sku(), outcome, reply);
  return {};
}

void Orders::ReplyCustomer(const std::string& id, CustomerOutcome::Code outcome,
                           CustomerReply* reply) const {
  reply->set_outcome(outcome);
  if (const auto row = tables_.customers.Get(id)) {
    FillCustomer(id, *row, reply->mutable_customer());
  }
}

Result<void> Orders::CreateCustomer(const CreateCustomerRequest& request, WriteContext& context,
                                    CustomerReply* reply) {
  CustomerOutcome::Code outcome = CustomerOutcome::created;
  if (const CustomerRow* row = tables_.customers.Find(request.id())) {
    if (row->name != request.name()) reply->set_field("name");
    if (row->currency != request.currency()) reply->set_field("currency");
    outcome = reply->field().empty() ? CustomerOutcome::already_exists
                                     : CustomerOutcome::exists_with_different_fields;
  } else {
    CustomerRow customer;
    customer.name = request.name();
    customer.currency = request.currency();
    customer.created_us = context.now().us;
    tables_.customers.Put(request.id(), std::move(customer));
  }
  ReplyCustomer(request.id(), outcome, reply);
  return {};
}

}  // namespace holdfast::orders

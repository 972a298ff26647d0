#include "services/orders/validate.h"

#include <map>
#include <set>
#include <string>

#include "services/orders/describe.h"
#include "src/base/bounds.h"
#include "src/base/text.h"

namespace holdfast::orders {
namespace {

constexpr char kNoControl[] = "must not have control characters";
constexpr char kNoCursor[] = "is no cursor of this list; take next_cursor as it is";

Result<void> Refuse(std::string field, std::string reason) {
  return Fail(InvalidArgument(std::move(field), std::move(reason)));
}

std::string Element(const char* field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

// The first of these fields that has what goes into logs, lists and file names of others.
Result<void> CheckText(std::initializer_list<std::pair<const char*, const std::string&>> fields) {
  for (const auto& [field, text] : fields) {
    if (HasControlCharacter(text)) return Refuse(field, kNoControl);
  }
  return {};
}

Result<void> CheckCurrency(const std::string& currency) {
  bool good =
      currency.size() >= bounds::kCurrencyBytesMin && currency.size() <= bounds::kCurrencyBytesMax;
  for (const char c : currency) good = good && ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
  if (good) return {};
  return Refuse("currency", "must be 3 to 12 uppercase letters or digits");
}

template <class Request>
Result<void> CheckMetadata(const Request& request) {
  // Of several faults the one with the least key is named, so that every node names the same.
  const std::map<std::string, std::string> metadata(request.metadata().begin(),
                                                    request.metadata().end());
  for (const auto& [key, value] : metadata) {
    if (key.empty() || key.size() > bounds::kMetadataKeyBytesMax || HasControlCharacter(key)) {
      return Refuse("metadata", "keys must be 1 to 64 bytes without control characters");
    }
    if (value.size() > bounds::kMetadataValueBytesMax) {
      return Refuse("metadata", "the value of '" + key + "' is " + std::to_string(value.size()) +
                                    " bytes, at most 256 are allowed");
    }
  }
  return {};
}

template <class Request>
Result<void> CheckItems(const Request& request) {
  std::set<std::string> skus;
  for (int i = 0; i < request.lines_size(); ++i) {
    if (!skus.insert(request.lines(i).sku()).second) {
      return Refuse(Element("lines", i) + ".sku", "appears twice: name each sku once");
    }
  }
  return {};
}

}  // namespace

Result<void> Validate(const CreateProductRequest& request) {
  if (auto text = CheckText({{"sku", request.sku()}, {"name", request.name()}}); !text) return text;
  return CheckCurrency(request.currency());
}

Result<void> Validate(const UpdateProductRequest& request) {
  if (request.price() < 0) return Refuse("price", "must be at least 1");
  return CheckText({{"name", request.name()}});
}

Result<void> Validate(const CreateCustomerRequest& request) {
  if (auto text = CheckText({{"id", request.id()}, {"name", request.name()}}); !text) return text;
  return CheckCurrency(request.currency());
}

Result<void> Validate(const ListCustomersRequest& request) {
  if (request.to().empty() || request.from() <= request.to()) return {};
  return Refuse("to", "must not come before from");
}

Result<void> Validate(const PlaceOrderRequest& request) {
  if (auto text = CheckText({{"id", request.id()}}); !text) return text;
  if (auto lines = CheckItems(request); !lines) return lines;
  if (request.total() < 0) return Refuse("total", "must not be negative");
  return CheckMetadata(request);
}

Result<void> Validate(const PayOrderRequest& request) {
  return CheckText({{"payment", request.payment()}});
}

Result<void> Validate(const ShipOrderRequest& request) {
  if (auto text = CheckText({{"shipment", request.shipment()}}); !text) return text;
  return CheckItems(request);
}

Result<void> Validate(const CancelOrderRequest& request) {
  return CheckText({{"reason", request.reason()}});
}

Result<void> Validate(const ReturnOrderRequest& request) {
  return CheckText({{"reason", request.reason()}});
}

Result<void> Validate(const ListOrdersRequest& request) {
  if (request.state() == OrderState::unspecified) return Refuse("state", "is required");
  if (!OrderState::Code_IsValid(request.state())) return Refuse("state", "is no state");
  if (!ParseCursor(request.cursor())) return Refuse("cursor", kNoCursor);
  return {};
}

Result<void> Validate(const ListCustomerOrdersRequest& request) {
  if (!ParseCursor(request.cursor())) return Refuse("cursor", kNoCursor);
  return {};
}

Result<void> Validate(const CheckOrderRequest& request) {
  if (request.absent() == !request.states().empty()) {
    return Refuse(request.absent() ? "absent" : "states",
                  request.absent() ? "goes not with states" : "is required, or absent");
  }
  for (int i = 0; i < request.states_size(); ++i) {
    const int state = request.states(i);
    if (state == OrderState::unspecified || !OrderState::Code_IsValid(state)) {
      return Refuse(Element("states", i), "is no state");
    }
  }
  return {};
}

}  // namespace holdfast::orders

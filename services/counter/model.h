// What the counter service must do, in the plainest words: the tests run both and compare.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "services/counter/counter.pb.h"

namespace holdfast::counter {

class Model {
 public:
  AddReply Add(const AddRequest& request) {
    int64_t& value = values_[request.name()];  // The first Add always fits.
    const int64_t amount = request.amount();
    AddReply reply;
    if (amount > 0 ? value > INT64_MAX - amount : value < INT64_MIN - amount) {
      reply.set_outcome(AddOutcome::overflow);
    } else {
      value += amount;
      reply.set_outcome(AddOutcome::added);
    }
    reply.set_value(value);
    return reply;
  }

  RemoveReply Remove(const RemoveRequest& request) {
    RemoveReply reply;
    const auto value = Get(request.name());
    reply.set_outcome(value ? RemoveOutcome::removed : RemoveOutcome::unknown_counter);
    reply.set_value(value.value_or(0));
    values_.erase(request.name());
    return reply;
  }

  std::optional<int64_t> Get(const std::string& name) const {
    auto found = values_.find(name);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }

 private:
  std::map<std::string, int64_t> values_;
};

}  // namespace holdfast::counter

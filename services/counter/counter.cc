#include "services/counter/counter.h"

#include "src/state_machine/registry.h"

namespace holdfast::counter {

Result<void> Counter::Add(const AddRequest& request, state_machine::WriteContext& /*context*/,
                          AddReply* reply) {
  const CounterRow* row = counters_.Find(request.name());
  const int64_t before = row == nullptr ? 0 : row->value;
  int64_t after = 0;
  if (__builtin_add_overflow(before, request.amount(), &after)) {
    reply->set_outcome(AddOutcome::overflow);
    reply->set_value(before);
    return {};
  }
  counters_.Put(request.name(), {after});
  reply->set_outcome(AddOutcome::added);
  reply->set_value(after);
  return {};
}

Result<void> Counter::Remove(const RemoveRequest& request, state_machine::WriteContext& /*context*/,
                             RemoveReply* reply) {
  const CounterRow* row = counters_.Find(request.name());
  if (row == nullptr) {
    reply->set_outcome(RemoveOutcome::unknown_counter);
    return {};
  }
  reply->set_outcome(RemoveOutcome::removed);
  reply->set_value(row->value);
  counters_.Erase(request.name());
  return {};
}

Result<void> Counter::Get(const GetRequest& request, const state_machine::ReadContext& /*context*/,
                          GetReply* reply) const {
  const auto row = counters_.Get(request.name());
  if (!row) return Fail(NotFound("there is no counter '" + request.name() + "'"));
  reply->set_value(row->value);
  return {};
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.counter.Counter", std::make_unique<Counter>(registry.store()))
      .Write("Add", &Counter::Add)
      .Write("Remove", &Counter::Remove)
      .Read("Get", &Counter::Get);
}

}  // namespace holdfast::counter

// The counter service: see README.md for what it does and CONTRIBUTING.md for how it is made.
#pragma once

#include <string>

#include "services/counter/counter.pb.h"
#include "src/state_machine/service.h"
#include "src/store/table.h"

namespace holdfast::counter {

// What one counter stores. Fields are appended to, never reordered: rows outlive the build.
struct CounterRow {
  int64_t value = 0;
  auto Fields() { return std::tie(value); }
  auto Fields() const { return std::tie(value); }
};

// Writes run on the apply thread, reads on any thread under the store's shared lock.
class Counter : public state_machine::Service {
 public:
  explicit Counter(store::Store& store) : counters_(store, {1, 1}, "counters") {}

  Result<void> Add(const AddRequest& request, state_machine::WriteContext& context,
                   AddReply* reply);
  Result<void> Remove(const RemoveRequest& request, state_machine::WriteContext& context,
                      RemoveReply* reply);
  Result<void> Get(const GetRequest& request, const state_machine::ReadContext& context,
                   GetReply* reply) const;

 private:
  store::HashTable<std::string, CounterRow> counters_;
};

}  // namespace holdfast::counter

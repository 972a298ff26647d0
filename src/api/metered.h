// Counts what goes through one door (http, grpc, ...): a dispatcher in front of the dispatcher. The
// doors themselves know nothing of it, but for telling it what they refuse.
//
// A call costs two looks at the clock, two relaxed additions and the step over its reply to the
// field that holds the outcome.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/metrics/registry.h"
#include "src/node/dispatcher.h"

namespace holdfast::api {

class MeteredDispatcher : public node::Dispatcher {
 public:
  // `registry` and `next` outlive this object, and it outlives every call under way.
  MeteredDispatcher(const state_machine::Registry& registry, node::Dispatcher& next,
                    std::string door);
  ~MeteredDispatcher() override;

  void Call(const state_machine::Method& method, std::string request, node::CallOptions options,
            node::Done done) override;
  std::optional<Error> Refusal(const state_machine::Method& method) override;
  void NoteRefused(ErrorCode code) override;
  node::Leadership Leadership() const override { return next_.Leadership(); }

  // holdfast_requests_total, holdfast_request_seconds and holdfast_requests_refused_total. What
  // never happened is left out: most pairs of method and outcome never do.
  void Sample(metrics::Sampler& out) const;

  struct Totals {
    uint64_t writes = 0;
    uint64_t reads = 0;
    uint64_t errors = 0;  // Calls that ended in an error, and what was refused before.
    metrics::Distribution write_us;
    metrics::Distribution read_us;
  };
  // Adds this door's to `totals`.
  void AddTo(Totals* totals) const;

 private:
  struct MethodMeter;

  node::Dispatcher& next_;
  const std::string door_;
  absl::flat_hash_map<const state_machine::Method*, std::unique_ptr<MethodMeter>> meters_;
  static constexpr size_t kErrorCodes = 16;
  std::array<metrics::Counter, kErrorCodes> refused_;
};

}  // namespace holdfast::api

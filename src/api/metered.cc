#include "src/api/metered.h"

#include "holdfast/options.pb.h"
#include "src/api/errors.h"
#include "src/state_machine/outcome_field.h"

namespace holdfast::api {
namespace {

using state_machine::Method;

}  // namespace

struct MeteredDispatcher::MethodMeter {
  static constexpr size_t kOutcomes = 64;  // Higher numbers share the last place.

  explicit MethodMeter(const Method& m) : method(m) {}

  void Ended(const node::Reply& reply, std::chrono::steady_clock::time_point began) {
    const auto took = std::chrono::steady_clock::now() - began;
    us.Observe(
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    if (!reply.body) {
      Failed(reply.body.error().code);
      return;
    }
    const uint64_t value = method.outcome == nullptr
                               ? 0
                               : state_machine::PeekNumber(*reply.body, method.outcome->number());
    outcomes[std::min<uint64_t>(value, kOutcomes - 1)].Add();
  }

  void Failed(ErrorCode code) {
    errors[std::min<size_t>(static_cast<size_t>(code), kErrorCodes - 1)].Add();
  }

  const Method& method;
  metrics::Histogram us{metrics::kLatencyBucketsUs};
  std::array<metrics::Counter, kOutcomes> outcomes;
  std::array<metrics::Counter, kErrorCodes> errors;
};

MeteredDispatcher::MeteredDispatcher(const state_machine::Registry& registry,
                                     node::Dispatcher& next, std::string door)
    : next_(next), door_(std::move(door)) {
  for (const auto& method : registry.methods()) {
    meters_.emplace(method.get(), std::make_unique<MethodMeter>(*method));
  }
}

MeteredDispatcher::~MeteredDispatcher() = default;

void MeteredDispatcher::Call(const Method& method, std::string request, node::CallOptions options,
                             node::Done done) {
  MethodMeter& meter = *meters_.at(&method);
  const auto began = std::chrono::steady_clock::now();
  next_.Call(method, std::move(request), std::move(options),
             [&meter, began, done = std::move(done)](node::Reply reply) mutable {
               meter.Ended(reply, began);
               done(std::move(reply));
             });
}

std::optional<Error> MeteredDispatcher::Refusal(const Method& method) {
  std::optional<Error> error = next_.Refusal(method);
  if (error) meters_.at(&method)->Failed(error->code);
  return error;
}

void MeteredDispatcher::NoteRefused(ErrorCode code) {
  refused_[std::min<size_t>(static_cast<size_t>(code), kErrorCodes - 1)].Add();
}

void MeteredDispatcher::Sample(metrics::Sampler& out) const {
  const auto count = [&out](const metrics::Counter& counter, metrics::Labels labels,
                            const std::string& outcome, int status) {
    if (counter.value() == 0) return;
    labels.emplace_back("outcome", outcome);
    labels.emplace_back("status", std::to_string(status));
    out.Counter("holdfast_requests_total",
                "Calls answered, by door, method, outcome or error, and HTTP status",
                static_cast<double>(counter.value()), std::move(labels));
  };
  for (const auto& [method, meter] : meters_) {
    const metrics::Distribution us = meter->us.Read();
    if (us.count() == 0) continue;
    const metrics::Labels labels = {
        {"door", door_}, {"service", method->service_name}, {"method", method->descriptor->name()}};
    out.Latency("holdfast_request_seconds",
                "From the decoded request to its reply, without network and encoding", us, labels);
    for (size_t i = 0; i < meter->outcomes.size(); ++i) {
      const auto* value =
          meter->method.outcome == nullptr
              ? nullptr
              : meter->method.outcome->enum_type()->FindValueByNumber(static_cast<int>(i));
      const bool named = value != nullptr && i != 0;
      const uint32_t status =
          named ? value->options().GetExtension(holdfast::outcome).http_status() : 0;
      count(meter->outcomes[i], labels, named ? value->name() : "ok",
            status == 0 ? 200 : static_cast<int>(status));
    }
    for (size_t i = 0; i < meter->errors.size(); ++i) {
      const auto code = static_cast<ErrorCode>(i);
      count(meter->errors[i], labels, ToString(code), InfoOf(code).http_status);
    }
  }
  for (size_t i = 0; i < refused_.size(); ++i) {
    if (refused_[i].value() == 0) continue;
    out.Counter("holdfast_requests_refused_total",
                "Requests that were refused before they became a call, by door and error",
                static_cast<double>(refused_[i].value()),
                {{"door", door_}, {"code", ToString(static_cast<ErrorCode>(i))}});
  }
}

void MeteredDispatcher::AddTo(Totals* totals) const {
  for (const auto& [method, meter] : meters_) {
    const metrics::Distribution us = meter->us.Read();
    const bool write = method->kind() == WRITE;
    if (write || method->kind() == READ) {
      (write ? totals->writes : totals->reads) += us.count();
      metrics::Distribution& sum = write ? totals->write_us : totals->read_us;
      sum.bounds.empty() ? void(sum = us) : void(sum += us);
    }
    for (const metrics::Counter& counter : meter->errors) totals->errors += counter.value();
  }
  for (const metrics::Counter& counter : refused_) totals->errors += counter.value();
}

}  // namespace holdfast::api

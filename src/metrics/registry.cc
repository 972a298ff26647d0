#include "src/metrics/registry.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "src/base/check.h"

namespace holdfast::metrics {
namespace {

constexpr double kUsPerSecond = 1e6;

prometheus::ClientMetric Labelled(Labels labels) {
  prometheus::ClientMetric metric;
  for (auto& [name, value] : labels) metric.label.push_back({std::move(name), std::move(value)});
  return metric;
}

}  // namespace

Sampler::Sampler() = default;
Sampler::~Sampler() = default;

prometheus::MetricFamily& Sampler::Family(const std::string& name, const std::string& help,
                                          int type) {
  auto [place, added] = families_.try_emplace(name);
  prometheus::MetricFamily& family = place->second;
  if (added) {
    family.name = name;
    family.help = help;
    family.type = static_cast<prometheus::MetricType>(type);
  }
  HOLDFAST_CHECK(family.type == static_cast<prometheus::MetricType>(type),
                 "two kinds of metric are named " + name);
  return family;
}

void Sampler::Gauge(const std::string& name, const std::string& help, double value, Labels labels) {
  auto metric = Labelled(std::move(labels));
  metric.gauge.value = value;
  Family(name, help, static_cast<int>(prometheus::MetricType::Gauge)).metric.push_back(metric);
}

void Sampler::Counter(const std::string& name, const std::string& help, double value,
                      Labels labels) {
  auto metric = Labelled(std::move(labels));
  metric.counter.value = value;
  Family(name, help, static_cast<int>(prometheus::MetricType::Counter)).metric.push_back(metric);
}

void Sampler::AddHistogram(const std::string& name, const std::string& help,
                           const Distribution& distribution, double per_unit, Labels labels) {
  auto metric = Labelled(std::move(labels));
  uint64_t cumulative = 0;
  for (size_t i = 0; i < distribution.bounds.size(); ++i) {
    cumulative += distribution.counts[i];
    metric.histogram.bucket.push_back(
        {cumulative, static_cast<double>(distribution.bounds[i]) / per_unit});
  }
  cumulative += distribution.counts[distribution.bounds.size()];
  metric.histogram.bucket.push_back({cumulative, std::numeric_limits<double>::infinity()});
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = static_cast<double>(distribution.sum) / per_unit;
  Family(name, help, static_cast<int>(prometheus::MetricType::Histogram)).metric.push_back(metric);
}

void Sampler::Latency(const std::string& name, const std::string& help, const Distribution& us,
                      Labels labels) {
  AddHistogram(name, help, us, kUsPerSecond, std::move(labels));
}

void Sampler::Sizes(const std::string& name, const std::string& help, const Distribution& sizes,
                    Labels labels) {
  AddHistogram(name, help, sizes, 1, std::move(labels));
}

std::string Sampler::Text() const {
  std::vector<prometheus::MetricFamily> families;
  families.reserve(families_.size());
  for (const auto& [name, family] : families_) families.push_back(family);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

void Registry::Add(Source source) {
  std::lock_guard lock(mutex_);
  sources_.push_back(std::move(source));
}

std::string Registry::Text() const {
  std::lock_guard lock(mutex_);
  Sampler sampler;
  for (const Source& source : sources_) source(sampler);
  return sampler.Text();
}

}  // namespace holdfast::metrics

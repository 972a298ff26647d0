// Gives instruments their names and turns them into the text that Prometheus scrapes.
//
//   registry.Add([&](metrics::Sampler& out) {
//     out.Gauge("holdfast_term", "Raft's term on this node", status().term.value);
//     out.Latency("holdfast_log_sync_seconds", "One write and fdatasync", log.sync_us);
//   });
//
// Nothing is pushed: gauges are looked at when somebody asks.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "src/metrics/instruments.h"

namespace prometheus {
struct MetricFamily;
}

namespace holdfast::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Takes values under their names. The same name again adds a series to its family and must come
// with other labels. Units are part of the name: Prometheus counts in seconds and bytes.
class Sampler {
 public:
  Sampler();
  ~Sampler();
  Sampler(const Sampler&) = delete;

  void Gauge(const std::string& name, const std::string& help, double value, Labels labels = {});
  void Counter(const std::string& name, const std::string& help, double value, Labels labels = {});
  // A histogram of microseconds, told in seconds.
  void Latency(const std::string& name, const std::string& help, const Distribution& us,
               Labels labels = {});
  // A histogram of plain numbers.
  void Sizes(const std::string& name, const std::string& help, const Distribution& sizes,
             Labels labels = {});

  // The exposition format, families in order of name.
  std::string Text() const;

 private:
  prometheus::MetricFamily& Family(const std::string& name, const std::string& help, int type);
  void AddHistogram(const std::string& name, const std::string& help,
                    const Distribution& distribution, double per_unit, Labels labels);

  std::map<std::string, prometheus::MetricFamily> families_;
};

// Thread-safe. What a source refers to must outlive the registry, or the last call of Text.
class Registry {
 public:
  using Source = std::function<void(Sampler&)>;
  void Add(Source source);
  std::string Text() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Source> sources_;
};

}  // namespace holdfast::metrics

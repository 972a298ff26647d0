// How often two events come out in the wrong order, against how far the clocks of their sources are
// apart: by the times that the sources tell, by the journal's corrected times, and by the log's.
// README.md beside this file says what is simulated.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "services/journal/offset.h"

namespace holdfast {
namespace {

constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kBegin = 1'700'000'000 * kSecond;

struct Setting {
  uint64_t skew_ms = 0;
  uint32_t drift_ppm = 100;     // The most that a clock drifts.
  uint32_t declared_ppm = 500;  // What the journal is told.
  uint64_t delay_ms = 5;        // The mean of one way through the network.
  uint64_t batch_ms = 100;      // Between two appends of a source.
  uint64_t gap_us = 2'000;      // The mean time between two events of all sources.
  uint64_t sources = 5;
  uint64_t events = 20'000;
  uint64_t neighbours = 20;  // Each event is compared with so many that follow it.
  uint64_t seed = 1;
};

// Numbers from a seed, the same on every machine: no distribution of the standard library is.
class Chance {
 public:
  explicit Chance(uint64_t seed) : random_(seed) {}
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  // Around `mean`, never less than a fifth of it, at times many times as much: the minimum of a
  // route and queues on it. The queues are a geometric number of small steps.
  int64_t Delay(uint64_t mean_us) {
    const uint64_t least = mean_us / 5;
    const uint64_t step = std::max<uint64_t>(1, (mean_us - least) / 8);
    uint64_t queued = Below(step);
    while (Below(9) != 0) queued += step;
    return static_cast<int64_t>(least + queued);
  }

 private:
  std::mt19937_64 random_;
};

struct Event {
  int64_t true_us = 0;
  size_t source = 0;
  int64_t raw_us = 0;
  int64_t corrected_us = 0;
  int64_t log_us = 0;
  uint64_t log_order = 0;
  bool bounded = false;
  int64_t error_us = 0;
};

struct Source {
  int64_t ahead_us = 0;
  int64_t drift_ppm = 0;
  int64_t next_batch_us = 0;
  std::vector<size_t> events;  // That are not sent yet.
  journal::Facts facts;
  std::optional<std::pair<int64_t, int64_t>> previous;  // Stamp, and received by its clock.

  int64_t Says(int64_t true_us) const {
    return true_us + ahead_us + (true_us - kBegin) * drift_ppm / kSecond;
  }
};

struct Totals {
  uint64_t pairs = 0;
  uint64_t wrong_raw = 0;
  uint64_t wrong_corrected = 0;
  uint64_t wrong_hybrid = 0;
  uint64_t certain = 0;        // Pairs whose bounds do not overlap ...
  uint64_t wrong_certain = 0;  // ... and that are in the wrong order all the same.
  int64_t error_sum_us = 0;
  int64_t error_max_us = 0;
  int64_t bound_sum_us = 0;
  uint64_t violated = 0;
  uint64_t bounded = 0;
};

class Simulation {
 public:
  explicit Simulation(const Setting& setting) : setting_(setting), chance_(setting.seed) {}

  Totals Run() {
    MakeSources();
    int64_t now = kBegin;
    for (uint64_t i = 0; i < setting_.events; ++i) {
      now += static_cast<int64_t>(1 + chance_.Below(2 * setting_.gap_us));
      SendUntil(now);
      Event event;
      event.true_us = now;
      event.source = chance_.Below(sources_.size());
      event.raw_us = sources_[event.source].Says(now);
      sources_[event.source].events.push_back(events_.size());
      events_.push_back(event);
    }
    SendUntil(now + 10 * kSecond);
    OrderOfTheLog();
    return Count();
  }

 private:
  // Clocks spread evenly from `skew` behind to `skew` ahead.
  void MakeSources() {
    const auto skew_us = static_cast<int64_t>(setting_.skew_ms) * kMs;
    for (uint64_t i = 0; i < setting_.sources; ++i) {
      Source source;
      source.ahead_us = setting_.sources == 1
                            ? skew_us
                            : -skew_us + 2 * skew_us * static_cast<int64_t>(i) /
                                             static_cast<int64_t>(setting_.sources - 1);
      source.drift_ppm = static_cast<int64_t>(chance_.Below(2 * setting_.drift_ppm + 1)) -
                         static_cast<int64_t>(setting_.drift_ppm);
      source.next_batch_us = kBegin + static_cast<int64_t>(chance_.Below(setting_.batch_ms * kMs));
      sources_.push_back(source);
      Exchange(sources_.back(), kBegin - kSecond);  // As `holdfast journal feed` begins.
    }
  }

  // An append that is sent at this true time: the entry's stamp.
  int64_t Exchange(Source& source, int64_t sent_us) {
    const int64_t stamp = sent_us + chance_.Delay(setting_.delay_ms * kMs);
    const int64_t received = stamp + chance_.Delay(setting_.delay_ms * kMs);
    const int64_t says = source.Says(sent_us);
    journal::Facts told;
    told.upper = journal::Fact{says, stamp - says};
    if (source.previous) {
      told.lower =
          journal::Fact{source.previous->second, source.previous->first - source.previous->second};
    }
    journal::Learn(told, setting_.declared_ppm, &source.facts);
    source.previous = {stamp, source.Says(received) + 1};
    // The next one is not sent before the answer has come.
    source.next_batch_us =
        std::max(sent_us + static_cast<int64_t>(setting_.batch_ms) * kMs, received + 1);
    return stamp;
  }

  void SendUntil(int64_t until_us) {
    for (Source& source : sources_) {
      while (source.next_batch_us < until_us) {
        const int64_t stamp = Exchange(source, source.next_batch_us);
        for (const size_t index : source.events) {
          Event& event = events_[index];
          const journal::Corrected corrected = journal::CorrectTime(
              source.facts, event.raw_us, stamp, setting_.declared_ppm, 3'600 * kSecond);
          event.corrected_us = corrected.at_us;
          event.bounded = corrected.error_us.has_value();
          event.error_us = static_cast<int64_t>(corrected.error_us.value_or(0));
          event.log_us = stamp;
        }
        source.events.clear();
      }
    }
  }

  // Records of one append have one stamp, and the order in which they were sent.
  void OrderOfTheLog() {
    std::vector<size_t> order(events_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return std::pair(events_[a].log_us, events_[a].source) <
             std::pair(events_[b].log_us, events_[b].source);
    });
    for (size_t i = 0; i < order.size(); ++i) events_[order[i]].log_order = i;
  }

  Totals Count() const {
    Totals totals;
    for (size_t i = 0; i < events_.size(); ++i) {
      const Event& first = events_[i];
      if (first.bounded) {
        const int64_t wrong = std::abs(first.corrected_us - first.true_us);
        ++totals.bounded;
        totals.error_sum_us += wrong;
        totals.error_max_us = std::max(totals.error_max_us, wrong);
        totals.bound_sum_us += first.error_us;
        totals.violated += wrong > first.error_us + 1 ? 1 : 0;  // One that the clock cuts off.
      }
      for (size_t j = i + 1; j < std::min(events_.size(), i + 1 + setting_.neighbours); ++j) {
        const Event& second = events_[j];
        if (first.source == second.source) continue;  // A source knows its own order.
        ++totals.pairs;
        totals.wrong_raw += first.raw_us > second.raw_us ? 1 : 0;
        totals.wrong_corrected += first.corrected_us > second.corrected_us ? 1 : 0;
        totals.wrong_hybrid += first.log_order > second.log_order ? 1 : 0;
        const bool apart = first.bounded && second.bounded &&
                           std::abs(first.corrected_us - second.corrected_us) >
                               first.error_us + second.error_us + 2;
        totals.certain += apart ? 1 : 0;
        totals.wrong_certain += apart && first.corrected_us > second.corrected_us ? 1 : 0;
      }
    }
    return totals;
  }

  const Setting setting_;
  Chance chance_;
  std::vector<Source> sources_;
  std::vector<Event> events_;
};

void Print(const Setting& setting, const Totals& totals) {
  const uint64_t bounded = std::max<uint64_t>(1, totals.bounded);
  std::printf("%llu,%u,%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu,%lld,%llu,%llu\n",
              static_cast<unsigned long long>(setting.skew_ms), setting.drift_ppm,
              static_cast<unsigned long long>(setting.delay_ms),
              static_cast<unsigned long long>(totals.pairs),
              static_cast<unsigned long long>(totals.wrong_raw),
              static_cast<unsigned long long>(totals.wrong_corrected),
              static_cast<unsigned long long>(totals.wrong_hybrid),
              static_cast<unsigned long long>(totals.certain),
              static_cast<unsigned long long>(totals.wrong_certain),
              static_cast<unsigned long long>(static_cast<uint64_t>(totals.error_sum_us) / bounded),
              static_cast<long long>(totals.error_max_us),
              static_cast<unsigned long long>(static_cast<uint64_t>(totals.bound_sum_us) / bounded),
              static_cast<unsigned long long>(totals.violated));
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  CLI::App app("Ordering errors against the skew of clocks; prints CSV");
  holdfast::Setting setting;
  std::vector<uint64_t> skews = {0,   1,   2,   5,     10,    20,    50,
                                 100, 200, 500, 1'000, 2'000, 5'000, 10'000};
  std::vector<uint64_t> delays = {1, 5, 20, 100};
  std::vector<uint32_t> drifts = {100};
  app.add_option("--skew-ms", skews, "Clocks are from so far behind to so far ahead")
      ->delimiter(',');
  app.add_option("--delay-ms", delays, "The mean of one way through the network")->delimiter(',');
  app.add_option("--drift-ppm", drifts, "The most that a clock drifts")->delimiter(',');
  app.add_option("--declared-ppm", setting.declared_ppm, "What the journal is told of that");
  app.add_option("--batch-ms", setting.batch_ms, "Between two appends of a source");
  app.add_option("--gap-us", setting.gap_us, "The mean time between two events");
  app.add_option("--sources", setting.sources)->check(CLI::Range(1, 1'000));
  app.add_option("--events", setting.events)->check(CLI::Range(1, 10'000'000));
  app.add_option("--neighbours", setting.neighbours,
                 "Each event is compared with so many behind it")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--seed", setting.seed);
  CLI11_PARSE(app, argc, argv);
  std::printf(
      "skew_ms,drift_ppm,delay_ms,pairs,wrong_raw,wrong_corrected,wrong_hybrid,certain,"
      "wrong_certain,mean_error_us,max_error_us,mean_bound_us,violated\n");
  for (const uint32_t drift : drifts) {
    for (const uint64_t delay : delays) {
      for (const uint64_t skew : skews) {
        setting.skew_ms = skew;
        setting.delay_ms = delay;
        setting.drift_ppm = drift;
        holdfast::Print(setting, holdfast::Simulation(setting).Run());
      }
    }
  }
  return 0;
}

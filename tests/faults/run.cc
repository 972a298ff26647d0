#include "tests/faults/run.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include "tests/faults/arena.h"
#include "tests/faults/faults.h"
#include "tests/faults/judge.h"
#include "tests/faults/load.h"

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kProgressEvery{5'000};
constexpr int64_t kLongGapMs = 5'000;  // Worth a line of its own.

// How long nobody got a write acknowledged, for each fault of a kind.
struct Gaps {
  std::vector<int64_t> ms;

  int64_t Median() {
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
  }
};
using GapsByFault = std::map<std::string, Gaps>;

// With what was judged of the whole run in every line.
void WriteCsv(const std::string& path, GapsByFault faults, const Judgement& found, bool violated) {
  std::ofstream out(path);
  out << "fault,times,median_ms,longest_ms,writes,reads,violations\n";
  for (auto& [name, gaps] : faults) {
    const int64_t median = gaps.Median();
    out << '"' << name << "\"," << gaps.ms.size() << ',' << median << ',' << gaps.ms.back() << ','
        << found.writes << ',' << found.reads << ',' << (violated ? 1 : 0) << '\n';
  }
}

class Runner {
 public:
  Runner(const RunOptions& options, const std::atomic<bool>& stop)
      : options_(options),
        stop_(stop),
        random_(options.seed),
        arena_(options.folder, options.nodes, random_.Next(), options.shim),
        load_(MakeLoadOptions()) {}

  void Run() {
    for (int node : arena_.members()) arena_.Start(node);
    arena_.WaitLevel(LogIndex(1));
    Say("the cluster is founded");
    if (arena_.small_disk() == 0) Say("mounts are not permitted: no full disks in this run");
    load_.Start();
    while (!stop_ && Elapsed() < std::chrono::seconds(options_.seconds)) Step();
    Say("no more faults; finishing");
    load_.Stop();
    arena_.WaitLevel(load_.told());
    Finish();
  }

  // A run that found something: what the nodes agreed on is collected all the same.
  void Abandon() {
    try {
      arena_.Abandon();
    } catch (const std::exception& e) {
      Say(std::string("the log could not be collected to its end: ") + e.what());
    }
  }

  const GapsByFault& gaps() const { return gaps_; }

  void Report() {
    constexpr const char* kDoors[] = {"pipe", "grpc", "http"};
    std::printf("\n%-22s %-10s %10s %10s %10s\n", "operation", "ended", kDoors[0], kDoors[1],
                kDoors[2]);
    for (const auto& [kind, ends] : load_.counts()) {
      for (const auto& [end, doors] : ends) {
        std::printf("%-22s %-10s", kind.c_str(), end.c_str());
        for (const char* door : kDoors) {
          const auto count = doors.find(door);
          std::printf(" %10lu", count == doors.end() ? 0 : count->second);
        }
        std::printf("\n");
      }
    }
    std::printf("\n%-34s %6s   %s\n", "fault", "times", "ms without a write: median, longest");
    for (auto& [kind, gaps] : gaps_) {
      const int64_t median = gaps.Median();
      std::printf("%-34s %6zu   %6ld %6ld\n", kind.c_str(), gaps.ms.size(), median, gaps.ms.back());
    }
    std::printf("\n");
    for (const auto& [what, count] : arena_.seen()) {
      std::printf("%s: %lu\n", what.c_str(), count);
    }
    std::printf("packets carried: %lu, lost: %lu\n", arena_.network().carried(),
                arena_.network().lost());
  }

 private:
  LoadOptions MakeLoadOptions() {
    LoadOptions load;
    load.folder = Arena::RecordingIn(options_.folder);
    load.nodes = arena_.addresses();
    load.clients = options_.clients;
    load.seed = options_.seed;
    return load;
  }

  steady_clock::duration Elapsed() const { return steady_clock::now() - began_; }

  void Say(const std::string& what) {
    std::printf("%7.1f s  %s\n", std::chrono::duration<double>(Elapsed()).count(), what.c_str());
    std::fflush(stdout);
    said_at_ = steady_clock::now();
  }

  // Lets the load run, and looks after everything meanwhile.
  void Go(milliseconds duration) {
    const auto until = steady_clock::now() + duration;
    while (steady_clock::now() < until && !stop_) {
      arena_.CheckAlive();
      sim::Require(load_.violation().empty(), load_.violation());
      arena_.CollectIfLate();
      if (steady_clock::now() - said_at_ > kProgressEvery) {
        Say(std::to_string(load_.acknowledged()) + " writes acknowledged, position " +
            load_.told().ToString());
      }
      Wait(std::min(duration, milliseconds(50)));
    }
  }

  const Kind& DrawKind() {
    if (options_.each) return Kinds()[step_++ % Kinds().size()];
    unsigned sum = 0;
    for (const Kind& kind : Kinds()) sum += Wanted(kind) ? kind.weight : 0;
    sim::Require(sum > 0, "there is no fault named " + options_.only);
    uint64_t drawn = random_.Between(1, sum);
    for (const Kind& kind : Kinds()) {
      const uint64_t weight = Wanted(kind) ? kind.weight : 0;
      if (drawn <= weight) return kind;
      drawn -= weight;
    }
    return Kinds().front();
  }

  bool Wanted(const Kind& kind) const {
    return options_.only.empty() || options_.only == kind.name;
  }

  // A fault, its end, and quiet again.
  void Step() {
    const Kind& kind = DrawKind();
    Fault fault = kind.draw(arena_, random_);
    std::string name = kind.name;
    std::optional<Fault> weather;
    const bool some = options_.only.empty() && !options_.each && random_.OneIn(4);
    if (!kind.weather && (some || !options_.with.empty())) {
      for (const Kind& other : Kinds()) {
        if (!options_.with.empty() && options_.with != other.name) continue;
        if (other.weather && (!weather || random_.OneIn(2))) {
          weather = other.draw(arena_, random_);
        }
      }
      sim::Require(weather.has_value(), "there is no fault of the network named " + options_.with);
      name += ", bad network";
    }
    if (!fault.begin) return Go(milliseconds(10));
    Say(fault.what + (weather ? "; " + weather->what : ""));
    load_.TakeGap();
    if (weather) weather->begin();
    fault.begin();
    Go(fault.lasts);
    fault.end();
    if (weather) weather->end();
    arena_.WaitLevel(load_.told());
    const int64_t gap_ms = load_.TakeGap().count();
    gaps_[name].ms.push_back(gap_ms);
    if (gap_ms > kLongGapMs) Say(std::to_string(gap_ms) + " ms without an acknowledged write");
    Go(milliseconds(random_.Between(200, 2'000)));
  }

  void Finish() {
    for (int node : arena_.members()) {
      load_.ReadAll(arena_.endpoint(node));
      sim::Require(
          arena_.Operate("ledger verify", node) == 0,
          "holdfast ledger verify fails on node " + std::to_string(node) + ", see operator.log");
    }
    load_.AskOutcomes(arena_.endpoint(arena_.members().back()));
    arena_.WaitLevel(load_.told());
    std::string report;
    sim::Require(arena_.cluster().WaitEqualState(std::chrono::seconds(20), &report),
                 "the nodes do not come to one state:\n" + report);
    for (int node : arena_.members()) {
      cluster::StatusReply status;
      arena_.watch().Ask(node, &status);
      const int ended = arena_.Terminate(node);
      sim::Require(ended == 0, "node " + std::to_string(node) + " ended with status " +
                                   std::to_string(ended) + " when it was asked to stop");
    }
    MarkComplete(Arena::RecordingIn(options_.folder));
  }

  const RunOptions options_;
  const std::atomic<bool>& stop_;
  const steady_clock::time_point began_ = steady_clock::now();
  steady_clock::time_point said_at_ = began_;
  sim::Random random_;
  Arena arena_;
  Load load_;
  GapsByFault gaps_;
  size_t step_ = 0;  // Of those in turn.
};

// Tells what it finds. Nothing: a violation.
std::optional<Judgement> TellJudgement(const std::string& folder) {
  try {
    const Judgement found = Judge(folder);
    std::printf("entries replayed: %lu; writes compared with the model: %lu, reads: %lu",
                found.entries, found.writes, found.reads);
    if (found.beyond > 0) std::printf("; beyond the collected log: %lu", found.beyond);
    std::printf("\n");
    std::fflush(stdout);
    return found;
  } catch (const std::exception& e) {
    std::printf("\nVIOLATION: %s\n", e.what());
    std::fflush(stdout);
    return std::nullopt;
  }
}

}  // namespace

int JudgeFolder(const std::string& folder) { return TellJudgement(folder) ? 0 : 1; }

int Run(const RunOptions& options, const std::atomic<bool>& stop) {
  std::string violation;
  GapsByFault gaps;
  {
    Runner runner(options, stop);
    try {
      runner.Run();
    } catch (const std::exception& e) {
      violation = e.what();
      runner.Abandon();
    }
    runner.Report();
    gaps = runner.gaps();
  }
  if (!violation.empty()) std::printf("\nVIOLATION: %s\n", violation.c_str());
  const std::string recording = Arena::RecordingIn(options.folder);
  const std::optional<Judgement> found = TellJudgement(recording);
  const bool violated = !violation.empty() || !found;
  if (!options.csv.empty()) WriteCsv(options.csv, gaps, found.value_or(Judgement()), violated);
  if (violated) {
    std::printf(
        "\nSeed %lu. The nodes' folders and logs are kept in %s.\nWhat every client saw is in "
        "%s; to judge it again:\n  ./dev chaos --judge %s\n",
        options.seed, options.folder.c_str(), recording.c_str(), recording.c_str());
    std::fflush(stdout);
    return 1;
  }
  std::printf("no violations (seed %lu)\n", options.seed);
  std::fflush(stdout);
  return 0;
}

}  // namespace holdfast::faults

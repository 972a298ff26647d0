#include "tests/faults/run.h"

#include <absl/numeric/int128.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "services/ledger/ledger.pb.h"
#include "src/client/methods.h"
#include "tests/faults/arena.h"
#include "tests/faults/faults.h"
#include "tests/faults/load.h"

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kProgressEvery{5'000};

// How long nobody got a write acknowledged, for each fault of a kind.
struct Gaps {
  std::vector<int64_t> ms;

  int64_t Median() {
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
  }
};

class Runner {
 public:
  Runner(const RunOptions& options, const std::atomic<bool>& stop)
      : options_(options),
        stop_(stop),
        random_(options.seed),
        arena_(options.folder, options.nodes, random_.Next(), options.shim),
        load_(MakeLoadOptions()) {}

  void Run() {
    for (int node = 1; node <= arena_.nodes(); ++node) arena_.Start(node);
    arena_.WaitLevel(LogIndex(1));
    Say("the cluster is founded");
    if (arena_.small_disk() == 0) Say("mounts are not permitted: no full disks in this run");
    load_.Start();
    while (!stop_ && Elapsed() < std::chrono::seconds(options_.seconds)) Step();
    Say("no more faults; finishing");
    load_.Stop();
    arena_.WaitLevel(load_.told());
    Judge();
  }

  void Report() {
    std::printf("\n%-22s %-12s %12s\n", "operation", "ended", "times");
    for (const auto& [kind, ends] : load_.counts()) {
      for (const auto& [end, count] : ends) {
        std::printf("%-22s %-12s %12lu\n", kind.c_str(), end.c_str(), count);
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
    std::printf(
        "entries replayed: %lu; writes compared with the model: %lu, reads: %lu; packets "
        "carried: %lu, lost: %lu\n",
        history_.replayed().value, history_.writes(), history_.reads(), arena_.network().carried(),
        arena_.network().lost());
  }

 private:
  LoadOptions MakeLoadOptions() {
    LoadOptions load;
    load.clients = options_.clients;
    load.seed = options_.seed;
    for (int node = 1; node <= options_.nodes; ++node) {
      load.endpoints.push_back(arena_.endpoint(node));
    }
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
    if (!kind.weather && options_.only.empty() && random_.OneIn(4)) {
      for (const Kind& other : Kinds()) {
        if (other.weather && (!weather || random_.OneIn(2))) {
          weather = other.draw(arena_, random_);
        }
      }
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
    gaps_[name].ms.push_back(load_.TakeGap().count());
    Go(milliseconds(random_.Between(200, 2'000)));
  }

  void Judge() {
    for (int node = 1; node <= arena_.nodes(); ++node) {
      load_.ReadAll(arena_.endpoint(node));
      Verify(node);
    }
    load_.AskOutcomes(arena_.endpoint(static_cast<int>(random_.Between(1, options_.nodes))));
    arena_.WaitLevel(load_.told());
    std::string report;
    sim::Require(arena_.cluster().WaitEqualState(std::chrono::seconds(20), &report),
                 "the nodes do not come to one state:\n" + report);
    Wait(milliseconds(500));  // The watch has asked again.
    for (int node = 1; node <= arena_.nodes(); ++node) {
      const int status = arena_.Terminate(node);
      sim::Require(status == 0, "node " + std::to_string(node) + " ended with status " +
                                    std::to_string(status) + " when it was asked to stop");
    }
    load_.Tell(history_);
    const auto methods = Methods();
    for (LogIndex i(1); i <= arena_.log().last(); i = i.Next()) {
      history_.Replay(
          arena_.log().payload(i), [&](uint8_t service, uint8_t method) -> const std::string& {
            const auto found = methods.find({service, method});
            sim::Require(found != methods.end(), "the log holds a method that nobody asked for");
            return found->second;
          });
    }
    sim::Require(history_.replayed() >= load_.told(), "the log ends before what was told");
    history_.Check();
    for (const Open& open : load_.never_seen()) {
      sim::Require(history_.ReplyTo(open.method, open.key) == nullptr,
                   open.method + " with key " + open.key +
                       " is in the log, and its outcome was told to be never seen");
    }
    std::map<std::string, absl::int128> sums;
    for (const ledger::Account& account : history_.model().Accounts()) {
      sums[account.currency()] += account.balance();
    }
    for (const auto& [currency, sum] : sums) {
      sim::Require(sum == 0, "conservation: the balances in " + currency + " do not add up to 0");
    }
    Say("replayed and compared");
  }

  static std::map<std::pair<uint32_t, uint32_t>, std::string> Methods() {
    std::map<std::pair<uint32_t, uint32_t>, std::string> methods;
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        "holdfast.ledger.Ledger");
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string name = service->method(i)->name();
      const auto info = client::FindMethod("/holdfast.ledger.Ledger/" + name);
      if (info.write) methods[{info.service, info.method}] = name;
    }
    return methods;
  }

  // The node's own accounts and journal fit together.
  void Verify(int node) {
    const std::string command = testing::ProcessCluster::Program() + " --endpoints " +
                                arena_.endpoint(node) + " ledger verify > " + options_.folder +
                                "/verify.txt 2>&1";
    sim::Require(std::system(command.c_str()) == 0, "holdfast ledger verify fails on node " +
                                                        std::to_string(node) + ", see verify.txt");
  }

  const RunOptions options_;
  const std::atomic<bool>& stop_;
  const steady_clock::time_point began_ = steady_clock::now();
  steady_clock::time_point said_at_ = began_;
  sim::Random random_;
  Arena arena_;
  Load load_;
  sim::History history_;
  std::map<std::string, Gaps> gaps_;
};

}  // namespace

int Run(const RunOptions& options, const std::atomic<bool>& stop) {
  std::string violation;
  {
    Runner runner(options, stop);
    try {
      runner.Run();
    } catch (const std::exception& e) {
      violation = e.what();
    }
    runner.Report();
    if (!violation.empty()) {
      std::printf("\nVIOLATION (seed %lu): %s\n\nThe nodes' folders and logs are kept in %s\n",
                  options.seed, violation.c_str(), options.folder.c_str());
      std::fflush(stdout);
    }
  }
  if (!violation.empty()) return 1;
  std::printf("no violations (seed %lu)\n", options.seed);
  std::fflush(stdout);
  return 0;
}

}  // namespace holdfast::faults

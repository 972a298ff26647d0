// How long nobody can write when the leader of a cluster is killed under load, and beside it, in
// turns in the same run, the same of etcd. And how often a leader is replaced that nobody hurt.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/failover/load.h"
#include "bench/failover/noise.h"
#include "tests/support/process_cluster.h"

namespace holdfast::bench {
namespace {

// As the peer's script has them.
constexpr int kClients = 16;
constexpr int kTrialsAtOnce = 5;

constexpr std::chrono::milliseconds kBucket{10};

// How the leader goes: its process ends, or stands still, which for the others is a machine that is
// cut off.
enum class End { kKill, kFreeze };

struct Options {
  int trials = 20;
  End end = End::kKill;
  int nodes = 3;
  std::vector<std::string> flags;  // Of every node.
  int attempt_ms = 0;              // 0: as the client's library has it.
  int before_s = 3;                // Under load, before the leader goes ...
  int after_s = 7;                 // ... and after it.
  std::string etcd;
  std::string csv;
  std::string timeline;
};

struct Gaps {
  std::string name;
  std::vector<double> ms;
};

// One trial.
struct Trial {
  steady_clock::time_point hurt;  // When the leader was about to go.
  steady_clock::time_point until;
  std::vector<Answer> answers;
  int64_t failed = 0;  // Calls.
  double gap_ms() const { return LongestGapMs(answers, until); }
};

bool TryHoldfast(const Options& options, int count, std::vector<Trial>* trials) {
  testing::ProcessCluster cluster(options.nodes);
  cluster.SetFlags(options.flags);
  cluster.StartAll();
  if (!cluster.WaitHealthy() || !OpenAccounts(cluster)) return false;
  for (int i = 0; i < count; ++i) {
    Load load(cluster, i, kClients, std::chrono::milliseconds(options.attempt_ms));
    std::this_thread::sleep_for(std::chrono::seconds(options.before_s));
    const int leader = cluster.WaitLeader();
    if (leader == 0) return false;
    Trial trial;
    trial.hurt = steady_clock::now();
    options.end == End::kKill ? cluster.Kill(leader) : cluster.Freeze(leader);
    std::this_thread::sleep_for(std::chrono::seconds(options.after_s));
    trial.until = steady_clock::now();
    if (options.end == End::kFreeze) cluster.Thaw(leader);
    trial.answers = load.Stop();
    trial.failed = load.failed();
    trials->push_back(std::move(trial));
    if (options.end == End::kKill) cluster.Start(leader);
    if (!cluster.WaitHealthy()) return false;
  }
  return true;
}

// Runs the peer's script, of whose lines those of the trials begin with "etcd".
bool TryEtcd(const std::string& script, Gaps* gaps) {
  FILE* pipe = popen(("bash '" + script + "' failover").c_str(), "r");
  if (pipe == nullptr) return false;
  char line[4096];
  size_t trials = 0;
  while (std::fgets(line, sizeof(line), pipe) != nullptr) {
    std::istringstream fields(line);
    std::string peer, name, clients, successes, errors;
    double gap_ms = 0;
    if (!(fields >> peer >> name >> clients >> successes >> errors >> gap_ms) || peer != "etcd") {
      continue;
    }
    gaps->ms.push_back(gap_ms);
    ++trials;
  }
  return pclose(pipe) == 0 && trials > 0;
}

void Print(Gaps gaps) {
  if (gaps.ms.empty()) return;
  std::sort(gaps.ms.begin(), gaps.ms.end());
  const size_t middle = gaps.ms.size() / 2;
  const double median =
      gaps.ms.size() % 2 != 0 ? gaps.ms[middle] : (gaps.ms[middle - 1] + gaps.ms[middle]) / 2;
  std::printf("| %s | %zu | %.0f | %.0f | %.0f |\n", gaps.name.c_str(), gaps.ms.size(),
              gaps.ms.front(), median, gaps.ms.back());
}

void WriteGaps(const std::string& path, const std::vector<Trial>& trials) {
  std::ofstream out(path);
  out << "trial,gap_ms,failed\n";
  for (size_t i = 0; i < trials.size(); ++i) {
    out << i + 1 << ',' << trials[i].gap_ms() << ',' << trials[i].failed << '\n';
  }
}

// The answers that came in each hundredth of a second, and how long they took. Those in which none
// came have a line, too.
void WriteTimeline(const std::string& path, const Options& options,
                   const std::vector<Trial>& trials) {
  std::ofstream out(path);
  out << "trial,at_ms,answers,p50_ms,max_ms\n";
  const std::chrono::seconds before(options.before_s), after(options.after_s);
  for (size_t i = 0; i < trials.size(); ++i) {
    const steady_clock::time_point start = trials[i].hurt - before;
    std::vector<std::vector<float>> buckets(static_cast<size_t>((before + after) / kBucket));
    for (const Answer& answer : trials[i].answers) {
      if (answer.at < start || answer.at >= trials[i].hurt + after) continue;
      buckets[static_cast<size_t>((answer.at - start) / kBucket)].push_back(answer.took_ms);
    }
    std::chrono::milliseconds at = -before;
    for (std::vector<float>& took : buckets) {
      std::sort(took.begin(), took.end());
      out << i + 1 << ',' << at.count() << ',' << took.size();
      if (took.empty()) {
        out << ",,\n";
      } else {
        out << ',' << took[took.size() / 2] << ',' << took.back() << '\n';
      }
      at += kBucket;
    }
  }
}

int Run(const Options& options) {
  std::vector<Trial> trials;
  Gaps theirs{"etcd, election timeout 1000 ms (default)", {}};
  Gaps alike{"etcd, election timeout 400 ms, heartbeat 80 ms", {}};
  setenv("QUIET", "1", 0);
  for (int done = 0; done < options.trials; done += kTrialsAtOnce) {
    const int count = std::min(kTrialsAtOnce, options.trials - done);
    std::fprintf(stderr, "trials %d to %d\n", done + 1, done + count);
    if (!TryHoldfast(options, count, &trials)) {
      std::fprintf(stderr, "the cluster did not become healthy\n");
      return 1;
    }
    if (options.etcd.empty()) continue;
    unsetenv("ETCD_ELECTION_TIMEOUT");
    unsetenv("ETCD_HEARTBEAT_INTERVAL");
    bool tried = TryEtcd(options.etcd, &theirs);
    setenv("ETCD_ELECTION_TIMEOUT", "400", 1);
    setenv("ETCD_HEARTBEAT_INTERVAL", "80", 1);
    tried = TryEtcd(options.etcd, &alike) && tried;
    if (!tried) std::fprintf(stderr, "etcd could not be measured\n");
  }
  Gaps ours{options.flags.empty() ? "Holdfast, election timeout 400 ms (default)" : "Holdfast", {}};
  for (const std::string& flag : options.flags) ours.name += ", " + flag;
  for (const Trial& trial : trials) ours.ms.push_back(trial.gap_ms());
  std::printf(
      "| %d clients, the leader %s | trials | shortest ms | median | longest |\n"
      "|---|---|---|---|---|\n",
      kClients, options.end == End::kKill ? "killed" : "stands still");
  for (const Gaps& gaps : {ours, theirs, alike}) Print(gaps);
  if (!options.csv.empty()) WriteGaps(options.csv, trials);
  if (!options.timeline.empty()) WriteTimeline(options.timeline, options, trials);
  return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using holdfast::bench::End;
  holdfast::bench::Options options;
  holdfast::bench::NoiseOptions noise;
  noise.hogs = 0;
  CLI::App app{"Kills the leader of a cluster on loopback under load, again and again."};
  app.add_option("--trials", options.trials, "Of each system; five at a time on one cluster")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app.add_option("--etcd", options.etcd,
                 "The peers' script that measures etcd; without it only Holdfast");
  bool freeze = false;
  app.add_flag("--freeze", freeze,
               "The leader's process stands still (SIGSTOP) instead, and closes no connection");
  app.add_option("--nodes", options.nodes)->check(CLI::Range(3, 7))->capture_default_str();
  app.add_option("--flag", options.flags,
                 "Of every node; may be given again: --flag=--heartbeat-ms=20");
  app.add_option("--attempt-ms", options.attempt_ms,
                 "How long a client waits for one node before it asks another; by default as the "
                 "library has it: 3 s, and less where the node gives no sign of life")
      ->check(CLI::Range(1, 60'000));
  app.add_option("--before", options.before_s, "Seconds under load before the leader goes")
      ->check(CLI::Range(1, 60))
      ->capture_default_str();
  app.add_option("--after", options.after_s, "Seconds after it; longer than any election takes")
      ->check(CLI::Range(1, 60))
      ->capture_default_str();
  app.add_option("--csv", options.csv,
                 "Also write the longest time without a success of each trial");
  app.add_option("--timeline", options.timeline,
                 "Also write the answers of each hundredth of a second, by trial");
  app.add_option("--noise", noise.hogs,
                 "Hurt nobody: count the elections while so many threads keep the processors busy")
      ->check(CLI::Range(1, 256));
  app.add_option("--seconds", noise.seconds, "With --noise: for how long")
      ->check(CLI::Range(1, 3'600))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.end = freeze ? End::kFreeze : End::kKill;
  if (noise.hogs == 0) return holdfast::bench::Run(options);
  noise.nodes = options.nodes;
  noise.flags = options.flags;
  noise.csv = options.csv;
  return holdfast::bench::RunNoise(noise);
}

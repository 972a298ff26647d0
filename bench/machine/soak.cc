#include "bench/machine/soak.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "bench/machine/node.h"
#include "bench/machine/workload.h"
#include "services/ledger/ledger.pb.h"

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;

double MicrosecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

double ResidentMegabytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return static_cast<double>(pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE))) / 1e6;
}

double WrittenMegabytes() {
  std::ifstream file("/proc/self/io");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "wchar:") return static_cast<double>(value) / 1e6;
  }
  return 0;
}

double FolderMegabytes(const std::string& folder) {
  double bytes = 0;
  std::error_code gone;  // Compactions remove files while we look.
  for (std::filesystem::recursive_directory_iterator it(folder, gone), end; it != end;
       it.increment(gone)) {
    if (!it->is_regular_file(gone)) continue;
    const auto size = it->file_size(gone);
    if (!gone) bytes += static_cast<double>(size);
  }
  return bytes / 1e6;
}

double ProcessSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Reads pages of 1,000 rows of the journal and of an account's history, without pause.
class Readers {
 public:
  Readers(int count, Node& node) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, i, &node] { Run(static_cast<uint64_t>(i), node); });
    }
  }
  ~Readers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  uint64_t TakePages() { return pages_.exchange(0); }
  double TakeLongest() { return longest_us_.exchange(0); }

 private:
  void Run(uint64_t seed, Node& node) {
    std::mt19937_64 random(seed);
    const auto* journal = node.registry().Find("/holdfast.ledger.Ledger/ListTransfers");
    const auto* history = node.registry().Find("/holdfast.ledger.Ledger/ListAccountTransfers");
    ledger::ListAccountTransfersRequest of_account;
    ledger::ListTransfersRequest of_journal;
    of_account.set_limit(1'000);
    of_journal.set_limit(1'000);
    state_machine::Position at;
    for (uint64_t i = 0; !stop_; ++i) {
      const auto begin = Clock::now();
      if (i % 2 == 0) {
        char cursor[32];
        std::snprintf(cursor, sizeof(cursor), "t%lx",
                      static_cast<unsigned long>(1 + random() % 100'000));
        of_journal.set_cursor(cursor);
        (void)node.machine().Read(*journal, of_journal, &at);
      } else {
        of_account.set_id("account-" + std::to_string(random() % kHotAccounts));
        (void)node.machine().Read(*history, of_account, &at);
      }
      longest_us_ = std::max(longest_us_.load(), MicrosecondsSince(begin));
      ++pages_;
    }
  }

  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> pages_ = 0;
  std::atomic<double> longest_us_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace

void Soak(const Settings& settings) {
  const std::string base = settings.base.empty() ? "rocksdb" : settings.base;
  Node node(base, settings.folder);
  const auto workload =
      NewWorkload(settings.workload.empty() ? "transfers-batch" : settings.workload, node);
  workload->Prepare(node, settings.history, settings.soak + settings.per_entry);
  node.Checkpoint();
  node.BeginMeasuring();
  Readers readers(settings.readers, node);
  std::printf("%9s %9s %8s %8s %8s %9s %9s %9s %8s %8s %6s %7s %8s\n", "done", "us each", "p50 ms",
              "max ms", "cpu ms", "rss MB", "disk MB", "wrote MB", "wall s", "cpu s", "ckpts",
              "pages", "page ms");
  constexpr uint64_t kLines = 20;
  std::vector<double> all;
  uint64_t done = 0;
  const auto begin = Clock::now();
  for (uint64_t line = 1; line <= kLines; ++line) {
    std::vector<double> times;
    double total = 0;
    for (; done < settings.soak * line / kLines; done += settings.per_entry) {
      times.push_back(workload->Run(node, settings.per_entry));
      total += times.back();
    }
    std::sort(times.begin(), times.end());
    all.insert(all.end(), times.begin(), times.end());
    std::printf("%9lu %9.2f %8.2f %8.2f %8.2f %9.0f %9.0f %9.0f %8.1f %8.1f %6d %7lu %8.1f\n",
                static_cast<unsigned long>(done),
                total / static_cast<double>(times.size() * settings.per_entry),
                times[times.size() / 2] / 1e3, times.back() / 1e3, node.TakeCpuMax() / 1e3,
                ResidentMegabytes(), FolderMegabytes(node.folder()), WrittenMegabytes(),
                MicrosecondsSince(begin) / 1e6, ProcessSeconds(), node.checkpoints(),
                static_cast<unsigned long>(readers.TakePages()), readers.TakeLongest() / 1e3);
    std::fflush(stdout);
  }
  std::sort(all.begin(), all.end());
  std::printf("an entry of %lu: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n",
              static_cast<unsigned long>(settings.per_entry), all[all.size() / 2] / 1e3,
              all[all.size() * 99 / 100] / 1e3, all[all.size() * 999 / 1'000] / 1e3,
              all.back() / 1e3);
}

}  // namespace holdfast::bench

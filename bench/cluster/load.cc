#include "bench/cluster/load.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/figures.h"

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<testing::Figures> FiguresOf(const testing::ProcessCluster& cluster) {
  std::vector<testing::Figures> figures;
  for (int node = 1; node <= cluster.size(); ++node) {
    figures.push_back(testing::Figures::Of(cluster.host(node), cluster.http(node)));
  }
  return figures;
}

double Mean(const testing::Figures& before, const testing::Figures& after,
            const std::string& name) {
  const double count = after.Since(before, name + "_count");
  return count > 0 ? after.Since(before, name + "_sum") / count : 0;
}

// What the node that led at both times has to say.
void NoteLog(const std::vector<testing::Figures>& before,
             const std::vector<testing::Figures>& after, Row* row) {
  for (size_t i = 0; i < before.size(); ++i) {
    const testing::Figures &was = before[i], &is = after[i];
    if (was.Get("holdfast_is_leader") != 1 || is.Get("holdfast_is_leader") != 1) continue;
    row->entry_requests = Mean(was, is, "holdfast_entry_requests");
    row->sync_entries = Mean(was, is, "holdfast_log_group_records");
    row->sync_us = Mean(was, is, "holdfast_log_sync_seconds") * 1e6;
    const double requests = is.Since(was, "holdfast_entry_requests_sum");
    if (requests > 0) {
      row->log_bytes = is.Since(was, "holdfast_log_written_bytes_total") / requests;
    }
  }
}

}  // namespace

void Loop::Start() {
  for (size_t i = 0; i < clients_.size(); ++i) Next(i);
}

void Loop::Stop() {
  std::unique_lock lock(mutex_);
  stop_ = true;
  ended_.wait(lock, [this] { return running_ == 0; });
}

std::vector<float> Loop::Latencies() const {
  std::vector<float> all;
  for (const Client& client : clients_) {
    all.insert(all.end(), client.latencies.begin(), client.latencies.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

void Loop::Next(size_t i) {
  Client& client = clients_[i];
  {
    std::lock_guard lock(mutex_);
    if (!client.started) ++running_;
    client.started = true;
    if (stop_) {
      if (--running_ == 0) ended_.notify_all();
      return;
    }
  }
  client.begun = Clock::now();
  callers_.clients[i]->Begin([this, i](int count) {
    Client& caller = clients_[i];
    const std::chrono::duration<float, std::micro> took = Clock::now() - caller.begun;
    NoteAnswer();
    if (counting_.load(std::memory_order_relaxed)) {
      done_.fetch_add(count, std::memory_order_relaxed);
      caller.latencies.push_back(took.count());
      if (count == 0) failed_.fetch_add(1, std::memory_order_relaxed);
    }
    Next(i);
  });
}

void Loop::NoteAnswer() {
  const int64_t now = Clock::now().time_since_epoch().count();
  const int64_t gap = now - answered_ns_.exchange(now, std::memory_order_relaxed);
  if (!counting_.load(std::memory_order_relaxed)) return;
  int64_t longest = pause_ns_.load(std::memory_order_relaxed);
  while (longest < gap && !pause_ns_.compare_exchange_weak(longest, gap)) {
  }
}

Row Measure(const std::string& workload, const std::string& door, Callers callers, int seconds,
            const testing::ProcessCluster& cluster) {
  Row row{"holdfast", workload, door, static_cast<int>(callers.clients.size())};
  Loop loop(std::move(callers));
  loop.Start();
  std::this_thread::sleep_for(std::chrono::seconds(1));  // tidy: allow sleep, warming up
  const std::vector<testing::Figures> figures = FiguresOf(cluster);
  const double cpu_before = CpuSeconds(cluster);
  const auto begun = Clock::now();
  loop.Count(true);
  std::this_thread::sleep_for(std::chrono::seconds(seconds));  // tidy: allow sleep, the load
  loop.Count(false);
  const double took = std::chrono::duration<double>(Clock::now() - begun).count();
  const double cpu = CpuSeconds(cluster) - cpu_before;
  NoteLog(figures, FiguresOf(cluster), &row);
  loop.Stop();
  const std::vector<float> latencies = loop.Latencies();
  row.failed = loop.failed();
  if (loop.failed() > 0) {
    std::fprintf(stderr, "%s over %s, %d clients: %ld calls failed\n", workload.c_str(),
                 door.c_str(), row.clients, static_cast<long>(loop.failed()));
  }
  if (latencies.empty()) std::exit(EXIT_FAILURE);
  row.per_second = static_cast<double>(loop.done()) / took;
  row.p50_us = latencies[latencies.size() / 2];
  row.p99_us = latencies[latencies.size() * 99 / 100];
  row.pause_ms = std::chrono::duration<double, std::milli>(loop.pause()).count();
  row.cpu_us = cpu * 1e6 / std::max<double>(1, static_cast<double>(loop.done()));
  return row;
}

double CpuSeconds(const testing::ProcessCluster& cluster) {
  double seconds = 0;
  for (int node = 1; node <= cluster.size(); ++node) {
    clockid_t clock{};
    timespec used{};
    if (!cluster.Running(node) || clock_getcpuclockid(cluster.pid(node), &clock) != 0 ||
        clock_gettime(clock, &used) != 0) {
      continue;
    }
    seconds += static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
  }
  return seconds;
}

uint64_t MemoryBytesMax(const testing::ProcessCluster& cluster) {
  uint64_t largest = 0;
  for (int node = 1; node <= cluster.size(); ++node) {
    const std::string text = ReadText("/proc/" + std::to_string(cluster.pid(node)) + "/status");
    const size_t at = text.find("VmRSS:");
    if (at == std::string::npos) continue;
    largest = std::max<uint64_t>(largest, std::strtoull(text.c_str() + at + 6, nullptr, 10) << 10);
  }
  return largest;
}

uint64_t DiskBytes(const testing::ProcessCluster& cluster, int node, const std::string& part) {
  uint64_t bytes = 0;
  std::error_code error;
  const std::filesystem::recursive_directory_iterator all(cluster.data(node) + "/" + part, error);
  for (const auto& entry : all) {
    struct stat info {};
    if (stat(entry.path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    }
  }
  return bytes;
}

}  // namespace holdfast::bench

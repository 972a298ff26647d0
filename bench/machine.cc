// Measures the state machine alone: the ledger over a store, entries applied one after another on
// one thread, checkpoints written on another, no log, no consensus, no network.
//
//   holdfast_machine_bench                   a line for each base, shape and choice of accounts
//   holdfast_machine_bench --soak 5000000    one long run: memory, disk and pauses over time
//
// bench/instructions.py counts the instructions of ApplyMeasured under callgrind.
#include "src/state_machine/machine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/log.pb.h"
#include "services/ledger/ledger.pb.h"
#include "src/base/executor.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"
#include "src/store/rocksdb/rocksdb_base.h"
#include "src/store/store.h"
#include "tests/support/temp_folder.h"

using holdfast::LogIndex;
using holdfast::state_machine::Machine;
using holdfast::state_machine::Outcome;

// What callgrind counts, by this name: applying, and nothing of the making of entries.
extern "C" [[gnu::noinline]] void ApplyMeasured(Machine& machine, LogIndex index,
                                                const std::string& entry,
                                                std::vector<Outcome>* outcomes) {
  machine.Apply(index, entry, outcomes);
}

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kAccounts = 10'000;
constexpr uint64_t kHotAccounts = 10;

struct Settings {
  std::string base;    // memory or rocksdb; empty: both.
  std::string shape;   // batch or single; empty: both.
  std::string choice;  // uniform or hot; empty: both.
  uint64_t transfers = 400'000;
  uint64_t history = 0;        // Transfers stored before measuring begins.
  uint64_t per_entry = 1'000;  // Transfers of one entry.
  uint64_t soak = 0;
  int readers = 0;
  std::string folder;
};

// Of the calling thread: what an entry takes, also on a machine that has other things to do.
double ThreadMicroseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

double MicrosecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// A node without log, consensus and network.
class Node {
 public:
  Node(const Settings& settings, const std::string& base)
      : folder_(settings.folder.empty() ? temp_.path() : settings.folder),
        store_(Open(base, folder_ + "/store")),
        registry_(store_),
        background_("checkpoints") {
    RegisterServices(registry_);
    registry_.Finish();
    machine_ = std::make_unique<Machine>(store_, registry_);
    while (store_.LearnKeys()) {
    }
  }
  ~Node() { background_.Stop(); }

  const std::string& folder() const { return folder_; }
  Machine& machine() { return *machine_; }
  state_machine::Registry& registry() { return registry_; }

  // As the node's applier does; returns the microseconds of the entry, without the time for which
  // it was held back.
  double Apply(const std::string& entry) {
    while (busy_.load() && Overfull()) busy_.wait(true);
    const auto begin = Clock::now();
    const double begin_cpu_us = ThreadMicroseconds();
    if (measured_) {
      ApplyMeasured(*machine_, machine_->applied().Next(), entry, &outcomes_);
    } else {
      machine_->Apply(machine_->applied().Next(), entry, &outcomes_);
    }
    std::function<void()> job;
    {
      absl::MutexLock lock(&store_.mutex());
      if (store_.WantsCheckpoint()) job = store_.BeginCheckpoint();
    }
    const double took = MicrosecondsSince(begin);
    cpu_max_us_ = std::max(cpu_max_us_, ThreadMicroseconds() - begin_cpu_us);
    if (job) Write(std::move(job));
    for (const Outcome& outcome : outcomes_) {
      HOLDFAST_CHECK(outcome.reply.has_value(), outcome.reply.error().message);
    }
    return took;
  }

  // From now on entries count.
  void BeginMeasuring() { measured_ = true; }

  // Everything applied so far is in the base on return.
  void Checkpoint() {
    busy_.wait(true);
    std::function<void()> job;
    {
      absl::MutexLock lock(&store_.mutex());
      job = store_.BeginCheckpoint();
    }
    if (job) Write(std::move(job));
    busy_.wait(true);
  }

  int checkpoints() const { return checkpoints_; }
  // The most processor time that one entry has taken since the last call.
  double TakeCpuMax() { return std::exchange(cpu_max_us_, 0); }
  const std::vector<Outcome>& outcomes() const { return outcomes_; }

 private:
  static std::unique_ptr<store::Base> Open(const std::string& base, const std::string& path) {
    if (base == "memory") return std::make_unique<store::MemoryBase>();
    auto opened = store::RocksDbBase::Open(path);
    HOLDFAST_CHECK(opened.has_value(), opened.error().message);
    return std::move(*opened);
  }

  bool Overfull() {
    absl::ReaderMutexLock lock(&store_.mutex());
    return store_.Overfull();
  }

  void Write(std::function<void()> job) {
    ++checkpoints_;
    busy_ = true;
    background_.Post([this, job = std::move(job)]() mutable {
      job();
      busy_ = false;
      busy_.notify_all();
    });
  }

  testing::TempFolder temp_;
  const std::string folder_;
  store::Store store_;
  state_machine::Registry registry_;
  std::unique_ptr<Machine> machine_;
  std::vector<Outcome> outcomes_;
  bool measured_ = false;
  double cpu_max_us_ = 0;
  std::atomic<bool> busy_ = false;
  int checkpoints_ = 0;
  ThreadExecutor background_;
};

// Makes entries of transfers between random accounts, with ids in no order.
class Entries {
 public:
  explicit Entries(state_machine::Registry& registry) : registry_(registry) {}

  std::string Accounts() {
    ledger::CreateAccountsRequest request;
    while (accounts_ < kAccounts && request.accounts_size() < 5'000) {
      ledger::CreateAccountRequest* account = request.add_accounts();
      account->set_id(Account(accounts_++));
      account->set_currency("EUR");
      account->set_overdraft(std::numeric_limits<int64_t>::max());
    }
    LogEntry entry;
    Add("CreateAccounts", request, &entry);
    return Finish(&entry);
  }
  bool AllAccounts() const { return accounts_ == kAccounts; }

  std::string Transfers(const std::string& shape, const std::string& choice, uint64_t count) {
    const uint64_t accounts = choice == "hot" ? kHotAccounts : kAccounts;
    LogEntry entry;
    ledger::CreateTransfersRequest batch;
    for (uint64_t i = 0; i < count; ++i) {
      ledger::CreateTransferRequest transfer;
      char id[32];
      std::snprintf(id, sizeof(id), "payment-%016lx", static_cast<unsigned long>(random_()));
      transfer.set_id(id);
      const uint64_t from = random_() % accounts;
      transfer.set_from(Account(from));
      transfer.set_to(Account((from + 1 + random_() % (accounts - 1)) % accounts));
      transfer.set_amount(static_cast<int64_t>(1 + random_() % 1'000));
      if (shape == "single") {
        Add("CreateTransfer", transfer, &entry);
      } else {
        *batch.add_transfers() = std::move(transfer);
      }
    }
    if (shape != "single") Add("CreateTransfers", batch, &entry);
    return Finish(&entry);
  }

 private:
  static std::string Account(uint64_t number) { return "account-" + std::to_string(number); }

  void Add(const std::string& method, const google::protobuf::Message& request, LogEntry* entry) {
    const state_machine::Method* found = registry_.Find("/holdfast.ledger.Ledger/" + method);
    LogRequest* added = entry->add_requests();
    added->set_service(found->service_id);
    added->set_method(found->method_id);
    added->set_body(request.SerializeAsString());
  }

  std::string Finish(LogEntry* entry) {
    entry->set_time_us(now_us_ += 5'000);
    return entry->SerializeAsString();
  }

  state_machine::Registry& registry_;
  std::mt19937_64 random_{1};
  uint64_t accounts_ = 0;
  int64_t now_us_ = int64_t{1'700'000'000} * 1'000'000;
};

void Prepare(const Settings& settings, const std::string& choice, Node& node, Entries& entries) {
  while (!entries.AllAccounts()) node.Apply(entries.Accounts());
  for (uint64_t done = 0; done < settings.history; done += 1'000) {
    node.Apply(entries.Transfers("batch", choice, 1'000));
  }
  node.Checkpoint();
  node.BeginMeasuring();
}

// --- Short runs

void Measure(const Settings& settings, const std::string& base, const std::string& shape,
             const std::string& choice) {
  Node node(settings, base);
  Entries entries(node.registry());
  Prepare(settings, choice, node, entries);
  double total_us = 0;
  for (uint64_t done = 0; done < settings.transfers; done += settings.per_entry) {
    total_us += node.Apply(entries.Transfers(shape, choice, settings.per_entry));
  }
  std::printf("%-8s %-7s %-8s %12.2f %14.0f\n", base.c_str(), shape.c_str(), choice.c_str(),
              total_us / static_cast<double>(settings.transfers),
              static_cast<double>(settings.transfers) * 1e6 / total_us);
  std::fflush(stdout);
}

void MeasureAll(const Settings& settings) {
  const auto chosen = [](const std::string& one, const char* a, const char* b) {
    return one.empty() ? std::vector<std::string>{a, b} : std::vector<std::string>{one};
  };
  std::printf("%-8s %-7s %-8s %12s %14s\n", "base", "shape", "accounts", "us/transfer",
              "transfers/s");
  for (const std::string& base : chosen(settings.base, "memory", "rocksdb")) {
    for (const std::string& shape : chosen(settings.shape, "batch", "single")) {
      for (const std::string& choice : chosen(settings.choice, "uniform", "hot")) {
        Measure(settings, base, shape, choice);
      }
    }
  }
}

// --- One long run

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

void Soak(const Settings& settings) {
  const std::string base = settings.base.empty() ? "rocksdb" : settings.base;
  const std::string shape = settings.shape.empty() ? "batch" : settings.shape;
  const std::string choice = settings.choice.empty() ? "uniform" : settings.choice;
  Node node(settings, base);
  Entries entries(node.registry());
  Prepare(settings, choice, node, entries);
  Readers readers(settings.readers, node);
  std::printf("%9s %9s %8s %8s %8s %9s %9s %9s %8s %8s %6s %7s %8s\n", "transfers", "us/trans",
              "p50 ms", "max ms", "cpu ms", "rss MB", "disk MB", "wrote MB", "wall s", "cpu s",
              "ckpts", "pages", "page ms");
  constexpr uint64_t kLines = 20;
  std::vector<double> all;
  uint64_t done = 0;
  const auto begin = Clock::now();
  for (uint64_t line = 1; line <= kLines; ++line) {
    std::vector<double> times;
    double total = 0;
    for (; done < settings.soak * line / kLines; done += settings.per_entry) {
      times.push_back(node.Apply(entries.Transfers(shape, choice, settings.per_entry)));
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

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  CLI::App app{"Measures the state machine alone: no log, no consensus, no network"};
  holdfast::bench::Settings settings;
  app.add_option("--base", settings.base)->check(CLI::IsMember({"memory", "rocksdb"}));
  app.add_option("--shape", settings.shape)->check(CLI::IsMember({"batch", "single"}));
  app.add_option("--accounts", settings.choice)->check(CLI::IsMember({"uniform", "hot"}));
  app.add_option("--transfers", settings.transfers, "Of each line")->capture_default_str();
  app.add_option("--history", settings.history, "Transfers that are stored before")
      ->capture_default_str();
  app.add_option("--per-entry", settings.per_entry, "Transfers of one log entry")
      ->check(CLI::Range(1, 8'192))
      ->capture_default_str();
  app.add_option("--soak", settings.soak, "One run of so many transfers, a line every 20th");
  app.add_option("--readers", settings.readers, "Threads that read pages during --soak");
  app.add_option("--folder", settings.folder, "Default: a temporary one, removed at the end");
  CLI11_PARSE(app, argc, argv);
  if (settings.soak > 0) {
    holdfast::bench::Soak(settings);
  } else {
    holdfast::bench::MeasureAll(settings);
  }
  return EXIT_SUCCESS;
}

// Measures Holdfast on a cluster of real processes on loopback, every acknowledgement fsynced by a
// majority, and in the same run what else there is for the same work.
#include <absl/synchronization/mutex.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <string>

#include "bench/cluster/stage.h"

namespace {

// Thousands of connections, an HTTP client each.
void RaiseOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // As the program's main.
  CLI::App app{"Measures Holdfast on this machine"};
  app.require_subcommand(1);
  std::string program;
  app.add_option("--holdfast", program,
                 "The program to measure; default: the one built beside this");
  holdfast::bench::Settings settings;
  int accounts = 10'000;
  int batch = 1'000;
  std::function<int()> chosen;
  const auto add = [&](const char* name, const char* help, std::function<int()> run) {
    CLI::App* command = app.add_subcommand(name, help);
    command->add_option("--seconds", settings.seconds, "Of each line, after 1 s of warming up")
        ->check(CLI::Range(1, 600))
        ->capture_default_str();
    command->add_flag("--quick", settings.quick, "Fewer numbers of clients");
    command->add_option("--only", settings.only,
                        "Only lines whose \"workload, door\" holds this text");
    command->add_option("--peers", settings.peers,
                        "Folder of the scripts that measure other systems; none: without");
    command->add_option("--nodes", settings.nodes)->check(CLI::Range(1, 7))->capture_default_str();
    command
        ->add_option("--clients", settings.clients,
                     "Instead of the usual numbers of clients: 1,64,2000")
        ->delimiter(',')
        ->check(CLI::Range(1, 10'000));
    command->add_option("--flag", settings.flags,
                        "Of every node; may be given again: --flag=--heartbeat-ms=20");
    command->add_option("--csv", settings.csv, "Also write the table to this file");
    command->add_option("--disk-csv", settings.disk_csv,
                        "Wait at the end until all is in the store, and write here what each "
                        "node's files take");
    command->callback([&chosen, run = std::move(run)] { chosen = run; });
    return command;
  };
  CLI::App* payments =
      add("payments", "Transfers over pipe, gRPC and HTTP, batches, reads; and PostgreSQL",
          [&] { return holdfast::bench::RunPayments(settings, accounts, batch); });
  payments->add_option("--accounts", accounts)
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  payments->add_option("--batch", batch)->check(CLI::Range(1, 8'192))->capture_default_str();
  add("locks", "Taking and releasing locks; and etcd",
      [&] { return holdfast::bench::RunLocks(settings); });
  add("queues", "Publishing, taking and acking messages; and NATS JetStream and RabbitMQ",
      [&] { return holdfast::bench::RunQueues(settings); });
  add("cache", "Storing and reading values; and Redis and etcd",
      [&] { return holdfast::bench::RunCache(settings); });
  add("checkout", "Orders with their stock, money and message in one request; and PostgreSQL",
      [&] { return holdfast::bench::RunCheckout(settings); });
  int64_t ahead_ms = 0;
  std::string shim = HOLDFAST_FAULT_SHIM;
  CLI::App* clocks = add("clocks", "What keeping the time costs idle nodes, and how right it is",
                         [&] { return holdfast::bench::RunClocks(settings, ahead_ms, shim); });
  clocks->add_option("--ahead", ahead_ms, "Milliseconds by which one node's wall clock is wrong")
      ->check(CLI::Range(-86'400'000, 86'400'000));
  clocks->add_option("--shim", shim, "The library that makes it wrong")->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);
  RaiseOpenFiles();
  if (!program.empty()) setenv("HOLDFAST_PROGRAM", program.c_str(), 1);
  return chosen();
}

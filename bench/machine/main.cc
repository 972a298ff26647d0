// Measures the state machine alone: services over a store, entries applied one after another on one
// thread, checkpoints written on another, no log, no consensus, no network.
//
//   holdfast_machine_bench                   a line for each base and workload (workload.h)
//   holdfast_machine_bench --soak 5000000    one long run: memory, disk and pauses over time
//
// bench/instructions.py counts the instructions of ApplyMeasured under callgrind.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/machine/node.h"
#include "bench/machine/soak.h"
#include "bench/machine/workload.h"

namespace holdfast::bench {
namespace {

void Measure(const Settings& settings, const std::string& base, const std::string& name) {
  Node node(base, settings.folder);
  const auto workload = NewWorkload(name, node);
  workload->Prepare(node, settings.history, settings.operations + settings.per_entry);
  node.Checkpoint();
  node.BeginMeasuring();
  double total_us = 0;
  for (uint64_t done = 0; done < settings.operations; done += settings.per_entry) {
    total_us += workload->Run(node, settings.per_entry);
  }
  std::printf("%-8s %-20s %12.2f %14.0f\n", base.c_str(), name.c_str(),
              total_us / static_cast<double>(settings.operations),
              static_cast<double>(settings.operations) * 1e6 / total_us);
  std::fflush(stdout);
}

void MeasureAll(const Settings& settings) {
  std::vector<std::string> bases{"memory", "rocksdb"};
  if (!settings.base.empty()) bases = {settings.base};
  std::vector<std::string> workloads = WorkloadNames();
  if (!settings.workload.empty()) workloads = {settings.workload};
  std::printf("%-8s %-20s %12s %14s\n", "base", "workload", "us each", "per second");
  for (const std::string& base : bases) {
    for (const std::string& workload : workloads) Measure(settings, base, workload);
  }
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  CLI::App app{"Measures the state machine alone: no log, no consensus, no network"};
  holdfast::bench::Settings settings;
  app.add_option("--base", settings.base)->check(CLI::IsMember({"memory", "rocksdb"}));
  app.add_option("--workload", settings.workload)
      ->check(CLI::IsMember(holdfast::bench::WorkloadNames()));
  app.add_option("--operations", settings.operations, "Of each line")->capture_default_str();
  app.add_option("--history", settings.history, "What is stored before")->capture_default_str();
  app.add_option("--per-entry", settings.per_entry, "Operations of one log entry")
      ->check(CLI::Range(1, 4'096))
      ->capture_default_str();
  app.add_option("--soak", settings.soak, "One run of so many, a line every 20th");
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

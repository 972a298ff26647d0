// Faults on a cluster of real processes, for as long as one likes.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "tests/faults/run.h"
#include "tests/faults/sandbox.h"

namespace {

std::atomic<bool> g_stop{false};

// The first signal ends the faults, the second one all of it.
void OnSignal(int signal) {
  if (g_stop.exchange(true)) _exit(128 + signal);
}

// CTest takes it for a test that cannot run here.
constexpr int kSkipped = 77;

}  // namespace

int main(int argc, char** argv) {
  holdfast::faults::RunOptions options;
  options.shim = HOLDFAST_FAULT_SHIM;
  options.seed = static_cast<uint64_t>(std::time(nullptr));
  double minutes = 10;
  CLI::App app{
      "Starts a cluster of real nodes on a network of its own, lets clients use it, hurts it in "
      "every way it knows, and checks all answers. Nothing outside is touched; Ctrl-C ends it "
      "early, with the checks; a second one at once."};
  app.add_option("--minutes", minutes, "How long faults are made")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Draws the same faults and requests; by default the time");
  app.add_option("--nodes", options.nodes, "How many nodes")
      ->check(CLI::Range(3, 7))
      ->capture_default_str();
  app.add_option("--clients", options.clients, "How many clients")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  auto* only = app.add_option("--only", options.only, "One kind of fault, as the table names it");
  app.add_flag("--each", options.each,
               "Every kind in turn, on a good network, instead of drawn by their weights")
      ->excludes(only);
  app.add_option("--with", options.with,
                 "A fault of the network (loss, delay) that comes with every other one");
  app.add_option("--csv", options.csv, "Also write the table of faults to this file");
  app.add_flag("--keep", options.keep, "Keep the folders and logs, whatever comes out");
  app.add_option(
      "--folder", options.folder,
      "Where the nodes' folders lie; by default a new one below the folder for temporary files");
  std::string judge;
  app.add_option("--judge", judge,
                 "Only judge what the clients of an earlier run saw, in this folder");
  CLI11_PARSE(app, argc, argv);
  if (!judge.empty()) return holdfast::faults::JudgeFolder(judge);
  options.seconds = static_cast<uint64_t>(minutes * 60);
  if (options.folder.empty()) {
    options.folder = (std::filesystem::temp_directory_path() / "holdfast-chaos-XXXXXX").string();
    if (mkdtemp(options.folder.data()) == nullptr) {
      std::perror(options.folder.c_str());
      return 1;
    }
  } else if (!std::filesystem::create_directories(options.folder)) {
    std::fprintf(stderr, "%s is there already\n", options.folder.c_str());
    return 1;
  }
  std::printf("seed %lu, %d nodes, %d clients, %.1f minutes; folders and logs in %s\n",
              options.seed, options.nodes, options.clients, minutes, options.folder.c_str());
  std::fflush(stdout);
  std::string why;
  const int status = holdfast::faults::RunInSandbox(
      [&options] {
        signal(SIGINT, OnSignal);
        signal(SIGTERM, OnSignal);
        return holdfast::faults::Run(options, g_stop);
      },
      &why);
  if (status > 0) return status;
  // From outside: the sandbox had a disk mounted there.
  if (!options.keep) std::filesystem::remove_all(options.folder);
  if (status == 0) return 0;
  std::printf("skipped: %s\n", why.c_str());
  return kSkipped;
}

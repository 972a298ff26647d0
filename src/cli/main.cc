// The program `holdfast`.
#include <absl/synchronization/mutex.h>
#include <unistd.h>

#include <iostream>

#include "src/cli/operate.h"
#include "src/cli/program.h"
#include "src/cli/serve.h"
#include "src/node/cluster_service.h"
#include "src/state_machine/requests_service.h"
#include "src/store/memory/memory_base.h"
#include "src/store/store.h"

int main(int argc, char** argv) {
  using namespace holdfast;
  // Debian builds Abseil so that every lock looks for cycles, which shows in profiles of calls over
  // gRPC. The tests keep it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // The method table is bound to services over a store; here only the table is of interest.
  store::Store store(std::make_unique<store::MemoryBase>());
  state_machine::Registry registry(store);
  RegisterServices(registry);
  node::RegisterClusterService(registry, {});
  state_machine::RegisterRequestsService(registry, {});
  registry.Finish();
  const auto extend = [&registry](CLI::App& root, cli::Commands& commands, int* exit_code) {
    cli::AddServeCommand(root, exit_code);
    cli::AddOperatingCommands(registry, root, commands);
    RegisterServiceCommands(commands);
  };
  cli::OutputFile out_file(STDOUT_FILENO);
  std::ostream out(&out_file);
  std::cerr.tie(&out);  // What was printed before an error is seen before it.
  const int code = cli::RunProgram(registry, extend, {argv + 1, argv + argc},
                                   {std::cin, out, std::cerr, isatty(STDERR_FILENO) == 1,
                                    isatty(STDOUT_FILENO) == 1, &out_file});
  std::cerr.tie(nullptr);
  return code;
}

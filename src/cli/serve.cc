#include "src/cli/serve.h"

#include <google/protobuf/stubs/logging.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "src/base/behaviour.h"
#include "src/base/bounds.h"
#include "src/base/logging.h"
#include "src/cli/exit_codes.h"
#include "src/cli/settings_flags.h"
#include "src/server/preflight.h"
#include "src/server/server.h"

namespace holdfast::cli {
namespace {

// The file may have changed since the start: on SIGHUP its levels count from now on. What else is
// in it needs a restart.
void ReadLevelsAgain(const SettingsFlags& flags) {
  Problems problems;
  const Settings settings = flags.Read(&problems);
  const auto levels = logging::ParseLevels(settings.log_level, {});
  if (!problems.empty() || !levels) {
    for (const Problem& problem : problems) {
      logging::Err(Component::kServer, "SIGHUP: the levels stay as they are",
                   {{"field", problem.field}, {"why", problem.message}});
    }
    return;
  }
  logging::SetLevels(*levels);
  logging::Info(Component::kServer, "SIGHUP: levels of the log read again",
                {{"level", settings.log_level}});
}

// Returns when the node is to stop.
void WaitForStop(const sigset_t& signals, const SettingsFlags& flags) {
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) ReadLevelsAgain(flags);
}

int Serve(const SettingsFlags& flags) {
  Problems problems;
  const Settings settings = flags.Read(&problems);
  ServerConfig config = ToServerConfig(settings, &problems);
  if (!problems.empty()) {
    TellProblems("holdfast serve", flags.file(), problems, std::cerr);
    return kExitUsage;
  }
  config.fatal = [](const std::string& why) {
    logging::Err(Component::kServer, why);
    spdlog::shutdown();
    std::_Exit(kExitFault);  // Other threads are at work; nothing here is worth their unwinding.
  };
  // Every thread inherits the mask, so that only sigwait sees these signals.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  logging::Start(*logging::ParseFormat(settings.log_format),
                 *logging::ParseLevels(settings.log_level, {}));
  // Otherwise protobuf writes a line for every request that holds bad UTF-8.
  google::protobuf::SetLogHandler(nullptr);

  const size_t files = OpenFilesMax(/*raise=*/true);
  const size_t connections = ShareFiles(files).http_connections;
  if (connections < bounds::kHttpConnectionsMax) {
    logging::Warn(Component::kServer,
                  "few files may be open, so fewer connections are taken: raise ulimit -Hn, or "
                  "LimitNOFILE of the service",
                  {{"files", files}, {"http_connections", connections}});
  }
  const uint64_t id = config.id.value;
  auto server = Server::Start(std::move(config));
  if (!server) {
    std::cerr << "holdfast serve: " << server.error().message << "\n";
    if (!server.error().hint.empty()) std::cerr << server.error().hint << "\n";
    return kExitFault;  // The flags are fine: it is this machine, or what lies on it.
  }
  logging::Info(Component::kServer, "serving",
                {{"version", ThisProgram().release},
                 {"node", id},
                 {"http", (*server)->http_port()},
                 {"grpc", (*server)->grpc_port()},
                 {"data", settings.server.data}});
  WaitForStop(signals, flags);
  logging::Info(Component::kServer, "stopping: handing over and finishing what is under way",
                {{"grace_ms", settings.stop_grace_ms}});
  // A second signal ends the process at once. A hang-up still means nothing by now.
  sigdelset(&signals, SIGHUP);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*server)->Stop(std::chrono::milliseconds(settings.stop_grace_ms));
  server->reset();
  logging::Info(Component::kServer, "stopped");
  return kExitOk;
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_code) {
  CLI::App* serve = app.add_subcommand("serve", "Run a node");
  auto flags = SettingsFlags::Add(serve);
  serve->footer(
      "Examples:\n"
      "  holdfast serve                           a single node, with its data in ./data\n"
      "  holdfast serve --config holdfast.toml    as the file says; flags go over it\n"
      "  holdfast serve --id 1 --data data/1 \\\n"
      "    --members 1=127.0.0.1:7001,2=127.0.0.1:7002,3=127.0.0.1:7003\n"
      "A new cluster begins once all members have been started; afterwards a majority is enough.\n"
      "\n"
      "Signals:\n"
      "  TERM, INT   stop: not ready any more, leadership handed over, requests finished; a "
      "second\n"
      "              one ends the process at once\n"
      "  HUP         read log.level of the file again");
  serve->callback([flags, exit_code] { *exit_code = Serve(*flags); });
}

}  // namespace holdfast::cli

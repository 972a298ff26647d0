#include "src/cli/serve.h"

#include <google/protobuf/stubs/logging.h>
#include <pthread.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdlib>
#include <memory>

#include "src/base/version.h"
#include "src/server/server.h"

namespace holdfast::cli {
namespace {

constexpr std::chrono::milliseconds kGrace{5'000};
constexpr int kUsage = 2;  // As of the other commands: what was asked for makes no sense.

struct Flags {
  uint64_t id = 1;
  std::string data = "data";
  std::vector<std::string> members;
  std::string http;
  std::string grpc;
  uint32_t election_timeout_ms = 400;
  uint32_t heartbeat_ms = 80;
  std::string log_level = "info";
};

int Refuse(const Error& error, int exit_code) {
  std::fprintf(stderr, "holdfast serve: %s\n", error.message.c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "%s\n", error.hint.c_str());
  return exit_code;
}

Result<ServerConfig> ToConfig(const Flags& flags) {
  ServerConfig config;
  config.id = NodeId(flags.id);
  config.data = flags.data;
  config.election_timeout_ms = flags.election_timeout_ms;
  config.heartbeat_ms = flags.heartbeat_ms;
  if (flags.heartbeat_ms * 3 > flags.election_timeout_ms) {
    return Fail(
        InvalidArgument("", "--election-timeout-ms must be at least 3 times --heartbeat-ms"));
  }
  for (const std::string& member : flags.members) {
    const size_t equals = member.find('=');
    char* end = nullptr;
    const uint64_t id = std::strtoull(member.c_str(), &end, 10);
    if (equals == std::string::npos || end != member.c_str() + equals || id == 0) {
      return Fail(InvalidArgument("", "--members: '" + member + "' is not ID=HOST:PORT"));
    }
    auto address = ParseAddress(member.substr(equals + 1));
    if (!address) return Fail(address.error());
    for (const auto& [other, taken] : config.members) {
      if (taken.ToString() == address->ToString()) {
        return Fail(InvalidArgument("", "--members gives nodes " + other.ToString() + " and " +
                                            std::to_string(id) + " the same address"));
      }
    }
    if (!config.members.emplace(NodeId(id), *address).second) {
      return Fail(InvalidArgument("", "--members names node " + std::to_string(id) + " twice"));
    }
  }
  auto http = ParseAddress(flags.http.empty() ? "127.0.0.1:" + std::to_string(8000 + flags.id)
                                              : flags.http);
  if (!http) return Fail(http.error());
  config.http = *http;
  auto grpc = ParseAddress(flags.grpc.empty() ? "127.0.0.1:" + std::to_string(9000 + flags.id)
                                              : flags.grpc);
  if (!grpc) return Fail(grpc.error());
  config.grpc = *grpc;
  config.fatal = [](const std::string& why) {
    spdlog::critical("{}", why);
    spdlog::shutdown();
    std::_Exit(EXIT_FAILURE);  // Other threads are at work; nothing here is worth their unwinding.
  };
  return config;
}

int Serve(const Flags& flags) {
  auto config = ToConfig(flags);
  if (!config) return Refuse(config.error(), kUsage);
  // Every thread inherits the mask, so that only sigwait below sees these signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto logger = spdlog::stderr_color_mt("holdfast");
  logger->set_level(spdlog::level::from_str(flags.log_level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(logger);

  // Otherwise protobuf writes a line for every request that holds bad UTF-8.
  google::protobuf::SetLogHandler(nullptr);

  auto server = Server::Start(std::move(*config));
  if (!server) return Refuse(server.error(), EXIT_FAILURE);
  spdlog::info("holdfast {} node {}: HTTP {}, gRPC {}, data in {}", kVersion, flags.id,
               (*server)->http_port(), (*server)->grpc_port(), flags.data);
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping: handing over and finishing what is under way");
  // A second signal ends the process at once.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*server)->Stop(kGrace);
  server->reset();
  spdlog::info("stopped");
  return EXIT_SUCCESS;
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* serve = app.add_subcommand("serve", "Run a node");
  serve->footer(
      "A single node, with its data in ./data:\n"
      "  holdfast serve\n"
      "One of three:\n"
      "  holdfast serve --id 1 --data data/1 \\\n"
      "    --members 1=127.0.0.1:7001,2=127.0.0.1:7002,3=127.0.0.1:7003\n"
      "A new cluster begins once all members have been started; afterwards a majority is enough.");
  serve->add_option("--id", flags->id, "This node's number, from 1")->check(CLI::Range(1, 999));
  serve->add_option("--data", flags->data, "Folder for the node's data; created when missing")
      ->capture_default_str();
  serve->add_option("--members", flags->members, "All nodes as ID=HOST:PORT of the peer link")
      ->delimiter(',');
  serve->add_option("--http", flags->http, "HTTP address; default 127.0.0.1 and 8000 + id");
  serve->add_option("--grpc", flags->grpc, "gRPC address; default 127.0.0.1 and 9000 + id");
  serve
      ->add_option("--election-timeout-ms", flags->election_timeout_ms,
                   "A leader that is silent this long is replaced (randomised up to twice)")
      ->check(CLI::Range(50, 60'000))
      ->capture_default_str();
  serve->add_option("--heartbeat-ms", flags->heartbeat_ms, "How often a leader speaks at least")
      ->check(CLI::Range(5, 10'000))
      ->capture_default_str();
  serve->add_option("--log-level", flags->log_level, "debug, info, warn, error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  serve->callback([flags, exit_code] { *exit_code = Serve(*flags); });
}

}  // namespace holdfast::cli

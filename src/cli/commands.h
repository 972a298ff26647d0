// What a command has at hand, and where a service adds commands of its own:
//
//   void RegisterCommands(cli::Commands& commands) {  // holdfast::ledger, services/ledger/cli
//     CLI::App* verify = commands.Add("ledger", "verify", "Recomputes every balance");
//     commands.OnRun(verify, [](cli::Context& context) { return cli::kExitOk; });
//   }
//
// One thread. A Context lives as long as the program.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/cli/exit_codes.h"
#include "src/cli/output_file.h"
#include "src/client/client.h"

namespace holdfast::cli {

inline constexpr char kEndpointsDefault[] = "127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003";

// Where a program reads and writes; a test brings its own.
struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  bool out_is_terminal = false;
  const OutputFile* out_file = nullptr;  // What `out` writes into, if it is such: says what failed.
};

// The options that every command takes, as the user wrote them.
struct GlobalFlags {
  std::string endpoints = kEndpointsDefault;
  std::string consistency = "session";
  uint64_t after = 0;
  std::string idempotency_key;
  std::string timeout = "10s";
  bool compact = false;
  bool verbose = false;
};

// "500ms", "10s" or "10", above 0 and at most the longest that a node grants.
Result<std::chrono::milliseconds> ParseTimeout(std::string_view text);

class Context {
 public:
  explicit Context(Streams streams) : streams_(streams) {}

  std::istream& in() { return streams_.in; }
  std::ostream& out() { return streams_.out; }
  std::ostream& err() { return streams_.err; }
  bool err_is_terminal() const { return streams_.err_is_terminal; }
  bool out_is_terminal() const { return streams_.out_is_terminal; }
  GlobalFlags& flags() { return flags_; }

  // The client of --endpoints, made at the first call, and how to call by the other flags.
  Result<client::Client*> Client();
  Result<client::CallOptions> CallOptions() const;

  // Tells the error in one line on err() and returns the exit code that goes with it.
  int Tell(const Error& error);
  // The end of a command that ends with this code: what it printed and could not be written is
  // told, and is a fault if the command had none. Somebody who reads no more (a closed pipe) has
  // enough.
  int End(int code);

 private:
  Streams streams_;
  GlobalFlags flags_;
  std::unique_ptr<client::Client> client_;
};

class Commands {
 public:
  // `root` holds one subcommand for each service. All outlive this object and its commands.
  Commands(CLI::App& root, Context& context, int& exit_code)
      : root_(root), context_(context), exit_code_(exit_code) {}

  // Adds `holdfast <service> <name>`; the service is one of the method table. A method of the
  // service's own name is the service's command itself, and then its only one.
  CLI::App* Add(const std::string& service, const std::string& name, const std::string& help);
  // Adds `holdfast <name>`, which holds commands of its own: what is done by methods of a service,
  // and is none. Add takes it as a service.
  void AddGroup(const std::string& name, const std::string& help);
  // What `command` does: returns the exit code.
  void OnRun(CLI::App* command, std::function<int(Context&)> run);
  // `holdfast outcome <names> VALUE`: how a service tells what became of one of its ids. Returns
  // the command, for options beside it. `ask` returns the exit code.
  CLI::App* AddOutcome(const std::string& names, const std::string& type, const std::string& help,
                       std::function<int(Context&, const std::string& value)> ask);
  // Shown in the help of the service.
  void AddExample(const std::string& service, const std::string& line);

 private:
  struct OutcomeAsk {
    CLI::Option* option;
    std::function<int(Context&, const std::string& value)> ask;
  };

  CLI::App& root_;
  Context& context_;
  int& exit_code_;
  CLI::App* outcome_ = nullptr;
  std::shared_ptr<std::vector<OutcomeAsk>> asks_ = std::make_shared<std::vector<OutcomeAsk>>();
};

}  // namespace holdfast::cli

namespace holdfast {
// The commands of all services, generated from the folders services/*/cli.
void RegisterServiceCommands(cli::Commands& commands);
}  // namespace holdfast

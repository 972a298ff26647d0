// For tests of commands: a node in this process, and the program run against it.
#pragma once

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "src/cli/operate.h"
#include "src/cli/program.h"
#include "src/node/cluster_service.h"
#include "src/server/server.h"
#include "src/state_machine/requests_service.h"
#include "src/store/memory/memory_base.h"
#include "src/store/store.h"
#include "tests/support/temp_folder.h"

namespace holdfast::cli {

// What a run of the program left behind.
struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

// The program with the services of this build, and what `extend` adds.
class TestProgram {
 public:
  explicit TestProgram(std::function<void(Commands&)> extend = {})
      : store_(std::make_unique<store::MemoryBase>()), registry_(store_), extend_(extend) {
    RegisterServices(registry_);
    node::RegisterClusterService(registry_, {});
    state_machine::RegisterRequestsService(registry_, {});
    registry_.Finish();
  }

  Ran Run(std::vector<std::string> arguments, const std::string& in = "") {
    std::istringstream input(in);
    std::ostringstream out;
    std::ostringstream err;
    const int code = Run(std::move(arguments), {input, out, err});
    return {code, out.str(), err.str()};
  }
  int Run(std::vector<std::string> arguments, Streams streams) {
    const auto extend = [this](CLI::App& root, Commands& commands, int*) {
      AddOperatingCommands(registry_, root, commands);
      if (extend_) extend_(commands);
    };
    return RunProgram(registry_, extend, std::move(arguments), streams);
  }
  const state_machine::Registry& registry() const { return registry_; }

 private:
  store::Store store_;
  state_machine::Registry registry_;
  std::function<void(Commands&)> extend_;
};

// A single node over a fresh folder, on free ports.
class TestNode {
 public:
  TestNode() {
    ServerConfig config;
    config.data = folder_.path();
    config.fatal = [](const std::string& why) { FAIL() << why; };
    auto server = Server::Start(std::move(config));
    HOLDFAST_CHECK(server.has_value(), server ? "" : server.error().message);
    server_ = *std::move(server);
  }

  Server& server() { return *server_; }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(server_->grpc_port()); }

 private:
  testing::TempFolder folder_;
  std::unique_ptr<Server> server_;
};

}  // namespace holdfast::cli

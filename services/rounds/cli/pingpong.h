// `holdfast pingpong`: a game of two for two terminals. Round by round both say something, and see
// what was said when both have.
#pragma once

#include <cstdint>
#include <string>

#include "src/cli/commands.h"

namespace holdfast::rounds {

struct PingpongFlags {
  std::string host;  // Empty: --endpoints.
  std::string player;
  std::string game = "pingpong";
  uint64_t rounds = 0;  // 0: as long as there is input.
};

// The nodes that HOST names, as --endpoints takes them.
std::string EndpointsOf(const std::string& host);

// Returns the exit code.
int Pingpong(const PingpongFlags& flags, cli::Context& context);

}  // namespace holdfast::rounds

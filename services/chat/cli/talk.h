// `holdfast chat ROOM --as NAME`: follows a room, shows its messages as they arrive and in causal
// order, and posts what is typed.
#pragma once

#include <cstdint>
#include <string>

#include "src/cli/commands.h"

namespace holdfast::chat {

struct TalkFlags {
  std::string room;
  std::string as;
  bool plain = false;
  bool once = false;
  std::string duration;
  std::string patience;
  int64_t since = -1;  // -1: the last hundred messages.
  uint32_t delay_ms_max = 0;
  bool shuffle = false;
  uint32_t duplicate_percent = 0;
  uint32_t lose_percent = 0;
  uint64_t seed = 1;
};

// Returns the exit code.
int Talk(const TalkFlags& flags, cli::Context& context);

}  // namespace holdfast::chat

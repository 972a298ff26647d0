// Elections that nobody needed: a healthy cluster on a machine whose processors have other work.
#pragma once

#include <string>
#include <vector>

namespace holdfast::bench {

struct NoiseOptions {
  int hogs = 4;  // Threads of this program that compute and never wait, at its own priority.
  int seconds = 60;
  int nodes = 3;
  std::vector<std::string> flags;  // Of every node.
  std::string csv;                 // Also written there; empty: nowhere.
};

// Clients pay meanwhile. What is counted are the terms that went by; nothing fails, so every one of
// them was an election for nothing. The exit code.
int RunNoise(const NoiseOptions& options);

}  // namespace holdfast::bench

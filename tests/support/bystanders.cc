#include "tests/support/bystanders.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace holdfast::testing {

Bystanders::Bystanders(const ProcessCluster& cluster) : cluster_(cluster), before_(Now()) {}

Bystanders::Ticks Bystanders::Now() const {
  Ticks ticks;
  // proc(5): user nice system idle iowait irq softirq steal.
  std::ifstream machine("/proc/stat");
  std::string word;
  machine >> word;
  for (int field = 0; field < 8; ++field) {
    uint64_t value = 0;
    machine >> value;
    ticks.all += value;
    if (field != 3 && field != 4) ticks.busy += value;
  }
  std::vector<pid_t> pids = {getpid()};
  for (int node = 1; node <= cluster_.size(); ++node) {
    if (cluster_.Running(node)) pids.push_back(cluster_.pid(node));
  }
  for (const pid_t pid : pids) {
    std::ifstream process("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(process, line);
    std::istringstream fields(line.substr(line.rfind(')') + 2));
    for (int field = 3; field <= 15 && fields >> word; ++field) {
      if (field >= 14) ticks.ours += std::strtoull(word.c_str(), nullptr, 10);
    }
  }
  return ticks;
}

double Bystanders::Share() const {
  const Ticks now = Now();
  const auto since = [](uint64_t later, uint64_t earlier) {
    return static_cast<double>(later) - static_cast<double>(earlier);
  };
  const double all = since(now.all, before_.all);
  const double others = since(now.busy, before_.busy) - since(now.ours, before_.ours);
  return all <= 0 ? 0 : std::max(0.0, others / all);
}

}  // namespace holdfast::testing

#include "bench/cluster/peers.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace holdfast::bench {

std::vector<Row> ParsePeerRows(const std::string& text, const PeerCases& cases) {
  std::vector<Row> rows;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    Row row;
    std::string name, p50, p99;  // Some cases have no latencies: "-".
    if (!(fields >> row.system >> name >> row.clients >> row.per_second >> p50 >> p99)) continue;
    const auto known = cases.find(name);
    if (known == cases.end() || row.per_second <= 0) continue;
    row.p50_us = std::strtod(p50.c_str(), nullptr);
    row.p99_us = std::strtod(p99.c_str(), nullptr);
    row.workload = known->second.workload;
    row.door = known->second.door;
    rows.push_back(row);
  }
  return rows;
}

std::vector<Row> MeasurePeers(const std::string& folder, const std::vector<std::string>& scripts,
                              const PeerCases& cases, int seconds) {
  if (folder.empty() || folder == "none") {
    std::fprintf(stderr, "No peers are measured.\n");
    return {};
  }
  setenv("SECS", std::to_string(seconds).c_str(), 1);
  std::vector<Row> rows;
  for (const std::string& script : scripts) {
    const std::string file = folder + "/" + script.substr(0, script.find(' '));
    if (!std::filesystem::exists(file)) {
      std::fprintf(stderr, "Not measured: there is no %s (--peers)\n", file.c_str());
      continue;
    }
    std::fprintf(stderr, "Measuring with %s first; this takes some minutes.\n", script.c_str());
    const std::string arguments = script.substr(file.size() - folder.size() - 1);
    FILE* pipe = popen(("bash '" + file + "'" + arguments).c_str(), "r");
    std::string text;
    char part[4096];
    while (pipe != nullptr && std::fgets(part, sizeof(part), pipe) != nullptr) text += part;
    const int status = pipe != nullptr ? pclose(pipe) : 0;
    if (status != 0) std::fprintf(stderr, "%s FAILED: see what it says above.\n", script.c_str());
    const std::vector<Row> found = ParsePeerRows(text, cases);
    if (found.empty()) std::fprintf(stderr, "%s could not be measured.\n", script.c_str());
    rows.insert(rows.end(), found.begin(), found.end());
  }
  return rows;
}

}  // namespace holdfast::bench

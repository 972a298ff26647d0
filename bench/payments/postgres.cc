#include "bench/payments/postgres.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

namespace holdfast::bench {

std::vector<Row> ParsePeerRows(const std::string& text) {
  // The batch in a loop checks each payment as ours does; the set-based one checks the sum only,
  // and is the faster: that one we compare with.
  static const std::map<std::string, std::pair<const char*, const char*>> kCases = {
      {"pay_uniform_10k", {"uniform singles", "SQL function"}},
      {"pay_hot_10", {"hot singles", "SQL function"}},
      {"pay_batch1000_set", {"uniform batches", "SQL, as a set"}},
      {"pay_batch1000_loop", {"uniform batches", "SQL, in a loop"}}};
  std::vector<Row> rows;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    Row row;
    std::string name;
    if (!(fields >> row.system >> name >> row.clients >> row.per_second >> row.p50_us >>
          row.p99_us)) {
      continue;
    }
    const auto known = kCases.find(name);
    if (known == kCases.end()) continue;
    row.workload = known->second.first;
    row.door = known->second.second;
    rows.push_back(row);
  }
  return rows;
}

std::vector<Row> MeasurePostgres(const std::string& script, int seconds) {
  setenv("SECS", std::to_string(seconds).c_str(), 1);
  FILE* pipe = popen(("bash '" + script + "' repl").c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char part[4096];
  while (std::fgets(part, sizeof(part), pipe) != nullptr) text += part;
  pclose(pipe);
  return ParsePeerRows(text);
}

}  // namespace holdfast::bench

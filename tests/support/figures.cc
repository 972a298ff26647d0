#include "tests/support/figures.h"

#include <chrono>
#include <cstdlib>
#include <sstream>

#include "tests/support/http_client.h"

namespace holdfast::testing {

Figures::Figures(const std::string& page) {
  std::istringstream lines(page);
  std::string line;
  while (std::getline(lines, line)) {
    const size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string::npos) continue;
    const char* number = line.c_str() + space + 1;
    char* end = nullptr;
    const double value = std::strtod(number, &end);
    if (end != number && *end == '\0') values_[line.substr(0, space)] = value;
  }
}

Figures Figures::Of(const std::string& host, uint16_t http) {
  const HttpReply reply = HttpClient(host, http, std::chrono::seconds(5)).Get("/metrics");
  return Figures(reply.status == 200 ? reply.body : "");
}

double Figures::Get(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? 0 : found->second;
}

double Figures::Since(const Figures& before, const std::string& name) const {
  const double now = Get(name);
  return now >= before.Get(name) ? now - before.Get(name) : now;
}

}  // namespace holdfast::testing

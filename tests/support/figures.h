// What a node says at /metrics, as numbers.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace holdfast::testing {

// By name, with its labels as the page has them: "holdfast_term",
// "holdfast_peer_connected{peer=...".
class Figures {
 public:
  // Of a page of text; what is no number is left out.
  explicit Figures(const std::string& page);
  // Asks the node. Empty when it does not answer.
  static Figures Of(const std::string& host, uint16_t http);

  bool empty() const { return values_.empty(); }
  double Get(const std::string& name) const;  // 0 when it is not there.
  // By how much it has grown since; all of it when the node was started again meanwhile.
  double Since(const Figures& before, const std::string& name) const;

 private:
  std::map<std::string, double> values_;
};

}  // namespace holdfast::testing

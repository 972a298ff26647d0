// Nodes in words: "1, 2, 3".
#pragma once

#include <string>

#include "src/base/ids.h"

namespace holdfast {

// Of any range of ids.
template <class Nodes>
std::string NodeList(const Nodes& nodes) {
  std::string text;
  for (NodeId node : nodes) text += (text.empty() ? "" : ", ") + node.ToString();
  return text;
}

}  // namespace holdfast

#include "src/raft/rejoin.h"

#include <algorithm>

namespace holdfast::raft {

Rejoin::Rejoin(NodeId self, const Membership& membership) : settled_(membership.IsFounding()) {
  for (NodeId voter : membership.voters) {
    if (voter != self) terms_[voter] = std::nullopt;
  }
}

void Rejoin::Answered(NodeId from, const RejoinAnswer& answer) {
  auto known = terms_.find(from);
  if (known == terms_.end()) return;
  known->second = std::max(known->second.value_or(Term(0)), answer.term);
  settled_ |= answer.settled;
}

std::vector<NodeId> Rejoin::missing() const {
  std::vector<NodeId> nodes;
  for (const auto& [node, term] : terms_) {
    if (!term) nodes.push_back(node);
  }
  return nodes;
}

std::optional<Term> Rejoin::floor() const {
  if (!settled_) return std::nullopt;
  Term highest;
  for (const auto& [node, term] : terms_) {
    if (!term) return std::nullopt;
    highest = std::max(highest, *term);
  }
  return highest;
}

}  // namespace holdfast::raft

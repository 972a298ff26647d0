#include "sim/memberships.h"

namespace holdfast::sim {

void Memberships::Agreed(const raft::Membership& membership) {
  known_[membership.index] = membership;
  settled_ = membership.IsFounding();
}

bool Memberships::Leads(Term term, LogIndex membership) {
  return led_by_.emplace(term, membership).first->second == membership;
}

void Memberships::Agreed(LogIndex index, Term term) {
  if (settled_ || known_.empty() || index <= last().index) return;
  const auto led = led_by_.find(term);
  settled_ = led != led_by_.end() && led->second == last().index;
}

const raft::Membership* Memberships::Find(LogIndex index) const {
  const auto found = known_.find(index);
  return found == known_.end() ? nullptr : &found->second;
}

bool Memberships::IsRemoved(NodeId node, LogIndex since) const {
  for (auto it = known_.upper_bound(since); it != known_.end(); ++it) {
    if (!it->second.Has(node)) return true;
  }
  return false;
}

std::vector<const raft::Membership*> Memberships::Of(LogIndex index, Term term) const {
  std::vector<const raft::Membership*> found;
  auto before = known_.lower_bound(index);
  if (before != known_.begin()) --before;
  if (before != known_.end()) found.push_back(&before->second);
  const auto led = led_by_.find(term);
  if (led == led_by_.end()) return found;
  const raft::Membership* leaders = Find(led->second);
  if (leaders != nullptr && leaders != found.front()) found.push_back(leaders);
  return found;
}

std::vector<raft::Membership> Memberships::InForce() const {
  std::vector<raft::Membership> found;
  if (known_.empty()) return found;
  found.push_back(last());
  if (!settled_ && known_.size() > 1) found.push_back(std::next(known_.rbegin())->second);
  return found;
}

}  // namespace holdfast::sim

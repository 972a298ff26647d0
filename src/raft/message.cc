#include "src/raft/message.h"

#include <algorithm>
#include <iterator>

#include "holdfast/peer.pb.h"
#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::raft {
namespace {

bool Ascends(const google::protobuf::RepeatedField<uint64_t>& nodes) {
  uint64_t before = 0;
  return std::all_of(nodes.begin(), nodes.end(),
                     [&before](uint64_t node) { return std::exchange(before, node) < node; });
}

template <class Fields>
bool AscendsByNode(const Fields& fields) {
  uint64_t before = 0;
  return std::all_of(fields.begin(), fields.end(), [&before](const auto& field) {
    return std::exchange(before, field.node()) < field.node();
  });
}

// False when the bytes are no membership.
bool Parse(std::string_view bytes, MembershipEntry* entry) {
  if (!entry->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  const auto& voters = entry->voters();
  const auto is_voter = [&](uint64_t node) {
    return std::binary_search(voters.begin(), voters.end(), node);
  };
  const auto& learners = entry->learners();
  const auto is_member = [&](uint64_t node) {
    return is_voter(node) || std::binary_search(learners.begin(), learners.end(), node);
  };
  for (const MemberAddress& each : entry->addresses()) {
    if (!is_member(each.node()) || each.address().size() > bounds::kAddressBytesMax) return false;
  }
  for (const Member& each : entry->incarnations()) {
    if (!is_member(each.node())) return false;
  }
  if (!AscendsByNode(entry->addresses()) || !AscendsByNode(entry->incarnations())) return false;
  return !voters.empty() && Ascends(voters) && Ascends(learners) &&
         std::none_of(learners.begin(), learners.end(), is_voter) &&
         static_cast<size_t>(voters.size() + learners.size()) <= bounds::kNodesMax;
}

bool Holds(const std::vector<NodeId>& ascending, NodeId node) {
  return std::binary_search(ascending.begin(), ascending.end(), node);
}

std::vector<NodeId> Differing(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> nodes;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(nodes));
  return nodes;
}

}  // namespace

bool Membership::IsVoter(NodeId node) const { return Holds(voters, node); }

bool Membership::Has(NodeId node) const { return IsVoter(node) || Holds(learners, node); }

std::vector<NodeId> Membership::All() const {
  std::vector<NodeId> nodes;
  std::merge(voters.begin(), voters.end(), learners.begin(), learners.end(),
             std::back_inserter(nodes));
  return nodes;
}

bool Membership::IsOneStepFrom(const Membership& other) const {
  const std::vector<NodeId> as_voters = Differing(voters, other.voters);
  const std::vector<NodeId> as_learners = Differing(learners, other.learners);
  if (as_voters.size() > 1 || as_learners.size() > 1) return false;
  return as_voters.empty() || as_learners.empty() || as_voters == as_learners;
}

std::string Membership::Encode() const {
  MembershipEntry entry;
  for (NodeId voter : voters) entry.add_voters(voter.value);
  for (NodeId learner : learners) entry.add_learners(learner.value);
  for (const auto& [node, address] : addresses) {
    MemberAddress* each = entry.add_addresses();
    each->set_node(node.value);
    each->set_address(address);
  }
  for (const auto& [node, incarnation] : incarnations) {
    Member* each = entry.add_incarnations();
    each->set_node(node.value);
    each->set_incarnation(incarnation);
  }
  return entry.SerializeAsString();
}

Membership Membership::Decode(std::string_view bytes, LogIndex index) {
  MembershipEntry entry;
  HOLDFAST_CHECK(Parse(bytes, &entry), "a membership entry that does not parse");
  Membership membership;
  for (uint64_t voter : entry.voters()) membership.voters.push_back(NodeId(voter));
  for (uint64_t learner : entry.learners()) membership.learners.push_back(NodeId(learner));
  for (const MemberAddress& each : entry.addresses()) {
    membership.addresses[NodeId(each.node())] = each.address();
  }
  for (const Member& each : entry.incarnations()) {
    membership.incarnations[NodeId(each.node())] = each.incarnation();
  }
  membership.index = index;
  return membership;
}

bool Membership::IsEncoded(std::string_view bytes) {
  MembershipEntry entry;
  return Parse(bytes, &entry);
}

}  // namespace holdfast::raft

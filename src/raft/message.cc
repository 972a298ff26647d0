#include "src/raft/message.h"

#include "holdfast/peer.pb.h"
#include "src/base/check.h"

namespace holdfast::raft {

std::string Membership::Encode() const {
  MembershipEntry entry;
  for (NodeId voter : voters) entry.add_voters(voter.value);
  return entry.SerializeAsString();
}

Membership Membership::Decode(std::string_view bytes) {
  MembershipEntry entry;
  HOLDFAST_CHECK(
      entry.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) && entry.voters_size() > 0,
      "a membership entry that does not parse");
  Membership membership;
  for (uint64_t voter : entry.voters()) membership.voters.push_back(NodeId(voter));
  return membership;
}

}  // namespace holdfast::raft

#include "src/raft/message.h"

#include "holdfast/peer.pb.h"
#include "src/base/check.h"

namespace holdfast::raft {
namespace {

// Voters are numbers from 1 on, ascending; false when the bytes say anything else.
bool Parse(std::string_view bytes, MembershipEntry* entry) {
  if (!entry->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  uint64_t before = 0;
  for (uint64_t voter : entry->voters()) {
    if (voter <= before) return false;
    before = voter;
  }
  return entry->voters_size() > 0;
}

}  // namespace

std::string Membership::Encode() const {
  MembershipEntry entry;
  for (NodeId voter : voters) entry.add_voters(voter.value);
  return entry.SerializeAsString();
}

Membership Membership::Decode(std::string_view bytes) {
  MembershipEntry entry;
  HOLDFAST_CHECK(Parse(bytes, &entry), "a membership entry that does not parse");
  Membership membership;
  for (uint64_t voter : entry.voters()) membership.voters.push_back(NodeId(voter));
  return membership;
}

bool Membership::IsEncoded(std::string_view bytes) {
  MembershipEntry entry;
  return Parse(bytes, &entry);
}

}  // namespace holdfast::raft

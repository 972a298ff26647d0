// Behaviour versions: what a program of this release does with a log entry, as a number. Entries
// mean the same to all nodes because a change of what they mean is a new version, which comes into
// force by an entry of its own, once every member can carry it out
// (docs/decisions/0017-versions.md).
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

struct BehaviourVersion {
  uint32_t version = 0;
  const char* release = "";  // The first one that can carry it out.
  const char* change = "";   // What it does otherwise than the one before, for people.
};

// What this program can carry out: a range of versions.
struct Behaviour {
  uint32_t oldest = 0;
  uint32_t newest = 0;
  std::string release;  // The program's own.

  bool Carries(uint32_t version) const { return version >= oldest && version <= newest; }
};
const Behaviour& ThisProgram();
// Of a version that this program knows.
const BehaviourVersion& BehaviourOf(uint32_t version);

// Why `program` cannot take part while `version`, which came with `release`, is in force, and what
// to install on `where` ("this node", "node 3"); for the operator. Empty: it can.
std::string WhyUnfit(const Behaviour& program, uint32_t version, const std::string& release,
                     const std::string& where);

}  // namespace holdfast

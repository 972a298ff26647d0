// Faults of a node's disk, and what nodes are called in the telling of any fault.
#pragma once

#include <string>

#include "tests/faults/faults.h"

namespace holdfast::faults {

// Writes or fsyncs fail: the node must end with status 5 and say what to do.
Fault DiskError(Arena& arena, sim::Random& random);
// Every fsync takes until the fault ends.
Fault DiskStall(Arena& arena, sim::Random& random);
// The node must refuse writes while there is no room, and go on when there is. To the brim it may
// end as with an error.
Fault FullDisk(Arena& arena, sim::Random& random);
// A bit of a stopped node's files. The node must name the file and end, or never come upon it;
// either way its folder is replaced.
Fault FlippedBit(Arena& arena, sim::Random& random);

// The leader in half of the cases.
int SomeNode(Arena& arena, sim::Random& random);
std::string Name(Arena& arena, int node);

}  // namespace holdfast::faults

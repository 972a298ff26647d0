// Where a key is placed: consistent hashing with virtual nodes.
//
// Every partition has 64 points on a ring of 64-bit numbers, and a key belongs to the partition of
// the first point at or after its hash. Partition n has the same points whatever their number, so
// growing from p to q partitions moves only keys that now meet a point of a new one: on average the
// share (q - p) / q. Hashes are XXH3 of fixed bytes: the same on every machine, for ever.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast::queues {

inline constexpr uint32_t kPointsPerPartition = 64;

// 0 to partitions - 1; `partitions` is 1 to kQueuePartitionsMax. Any thread.
uint32_t PartitionOf(std::string_view lane, uint32_t partitions);

}  // namespace holdfast::queues

#include "services/queues/ring.h"

#include <xxhash.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/base/bounds.h"
#include "src/store/codec.h"

namespace holdfast::queues {
namespace {

// The points of all partitions that there can be, once for the whole program: those of partitions
// that a queue does not have are passed over.
class Ring {
 public:
  Ring() {
    struct Point {
      uint64_t at;
      uint16_t partition;
    };
    std::vector<Point> points;
    points.reserve(size_t{bounds::kQueuePartitionsMax} * kPointsPerPartition);
    for (uint32_t partition = 0; partition < bounds::kQueuePartitionsMax; ++partition) {
      for (uint32_t point = 0; point < kPointsPerPartition; ++point) {
        std::string bytes;
        store::EncodeKey(std::tuple<uint64_t, uint64_t>(partition, point), &bytes);
        points.push_back(
            {XXH3_64bits(bytes.data(), bytes.size()), static_cast<uint16_t>(partition)});
      }
    }
    std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
      return std::tie(a.at, a.partition) < std::tie(b.at, b.partition);
    });
    for (const Point& point : points) {
      at_.push_back(point.at);
      partition_.push_back(point.partition);
    }
  }

  uint32_t Find(uint64_t hash, uint32_t partitions) const {
    auto i = static_cast<size_t>(std::lower_bound(at_.begin(), at_.end(), hash) - at_.begin());
    for (;; ++i) {
      if (i >= at_.size()) i = 0;
      if (partition_[i] < partitions) return partition_[i];
    }
  }

 private:
  std::vector<uint64_t> at_;  // In ascending order.
  std::vector<uint16_t> partition_;
};

}  // namespace

uint32_t PartitionOf(std::string_view lane, uint32_t partitions) {
  if (partitions <= 1) return 0;
  static const Ring ring;
  return ring.Find(XXH3_64bits(lane.data(), lane.size()), partitions);
}

}  // namespace holdfast::queues

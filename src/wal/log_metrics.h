// What the log counts about itself. Thread-safe.
#pragma once

#include "src/metrics/instruments.h"

namespace holdfast::wal {

struct LogMetrics {
  metrics::Histogram sync_us{metrics::kLatencyBucketsUs};  // One write and fdatasync of a group.
  metrics::Histogram group_records{metrics::kSizeBuckets};
  metrics::Counter written_bytes;
};

}  // namespace holdfast::wal

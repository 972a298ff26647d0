// What the applier counts. Thread-safe.
#pragma once

#include "src/metrics/instruments.h"

namespace holdfast::node {

struct ApplyMetrics {
  metrics::Histogram entry_us{metrics::kLatencyBucketsUs};  // Applying one entry, replies included.
  metrics::Histogram entry_requests{metrics::kSizeBuckets};
  metrics::Histogram checkpoint_us{metrics::kLatencyBucketsUs};  // Writing one, in the background.
  metrics::Counter checkpoint_rows;
  metrics::Gauge checkpoint_index;  // Log position that the last checkpoint holds.
  metrics::Gauge checkpoint_ms;     // When it was complete, monotonic; 0: none in this life.
  metrics::Gauge delta_rows;        // Changed since the last checkpoint began, or being written.
  metrics::Gauge delta_bytes;       // About the memory that these take.
};

}  // namespace holdfast::node

// What was measured, as a table and as CSV. bench/evaluation/draw.py draws it.
#pragma once

#include <string>
#include <vector>

#include "bench/cluster/load.h"

namespace holdfast::bench {

void PrintHead();
// `peer` is the row of the peer to compare with, or null.
void PrintRow(const Row& row, const Row* peer);

// The fastest peer's row for the same workload and number of clients.
const Row* PeerOf(const Row& row, const std::vector<Row>& peers);

void WriteCsv(const std::string& path, const std::vector<Row>& rows, const std::vector<Row>& peers);
// A line for each node: what it has applied and written, and what its files take.
void WriteDiskCsv(const std::string& path, const testing::ProcessCluster& cluster);

}  // namespace holdfast::bench

// What was measured, as a table, as CSV and as a plot.
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
// Bars of what was done a second: a picture for each workload, by door and clients.
void WriteSvg(const std::string& folder, const std::vector<Row>& rows,
              const std::vector<Row>& peers);

}  // namespace holdfast::bench

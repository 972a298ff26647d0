// PostgreSQL with a synchronous standby, measured by the script that the peers' folder brings, in
// the same run and on the same machine.
#pragma once

#include <string>
#include <vector>

#include "bench/payments/load.h"

namespace holdfast::bench {

// Runs `script`, which takes minutes; what it says on the way goes to stderr. Empty when it fails.
std::vector<Row> MeasurePostgres(const std::string& script, int seconds);

// What the script prints, as rows.
std::vector<Row> ParsePeerRows(const std::string& text);

}  // namespace holdfast::bench

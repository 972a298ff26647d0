// Looks into the data folder of a node that does not run, and changes nothing: who it is, what its
// log and its store hold, and what is damaged. What `holdfast inspect` shows and `holdfast repair`
// goes by.
#pragma once

#include <cstdint>
#include <string>

#include "holdfast/inspect.pb.h"
#include "src/base/error.h"

namespace holdfast {

struct InspectOptions {
  // Entries to list, by index; none when `from` is above `to`.
  uint64_t entries_from = 1;
  uint64_t entries_to = 0;
  bool decode = false;  // Requests as JSON.
  bool tables = true;   // Counts the rows of all tables, which reads the whole store.
};

// Every block of the store and every record of the log is read and its checksum compared. An Error
// only when the folder cannot be looked at: a node runs on it, or it is none. Damage is part of the
// answer.
Result<Inspection> Inspect(const std::string& folder, const InspectOptions& options);

}  // namespace holdfast

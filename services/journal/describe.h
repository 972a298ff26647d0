// Rows as the messages that callers see, times, and the cursors of queries.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>
#include <string>

#include "services/journal/journal.pb.h"
#include "services/journal/tables.h"

namespace holdfast::journal {

void FillOffset(const Facts& facts, uint32_t drift_ppm, Offset* offset);
void FillSource(const std::string& name, const SourceRow& row, uint32_t drift_ppm, Source* source);
void FillRecord(uint64_t number, const std::string& source, Sequence sequence, RecordRow row,
                Record* record);

// Behind which record a page begins: as text, and only what that makes.
std::string CursorText(const Place& place);
std::optional<Place> ParseCursor(const std::string& text);

}  // namespace holdfast::journal

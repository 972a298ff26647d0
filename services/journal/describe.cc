#include "services/journal/describe.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "src/base/timestamp.h"

namespace holdfast::journal {
namespace {

void AppendHex(uint64_t value, std::string* out) {
  char text[16];
  out->append(text, std::to_chars(text, text + sizeof(text), value, 16).ptr);
}

}  // namespace

void FillOffset(const Facts& facts, uint32_t drift_ppm, Offset* offset) {
  if (facts.lower) {
    offset->set_lower_us(facts.lower->offset_us);
    FillTime(facts.lower->at_us, offset->mutable_lower_at());
  }
  if (facts.upper) {
    offset->set_upper_us(facts.upper->offset_us);
    FillTime(facts.upper->at_us, offset->mutable_upper_at());
  }
  if (!facts.lower || !facts.upper) return;
  const int64_t at_us = std::max(facts.lower->at_us, facts.upper->at_us);
  const int64_t lower = *LowerAt(facts, at_us, drift_ppm);
  const int64_t upper = *UpperAt(facts, at_us, drift_ppm);
  if (lower > upper) return;  // By a drift that was changed since: the next append will see it.
  offset->set_offset_us(lower + (upper - lower) / 2);
  offset->set_error_us(upper - offset->offset_us());
}

void FillSource(const std::string& name, const SourceRow& row, uint32_t drift_ppm, Source* source) {
  source->set_source(name);
  source->set_last_sequence(row.last_sequence);
  source->set_batch(row.batch);
  FillTime(row.stamped_us, source->mutable_stamped());
  FillOffset(row.facts(), drift_ppm, source->mutable_offset());
  source->set_jumps(row.jumps);
  if (row.jumps != 0) FillTime(row.last_jump_us, source->mutable_last_jump());
  source->set_late(row.late);
}

void FillRecord(uint64_t number, const std::string& source, Sequence sequence, RecordRow row,
                Record* record) {
  record->set_number(number);
  record->set_source(source);
  record->set_sequence(sequence);
  if (row.how != Correct::kNoTime) FillTime(row.time_us, record->mutable_time());
  FillTime(row.corrected_us, record->mutable_corrected());
  if (row.error_us) record->set_error_us(*row.error_us);
  record->set_correction(static_cast<Correction::Code>(row.how));
  record->set_late(row.late);
  FillTime(row.stamped_us, record->mutable_stamped());
  record->set_body(std::move(row.body));
}

std::string CursorText(const Place& place) {
  std::string text;
  AppendHex(static_cast<uint64_t>(place.corrected_us), &text);
  text += '-';
  AppendHex(place.source, &text);
  text += '-';
  AppendHex(place.sequence, &text);
  return text;
}

std::optional<Place> ParseCursor(const std::string& text) {
  const char* at = text.data();
  const char* end = at + text.size();
  const auto number = [&](uint64_t* value) {
    const auto read = std::from_chars(at, end, *value, 16);
    at = read.ptr;
    return read.ec == std::errc();
  };
  const auto dash = [&] { return at != end && *at++ == '-'; };
  uint64_t corrected = 0;
  Place place;
  if (!number(&corrected) || !dash() || !number(&place.source) || !dash() ||
      !number(&place.sequence) || at != end) {
    return std::nullopt;
  }
  place.corrected_us = static_cast<int64_t>(corrected);
  // Other spellings of the same numbers are refused, too.
  if (place.sequence == std::numeric_limits<uint64_t>::max() || CursorText(place) != text) {
    return std::nullopt;
  }
  return place;
}

}  // namespace holdfast::journal

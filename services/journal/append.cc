// Appending: what is there already is told apart, the clock is learnt about, then each record gets
// its corrected time and its place.

#include <algorithm>

#include "services/journal/describe.h"
#include "services/journal/journal.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::journal {
namespace {

uint64_t BytesOf(const NewRecord& record) {
  return record.body().size() + bounds::kJournalRecordBytes;
}

void FillBatch(const SourceRow& source, const JournalRow& journal, AppendReply* reply) {
  reply->set_batch(source.batch);
  FillTime(source.stamped_us, reply->mutable_stamped());
  FillOffset(source.facts(), journal.drift_ppm, reply->mutable_offset());
}

}  // namespace

AppendOutcome::Code Journal::Compare(const AppendRequest& request, JournalNumber journal,
                                     const SourceRow& source, AppendReply* reply) {
  const Sequence next = source.last_sequence + 1;
  const Sequence first = request.first_sequence() == 0 ? next : request.first_sequence();
  if (first > next) {
    reply->set_expected_sequence(next);
    return AppendOutcome::out_of_order;
  }
  const auto count = static_cast<uint64_t>(request.records_size());
  uint32_t unverified = 0;
  for (uint64_t i = 0; i < count && first + i < next; ++i) {
    // Of what was removed nobody knows any more what it was: the caller is told.
    const RecordRow* known = tables_.records.Find({journal, source.number, first + i});
    if (known == nullptr) {
      ++unverified;
      continue;
    }
    const NewRecord& record = request.records(static_cast<int>(i));
    const bool had_time = known->how != Correct::kNoTime;
    const bool same_time =
        had_time == record.has_time() && (!had_time || known->time_us == FloorUs(record.time()));
    if (same_time && known->body == record.body()) continue;
    reply->set_sequence(first + i);
    reply->set_field(same_time ? "body" : "time");
    return AppendOutcome::different_record;
  }
  reply->set_first_sequence(first);
  reply->set_last_sequence(first + count - 1);
  reply->set_unverified(unverified);
  return first + count <= next ? AppendOutcome::already_appended : AppendOutcome::appended;
}

void Journal::LearnFrom(const AppendRequest& request, const JournalRow& journal, int64_t now_us,
                        SourceRow* source) {
  Facts told;
  if (source->batch != 0 && request.previous().batch() == source->batch) {
    const int64_t received_us = CeilingUs(request.previous().received_time());
    told.lower = Fact{received_us, source->stamped_us - received_us};
  }
  if (request.has_sent_time()) {
    const int64_t sent_us = FloorUs(request.sent_time());
    told.upper = Fact{sent_us, now_us - sent_us};
  }
  Facts known = source->facts();
  if (Learn(told, journal.drift_ppm, &known)) {
    source->jumps += 1;
    source->last_jump_us = now_us;
  }
  source->lower = known.lower;
  source->upper = known.upper;
  source->batch += 1;
  source->stamped_us = now_us;
}

int64_t Journal::Enter(const JournalRow& journal, const NewRecord& record, Sequence sequence,
                       int64_t now_us, SourceRow* source, LevelRow* level, AppendReply* reply) {
  RecordRow row;
  Corrected corrected{Correct::kNoTime, now_us, std::nullopt};
  if (record.has_time()) {
    row.time_us = FloorUs(record.time());
    corrected = CorrectTime(source->facts(), row.time_us, now_us, journal.drift_ppm,
                            journal.max_offset_us());
  }
  row.corrected_us = corrected.at_us;
  row.error_us = corrected.error_us;
  row.how = corrected.how;
  row.late = corrected.at_us < Watermark(journal, *level, now_us);
  row.stamped_us = now_us;
  row.body = record.body();
  const Place place{corrected.at_us, source->number, sequence};
  const bool late = row.late;
  tables_.records.PutNew({journal.number, source->number, sequence}, std::move(row));
  tables_.of_source.PutNew({journal.number, source->number, place.corrected_us, sequence}, {});
  const OrderRow order{0, now_us, BytesOf(record)};
  tables_.order.PutNew({journal.number, place.corrected_us, source->number, sequence}, order);
  level->records += 1;
  level->bytes += order.bytes;
  if (late) {
    GiveNumber(journal.number, place, order, level);
    level->late += 1;
    source->late += 1;
    reply->set_late(reply->late() + 1);
    return now_us + journal.retention_us();
  }
  if (level->waiting == 0) {
    // Nothing below the watermark waits, so the sweep need not look there: old logs may be there.
    const Place watermark{Watermark(journal, *level, now_us), 0, 0};
    level->swept = std::max(level->swept, watermark);
  }
  level->waiting += 1;
  level->waiting_bytes += order.bytes;
  return place.corrected_us + journal.window_us() + 1;
}

Result<void> Journal::Append(const AppendRequest& request, WriteContext& context,
                             AppendReply* reply) {
  const JournalRow* found = tables_.journals.Find(request.journal());
  if (found == nullptr) {
    reply->set_outcome(AppendOutcome::journal_not_found);
    return {};
  }
  const JournalRow journal = *found;
  LevelRow level = *tables_.levels.Find(journal.number);
  const SourceKey source_key{journal.number, request.source()};
  const SourceRow* known = tables_.sources.Find(source_key);
  if (known == nullptr && level.sources >= bounds::kJournalSourcesMax) {
    reply->set_outcome(AppendOutcome::too_many_sources);
    return {};
  }
  SourceRow source = known == nullptr ? SourceRow() : *known;
  if (known == nullptr) source.number = level.sources + 1;

  AppendOutcome::Code outcome = AppendOutcome::exchanged;
  int fresh = 0;  // The first that is not there yet.
  if (request.records_size() > 0) {
    outcome = Compare(request, journal.number, source, reply);
    if (outcome == AppendOutcome::appended) {
      fresh = static_cast<int>(source.last_sequence + 1 - reply->first_sequence());
      uint64_t bytes = 0;
      for (int i = fresh; i < request.records_size(); ++i) bytes += BytesOf(request.records(i));
      if (level.waiting_bytes + bytes > journal.max_bytes) {
        reply->clear_first_sequence();
        reply->clear_last_sequence();
        reply->clear_unverified();
        outcome = AppendOutcome::too_much_waiting;
      }
    }
  }
  reply->set_outcome(outcome);
  if (outcome == AppendOutcome::already_appended) FillBatch(source, journal, reply);
  if (outcome != AppendOutcome::appended && outcome != AppendOutcome::exchanged) return {};

  const int64_t now_us = context.now().us;
  if (known == nullptr) {
    level.sources += 1;
    tables_.names.Put({journal.number, source.number}, {request.source()});
  }
  LearnFrom(request, journal, now_us, &source);
  const uint64_t released = level.released;
  std::optional<int64_t> due_us;
  for (int i = fresh; i < request.records_size(); ++i) {
    const int64_t due =
        Enter(journal, request.records(i), ++source.last_sequence, now_us, &source, &level, reply);
    due_us = std::min(due_us.value_or(due), due);
    reply->set_appended(reply->appended() + 1);
  }
  if (level.bytes > journal.max_bytes) due_us = now_us;
  if (due_us) Ring(context, journal.number, *due_us, &level);
  if (level.released != released) context.Touch(TopicOf(journal.number));
  tables_.sources.Put(source_key, source);
  tables_.levels.Put(journal.number, std::move(level));
  FillBatch(source, journal, reply);
  return {};
}

}  // namespace holdfast::journal

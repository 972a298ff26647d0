#include "services/journal/journal.h"

#include <memory>
#include <utility>

#include "services/journal/describe.h"
#include "services/journal/validate.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/registry.h"

namespace holdfast::journal {
namespace {

template <class Number>
Number Or(Number value, Number otherwise) {
  return value == 0 ? otherwise : value;
}

// What a request asks for; what it leaves out is as in `row`.
template <class Request>
JournalRow Changed(JournalRow row, const Request& request) {
  row.window_ms = Or(request.window_ms(), row.window_ms);
  row.drift_ppm = Or(request.drift_ppm(), row.drift_ppm);
  row.max_offset_ms = Or(request.max_offset_ms(), row.max_offset_ms);
  row.retention_seconds = Or(request.retention_seconds(), row.retention_seconds);
  row.max_bytes = Or(request.max_bytes(), row.max_bytes);
  return row;
}

JournalRow RowOf(const CreateRequest& request) {
  JournalRow defaults;
  defaults.window_ms = bounds::kJournalWindowMsDefault;
  defaults.drift_ppm = bounds::kJournalDriftPpmDefault;
  defaults.max_offset_ms = bounds::kJournalOffsetMsDefault;
  defaults.retention_seconds = bounds::kJournalSecondsDefault;
  defaults.max_bytes = bounds::kJournalBytesDefault;
  return Changed(defaults, request);
}

// The first setting that differs, as the API names it.
std::string Difference(const JournalRow& a, const JournalRow& b) {
  if (a.window_ms != b.window_ms) return "window_ms";
  if (a.drift_ppm != b.drift_ppm) return "drift_ppm";
  if (a.max_offset_ms != b.max_offset_ms) return "max_offset_ms";
  if (a.retention_seconds != b.retention_seconds) return "retention_seconds";
  if (a.max_bytes != b.max_bytes) return "max_bytes";
  return "";
}

}  // namespace

void Journal::ReplyJournal(const std::string& name, JournalOutcome::Code outcome,
                           JournalReply* reply) const {
  reply->set_outcome(outcome);
  if (const auto row = tables_.journals.Get(name)) FillState(name, *row, reply->mutable_journal());
}

Result<void> Journal::Create(const CreateRequest& request, WriteContext& context,
                             JournalReply* reply) {
  JournalRow row = RowOf(request);
  JournalOutcome::Code outcome = JournalOutcome::created;
  MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  if (const JournalRow* known = tables_.journals.Find(request.name())) {
    reply->set_field(Difference(*known, row));
    outcome = reply->field().empty() ? JournalOutcome::already_exists
                                     : JournalOutcome::exists_with_different_settings;
  } else if (meta.journals >= bounds::kJournalsMax) {
    outcome = JournalOutcome::too_many_journals;
  } else {
    meta.journals += 1;
    row.number = ++meta.last_number;
    row.created_us = context.now().us;
    tables_.meta.Put(kOnlyRow, meta);
    LevelRow level;
    level.name = request.name();
    tables_.levels.Put(row.number, std::move(level));
    tables_.journals.Put(request.name(), row);
  }
  ReplyJournal(request.name(), outcome, reply);
  return {};
}

Result<void> Journal::Update(const UpdateRequest& request, WriteContext& context,
                             JournalReply* reply) {
  const JournalRow* known = tables_.journals.Find(request.name());
  if (known == nullptr) {
    reply->set_outcome(JournalOutcome::journal_not_found);
    return {};
  }
  const JournalRow before = *known;
  const JournalRow after = Changed(before, request);
  if (!Difference(before, after).empty()) {
    LevelRow level = *tables_.levels.Find(before.number);
    // What was released stays so: a wider window holds nothing back that is older.
    level.watermark_us = Watermark(before, level, context.now().us);
    if (level.records > 0) Ring(context, before.number, context.now().us, &level);
    tables_.levels.Put(before.number, std::move(level));
    tables_.journals.Put(request.name(), after);
  }
  ReplyJournal(request.name(), JournalOutcome::updated, reply);
  return {};
}

Result<void> Journal::Delete(const DeleteRequest& request, WriteContext& context,
                             JournalReply* reply) {
  const JournalRow* known = tables_.journals.Find(request.name());
  if (known == nullptr) {
    reply->set_outcome(JournalOutcome::journal_not_found);
    return {};
  }
  const JournalNumber number = known->number;
  tables_.journals.Erase(request.name());
  MetaRow meta = *tables_.meta.Find(kOnlyRow);
  meta.journals -= 1;
  tables_.meta.Put(kOnlyRow, meta);
  Trash(context, number);
  context.Touch(TopicOf(number));
  reply->set_outcome(JournalOutcome::deleted);
  return {};
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.journal.Journal", std::make_unique<Journal>(registry.store()))
      .Write("Create", &Journal::Create, &Validate)
      .Write("Update", &Journal::Update, &Validate)
      .Write("Delete", &Journal::Delete)
      .Read("Get", &Journal::Get)
      .Read("List", &Journal::List)
      .Write("Append", &Journal::Append, &Validate)
      .Read("Follow", &Journal::Follow)
      .Read("Query", &Journal::Query, &Validate)
      .Read("GetSource", &Journal::GetSource)
      .Read("ListSources", &Journal::ListSources);
}

}  // namespace holdfast::journal

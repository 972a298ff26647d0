#include <limits>
#include <map>

#include "services/journal/describe.h"
#include "services/journal/journal.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/timestamp.h"

namespace holdfast::journal {
namespace {

Error NoJournal(const std::string& name) { return NotFound("there is no journal '" + name + "'"); }

// Whether it is the journal that the page before was of.
template <class Request>
bool IsMeant(const Request& request, const JournalRow& row) {
  return request.id() == 0 || request.id() == row.number;
}
template <class Request>
Error Another(const Request& request, const JournalRow& row) {
  return NotFound("the journal '" + request.journal() + "' with id " +
                  std::to_string(request.id()) + " is gone; this one has id " +
                  std::to_string(row.number));
}

size_t RowsOf(uint32_t limit) { return limit == 0 ? bounds::kPageRowsDefault : limit; }

// One page of records as it grows: bounded by records, by their bytes, and by what had to be looked
// at for it, as a read holds the store's shared lock.
template <class Reply>
class Page {
 public:
  Page(const Tables& tables, JournalNumber journal, uint32_t limit, Reply* reply)
      : tables_(tables), journal_(journal), limit_(RowsOf(limit)), reply_(reply) {}

  bool TakesMore() const {
    return static_cast<size_t>(reply_->records_size()) < limit_ &&
           bytes_ < bounds::kJournalPageBytesMax && looked_at_ < bounds::kJournalLookedRowsMax &&
           looked_bytes_ < bounds::kJournalLookedBytesMax;
  }
  // Adds a record if its body has the text in it.
  void Look(uint64_t number, SourceNumber source, Sequence sequence, const std::string& text) {
    auto row = tables_.records.Get({journal_, source, sequence});
    HOLDFAST_CHECK(row.has_value(), "journal: a record that is missing");
    ++looked_at_;
    looked_bytes_ += row->body.size();
    if (!text.empty() && row->body.find(text) == std::string::npos) return;
    Record* record = reply_->add_records();
    FillRecord(number, NameOf(source), sequence, *std::move(row), record);
    bytes_ += record->ByteSizeLong();
  }

 private:
  const std::string& NameOf(SourceNumber source) {
    auto [it, is_new] = names_.try_emplace(source);
    if (is_new) it->second = tables_.names.Get({journal_, source})->name;
    return it->second;
  }

  const Tables& tables_;
  const JournalNumber journal_;
  const size_t limit_;
  Reply* const reply_;
  std::map<SourceNumber, std::string> names_;
  size_t bytes_ = 0;
  size_t looked_at_ = 0;
  size_t looked_bytes_ = 0;
};

}  // namespace

void Journal::FillState(const std::string& name, const JournalRow& row, JournalState* state) const {
  const auto level = tables_.levels.Get(row.number);
  HOLDFAST_CHECK(level.has_value(), "a journal without a level: " + name);
  state->set_name(name);
  state->set_window_ms(row.window_ms);
  state->set_drift_ppm(row.drift_ppm);
  state->set_max_offset_ms(row.max_offset_ms);
  state->set_retention_seconds(row.retention_seconds);
  state->set_max_bytes(row.max_bytes);
  FillTime(row.created_us, state->mutable_created());
  state->set_records(level->records);
  state->set_waiting(level->waiting);
  state->set_bytes(level->bytes);
  state->set_released(level->released);
  state->set_removed(level->removed);
  state->set_late(level->late);
  state->set_sources(level->sources);
  state->set_id(row.number);
}

Result<void> Journal::Get(const GetRequest& request, const ReadContext& /*context*/,
                          JournalState* reply) const {
  const auto row = tables_.journals.Get(request.name());
  if (!row) return Fail(NoJournal(request.name()));
  FillState(request.name(), *row, reply);
  return {};
}

Result<void> Journal::List(const ListRequest& request, const ReadContext& /*context*/,
                           ListReply* reply) const {
  size_t left = RowsOf(request.limit());
  tables_.journals.Scan(request.cursor(), [&](const std::string& name, const JournalRow& row) {
    if (left == 0) {
      reply->set_next_cursor(name);
      return false;
    }
    --left;
    FillState(name, row, reply->add_journals());
    return true;
  });
  return {};
}

Result<void> Journal::Follow(const FollowRequest& request, const ReadContext& context,
                             FollowReply* reply) const {
  const auto row = tables_.journals.Get(request.journal());
  if (!row) return Fail(NoJournal(request.journal()));
  if (!IsMeant(request, *row)) return Fail(Another(request, *row));
  const auto level = tables_.levels.Get(row->number);
  reply->set_id(row->number);
  uint64_t after = request.after();
  if (after < level->removed) {
    reply->set_missed(level->removed - after);
    after = level->removed;
  }
  Page page(tables_, row->number, request.limit(), reply);
  if (after < level->released) {
    tables_.released.Scan({row->number, after + 1},
                          [&](const NumberKey& key, const ReleasedRow& released) {
                            const auto& [journal, number] = key;
                            if (journal != row->number || !page.TakesMore()) return false;
                            page.Look(number, released.place.source, released.place.sequence, "");
                            after = number;
                            return true;
                          });
  }
  reply->set_after(after);
  if (reply->records_size() == 0) context.WaitFor(TopicOf(row->number));
  return {};
}

Result<void> Journal::Query(const QueryRequest& request, const ReadContext& /*context*/,
                            QueryReply* reply) const {
  const auto row = tables_.journals.Get(request.journal());
  if (!row) return Fail(NoJournal(request.journal()));
  if (!IsMeant(request, *row)) return Fail(Another(request, *row));
  reply->set_id(row->number);
  const int64_t before_us =
      request.has_before() ? CeilingUs(request.before()) : std::numeric_limits<int64_t>::max();
  Place last{request.has_from() ? CeilingUs(request.from()) : std::numeric_limits<int64_t>::min(),
             0, 0};
  if (!request.cursor().empty()) last = std::max(last, *ParseCursor(request.cursor()));
  Page page(tables_, row->number, request.limit(), reply);
  // The number is known, or looked for.
  const auto visit = [&](const Place& place, const OrderRow* order) {
    if (place.corrected_us >= before_us) return false;
    if (!page.TakesMore()) {
      reply->set_next_cursor(CursorText(last));
      return false;
    }
    last = place;
    const uint64_t number =
        order != nullptr
            ? order->number
            : tables_.order.Get({row->number, place.corrected_us, place.source, place.sequence})
                  ->number;
    page.Look(number, place.source, place.sequence, request.text());
    return true;
  };
  // Where to go on if the steps were used up, by rows that were removed as well.
  const auto go_on_at = [&](const Place& next) {
    reply->set_next_cursor(CursorText({next.corrected_us, next.source, next.sequence - 1}));
  };
  if (request.source().empty()) {
    const auto rest = tables_.order.ScanWithin(
        {row->number, last.corrected_us, last.source, last.sequence + 1}, bounds::kPageStepsMax,
        [&](const OrderKey& key, const OrderRow& order) {
          const auto& [journal, corrected_us, source, sequence] = key;
          return journal == row->number && visit({corrected_us, source, sequence}, &order);
        });
    if (rest && std::get<0>(*rest) == row->number && std::get<1>(*rest) < before_us) {
      go_on_at({std::get<1>(*rest), std::get<2>(*rest), std::get<3>(*rest)});
    }
    return {};
  }
  const auto source = tables_.sources.Get({row->number, request.source()});
  if (!source) return {};
  const auto rest = tables_.of_source.ScanWithin(
      {row->number, source->number, last.corrected_us, last.sequence + 1}, bounds::kPageStepsMax,
      [&](const OfSourceKey& key, const NoRow&) {
        const auto& [journal, number, corrected_us, sequence] = key;
        return journal == row->number && number == source->number &&
               visit({corrected_us, number, sequence}, nullptr);
      });
  if (rest && std::get<0>(*rest) == row->number && std::get<1>(*rest) == source->number &&
      std::get<2>(*rest) < before_us) {
    go_on_at({std::get<2>(*rest), std::get<1>(*rest), std::get<3>(*rest)});
  }
  return {};
}

Result<void> Journal::GetSource(const GetSourceRequest& request, const ReadContext& /*context*/,
                                Source* reply) const {
  const auto row = tables_.journals.Get(request.journal());
  if (!row) return Fail(NoJournal(request.journal()));
  const auto source = tables_.sources.Get({row->number, request.source()});
  if (!source) return Fail(NotFound("there is no source '" + request.source() + "'"));
  FillSource(request.source(), *source, row->drift_ppm, reply);
  return {};
}

Result<void> Journal::ListSources(const ListSourcesRequest& request, const ReadContext& /*context*/,
                                  ListSourcesReply* reply) const {
  const auto row = tables_.journals.Get(request.journal());
  if (!row) return Fail(NoJournal(request.journal()));
  size_t left = RowsOf(request.limit());
  tables_.sources.Scan({row->number, request.cursor()},
                       [&](const SourceKey& key, const SourceRow& source) {
                         const auto& [journal, name] = key;
                         if (journal != row->number) return false;
                         if (left == 0) {
                           reply->set_next_cursor(name);
                           return false;
                         }
                         --left;
                         FillSource(name, source, row->drift_ppm, reply->add_sources());
                         return true;
                       });
  return {};
}

}  // namespace holdfast::journal

#include "services/journal/model.h"

#include <algorithm>
#include <tuple>

#include "services/journal/describe.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::journal {
namespace {

__extension__ using Wide = __int128;

constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;

template <class Request>
void Settle(const Request& request, JournalState* settings) {
  if (request.window_ms() != 0) settings->set_window_ms(request.window_ms());
  if (request.drift_ppm() != 0) settings->set_drift_ppm(request.drift_ppm());
  if (request.max_offset_ms() != 0) settings->set_max_offset_ms(request.max_offset_ms());
  if (request.retention_seconds() != 0) {
    settings->set_retention_seconds(request.retention_seconds());
  }
  if (request.max_bytes() != 0) settings->set_max_bytes(request.max_bytes());
}

std::string Difference(const JournalState& a, const JournalState& b) {
  if (a.window_ms() != b.window_ms()) return "window_ms";
  if (a.drift_ppm() != b.drift_ppm()) return "drift_ppm";
  if (a.max_offset_ms() != b.max_offset_ms()) return "max_offset_ms";
  if (a.retention_seconds() != b.retention_seconds()) return "retention_seconds";
  if (a.max_bytes() != b.max_bytes()) return "max_bytes";
  return "";
}

JournalState Asked(const CreateRequest& request) {
  JournalState settings;
  settings.set_name(request.name());
  settings.set_window_ms(2'000);
  settings.set_drift_ppm(500);
  settings.set_max_offset_ms(3'600'000);
  settings.set_retention_seconds(604'800);
  settings.set_max_bytes(1 << 30);
  Settle(request, &settings);
  return settings;
}

}  // namespace

uint64_t Model::Entry::bytes() const { return record.body().size() + 128; }

int64_t Model::WatermarkOf(const Book& book) const {
  return std::max(book.watermark, now_ - book.settings.window_ms() * kMs);
}

// --- What comes with time

void Model::PassTo(int64_t now_us) {
  now_ = now_us;
  for (auto& [name, book] : books_) {
    if (book.sweep_at && *book.sweep_at <= now_) Sweep(book);
  }
}

// A sweep at `due`, or at the one that is planned if that is earlier; not within 5 ms.
void Model::SweepBy(Book& book, int64_t due) {
  due = std::max(due, now_ + 5 * kMs);
  if (!book.sweep_at || due < *book.sweep_at) book.sweep_at = due;
}

void Model::SortByTime(std::vector<const Entry*>* entries) {
  std::sort(entries->begin(), entries->end(), [](const Entry* a, const Entry* b) {
    return std::make_tuple(a->corrected, a->source, a->record.sequence()) <
           std::make_tuple(b->corrected, b->source, b->record.sequence());
  });
}

const Model::Entry* Model::Numbered(const Book& book, uint64_t number) {
  for (const Entry& entry : book.entries) {
    if (entry.record.number() == number) return &entry;
  }
  return nullptr;
}

bool Model::Waits(const Entry& entry) { return entry.record.number() == 0; }

// Everything before `watermark` was looked at.
void Model::SweptTo(Book& book, int64_t watermark) {
  if (watermark <= book.swept_corrected) return;
  book.swept_corrected = watermark;
  book.swept_source = 0;
  book.swept_sequence = 0;
}

void Model::Sweep(Book& book) {
  book.sweep_at.reset();
  std::optional<int64_t> next;
  // Releases: the next 512 places in the order of time, as far as the watermark has come.
  if (std::any_of(book.entries.begin(), book.entries.end(), Waits)) {
    bool all = true;
    std::vector<const Entry*> ahead;
    for (const Entry& entry : book.entries) {
      if (std::make_tuple(entry.corrected, entry.source, entry.record.sequence()) >
          std::make_tuple(book.swept_corrected, book.swept_source, book.swept_sequence)) {
        ahead.push_back(&entry);
      }
    }
    SortByTime(&ahead);
    for (size_t i = 0; i < ahead.size(); ++i) {
      auto* entry = const_cast<Entry*>(ahead[i]);
      if (entry->corrected >= WatermarkOf(book)) {
        next = entry->corrected + book.settings.window_ms() * kMs + 1;
        break;
      }
      if (i == 512) {
        all = false;
        next = now_;
        break;
      }
      if (Waits(*entry)) entry->record.set_number(++book.released);
      book.swept_corrected = entry->corrected;
      book.swept_source = entry->source;
      book.swept_sequence = entry->record.sequence();
    }
    if (all) SweptTo(book, WatermarkOf(book));
  }
  // Removals: the 512 with the least numbers, as far as they are too old or too much.
  for (int i = 0; book.removed < book.released; ++i) {
    const Entry* oldest = Numbered(book, book.removed + 1);
    const int64_t ends =
        oldest->stamped + static_cast<int64_t>(book.settings.retention_seconds()) * kSecond;
    uint64_t bytes = 0;
    for (const Entry& entry : book.entries) bytes += entry.bytes();
    const bool goes = bytes > book.settings.max_bytes() || ends <= now_;
    if (!goes || i == 512) {
      const int64_t due = i == 512 ? now_ : ends;
      next = std::min(next.value_or(due), due);
      break;
    }
    book.entries.erase(book.entries.begin() + (oldest - book.entries.data()));
    ++book.removed;
  }
  if (next) SweepBy(book, *next);
}

// --- Journals

JournalReply Model::Told(JournalOutcome::Code outcome, const std::string& name) const {
  JournalReply reply;
  reply.set_outcome(outcome);
  const auto found = books_.find(name);
  if (found != books_.end()) *reply.mutable_journal() = StateOf(found->second);
  return reply;
}

JournalState Model::StateOf(const Book& book) {
  JournalState state = book.settings;
  uint64_t waiting = 0;
  uint64_t bytes = 0;
  for (const Entry& entry : book.entries) {
    if (entry.record.number() == 0) ++waiting;
    bytes += entry.bytes();
  }
  state.set_records(book.entries.size());
  state.set_waiting(waiting);
  state.set_bytes(bytes);
  state.set_released(book.released);
  state.set_removed(book.removed);
  state.set_late(book.late);
  state.set_sources(static_cast<uint32_t>(book.sources.size()));
  return state;
}

JournalReply Model::Create(const CreateRequest& request) {
  JournalState settings = Asked(request);
  const auto found = books_.find(request.name());
  if (found != books_.end()) {
    const std::string field = Difference(found->second.settings, settings);
    JournalReply reply = Told(field.empty() ? JournalOutcome::already_exists
                                            : JournalOutcome::exists_with_different_settings,
                              request.name());
    reply.set_field(field);
    return reply;
  }
  if (books_.size() >= bounds::kJournalsMax) {
    return Told(JournalOutcome::too_many_journals, request.name());
  }
  FillTime(now_, settings.mutable_created());
  settings.set_id(++created_);
  books_[request.name()].settings = settings;
  return Told(JournalOutcome::created, request.name());
}

JournalReply Model::Update(const UpdateRequest& request) {
  const auto found = books_.find(request.name());
  if (found == books_.end()) return Told(JournalOutcome::journal_not_found, request.name());
  Book& book = found->second;
  JournalState settings = book.settings;
  Settle(request, &settings);
  if (!Difference(settings, book.settings).empty()) {
    book.watermark = WatermarkOf(book);
    book.settings = settings;
    if (!book.entries.empty()) SweepBy(book, now_);
  }
  return Told(JournalOutcome::updated, request.name());
}

JournalReply Model::Delete(const DeleteRequest& request) {
  const bool known = books_.erase(request.name()) > 0;
  JournalReply reply;
  reply.set_outcome(known ? JournalOutcome::deleted : JournalOutcome::journal_not_found);
  return reply;
}

// --- Clocks

// A bound loses what a clock of this drift may have gone wrong between the two readings.
int64_t Model::Widened(const Bound& bound, int64_t at, uint32_t ppm) {
  const Wide apart = at > bound.at ? at - bound.at : bound.at - at;
  const Wide product = apart * ppm;
  const Wide per = 1'000'000 - static_cast<int64_t>(ppm);
  return static_cast<int64_t>(product / per + (product % per != 0 ? 1 : 0));
}

void Model::LearnFrom(const AppendRequest& request, const Book& book, Clock* clock) const {
  const uint32_t ppm = book.settings.drift_ppm();
  std::optional<Bound> new_least;
  std::optional<Bound> new_most;
  if (request.has_previous() && clock->batch > 0 && request.previous().batch() == clock->batch) {
    const int64_t received = CeilingUs(request.previous().received_time());
    new_least = Bound{received, clock->stamped - received};
  }
  if (request.has_sent_time()) {
    const int64_t sent = FloorUs(request.sent_time());
    new_most = Bound{sent, now_ - sent};
  }
  const auto agree = [ppm](const std::optional<Bound>& least, const std::optional<Bound>& most) {
    return !least || !most || least->offset <= most->offset + Widened(*least, most->at, ppm);
  };
  // One is rounded up, the other down.
  const bool back = new_least && new_most && new_most->at + 1 < new_least->at;
  const bool new_agree = !back && agree(new_least, new_most);
  if (!new_agree || !agree(clock->at_least, clock->at_most) || !agree(clock->at_least, new_most) ||
      !agree(new_least, clock->at_most)) {
    ++clock->jumps;
    clock->last_jump = now_;
    clock->at_least = new_agree ? new_least : std::nullopt;
    clock->at_most = new_most;
  } else {
    if (new_least && (!clock->at_least ||
                      clock->at_least->offset - Widened(*clock->at_least, new_least->at, ppm) <
                          new_least->offset)) {
      clock->at_least = new_least;
    }
    if (new_most &&
        (!clock->at_most ||
         clock->at_most->offset + Widened(*clock->at_most, new_most->at, ppm) > new_most->offset)) {
      clock->at_most = new_most;
    }
  }
  ++clock->batch;
  clock->stamped = now_;
}

void Model::Correct(const Book& book, const Clock& clock, Entry* entry) const {
  if (!entry->record.has_time()) {
    entry->corrected = now_;
    entry->record.set_correction(Correction::no_time);
    FillTime(now_, entry->record.mutable_corrected());
    return;
  }
  const uint32_t ppm = book.settings.drift_ppm();
  const auto most_us = static_cast<int64_t>(book.settings.max_offset_ms()) * kMs;
  const int64_t time = FloorUs(entry->record.time());
  std::optional<int64_t> least, most;
  if (clock.at_least) least = clock.at_least->offset - Widened(*clock.at_least, time, ppm);
  if (clock.at_most) most = clock.at_most->offset + Widened(*clock.at_most, time, ppm);
  int64_t offset = 0;
  Correction::Code how = Correction::none;
  if (least && most) {
    how = Correction::bounded;
    offset = *least + (*most - *least) / 2;
  } else if (least) {
    how = Correction::one_sided;
    offset = *least > 0 ? *least : 0;
  } else if (most) {
    how = Correction::one_sided;
    offset = *most < 0 ? *most : 0;
  }
  if (offset > most_us || -offset > most_us) {
    how = Correction::too_far;
    offset = 0;
  } else if (least && time + *least > now_) {
    how = Correction::contradicted;
    offset = now_ - time;
  }
  entry->corrected = std::min(time + offset, now_);
  if (how == Correction::bounded) {
    entry->record.set_error_us(static_cast<uint64_t>(*most - offset));
  }
  entry->record.set_correction(how);
  FillTime(entry->corrected, entry->record.mutable_corrected());
}

Offset Model::OffsetOf(const Clock& clock, uint32_t ppm) {
  Offset offset;
  if (clock.at_least) {
    offset.set_lower_us(clock.at_least->offset);
    FillTime(clock.at_least->at, offset.mutable_lower_at());
  }
  if (clock.at_most) {
    offset.set_upper_us(clock.at_most->offset);
    FillTime(clock.at_most->at, offset.mutable_upper_at());
  }
  if (clock.at_least && clock.at_most) {
    const int64_t at = std::max(clock.at_least->at, clock.at_most->at);
    const int64_t least = clock.at_least->offset - Widened(*clock.at_least, at, ppm);
    const int64_t most = clock.at_most->offset + Widened(*clock.at_most, at, ppm);
    if (least <= most) {
      offset.set_offset_us(least + (most - least) / 2);
      offset.set_error_us(most - offset.offset_us());
    }
  }
  return offset;
}

Source Model::SourceOf(const Clock& clock, uint32_t ppm) {
  Source source;
  source.set_source(clock.name);
  source.set_last_sequence(clock.last_sequence);
  source.set_batch(clock.batch);
  FillTime(clock.stamped, source.mutable_stamped());
  *source.mutable_offset() = OffsetOf(clock, ppm);
  source.set_jumps(clock.jumps);
  if (clock.jumps > 0) FillTime(clock.last_jump, source.mutable_last_jump());
  source.set_late(clock.late);
  return source;
}

// --- Records

AppendReply Model::Append(const AppendRequest& request) {
  AppendReply reply;
  const auto found = books_.find(request.journal());
  if (found == books_.end()) {
    reply.set_outcome(AppendOutcome::journal_not_found);
    return reply;
  }
  Book& book = found->second;
  size_t at = 0;
  while (at < book.sources.size() && book.sources[at].name != request.source()) ++at;
  const bool known = at < book.sources.size();
  if (!known && book.sources.size() >= bounds::kJournalSourcesMax) {
    reply.set_outcome(AppendOutcome::too_many_sources);
    return reply;
  }
  Clock clock;
  clock.name = request.source();
  if (known) clock = book.sources[at];
  const uint64_t first =
      request.first_sequence() == 0 ? clock.last_sequence + 1 : request.first_sequence();
  if (request.records_size() > 0) {
    if (first > clock.last_sequence + 1) {
      reply.set_outcome(AppendOutcome::out_of_order);
      reply.set_expected_sequence(clock.last_sequence + 1);
      return reply;
    }
    for (int i = 0; i < request.records_size(); ++i) {
      bool kept = false;
      for (const Entry& entry : book.entries) {
        if (entry.source != at || entry.record.sequence() != first + static_cast<uint64_t>(i)) {
          continue;
        }
        kept = true;
        const bool other_time = entry.record.has_time() != request.records(i).has_time() ||
                                FloorUs(entry.record.time()) != FloorUs(request.records(i).time());
        if (!other_time && entry.record.body() == request.records(i).body()) continue;
        reply.set_outcome(AppendOutcome::different_record);
        reply.set_sequence(entry.record.sequence());
        reply.set_field(other_time ? "time" : "body");
        reply.clear_unverified();
        return reply;
      }
      if (!kept && first + static_cast<uint64_t>(i) <= clock.last_sequence) {
        reply.set_unverified(reply.unverified() + 1);
      }
    }
  }
  const auto tell = [&](AppendOutcome::Code outcome) {
    reply.set_outcome(outcome);
    if (request.records_size() > 0) {
      reply.set_first_sequence(first);
      reply.set_last_sequence(first + static_cast<uint64_t>(request.records_size()) - 1);
    }
    reply.set_batch(clock.batch);
    FillTime(clock.stamped, reply.mutable_stamped());
    *reply.mutable_offset() = OffsetOf(clock, book.settings.drift_ppm());
  };
  const uint64_t last = first + static_cast<uint64_t>(request.records_size()) - 1;
  if (request.records_size() > 0 && last <= clock.last_sequence) {
    tell(AppendOutcome::already_appended);
    return reply;
  }
  uint64_t bytes = 0;
  for (const Entry& entry : book.entries) {
    if (entry.record.number() == 0) bytes += entry.bytes();
  }
  for (int i = 0; i < request.records_size(); ++i) {
    if (first + static_cast<uint64_t>(i) > clock.last_sequence) {
      bytes += request.records(i).body().size() + 128;
    }
  }
  if (request.records_size() > 0 && bytes > book.settings.max_bytes()) {
    reply.set_outcome(AppendOutcome::too_much_waiting);
    reply.clear_unverified();
    return reply;
  }

  LearnFrom(request, book, &clock);
  std::optional<int64_t> due;
  for (int i = 0; i < request.records_size(); ++i) {
    const uint64_t sequence = first + static_cast<uint64_t>(i);
    if (sequence <= clock.last_sequence) continue;
    clock.last_sequence = sequence;
    Entry entry;
    entry.source = at;
    entry.stamped = now_;
    entry.record.set_source(request.source());
    entry.record.set_sequence(sequence);
    if (request.records(i).has_time()) {
      FillTime(FloorUs(request.records(i).time()), entry.record.mutable_time());
    }
    FillTime(now_, entry.record.mutable_stamped());
    entry.record.set_body(request.records(i).body());
    Correct(book, clock, &entry);
    if (std::none_of(book.entries.begin(), book.entries.end(), Waits) &&
        entry.corrected >= WatermarkOf(book)) {
      SweptTo(book, WatermarkOf(book));
    }
    int64_t wanted = entry.corrected + book.settings.window_ms() * kMs + 1;
    if (entry.corrected < WatermarkOf(book)) {
      entry.record.set_late(true);
      entry.record.set_number(++book.released);
      ++book.late;
      ++clock.late;
      reply.set_late(reply.late() + 1);
      wanted = now_ + static_cast<int64_t>(book.settings.retention_seconds()) * kSecond;
    }
    due = std::min(due.value_or(wanted), wanted);
    book.entries.push_back(entry);
    reply.set_appended(reply.appended() + 1);
  }
  if (StateOf(book).bytes() > book.settings.max_bytes()) due = now_;
  if (due) SweepBy(book, *due);
  if (known) {
    book.sources[at] = clock;
  } else {
    book.sources.push_back(clock);
  }
  tell(request.records_size() == 0 ? AppendOutcome::exchanged : AppendOutcome::appended);
  return reply;
}

// --- Reads

std::optional<JournalState> Model::Get(const GetRequest& request) const {
  const auto found = books_.find(request.name());
  if (found == books_.end()) return std::nullopt;
  return StateOf(found->second);
}

ListReply Model::List(const ListRequest& request) const {
  ListReply reply;
  const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
  for (const auto& [name, book] : books_) {
    if (name < request.cursor()) continue;
    if (reply.journals_size() == limit) {
      reply.set_next_cursor(name);
      break;
    }
    *reply.add_journals() = StateOf(book);
  }
  return reply;
}

std::optional<FollowReply> Model::Follow(const FollowRequest& request) const {
  const auto found = books_.find(request.journal());
  if (found == books_.end()) return std::nullopt;
  const Book& book = found->second;
  if (request.id() != 0 && request.id() != book.settings.id()) return std::nullopt;
  const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
  FollowReply reply;
  reply.set_id(book.settings.id());
  uint64_t after = request.after();
  if (after < book.removed) {
    reply.set_missed(book.removed - after);
    after = book.removed;
  }
  size_t bytes = 0;
  size_t looked = 0;
  while (after < book.released && reply.records_size() < limit &&
         bytes < bounds::kJournalPageBytesMax && looked < bounds::kJournalLookedBytesMax) {
    const Record& record = Numbered(book, after + 1)->record;
    *reply.add_records() = record;
    bytes += record.ByteSizeLong();
    looked += record.body().size();
    ++after;
  }
  reply.set_after(after);
  return reply;
}

std::optional<QueryReply> Model::Query(const QueryRequest& request) const {
  const auto found = books_.find(request.journal());
  if (found == books_.end()) return std::nullopt;
  const Book& book = found->second;
  const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
  if (request.id() != 0 && request.id() != book.settings.id()) return std::nullopt;
  QueryReply reply;
  reply.set_id(book.settings.id());
  std::vector<const Entry*> wanted;
  for (const Entry& entry : book.entries) {
    if (!request.source().empty() && entry.record.source() != request.source()) continue;
    if (request.has_from() && entry.corrected < CeilingUs(request.from())) continue;
    if (request.has_before() && entry.corrected >= CeilingUs(request.before())) continue;
    wanted.push_back(&entry);
  }
  SortByTime(&wanted);
  size_t bytes = 0;
  size_t looked = 0;
  size_t looked_bytes = 0;
  std::string last;
  for (const Entry* entry : wanted) {
    const Place place{entry->corrected, entry->source + 1, entry->record.sequence()};
    if (!request.cursor().empty() && place <= *ParseCursor(request.cursor())) continue;
    if (reply.records_size() == limit || bytes >= bounds::kJournalPageBytesMax ||
        looked == bounds::kJournalLookedRowsMax || looked_bytes >= bounds::kJournalLookedBytesMax) {
      reply.set_next_cursor(last);
      break;
    }
    last = CursorText(place);
    ++looked;
    looked_bytes += entry->record.body().size();
    if (entry->record.body().find(request.text()) == std::string::npos) continue;
    *reply.add_records() = entry->record;
    bytes += entry->record.ByteSizeLong();
  }
  return reply;
}

std::optional<Source> Model::GetSource(const GetSourceRequest& request) const {
  const auto found = books_.find(request.journal());
  if (found == books_.end()) return std::nullopt;
  for (const Clock& clock : found->second.sources) {
    if (clock.name == request.source()) {
      return SourceOf(clock, found->second.settings.drift_ppm());
    }
  }
  return std::nullopt;
}

std::optional<ListSourcesReply> Model::ListSources(const ListSourcesRequest& request) const {
  const auto found = books_.find(request.journal());
  if (found == books_.end()) return std::nullopt;
  const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
  std::map<std::string, const Clock*> by_name;
  for (const Clock& clock : found->second.sources) by_name[clock.name] = &clock;
  ListSourcesReply reply;
  for (const auto& [name, clock] : by_name) {
    if (name < request.cursor()) continue;
    if (reply.sources_size() == limit) {
      reply.set_next_cursor(name);
      break;
    }
    *reply.add_sources() = SourceOf(*clock, found->second.settings.drift_ppm());
  }
  return reply;
}

std::vector<std::string> Model::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, book] : books_) names.push_back(name);
  return names;
}

}  // namespace holdfast::journal

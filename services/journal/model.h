// Journals in the plainest words: each is a list of records, looked through from the beginning for
// everything.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/journal/journal.pb.h"

namespace holdfast::journal {

class Model {
 public:
  // An entry of this time begins: what was to happen by then happens.
  void PassTo(int64_t now_us);

  // --- Writes
  JournalReply Create(const CreateRequest& request);
  JournalReply Update(const UpdateRequest& request);
  JournalReply Delete(const DeleteRequest& request);
  AppendReply Append(const AppendRequest& request);

  // --- Reads; nothing: there is no such journal, or source.
  std::optional<JournalState> Get(const GetRequest& request) const;
  ListReply List(const ListRequest& request) const;
  std::optional<FollowReply> Follow(const FollowRequest& request) const;
  std::optional<QueryReply> Query(const QueryRequest& request) const;
  std::optional<Source> GetSource(const GetSourceRequest& request) const;
  std::optional<ListSourcesReply> ListSources(const ListSourcesRequest& request) const;

  std::vector<std::string> Names() const;

 private:
  // Of an offset: it was at least, or at most, so much when the clock said `at`.
  struct Bound {
    int64_t at = 0;
    int64_t offset = 0;
  };
  struct Clock {
    std::string name;
    uint64_t last_sequence = 0;
    uint64_t batch = 0;
    int64_t stamped = 0;
    std::optional<Bound> at_least;
    std::optional<Bound> at_most;
    uint64_t jumps = 0;
    int64_t last_jump = 0;
    uint64_t late = 0;
  };
  struct Entry {
    size_t source = 0;  // Of the list below.
    Record record;      // As callers see it.
    int64_t corrected = 0;
    int64_t stamped = 0;
    uint64_t bytes() const;
  };
  struct Book {
    JournalState settings;  // As callers see it, without the counts.
    std::vector<Clock> sources;
    std::vector<Entry> entries;  // That are kept.
    uint64_t released = 0;
    uint64_t removed = 0;
    uint64_t late = 0;
    int64_t watermark = 0;  // From before the window was changed.
    // Entries at or before this place were looked at by a sweep.
    int64_t swept_corrected = 0;
    size_t swept_source = 0;
    uint64_t swept_sequence = 0;
    std::optional<int64_t> sweep_at;
  };

  static int64_t Widened(const Bound& bound, int64_t at, uint32_t ppm);
  static Offset OffsetOf(const Clock& clock, uint32_t ppm);
  static Source SourceOf(const Clock& clock, uint32_t ppm);
  static JournalState StateOf(const Book& book);
  int64_t WatermarkOf(const Book& book) const;
  void SweepBy(Book& book, int64_t due);
  static bool Waits(const Entry& entry);
  static void SweptTo(Book& book, int64_t watermark);
  void Sweep(Book& book);
  static void SortByTime(std::vector<const Entry*>* entries);
  static const Entry* Numbered(const Book& book, uint64_t number);
  void LearnFrom(const AppendRequest& request, const Book& book, Clock* clock) const;
  void Correct(const Book& book, const Clock& clock, Entry* entry) const;
  JournalReply Told(JournalOutcome::Code outcome, const std::string& name) const;

  std::map<std::string, Book> books_;
  uint64_t created_ = 0;  // Books, ever.
  int64_t now_ = 0;
};

}  // namespace holdfast::journal

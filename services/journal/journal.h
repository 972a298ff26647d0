// The journal service: its methods, as journal.proto declares them. README.md is the reference
// page.
//
// Writes run on the apply thread; reads on any thread under the store's shared lock. Nothing of a
// journal is in memory but the rows that the store keeps there. An append does a bounded amount of
// work for each of its records; what comes with time (releases, removals, a deleted journal) is
// done portion by portion by timers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/journal/journal.pb.h"
#include "services/journal/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::journal {

using state_machine::ReadContext;
using state_machine::WriteContext;

class Journal : public state_machine::Service {
 public:
  explicit Journal(store::Store& store) : tables_(store) {}

  // --- Journals (journal.cc)
  Result<void> Create(const CreateRequest& request, WriteContext& context, JournalReply* reply);
  Result<void> Update(const UpdateRequest& request, WriteContext& context, JournalReply* reply);
  Result<void> Delete(const DeleteRequest& request, WriteContext& context, JournalReply* reply);

  // --- Records (append.cc)
  Result<void> Append(const AppendRequest& request, WriteContext& context, AppendReply* reply);

  // --- Reads (reads.cc)
  Result<void> Get(const GetRequest& request, const ReadContext& context,
                   JournalState* reply) const;
  Result<void> List(const ListRequest& request, const ReadContext& context, ListReply* reply) const;
  Result<void> Follow(const FollowRequest& request, const ReadContext& context,
                      FollowReply* reply) const;
  Result<void> Query(const QueryRequest& request, const ReadContext& context,
                     QueryReply* reply) const;
  Result<void> GetSource(const GetSourceRequest& request, const ReadContext& context,
                         Source* reply) const;
  Result<void> ListSources(const ListSourcesRequest& request, const ReadContext& context,
                           ListSourcesReply* reply) const;

  // Releases, removes, sweeps away what was deleted (sweep.cc).
  void OnTimer(WriteContext& context, std::string_view key) override;
  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

 private:
  void ReplyJournal(const std::string& name, JournalOutcome::Code outcome,
                    JournalReply* reply) const;
  void FillState(const std::string& name, const JournalRow& row, JournalState* state) const;

  // What of a batch is there already, and why it cannot be appended, if so.
  AppendOutcome::Code Compare(const AppendRequest& request, JournalNumber journal,
                              const SourceRow& source, AppendReply* reply);
  // What the batch tells of the source's clock.
  void LearnFrom(const AppendRequest& request, const JournalRow& journal, int64_t now_us,
                 SourceRow* source);
  // Puts one record where it belongs; one that is late is released at once. Returns when a sweep
  // has something to do for it.
  int64_t Enter(const JournalRow& journal, const NewRecord& record, Sequence sequence,
                int64_t now_us, SourceRow* source, LevelRow* level, AppendReply* reply);

  // Records with a corrected time below this are released, or late.
  static int64_t Watermark(const JournalRow& journal, const LevelRow& level, int64_t now_us);
  // Sees to it that a sweep of the journal comes at `due_us`, or earlier.
  static void Ring(WriteContext& context, JournalNumber number, int64_t due_us, LevelRow* level);
  void Sweep(WriteContext& context, JournalNumber number);
  // Each does a portion, and returns when there is more to do; kNever: not before more comes.
  int64_t Release(const JournalRow& journal, WriteContext& context, LevelRow* level);
  int64_t Remove(const JournalRow& journal, WriteContext& context, LevelRow* level);
  void GiveNumber(JournalNumber journal, const Place& place, OrderRow row, LevelRow* level);
  void EraseRecord(JournalNumber journal, const Place& place);
  // Leaves all that has the number to the sweep.
  void Trash(WriteContext& context, JournalNumber number);
  void SweepTrash(WriteContext& context, JournalNumber number);

  Tables tables_;
};

std::string TopicOf(JournalNumber number);  // Of those who follow it.

}  // namespace holdfast::journal

// The queue service: its methods, as queues.proto declares them. README.md is the reference page.
//
// Writes run on the apply thread; reads on any thread under the store's shared lock. Nothing of a
// queue is in memory but the rows that the store keeps there, and no write does more than a bounded
// amount of work: what is larger (a purge, a deleted group) is done bit by bit by timers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/queues/delivery.h"
#include "services/queues/queues.pb.h"
#include "services/queues/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::queues {

using state_machine::ReadContext;
using state_machine::WriteContext;

class Queues : public state_machine::Service {
 public:
  explicit Queues(store::Store& store) : tables_(store) {}

  // --- Queues and groups (queues.cc)
  Result<void> Create(const CreateRequest& request, WriteContext& context, QueueReply* reply);
  Result<void> Update(const UpdateRequest& request, WriteContext& context, QueueReply* reply);
  Result<void> Delete(const DeleteRequest& request, WriteContext& context, QueueReply* reply);
  Result<void> Purge(const PurgeRequest& request, WriteContext& context, QueueReply* reply);
  Result<void> CreateGroup(const CreateGroupRequest& request, WriteContext& context,
                           QueueReply* reply);
  Result<void> DeleteGroup(const DeleteGroupRequest& request, WriteContext& context,
                           QueueReply* reply);

  // --- Publishing (publish.cc)
  Result<void> Publish(const PublishRequest& request, WriteContext& context, PublishReply* reply);
  Result<void> PublishBatch(const PublishBatchRequest& request, WriteContext& context,
                            PublishBatchReply* reply);
  Result<void> Push(const PushRequest& request, WriteContext& context, PublishReply* reply);

  // --- Delivery (consume.cc)
  Result<void> Pull(const PullRequest& request, WriteContext& context, PullReply* reply);
  Result<void> AwaitPull(const PullRequest& request, const ReadContext& context,
                         PullReply* reply) const;
  Result<void> Pop(const PopRequest& request, WriteContext& context, PullReply* reply);
  Result<void> Ack(const AckRequest& request, WriteContext& context, AckReply* reply);
  Result<void> Nack(const NackRequest& request, WriteContext& context, AckReply* reply);
  Result<void> Extend(const ExtendRequest& request, WriteContext& context, AckReply* reply);
  Result<void> Redrive(const RedriveRequest& request, WriteContext& context, RedriveReply* reply);

  // --- Reads (reads.cc)
  Result<void> Get(const GetRequest& request, const ReadContext& context, Queue* reply) const;
  Result<void> List(const ListRequest& request, const ReadContext& context, ListReply* reply) const;
  Result<void> Peek(const PeekRequest& request, const ReadContext& context, PeekReply* reply) const;
  Result<void> Stats(const StatsRequest& request, const ReadContext& context,
                     StatsReply* reply) const;

  // Ends delays and deliveries, forgets ids, goes on with what is done bit by bit (sweep.cc).
  void OnTimer(WriteContext& context, std::string_view key) override;
  std::optional<std::string> CheckInvariants() const override;

 private:
  std::optional<QueueRow> FindQueue(const std::string& name);
  // A new queue of these properties; false when no further one fits.
  bool NewQueue(const CreateRequest& request, int64_t now_us);
  void NewNumber(const std::string& name, QueueRow* queue, Sequence last);
  void Feed(const std::string& dead_letter, bool more);
  void ReplyQueue(const std::string& name, QueueOutcome::Code outcome, QueueReply* reply) const;
  void FillQueue(const std::string& name, const QueueRow& row, Queue* queue) const;

  template <class Request>
  void PublishOne(const QueueRow& queue, const Request& request, Delivery& delivery,
                  WriteContext& context, PublishReply* reply);

  struct Reader {
    PullOutcome::Code refused = PullOutcome::unspecified;
    const QueueRow* queue = nullptr;
    const GroupEntry* group = nullptr;
    uint64_t place = 0;
  };
  static Reader ReaderOf(const PullRequest& request, const QueueRow* queue);
  void FillTaken(const QueueRow& queue, const GroupEntry& group, Delivery::Taken taken,
                 int64_t visible_us, Message* message) const;
  // For each delivery that is out in time: `act`; for the others `expired`.
  template <class Request, class Act>
  void ForEach(const Request& request, WriteContext& context, AckReply* reply, Act act);

  void SweepGroup(WriteContext& context, const GroupSweep& sweep);
  void SweepPlaces(WriteContext& context, const ReadyKey& from);
  // Leaves a number of a queue, with all that has it, to the sweep.
  void Trash(QueueNumber number, const QueueRow& queue, WriteContext& context);
  void SweepTrash(WriteContext& context, const MessageKey& from);
  void ErasePlaces(QueueNumber number, GroupNumber group);
  void SweepMessages(const TrashRow& trash, QueueNumber number,
                     const std::vector<std::pair<Sequence, MessageRow>>& messages,
                     WriteContext& context);

  Tables tables_;
  Moved moved_;
};

}  // namespace holdfast::queues

// What the queues must do, in the plainest words: every group has a list of the messages that it
// is not done with, in order, and a line in which keys stand that have something to give. The tests
// run this and the service, and compare.
//
// The times of requests are given with them, and PassTo with each entry's before. A delivery lasts
// by lease time, all else by the log's. It knows no `data` and no bounds of bytes, deliveries and
// groups; Update changes partitions only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "services/queues/queues.pb.h"
#include "services/sessions/moment.h"

namespace holdfast::queues {

class Model {
 public:
  using Moment = sessions::Moment;

  // An entry of the log begins: everything that is due happens, in the order of time.
  void PassTo(const Moment& at);

  QueueReply Create(const CreateRequest& request, int64_t now_us);
  QueueReply Update(const UpdateRequest& request, int64_t now_us);
  QueueReply Delete(const DeleteRequest& request, int64_t now_us);
  QueueReply CreateGroup(const CreateGroupRequest& request, int64_t now_us);
  QueueReply DeleteGroup(const DeleteGroupRequest& request, int64_t now_us);
  QueueReply Purge(const PurgeRequest& request, int64_t now_us);
  PublishReply Publish(const PublishRequest& request, int64_t now_us);
  PublishBatchReply PublishBatch(const PublishBatchRequest& request, int64_t now_us);
  PublishReply Push(const PushRequest& request, int64_t now_us);
  PullReply Pull(const PullRequest& request, int64_t now_us);
  PullReply Pop(const PopRequest& request, int64_t now_us);
  AckReply Ack(const AckRequest& request, int64_t now_us);
  AckReply Nack(const NackRequest& request, int64_t now_us);
  AckReply Extend(const ExtendRequest& request, int64_t now_us);
  RedriveReply Redrive(const RedriveRequest& request, int64_t now_us);

  // Nothing: there is no such queue.
  std::optional<Queue> Get(const GetRequest& request) const;
  ListReply List(const ListRequest& request) const;
  std::optional<StatsReply> Stats(const StatsRequest& request) const;
  std::optional<PeekReply> Peek(const PeekRequest& request) const;
  PullReply Await(const PullRequest& request) const;

 private:
  // Where a dead letter comes from.
  struct Origin {
    DeadLetter dead;
    uint64_t queue = 0, group = 0;  // Its id, and the number of the group.
  };
  struct Content {
    std::string key, payload, id;
    std::map<std::string, std::string> headers;
    int64_t published_us = 0;
    int64_t due_us = 0;
    uint32_t partition = 0;       // When it was published.
    std::vector<Origin> origins;  // The latest last; none: it is no dead letter.
  };
  struct Item {  // A message that a group is not done with.
    uint64_t sequence = 0;
    Content content;
    enum { kWaits, kInLine, kDelayed, kOut } state = kWaits;
    uint32_t attempts = 0;
    int64_t until_us = 0;  // Delayed: by log time; out: by lease time.
    int64_t taken_us = 0;
    std::string consumer;
    std::vector<Attempt> history;
  };
  struct GroupState {
    std::string name;
    uint64_t number = 0;
    bool partitioned = false;
    std::deque<Item> items;                             // By sequence.
    std::map<uint64_t, std::deque<std::string>> lines;  // By partition: lanes.
    // Of a deleted group, whose claims are given up bit by bit: from here to there.
    uint64_t next = 0, last = 0;
  };
  struct Remembered {
    PublishRequest request;
    PublishReply reply;
    int64_t expires_us = 0;
  };
  struct State {
    std::string name;
    uint64_t id = 0, number = 0, last = 0, last_group = 0;
    CreateRequest config;  // With the defaults.
    int64_t created_us = 0;
    std::vector<GroupState> groups;
    std::vector<GroupState> retired;  // Deleted.
    std::map<std::string, Remembered> ids;
  };

  State* Find(const std::string& name);
  const State* Find(const std::string& name) const;
  static GroupState* FindGroup(State& queue, const std::string& name);
  static std::string NameOf(const std::string& key, uint64_t sequence);
  static std::string LaneOf(const Item& item);
  // What is kept, by sequence.
  static std::map<uint64_t, const Content*> Kept(const State& queue);
  QueueReply ReplyOf(QueueOutcome::Code outcome, const std::string& name) const;
  static Queue Describe(const State& queue);
  static void Fill(const State& queue, uint64_t sequence, const Content& content, Message* message);
  // Why the group cannot be read like this; unspecified: it can.
  static PullOutcome::Code Refused(const State* queue, const PullRequest& request);
  uint64_t Put(State& queue, const Content& content, uint64_t only, int64_t now_us);
  // Sees to it that the first message of a lane is in line, or delayed.
  void Settle(State& queue, GroupState& group, const std::string& lane, int64_t now_us);
  static void EnterLine(State& queue, GroupState& group, Item& item);
  static void LeaveLine(GroupState& group, const std::string& lane);
  bool FailItem(State& queue, GroupState& group, uint64_t sequence, const std::string& error,
                int64_t delay_us, int64_t now_us);
  void Remove(State& queue, GroupState& group, uint64_t sequence, int64_t now_us);
  static Item* FindItem(GroupState& group, uint64_t sequence);
  // The delivery that an ack names, if it is out.
  bool Out(State& queue, const std::string& delivery, GroupState** group, Item** item);
  template <class Request, class Act>
  AckReply ForEach(const Request& request, Act act);

  // By log time, what for ('G': to go on with a deleted group; 'L': a lane), number of the queue,
  // number of the group, lane. One of a delivery may be early, as lease time stands still now and
  // then: it is set again.
  using Alarm = std::tuple<int64_t, char, uint64_t, uint64_t, std::string>;
  Alarm AlarmOf(const State& queue, const GroupState& group, const Item& item) const;
  void LookAt(const Alarm& alarm);
  void GiveUp(State& queue, uint64_t group);
  void Refile();

  Moment now_;
  std::set<Alarm> alarms_;
  std::map<std::string, State> queues_;
  uint64_t last_id_ = 0, last_number_ = 0;
  std::set<std::string> grown_;  // Queues whose lines are to be put in order.
};

}  // namespace holdfast::queues

// What the queues must do, in the plainest words: every group has a list of the messages that it
// is not done with, in order, and a line in which keys stand that have something to give. The tests
// run this and the service, and compare.
//
// Times of the requests are given with them; all that is due by then has happened before.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/queues/queues.pb.h"

namespace holdfast::queues {

class Model {
 public:
  QueueReply Create(const CreateRequest& request, int64_t now_us);
  void Grow(const UpdateRequest& request, int64_t now_us);
  void AddGroup(const CreateGroupRequest& request, int64_t now_us);
  void Purge(const PurgeRequest& request, int64_t now_us);
  PublishReply Publish(const PublishRequest& request, int64_t now_us);
  PullReply Pull(const PullRequest& request, int64_t now_us);
  AckReply Ack(const AckRequest& request, int64_t now_us);
  AckReply Nack(const NackRequest& request, int64_t now_us);
  AckReply Extend(const ExtendRequest& request, int64_t now_us);
  RedriveReply Redrive(const RedriveRequest& request, int64_t now_us);
  StatsReply Stats(const std::string& queue) const;

 private:
  struct Content {
    std::string key, payload, id;
    int64_t published_us = 0;
    int64_t due_us = 0;
    bool is_dead = false;
    DeadLetter dead;
    uint64_t origin_queue = 0, origin_group = 0;
  };
  struct Item {  // A message that a group is not done with.
    uint64_t sequence = 0;
    Content content;
    enum { kWaits, kInLine, kDelayed, kOut } state = kWaits;
    uint32_t attempts = 0;
    int64_t until_us = 0, taken_us = 0;
    std::string consumer;
    std::vector<Attempt> history;
  };
  struct GroupState {
    std::string name;
    uint64_t number = 0;
    bool partitioned = false;
    std::deque<Item> items;                             // By sequence.
    std::map<uint64_t, std::deque<std::string>> lines;  // By partition: lanes.
  };
  struct Remembered {
    PublishRequest request;
    PublishReply reply;
    int64_t expires_us = 0;
  };
  struct State {
    std::string name;
    uint64_t id = 0, number = 0, last = 0;
    CreateRequest config;
    std::vector<GroupState> groups;
    std::map<std::string, Remembered> ids;
  };

  State* Find(const std::string& name);
  static GroupState* FindGroup(State& queue, const std::string& name);
  static std::string LaneOf(const Item& item);
  // Everything that is due, in the order of time.
  void PassTo(int64_t now_us);
  uint64_t Put(State& queue, const Content& content, uint64_t only, int64_t now_us);
  // Sees to it that the first message of a lane is in line, or delayed.
  static void Settle(State& queue, GroupState& group, const std::string& lane, int64_t now_us);
  static void EnterLine(State& queue, GroupState& group, Item& item);
  static void LeaveLine(GroupState& group, const std::string& lane);
  bool FailItem(State& queue, GroupState& group, uint64_t sequence, const std::string& error,
                int64_t delay_us, int64_t now_us);
  void Remove(State& queue, GroupState& group, uint64_t sequence, int64_t now_us);
  static Item* FindItem(GroupState& group, uint64_t sequence);
  // The delivery that an ack names, if it is out.
  bool Out(State& queue, const std::string& delivery, int64_t now_us, GroupState** group,
           Item** item);
  template <class Request, class Act>
  AckReply ForEach(const Request& request, int64_t now_us, Act act);

  std::map<std::string, State> queues_;
  uint64_t last_id_ = 0, last_number_ = 0;
  std::set<std::string> grown_;  // Queues whose lines are to be put in order.
};

}  // namespace holdfast::queues

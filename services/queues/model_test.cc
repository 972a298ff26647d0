// Random requests, random times: the service must answer as the model does, hold its invariants,
// and lose, repeat or reorder nothing.

#include "services/queues/model.h"

#include <random>

#include "services/queues/ring.h"
#include "services/queues/testing.h"

namespace holdfast::queues {
namespace {

class Comparison {
 public:
  explicit Comparison(uint64_t seed) : random_(seed) {
    Create("grave", 0, "");
    Create("dead", 2, "grave");
    Create("jobs", 3, "dead");
    AddGroup("audit", false);
    AddGroup("parted", true);
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      Step();
      if (::testing::Test::HasFatalFailure()) return;
      if (step % 16 == 0) {
        const auto broken = node_.Broken();
        ASSERT_FALSE(broken.has_value()) << *broken;
      }
      if (step % 150 == 149) node_.Checkpoint();
    }
  }

  // Everything that can still be delivered is, in the order of each key, and then nothing is left.
  void Drain() {
    RemoveExtra();
    for (const char* group : {"default", "audit", "parted"}) {
      std::map<std::string, uint64_t> last;
      for (int idle = 0; idle < 3;) {
        bool any = false;
        for (uint32_t place = 0; place < (std::string(group) == "parted" ? partitions_ : 1);
             ++place) {
          PullRequest pull = TestNode::PullOf("jobs", 100, group);
          if (std::string(group) == "parted") pull.set_partition(place);
          const PullReply reply = node_.Write<PullReply>("Pull", pull);
          for (const Message& message : reply.messages()) {
            any = true;
            EXPECT_EQ(node_.Ack("jobs", message.delivery()), "acked");
            if (message.key().empty()) continue;
            EXPECT_LT(last[message.key()], message.sequence()) << message.key();
            last[message.key()] = message.sequence();
          }
        }
        if (any) continue;
        node_.Tick(60 * kSecond);
        ++idle;
      }
    }
    EXPECT_EQ(node_.Stats("jobs").messages(), 0u);
    const auto broken = node_.Broken();
    EXPECT_FALSE(broken.has_value()) << *broken;
  }

  const std::set<std::string>& seen() const { return seen_; }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  void Create(const std::string& name, uint32_t max_deliveries, const std::string& dead_letter) {
    CreateRequest request = TestNode::QueueOf(name);
    request.set_partitions(partitions_);
    request.set_visibility_seconds(5);
    request.set_max_deliveries(max_deliveries);
    request.set_dead_letter(dead_letter);
    request.set_dedup_window_seconds(20);
    request.set_max_messages(60);
    Compare("Create", request, &Model::Create);
  }
  void AddGroup(const std::string& group, bool partitioned) {
    CreateGroupRequest request;
    request.set_queue("jobs");
    request.set_group(group);
    request.set_partitioned(partitioned);
    Compare("CreateGroup", request, &Model::CreateGroup);
  }

  void RemoveExtra() {
    DeleteGroupRequest request;
    request.set_queue("jobs");
    request.set_group("extra");
    Compare("DeleteGroup", request, &Model::DeleteGroup);
  }

  template <class Reply, class Request>
  void Compare(const std::string& method, const Request& request,
               Reply (Model::*ask)(const Request&, int64_t)) {
    const Reply reply = node_.Write<Reply>(method, request);
    model_.PassTo(node_.moment());
    const Reply expected = (model_.*ask)(request, node_.now_us());
    ASSERT_EQ(reply.SerializeAsString(), expected.SerializeAsString())
        << method << " " << request.ShortDebugString() << "\nservice: " << reply.ShortDebugString()
        << "\nmodel:   " << expected.ShortDebugString();
    Note(reply);
    if constexpr (std::is_same_v<Reply, PullReply>) {
      for (const Message& message : reply.messages()) {
        deliveries_.emplace_back(request.queue(), message.delivery());
      }
    }
  }

  // Which outcomes there were.
  template <class Reply>
  void Note(const Reply& reply) {
    if constexpr (std::is_same_v<Reply, AckReply>) {
      for (const AckResult& result : reply.results())
        seen_.insert(TestNode::Name(result.outcome()));
    } else if constexpr (std::is_same_v<Reply, RedriveReply>) {
      if (reply.moved() > 0) seen_.insert("moved");
      if (reply.left() > 0) seen_.insert("left");
    } else {
      seen_.insert(TestNode::Name(reply.outcome()));
    }
  }

  template <class Request>
  Request Named() {
    Request request;
    request.set_queue("jobs");
    for (uint64_t i = 0; i <= Below(3) && !deliveries_.empty(); ++i) {
      // Mostly the last ones; some long gone.
      const size_t from =
          Below(4) == 0 ? 0 : deliveries_.size() - std::min<size_t>(8, deliveries_.size());
      const auto& [queue, delivery] = deliveries_[from + Below(deliveries_.size() - from)];
      request.set_queue(queue);
      request.add_deliveries(delivery);
    }
    if (request.deliveries().empty()) request.add_deliveries("1-1-1-1");
    return request;
  }

  void Step() {
    if (Below(20) == 0) node_.NewLeader();
    // Some steps let time go by: a little, or past what is out.
    if (Below(4) == 0) node_.Pass(static_cast<int64_t>(Below(3'000'000)));
    const std::string queue = Below(8) == 0 ? "dead" : Below(20) == 0 ? "grave" : "jobs";
    switch (Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        PublishRequest request = TestNode::MessageOf(
            queue, Below(5) == 0 ? "" : "key" + std::to_string(Below(6)), std::to_string(Below(3)),
            Below(2) == 0 ? "" : "id" + std::to_string(Below(30)));
        if (Below(6) == 0) request.set_delay_ms(Below(4'000));
        if (request.payload() == "2") (*request.mutable_headers())["h"] = Below(9) == 0 ? "1" : "0";
        Compare("Publish", request, &Model::Publish);
        break;
      }
      case 5:
      case 6:
      case 7:
      case 8:
      case 9: {
        PullRequest request = TestNode::PullOf(queue, static_cast<uint32_t>(Below(5)));
        if (queue == "jobs")
          request.set_group(std::vector<std::string>{"", "audit", "parted", "extra"}[Below(4)]);
        if (request.group() == "parted")
          request.set_partition(static_cast<uint32_t>(Below(partitions_)));
        if (Below(4) == 0) request.set_visibility_seconds(static_cast<uint32_t>(1 + Below(9)));
        request.set_consumer("c" + std::to_string(Below(3)));
        Compare("Pull", request, &Model::Pull);
        break;
      }
      case 10:
      case 11: Compare("Ack", Named<AckRequest>(), &Model::Ack); break;
      case 12: {
        auto request = Named<NackRequest>();
        if (Below(2) == 0) request.set_delay_ms(Below(5'000));
        request.set_error("e" + std::to_string(Below(9)));
        Compare("Nack", request, &Model::Nack);
        break;
      }
      case 13: {
        auto request = Named<ExtendRequest>();
        if (Below(2) == 0) request.set_visibility_seconds(static_cast<uint32_t>(1 + Below(9)));
        Compare("Extend", request, &Model::Extend);
        break;
      }
      case 14: {
        RedriveRequest request;
        request.set_queue(Below(3) == 0 ? "grave" : "dead");
        if (Below(8) == 0) request.set_group("none");
        request.set_max(static_cast<uint32_t>(1 + Below(6)));
        Compare("Redrive", request, &Model::Redrive);
        break;
      }
      default: Rare(); break;
    }
    if (::testing::Test::HasFatalFailure()) return;
    for (const char* name : {"jobs", "dead", "grave"}) {
      StatsRequest stats;
      stats.set_queue(name);
      stats.set_partitions(true);
      ASSERT_EQ(node_.Stats(name, true).ShortDebugString(),
                model_.Stats(stats)->ShortDebugString());
      PeekRequest peek;
      peek.set_queue(name);
      peek.set_limit(5);
      ASSERT_EQ(node_.Peek(name, "", 5).ShortDebugString(), model_.Peek(peek)->ShortDebugString());
    }
  }

  void Rare() {
    if (Below(10) == 0) {
      PurgeRequest request;
      request.set_name(Below(2) == 0 ? "dead" : "jobs");
      Compare("Purge", request, &Model::Purge);
    } else if (Below(3) == 0) {
      if (Below(2) == 0) return AddGroup("extra", Below(4) == 0);
      RemoveExtra();
    } else if (Below(3) == 0) {
      // What has dead letters of it does not go; others come and go.
      DeleteRequest request;
      request.set_name(Below(3) == 0 ? "dead" : "brief");
      Compare("Delete", request, &Model::Delete);
      if (!::testing::Test::HasFatalFailure()) Create("brief", 1, "grave");
    } else if (Below(4) == 0 && partitions_ < 40) {
      UpdateRequest request;
      request.set_name("jobs");
      request.set_partitions(partitions_ += static_cast<uint32_t>(1 + Below(5)));
      Compare("Update", request, &Model::Update);
    }
  }

  std::mt19937_64 random_;
  TestNode node_;
  Model model_;
  uint32_t partitions_ = 3;
  std::vector<std::pair<std::string, std::string>> deliveries_;  // Queue, id.
  std::set<std::string> seen_;
};

TEST(QueuesModelTest, DoesWhatTheModelDoes) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Comparison comparison(seed);
    comparison.Run(1'500);
    if (::testing::Test::HasFatalFailure()) return;
    comparison.Drain();
    if (::testing::Test::HasFailure()) return;
    seen.insert(comparison.seen().begin(), comparison.seen().end());
  }
  for (const char* outcome :
       {"published", "already_published", "exists_with_different_content", "queue_full", "pulled",
        "empty", "acked", "retried", "dead_lettered", "extended", "expired", "moved", "left",
        "deleted", "in_use", "group_not_found"}) {
    EXPECT_TRUE(seen.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::queues

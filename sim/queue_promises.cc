#include "sim/queue_promises.h"

#include <algorithm>
#include <charconv>

#include "sim/judge.h"
#include "sim/order_requests.h"
#include "src/base/timestamp.h"

namespace holdfast::sim {
namespace {

constexpr uint32_t kRowsMax = 1'000;
constexpr char kDead[] = "dead";       // Where failed messages go, and come back from ...
constexpr char kGrave[] = "grave";     // ... or go on to.
constexpr char kBrief[] = "brief";     // A queue that is deleted, and made anew.
constexpr char kMail[] = "mail";       // A queue without dead letters.
constexpr char kPopped[] = "default";  // Messages leave it without an ack.

}  // namespace

QueuePromises::MessageOf QueuePromises::MessageIn(const std::string& delivery) {
  uint64_t numbers[3] = {};
  const char* at = delivery.data();
  const char* end = at + delivery.size();
  for (uint64_t& number : numbers) {
    const auto read = std::from_chars(at, end, number);
    at = read.ptr == end ? end : read.ptr + 1;
  }
  return {numbers[0], numbers[1], numbers[2]};
}

void QueuePromises::Applied(const Entry& entry) {
  const auto name = [&](const auto& request, Named* named) {
    for (const std::string& delivery : request.deliveries()) {
      (*named)[delivery].push_back(entry.index);
    }
  };
  for (const Logged& write : entry.writes) {
    if (!write.method.starts_with("queues.")) continue;
    true_us_[entry.index] = entry.true_us;
    if (write.method == "queues.Ack") {
      name(Parsed<queues::AckRequest>(write.body), &acks_);
    } else if (write.method == "queues.Nack") {
      name(Parsed<queues::NackRequest>(write.body), &nacks_);
    } else if (write.method == "queues.Extend") {
      name(Parsed<queues::ExtendRequest>(write.body), &extends_);
    } else if (write.method == "queues.Purge") {
      purged_.insert(Parsed<queues::PurgeRequest>(write.body).name());
    } else if (write.method == "queues.Delete") {
      deleted_.insert(Parsed<queues::DeleteRequest>(write.body).name());
    } else if (write.method == "queues.Create") {
      const auto create = Parsed<queues::CreateRequest>(write.body);
      // What is refused is not there, but the next one asks for the same.
      queues_.try_emplace(create.name(), create);
    }
  }
}

void QueuePromises::HearPublished(const Told& told, const queues::PublishRequest& request,
                                  const queues::PublishReply& reply) {
  if (reply.outcome() != queues::PublishOutcome::published) return;
  published_.push_back({request.queue(), request.payload(), request.message_id(), reply.sequence(),
                        FloorUs(reply.published()), *told.done_by, told.began_us});
}

void QueuePromises::Hear(const Told& told) {
  if (!told.done_by) return;
  if (told.method == "queues.Publish") {
    HearPublished(told, Parsed<queues::PublishRequest>(told.request),
                  Parsed<queues::PublishReply>(told.reply));
  } else if (told.method == "queues.PublishBatch") {
    const auto request = Parsed<queues::PublishBatchRequest>(told.request);
    const auto reply = Parsed<queues::PublishBatchReply>(told.reply);
    for (int i = 0; i < reply.results_size(); ++i) {
      queues::PublishRequest one;
      one.set_queue(request.queue());
      one.set_payload(request.messages(i).payload());
      one.set_message_id(request.messages(i).message_id());
      HearPublished(told, one, reply.results(i));
    }
  } else if (told.method == "queues.Pull") {
    const auto request = Parsed<queues::PullRequest>(told.request);
    std::set<std::string> keys;
    const auto reply = Parsed<queues::PullReply>(told.reply);
    for (const queues::Message& message : reply.messages()) {
      Delivery delivery{message.delivery(),
                        request.queue(),
                        request.group().empty() ? "default" : request.group(),
                        message.key(),
                        message.payload(),
                        MessageIn(message.delivery()),
                        *told.done_by,
                        told.began_us,
                        uint64_t{request.visibility_seconds()} * 1'000'000};
      Require(message.key().empty() || keys.insert(message.key()).second,
              "two messages of " + message.key() + " are delivered at once: " + delivery.id);
      Require(deliveries_.emplace(delivery.id, delivery).second,
              delivery.id + " was delivered twice");
    }
  } else if (told.method == "queues.Ack") {
    const auto request = Parsed<queues::AckRequest>(told.request);
    const auto reply = Parsed<queues::AckReply>(told.reply);
    for (int i = 0; i < reply.results_size(); ++i) {
      if (reply.results(i).outcome() != queues::AckOutcome::acked) continue;
      const std::string& delivery = request.deliveries(i);
      const auto [before, is_first] = acked_.emplace(MessageIn(delivery), delivery);
      Require(is_first, delivery + " was acked, and so was " + before->second);
    }
  }
}

bool QueuePromises::IsNamed(const Named& named, const std::string& delivery, LogIndex to) const {
  const auto found = named.find(delivery);
  return found != named.end() && found->second.front() <= to;
}

std::vector<const QueuePromises::Delivery*> QueuePromises::InOrder() const {
  std::vector<const Delivery*> all;
  for (const auto& [id, delivery] : deliveries_) all.push_back(&delivery);
  std::sort(all.begin(), all.end(),
            [](const Delivery* a, const Delivery* b) { return a->at < b->at; });
  return all;
}

// A delivery is its consumer's for as long as it was promised.
void QueuePromises::CheckTimes() const {
  std::map<MessageOf, const Delivery*> last;
  for (const Delivery* delivery : InOrder()) {
    const Delivery* before = std::exchange(last[delivery->message], delivery);
    if (before == nullptr || !exact_) continue;
    if (IsNamed(nacks_, before->id, delivery->at)) continue;
    if (IsNamed(extends_, before->id, delivery->at)) continue;  // Perhaps to less.
    const auto queue = queues_.find(delivery->queue);
    if (queue == queues_.end()) continue;
    const uint64_t visible_us = before->visible_us != 0
                                    ? before->visible_us
                                    : queue->second.visibility_seconds() * uint64_t{1'000'000};
    const uint64_t until_us = before->began_us + visible_us;
    Require(true_us_.at(delivery->at) >= until_us,
            before->id + " of " + delivery->queue + " came again as " + delivery->id +
                " at entry " + delivery->at.ToString() + ", " +
                std::to_string(until_us - true_us_.at(delivery->at)) + " us too early");
  }
}

// Of a key, in a group: in the order of publication, the next one when the one before is done.
void QueuePromises::CheckOrder() const {
  std::map<std::tuple<uint64_t, uint64_t, std::string>, std::vector<const Delivery*>> lanes;
  for (const Delivery* delivery : InOrder()) {
    if (delivery->key.empty()) continue;
    const auto& [queue, group, sequence] = delivery->message;
    auto& lane = lanes[{queue, group, delivery->key}];
    lane.push_back(delivery);
    if (lane.size() == 1) continue;
    const Delivery& before = *lane[lane.size() - 2];
    if (before.at == delivery->at) continue;  // Which of the two came first nobody was told.
    const uint64_t sequence_before = std::get<2>(before.message);
    Require(sequence >= sequence_before, "order of " + delivery->key + " in " + delivery->queue +
                                             ": " + delivery->id + " came after " + before.id);
    if (sequence == sequence_before || delivery->queue != kMail) continue;
    const bool acked = std::any_of(lane.begin(), lane.end(), [&](const Delivery* one) {
      return one->message == before.message && IsNamed(acks_, one->id, delivery->at);
    });
    Require(acked, "two messages of " + delivery->key + " in " + delivery->queue +
                       " are out: " + delivery->id + " came, and nobody has acked " + before.id);
  }
}

void QueuePromises::CheckWindows() const {
  std::vector<Published> all = published_;
  std::sort(all.begin(), all.end(), [](const Published& a, const Published& b) {
    return std::tie(a.at, a.sequence) < std::tie(b.at, b.sequence);
  });
  std::map<std::pair<std::string, std::string>, const Published*> last;
  for (const Published& one : all) {
    if (one.message_id.empty()) continue;
    const Published* before = std::exchange(last[{one.queue, one.message_id}], &one);
    const auto queue = queues_.find(one.queue);
    if (before == nullptr || queue == queues_.end() || deleted_.contains(one.queue)) continue;
    const uint32_t seconds = queue->second.dedup_window_seconds();
    const int64_t window_us = (seconds == 0 ? 7 * 24 * 3'600 : int64_t{seconds}) * 1'000'000;
    Require(one.log_us >= before->log_us + window_us,
            one.message_id + " was published in " + one.queue + " by entry " +
                before->at.ToString() + ", and again by entry " + one.at.ToString());
  }
}

// What was published is there, or was acked for each group, or is a dead letter that is there or
// was acked.
void QueuePromises::CheckLost(const AskNode& ask) const {
  std::map<std::string, std::set<std::string>> kept;  // Payloads, by queue.
  for (const char* queue : {kMail, "jobs", kDead, kGrave}) {
    queues::PeekRequest peek;
    peek.set_queue(queue);
    peek.set_limit(kRowsMax);
    const auto reply = Parsed<queues::PeekReply>(ask("queues.Peek", peek));
    for (const queues::Message& message : reply.messages()) {
      kept[queue].insert(message.payload());
    }
  }
  std::map<std::string, std::set<std::string>> acked;  // Payloads, by queue and group.
  for (const auto& [id, delivery] : deliveries_) {
    if (!acks_.contains(id)) continue;
    acked[delivery.queue + " " + delivery.group].insert(delivery.payload);
  }
  for (const Published& one : published_) {
    if (one.queue == kParcels) continue;  // OrderPromises look for these.
    if (one.queue == kDead || one.queue == kGrave || one.queue == kBrief || one.queue == kPopped) {
      continue;
    }
    if (purged_.contains(one.queue) || purged_.contains(kDead) || purged_.contains(kGrave))
      continue;
    if (kept[one.queue].contains(one.payload) || kept[kDead].contains(one.payload) ||
        kept[kGrave].contains(one.payload)) {
      continue;
    }
    for (const char* group : {"default", "audit"}) {
      Require(acked[one.queue + " " + group].contains(one.payload) ||
                  acked[std::string(kDead) + " default"].contains(one.payload) ||
                  acked[std::string(kGrave) + " default"].contains(one.payload),
              "lost: " + one.payload + ", published in " + one.queue + " by entry " +
                  one.at.ToString() + ", is not there, and nobody has acked it for " + group);
    }
  }
}

void QueuePromises::Check(const AskNode& ask) const {
  CheckTimes();
  CheckOrder();
  CheckWindows();
  CheckLost(ask);
}

}  // namespace holdfast::sim

// Queues: publishing, taking and acking, and both at once; NATS JetStream with three replicas and
// RabbitMQ's quorum queues beside them. NATS acknowledges before its disks have what it keeps.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bench/cluster/peers.h"
#include "bench/cluster/stage.h"
#include "services/queues/queues.pb.h"

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kSingles[] = "publish";
constexpr char kTake[] = "take + ack of 60,000";
constexpr char kThrough[] = "publish to receipt";
constexpr char kPaced[] = "publish to receipt, 1,000/s";

// In these the peers' concurrency is how many messages are unacknowledged, or taken at once.
const PeerCases kCases = {{"pub_dedupe_sync", {kSingles, "publish with id"}},
                          {"pub_dedupe_async", {kSingles, "publish with id, unacked"}},
                          {"pull_batch_drain_60k", {kTake, "pull, ack each"}},
                          {"pub_to_acked_pull_saturated", {kThrough, "pull, ack each"}},
                          {"pub_to_acked_pull_1000_per_s", {kPaced, "pull, ack each"}},
                          {"pub_confirm", {kSingles, "publish, unconfirmed"}},
                          {"consume_ack_prefetch", {kTake, "push, ack each"}},
                          {"pub_to_receipt_saturated", {kThrough, "push, ack each"}}};

constexpr int kPayloadBytes = 128;  // As the peers' loads.
constexpr int kStored = 60'000;
constexpr int kPublishersAtOnce = 512;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
      .count();
}

// The time of publication, and filler.
std::string NewPayload() {
  std::string payload = std::to_string(NowUs());
  payload.resize(kPayloadBytes, ' ');
  return payload;
}

class Publish : public Script {
 public:
  // Messages of an id each; `batch` of them in a call, 0: a call of one.
  Publish(std::string queue, std::string prefix, int batch)
      : queue_(std::move(queue)), prefix_(std::move(prefix)), batch_(batch) {}

  Ask Begin() override {
    if (batch_ == 0) {
      queues::PublishRequest request;
      request.set_queue(queue_);
      request.set_message_id(NextId());
      request.set_payload(NewPayload());
      return Ask{"/holdfast.queues.Queues/Publish", request.SerializeAsString()};
    }
    queues::PublishBatchRequest request;
    request.set_queue(queue_);
    for (int i = 0; i < batch_; ++i) {
      auto* message = request.add_messages();
      message->set_message_id(NextId());
      message->set_payload(NewPayload());
    }
    return Ask{"/holdfast.queues.Queues/PublishBatch", request.SerializeAsString()};
  }
  std::variant<Ask, int> Next(const std::string* reply) override {
    if (reply == nullptr) return 0;
    const auto published = [](const queues::PublishReply& one) {
      return one.outcome() == queues::PublishOutcome::published ? 1 : 0;
    };
    if (batch_ == 0) {
      queues::PublishReply one;
      return one.ParseFromString(*reply) ? published(one) : 0;
    }
    queues::PublishBatchReply many;
    int count = 0;
    if (many.ParseFromString(*reply)) {
      for (const auto& one : many.results()) count += published(one);
    }
    return count;
  }

 private:
  std::string NextId() { return prefix_ + std::to_string(++number_); }

  const std::string queue_;
  const std::string prefix_;
  const int batch_;
  uint64_t number_ = 0;
};

// Acks what was pulled, all in one call, while the next messages are pulled, as the peers' loads
// do. A few calls are under way at most; all of them have ended when it is gone.
class Acker {
 public:
  Acker(client::Client& client, const std::string& queue) : client_(client), queue_(queue) {}
  ~Acker() { WaitForAtMost(0); }

  void Ack(const queues::PullReply& pulled) {
    WaitForAtMost(kUnderWay);
    queues::AckRequest request;
    request.set_queue(queue_);
    for (const auto& message : pulled.messages()) request.add_deliveries(message.delivery());
    {
      std::lock_guard lock(mutex_);
      ++under_way_;
    }
    client_.CallAsync<queues::AckReply>(
        "/holdfast.queues.Queues/Ack", request, {},
        [this](Result<client::TypedReply<queues::AckReply>> reply) {
          bool acked = reply.has_value();
          for (int i = 0; acked && i < reply->message.results_size(); ++i) {
            acked = reply->message.results(i).outcome() == queues::AckOutcome::acked;
          }
          if (!acked) std::fprintf(stderr, "an ack failed or came too late\n");
          std::lock_guard lock(mutex_);
          --under_way_;
          changed_.notify_all();
        });
  }

 private:
  static constexpr int kUnderWay = 8;

  void WaitForAtMost(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return under_way_ <= count; });
  }

  client::Client& client_;
  const std::string queue_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0;
};

class Bench {
 public:
  explicit Bench(Stage& stage) : stage_(stage), client_(stage.NewClient()) {}

  void Run() {
    const std::vector<int> counts =
        stage_.settings().quick ? std::vector<int>{1, 256} : std::vector<int>{1, 16, 256, 512};
    for (int clients : counts) Publishers("pipe", clients, 0);
    for (int clients : {1, 256}) Publishers("gRPC", clients, 0);
    for (int clients : {1, 4}) Publishers("pipe", clients, 100);
    for (int clients : {1, 4}) Publishers("pipe", clients, 1'000);
    TakeAndAck(1, 100);
    TakeAndAck(4, 100);
    TakeAndAck(1, 256);
    for (int at_once : {100, 256}) Through(kThrough, at_once, false);
    Through(kPaced, 100, true);
  }

 private:
  std::string NewQueue() {
    const std::string name = stage_.NextRun();
    queues::CreateRequest request;
    request.set_name(name);
    request.set_max_messages(100'000'000);
    request.set_max_bytes(uint64_t{1} << 40);
    MustCall<queues::QueueReply>(*client_, "/holdfast.queues.Queues/Create", request);
    return name;
  }
  static MakeScript Into(const std::string& queue, int batch) {
    return [queue, batch](int client) {
      return std::make_unique<Publish>(queue, std::to_string(client) + "-", batch);
    };
  }

  void Publishers(const std::string& door, int clients, int batch) {
    const std::string workload =
        batch == 0 ? kSingles : "publish, batches of " + std::to_string(batch);
    if (!stage_.Wanted(workload, door)) return;
    const std::string queue = NewQueue();
    stage_.Line(workload, door, clients, Into(queue, batch));
  }

  static queues::PullReply Take(client::Client& client, const std::string& queue, int at_once,
                                uint32_t wait_ms) {
    queues::PullRequest pull;
    pull.set_queue(queue);
    pull.set_max(static_cast<uint32_t>(at_once));
    pull.set_wait_ms(wait_ms);
    return MustCall<queues::PullReply>(client, "/holdfast.queues.Queues/Pull", pull);
  }

  // A queue that is full, until it is empty. The times are those of taking a batch.
  void TakeAndAck(int consumers, int at_once) {
    const std::string door =
        "pipe, " + std::to_string(consumers) + " consumer" + (consumers == 1 ? "" : "s");
    if (!stage_.Wanted(kTake, door)) return;
    const std::string queue = NewQueue();
    Publish fill(queue, "", 1'000);
    for (int stored = 0; stored < kStored; stored += 1'000) {
      const Ask ask = fill.Begin();
      if (!client_->Call(ask.method, ask.body)) std::exit(EXIT_FAILURE);
    }
    std::mutex mutex;
    std::vector<float> took_us;
    std::atomic<int> taken{0};
    const double cpu_before = CpuSeconds(stage_.cluster());
    const auto begun = Clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < consumers; ++i) {
      threads.emplace_back([&] {
        const auto client = stage_.NewClient();
        Acker acker(*client, queue);
        while (taken < kStored) {
          const int64_t before_us = NowUs();
          const auto pulled = Take(*client, queue, at_once, 0);
          if (pulled.messages().empty()) break;
          acker.Ack(pulled);
          taken += pulled.messages_size();
          std::lock_guard lock(mutex);
          took_us.push_back(static_cast<float>(NowUs() - before_us));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    Row row{"holdfast", kTake, door, at_once};
    AddLatencies(std::move(took_us), &row);
    row.per_second = taken / seconds;
    row.cpu_us = (CpuSeconds(stage_.cluster()) - cpu_before) * 1e6 / taken;
    stage_.Add(row);
  }

  // Publishing and taking at once. The times are from the call that publishes to the receipt.
  void Through(const std::string& workload, int at_once, bool paced) {
    const std::string door = "pipe, 1 consumer";
    if (!stage_.Wanted(workload, door)) return;
    const std::string queue = NewQueue();
    std::atomic<bool> counting{false};
    std::atomic<bool> stop{false};
    std::vector<float> took_us;
    std::thread consumer([&] {
      const auto client = stage_.NewClient();
      Acker acker(*client, queue);
      while (!stop) {
        const auto pulled = Take(*client, queue, at_once, 1'000);
        const int64_t now_us = NowUs();
        for (const auto& message : pulled.messages()) {
          if (!counting) break;
          took_us.push_back(static_cast<float>(now_us - std::atoll(message.payload().c_str())));
        }
        if (pulled.messages_size() > 0) acker.Ack(pulled);
      }
    });
    Loop publishers(stage_.Through("pipe", paced ? 0 : kPublishersAtOnce, Into(queue, 0)));
    publishers.Start();
    std::thread pacer([&] {
      if (!paced) return;
      const auto client = stage_.NewClient();
      Publish publish(queue, "paced-", 0);
      for (auto due = Clock::now(); !stop; due += std::chrono::milliseconds(1)) {
        std::this_thread::sleep_until(due);
        const Ask ask = publish.Begin();
        client->CallAsync(ask.method, ask.body, {}, [](const auto&) {});
      }
    });
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const double cpu_before = CpuSeconds(stage_.cluster());
    counting = true;
    std::this_thread::sleep_for(std::chrono::seconds(stage_.settings().seconds));
    counting = false;
    const double cpu = CpuSeconds(stage_.cluster()) - cpu_before;
    stop = true;
    pacer.join();
    if (!paced) publishers.Stop();
    consumer.join();
    Row row{"holdfast", workload, door, at_once};
    row.per_second = static_cast<double>(took_us.size()) / stage_.settings().seconds;
    row.cpu_us = cpu * 1e6 / std::max<double>(1, static_cast<double>(took_us.size()));
    AddLatencies(std::move(took_us), &row);
    stage_.Add(row);
  }

  static void AddLatencies(std::vector<float> took_us, Row* row) {
    if (took_us.empty()) return;
    std::sort(took_us.begin(), took_us.end());
    row->p50_us = took_us[took_us.size() / 2];
    row->p99_us = took_us[took_us.size() * 99 / 100];
  }

  Stage& stage_;
  const std::unique_ptr<client::Client> client_;
};

}  // namespace

int RunQueues(const Settings& settings) {
  Stage stage(settings, MeasurePeers(settings.peers, {"nats.sh load", "rabbit.sh"}, kCases,
                                     settings.seconds));
  if (!stage.Begin(", messages of " + std::to_string(kPayloadBytes) + " bytes with an id each")) {
    return EXIT_FAILURE;
  }
  Bench(stage).Run();
  stage.End();
  return EXIT_SUCCESS;
}

}  // namespace holdfast::bench

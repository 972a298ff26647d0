#include "tests/faults/load.h"

#include <condition_variable>
#include <optional>

#include "holdfast/requests.pb.h"

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;

// A write is given up after so many attempts while the load runs, and later after many more.
constexpr int kAttemptsMax = 5;
constexpr int kAttemptsMaxAtEnd = 60;

std::string Path(const std::string& method) { return "/holdfast.ledger.Ledger/" + method; }

bool IsOpen(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kOutcomeUnknown || code == ErrorCode::kResourceExhausted;
}

client::Options ClientOptions() {
  client::Options options;
  options.attempt_timeout = milliseconds(1'000);
  options.connect_timeout = milliseconds(500);
  return options;
}

void Pause(uint64_t us) {
  std::this_thread::sleep_for(std::chrono::microseconds(us));  // A client's time to think.
}

}  // namespace

Load::Load(LoadOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      requests_(random_, options_.accounts),
      last_success_(Clock::now()) {
  for (int i = 0; i < options_.clients; ++i) {
    // Each has another node as its nearest.
    std::vector<std::string> endpoints = options_.endpoints;
    std::rotate(endpoints.begin(), endpoints.begin() + i % static_cast<int>(endpoints.size()),
                endpoints.end());
    clients_.push_back(std::make_unique<client::Client>(endpoints, ClientOptions()));
  }
}

Load::~Load() {
  abandoned_ = true;
  Stop();
}

void Load::Start() {
  last_success_ = Clock::now();
  for (size_t i = 0; i < clients_.size(); ++i) threads_.emplace_back([this, i] { Work(i); });
}

void Load::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Load::Work(size_t number) {
  sim::Random random(options_.seed * 1'000 + number);
  while (!stopping_) {
    if (random.OneIn(4)) {
      Read(number, random);
    } else {
      Write(number, random);
    }
    Pause(random.Between(0, options_.pause_us_max));
  }
}

void Load::Told(LogIndex position) {
  uint64_t known = told_.load();
  while (known < position.value && !told_.compare_exchange_weak(known, position.value)) continue;
}

void Load::Count(const std::string& kind, const std::string& end) { ++counts_[kind][end]; }

void Load::Violate(const std::string& what) {
  std::lock_guard lock(mutex_);
  if (violation_.empty()) violation_ = what;
}

std::string Load::violation() {
  std::lock_guard lock(mutex_);
  return violation_;
}

milliseconds Load::TakeGap() {
  std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  const auto gap = std::max(gap_, now - last_success_);
  gap_ = {};
  return std::chrono::duration_cast<milliseconds>(gap);
}

int Load::AttemptsMax() const {
  return abandoned_ ? 0 : stopping_ ? kAttemptsMaxAtEnd : kAttemptsMax;
}

void Load::Write(size_t number, sim::Random& random) {
  sim::Requests::Made made;
  {
    std::lock_guard lock(requests_mutex_);
    made = requests_.Make();
  }
  sim::WriteRecord record;
  record.key = "k" + std::to_string(++keys_);
  record.method = made.first;
  record.after = told();
  const std::string body = made.second->SerializeAsString();
  const auto answered = [this, record](const Result<client::Reply>& reply) {
    if (!reply) {
      if (!IsOpen(reply.error().code)) {
        Violate(record.method + " with key " + record.key + " was answered with the error " +
                reply.error().message);
      }
      return false;
    }
    sim::WriteRecord done = record;
    done.position = reply->position;
    done.replayed = reply->replayed;
    done.reply = reply->body;
    Told(done.position);
    std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    gap_ = std::max(gap_, now - last_success_);
    last_success_ = now;
    ++acknowledged_;
    Count(record.method, done.replayed ? "replayed" : "answered");
    writes_.push_back(std::move(done));
    return true;
  };
  // At times the same request is under way twice.
  std::mutex twin_mutex;
  std::condition_variable twin_done;
  bool twin = random.OneIn(10);
  client::CallOptions options;
  options.idempotency_key = record.key;
  if (twin) {
    options.timeout = milliseconds(2'000);
    At(number + 1)
        .CallAsync(Path(record.method), body, options, [&](const Result<client::Reply>& reply) {
          answered(reply);
          std::lock_guard lock(twin_mutex);
          twin = false;
          twin_done.notify_one();
        });
  }
  bool known = false;
  for (int attempt = 0; attempt < AttemptsMax() && !known; ++attempt) {
    options.timeout = milliseconds(random.Between(100, 3'000));
    known = answered(
        At(number + static_cast<size_t>(attempt)).Call(Path(record.method), body, options));
    if (!known) Pause(random.Between(1'000, 100'000));
  }
  std::unique_lock lock(twin_mutex);
  twin_done.wait(lock, [&] { return !twin; });
  if (known) return;
  std::lock_guard counting(mutex_);
  Count(record.method, "open");
  open_.push_back({record.key, record.method});
}

void Load::Read(size_t number, sim::Random& random) {
  sim::ReadRecord record;
  {
    std::lock_guard lock(requests_mutex_);
    record.account = requests_.AccountId();
  }
  client::Client& client = At(number);
  client::CallOptions options;
  options.timeout = milliseconds(random.Between(100, 3'000));
  std::string kind = "read, stale";
  switch (random.Between(0, 2)) {
    case 0:
      kind = "read, linearizable";
      options.consistency = Consistency::kLinearizable;
      record.after = told();
      break;
    case 1:
      kind = "read, session";
      options.consistency = Consistency::kSession;
      // Without a position a session begins where the cluster is.
      record.after = client.position().value != 0 ? client.position() : told();
      break;
    case 2: options.consistency = Consistency::kStale; break;
  }
  ledger::GetAccountRequest request;
  request.set_id(record.account);
  const Result<client::Reply> reply =
      client.Call(Path("GetAccount"), request.SerializeAsString(), options);
  std::lock_guard lock(mutex_);
  if (!reply) {
    // What is not there is told without a position, so it cannot be compared.
    Count(kind, reply.error().code == ErrorCode::kNotFound ? "not there" : "given up");
    if (!IsOpen(reply.error().code) && reply.error().code != ErrorCode::kNotFound &&
        violation_.empty()) {
      violation_ = "a read was answered with the error " + reply.error().message;
    }
    return;
  }
  record.found = true;
  record.position = reply->position;
  record.reply = reply->body;
  Told(record.position);
  Count(kind, "answered");
  reads_.push_back(std::move(record));
}

void Load::ReadAll(const std::string& endpoint) {
  client::Client client({endpoint}, ClientOptions());
  client::CallOptions options;
  options.consistency = Consistency::kLinearizable;
  for (size_t i = 1; i <= options_.accounts; ++i) {
    sim::ReadRecord record;
    record.account = "a" + std::to_string(i);
    record.after = told();
    ledger::GetAccountRequest request;
    request.set_id(record.account);
    const auto reply = client.Call(Path("GetAccount"), request.SerializeAsString(), options);
    if (!reply && reply.error().code == ErrorCode::kNotFound) continue;
    sim::Require(reply.has_value(), "at the end " + endpoint + " does not answer: " +
                                        (reply ? std::string() : reply.error().message));
    record.found = true;
    record.position = reply->position;
    record.reply = reply->body;
    reads_.push_back(std::move(record));
  }
}

void Load::AskOutcomes(const std::string& endpoint) {
  client::Client client({endpoint}, ClientOptions());
  for (const Open& open : open_) {
    requests::GetOutcomeRequest request;
    request.set_key(open.key);
    request.set_method(Path(open.method));
    const auto reply =
        client.Call<requests::GetOutcomeReply>("/holdfast.requests.Requests/GetOutcome", request);
    sim::Require(reply.has_value(), "at the end " + endpoint + " does not tell the outcome of " +
                                        open.key + ": " +
                                        (reply ? std::string() : reply.error().message));
    if (reply->message.state() == requests::GetOutcomeReply::never_seen) {
      never_seen_.push_back(open);
      continue;
    }
    // A late answer, like that to a repeat.
    sim::WriteRecord record;
    record.key = open.key;
    record.method = open.method;
    record.position = reply->position;
    record.replayed = true;
    record.reply = reply->message.reply();
    writes_.push_back(std::move(record));
  }
}

void Load::Tell(sim::History& history) {
  for (sim::WriteRecord& record : writes_) history.Acknowledge(std::move(record));
  for (sim::ReadRecord& record : reads_) history.Answer(std::move(record));
  writes_.clear();
  reads_.clear();
}

}  // namespace holdfast::faults

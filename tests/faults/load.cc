#include "tests/faults/load.h"

#include <algorithm>
#include <condition_variable>

#include "holdfast/requests.pb.h"
#include "src/api/json.h"

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;

// A write is given up after so many attempts while the load runs, and later after many more.
constexpr int kAttemptsMax = 5;
constexpr int kAttemptsMaxAtEnd = 60;
// A reader begins a read so often, whatever becomes of those before, up to so many at once.
constexpr milliseconds kReadEvery{25};
constexpr int kReadsAtOnceMax = 400;
constexpr milliseconds kReadPatience{8'000};  // Longer than any fault of a node that lives.

bool IsOpen(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kOutcomeUnknown || code == ErrorCode::kResourceExhausted;
}

void Pause(uint64_t us) {
  std::this_thread::sleep_for(std::chrono::microseconds(us));  // A client's time to think.
}

std::string FileOf(const char* who, size_t number) {
  const std::string text = std::to_string(number + 1);
  return std::string(who) + "-" + (text.size() < 2 ? "0" : "") + text + ".jsonl";
}

Operation ReadOf(const std::string& door, const std::string& account, Consistency consistency,
                 LogIndex after) {
  Operation one;
  one.set_kind(Operation::read);
  one.set_door(door);
  one.set_method("GetAccount");
  one.set_account(account);
  one.set_consistency(TextOf(consistency));
  one.set_after(after.value);
  one.set_began_us(Recording::NowUs());
  return one;
}

std::string KindOf(const Operation& one) {
  return one.kind() == Operation::read ? "read, " + one.consistency() : one.method();
}

// The nodes, from one of them on.
std::vector<Address> From(std::vector<Address> nodes, size_t first) {
  const auto at = static_cast<std::ptrdiff_t>(first % nodes.size());
  std::rotate(nodes.begin(), nodes.begin() + at, nodes.end());
  return nodes;
}

}  // namespace

Load::Load(LoadOptions options)
    : options_(std::move(options)),
      end_recording_(options_.folder, "end.jsonl"),
      random_(options_.seed),
      requests_(random_, options_.accounts),
      last_success_(Clock::now()) {
  for (size_t i = 0; i < static_cast<size_t>(options_.clients); ++i) {
    const std::vector<Address> nodes = From(options_.nodes, i + i / 4);  // Each door on every node.
    switch (i % 4) {
      case 1: doors_.push_back(MakeGrpcDoor(nodes.front())); break;
      case 3: doors_.push_back(MakeHttpDoor(nodes.front())); break;
      default: doors_.push_back(MakePipeDoor(nodes)); break;
    }
    recordings_.push_back(std::make_unique<Recording>(options_.folder, FileOf("client", i)));
  }
  for (size_t i = 0; i < options_.nodes.size(); ++i) {
    reader_recordings_.push_back(std::make_unique<Recording>(options_.folder, FileOf("reader", i)));
  }
}

Load::~Load() {
  abandoned_ = true;
  Stop();
}

void Load::Start() {
  last_success_ = Clock::now();
  for (size_t i = 0; i < doors_.size(); ++i) threads_.emplace_back([this, i] { Work(i); });
  for (size_t i = 0; i < options_.nodes.size(); ++i) {
    threads_.emplace_back([this, i] { ReadSteadily(i); });
  }
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

void Load::Record(const Operation& one, Recording& recording) {
  {
    std::lock_guard lock(mutex_);
    ++counts_[KindOf(one)][Operation::End_Name(one.end())][one.door()];
  }
  recording.Add(one);
}

bool Load::Answered(Operation told, Recording& recording, const Result<client::Reply>& reply) {
  told.set_ended_us(Recording::NowUs());
  const bool is_read = told.kind() == Operation::read;
  if (!reply) {
    const bool not_there = is_read && reply.error().code == ErrorCode::kNotFound;
    if (!not_there && !IsOpen(reply.error().code)) {
      Violate(told.method() + (is_read ? " of " + told.account() : " with key " + told.key()) +
              " was answered over " + told.door() + " with the error " + reply.error().message);
    }
    told.set_error(reply.error().message);
    // A write is open only when all its attempts are.
    if (not_there) told.set_end(Operation::not_there);
    if (is_read) Record(told, recording);
    return not_there;
  }
  told.set_end(reply->replayed ? Operation::replayed : Operation::answered);
  told.set_position(reply->position.value);
  told.set_reply(reply->body);
  Told(reply->position);
  if (!is_read) {
    std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    gap_ = std::max(gap_, now - last_success_);
    last_success_ = now;
    ++acknowledged_;
  }
  Record(told, recording);
  return true;
}

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
  Ask ask;
  {
    std::lock_guard lock(requests_mutex_);
    sim::Asked asked = requests_.Make();
    ask.method = asked.method.substr(asked.method.find('.') + 1);
    ask.request = std::move(asked.request);
  }
  ask.options.idempotency_key = "k" + std::to_string(++keys_);
  Operation told;
  told.set_kind(Operation::write);
  told.set_method(ask.method);
  told.set_key(ask.options.idempotency_key);
  told.set_request(api::ToJson(*ask.request));
  told.set_after(this->told().value);
  told.set_began_us(Recording::NowUs());
  Recording& recording = *recordings_[number];
  const auto attempt = [&](size_t at, const Ask& one) {
    Operation told_here = told;
    told_here.set_door(At(at).name());
    return Answered(std::move(told_here), recording, At(at).Call(one));
  };
  // At times the same request is under way twice.
  std::thread twin;
  if (random.OneIn(10)) {
    Ask same = ask;
    same.options.timeout = milliseconds(2'000);
    twin = std::thread([&attempt, number, same] { attempt(number + 1, same); });
  }
  bool known = false;
  for (int i = 0; i < AttemptsMax() && !known; ++i) {
    ask.options.timeout = milliseconds(random.Between(100, 3'000));
    known = attempt(number + static_cast<size_t>(i), ask);
    if (!known) Pause(random.Between(1'000, 100'000));
  }
  if (twin.joinable()) twin.join();
  if (known) return;
  told.set_door(At(number).name());
  told.set_ended_us(Recording::NowUs());
  Record(told, recording);
  std::lock_guard lock(mutex_);
  open_.push_back({told.key(), told.method()});
}

void Load::Read(size_t number, sim::Random& random) {
  Ask ask{"GetAccount", nullptr, {}};
  auto request = std::make_shared<ledger::GetAccountRequest>();
  {
    std::lock_guard lock(requests_mutex_);
    request->set_id(requests_.AccountId());
  }
  ask.request = request;
  ask.options.timeout = milliseconds(random.Between(100, 3'000));
  LogIndex after;
  switch (random.Between(0, 2)) {
    case 0:
      ask.options.consistency = Consistency::kLinearizable;
      after = told();
      break;
    case 1:
      ask.options.consistency = Consistency::kSession;
      // Without a position a session begins where the cluster is.
      after = At(number).position().value != 0 ? At(number).position() : told();
      break;
    case 2: ask.options.consistency = Consistency::kStale; break;
  }
  Operation one = ReadOf(At(number).name(), request->id(), ask.options.consistency, after);
  Answered(std::move(one), *recordings_[number], At(number).Call(ask));
}

void Load::ReadSteadily(size_t node) {
  sim::Random random(options_.seed * 1'000 + 500 + node);
  client::Options patient = ClientOptions();
  patient.attempt_timeout = kReadPatience;
  client::Client client({options_.nodes[node].endpoint()}, patient);
  client::CallOptions options;
  options.consistency = Consistency::kLinearizable;
  options.timeout = kReadPatience;
  std::mutex mutex;
  std::condition_variable fewer;
  int under_way = 0;
  for (Clock::time_point next = Clock::now(); !stopping_; next += kReadEvery) {
    std::this_thread::sleep_until(next);  // A steady pace.
    {
      std::unique_lock lock(mutex);
      fewer.wait(lock, [&] { return under_way < kReadsAtOnceMax; });
      ++under_way;
    }
    ledger::GetAccountRequest request;
    request.set_id("a" + std::to_string(random.Between(1, options_.accounts)));
    Operation one = ReadOf("pipe", request.id(), options.consistency, told());
    client.CallAsync(PathOf("GetAccount"), request.SerializeAsString(), options,
                     [&, one](const Result<client::Reply>& reply) {
                       Answered(one, *reader_recordings_[node], reply);
                       std::lock_guard lock(mutex);
                       --under_way;
                       fewer.notify_one();
                     });
  }
  std::unique_lock lock(mutex);
  fewer.wait(lock, [&] { return under_way == 0; });
}

void Load::ReadAll(const std::string& endpoint) {
  client::Client client({endpoint}, ClientOptions());
  client::CallOptions options;
  options.consistency = Consistency::kLinearizable;
  for (size_t i = 1; i <= options_.accounts; ++i) {
    ledger::GetAccountRequest request;
    request.set_id("a" + std::to_string(i));
    Operation one = ReadOf("pipe", request.id(), options.consistency, told());
    const auto reply = client.Call(PathOf("GetAccount"), request.SerializeAsString(), options);
    sim::Require(Answered(std::move(one), end_recording_, reply),
                 "at the end " + endpoint +
                     " does not answer: " + (reply ? std::string() : reply.error().message));
  }
}

void Load::AskOutcomes(const std::string& endpoint) {
  client::Client client({endpoint}, ClientOptions());
  for (const Open& open : open_) {
    requests::GetOutcomeRequest request;
    request.set_key(open.key);
    request.set_method(PathOf(open.method));
    const auto reply =
        client.Call<requests::GetOutcomeReply>("/holdfast.requests.Requests/GetOutcome", request);
    sim::Require(reply.has_value(), "at the end " + endpoint + " does not tell the outcome of " +
                                        open.key + ": " +
                                        (reply ? std::string() : reply.error().message));
    Operation one;
    one.set_kind(Operation::outcome);
    one.set_door("pipe");
    one.set_method(open.method);
    one.set_key(open.key);
    one.set_ended_us(Recording::NowUs());
    if (reply->message.state() == requests::GetOutcomeReply::never_seen) {
      one.set_end(Operation::never_seen);
    } else {  // A late answer, like that to a repeat.
      one.set_end(Operation::replayed);
      one.set_position(reply->position.value);
      one.set_reply(reply->message.reply());
    }
    end_recording_.Add(one);
  }
}

}  // namespace holdfast::faults

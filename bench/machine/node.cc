#include "bench/machine/node.h"

#include <time.h>

#include <algorithm>

#include "src/base/check.h"
#include "src/store/memory/memory_base.h"
#include "src/store/rocksdb/rocksdb_base.h"

using holdfast::LogIndex;
using holdfast::state_machine::Machine;
using holdfast::state_machine::Outcome;

// What callgrind counts, by this name: applying, and nothing of the making of entries.
extern "C" [[gnu::noinline]] void ApplyMeasured(Machine& machine, LogIndex index,
                                                const std::string& entry,
                                                std::vector<Outcome>* outcomes) {
  machine.Apply(index, entry, outcomes);
}

namespace holdfast::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Of the calling thread: what an entry takes, also on a machine that has other things to do.
double ThreadMicroseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

std::unique_ptr<store::Base> Open(const std::string& base, const std::string& path) {
  if (base == "memory") return std::make_unique<store::MemoryBase>();
  auto opened = store::RocksDbBase::Open(path);
  HOLDFAST_CHECK(opened.has_value(), opened.error().message);
  return std::move(*opened);
}

}  // namespace

Node::Node(const std::string& base, const std::string& folder)
    : folder_(folder.empty() ? temp_.path() : folder),
      store_(Open(base, folder_ + "/store")),
      registry_(store_),
      background_("checkpoints") {
  RegisterServices(registry_);
  registry_.Finish();
  machine_ = std::make_unique<Machine>(store_, registry_);
  while (store_.LearnKeys()) {
  }
}

Node::~Node() { background_.Stop(); }

double Node::Apply(const std::string& entry) {
  while (busy_.load() && Overfull()) busy_.wait(true);
  const auto begin = Clock::now();
  const double begin_cpu_us = ThreadMicroseconds();
  if (measured_) {
    ApplyMeasured(*machine_, machine_->applied().Next(), entry, &outcomes_);
  } else {
    machine_->Apply(machine_->applied().Next(), entry, &outcomes_);
  }
  std::function<void()> job;
  {
    absl::MutexLock lock(&store_.mutex());
    if (store_.WantsCheckpoint()) job = store_.BeginCheckpoint();
  }
  const double took = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  cpu_max_us_ = std::max(cpu_max_us_, ThreadMicroseconds() - begin_cpu_us);
  if (job) Write(std::move(job));
  for (const Outcome& outcome : outcomes_) {
    HOLDFAST_CHECK(outcome.reply.has_value(), outcome.reply.error().message);
  }
  return took;
}

void Node::Checkpoint() {
  busy_.wait(true);
  std::function<void()> job;
  {
    absl::MutexLock lock(&store_.mutex());
    job = store_.BeginCheckpoint();
  }
  if (job) Write(std::move(job));
  busy_.wait(true);
}

bool Node::Overfull() {
  absl::ReaderMutexLock lock(&store_.mutex());
  return store_.Overfull();
}

void Node::Write(std::function<void()> job) {
  ++checkpoints_;
  busy_ = true;
  background_.Post([this, job = std::move(job)]() mutable {
    job();
    busy_ = false;
    busy_.notify_all();
  });
}

void EntryMaker::Add(const std::string& method, const google::protobuf::Message& request) {
  const state_machine::Method* found = registry_.Find(method);
  HOLDFAST_CHECK(found != nullptr, method);
  LogRequest* added = entry_.add_requests();
  added->set_service(found->service_id);
  added->set_method(found->method_id);
  added->set_body(request.SerializeAsString());
}

std::string EntryMaker::Finish() {
  entry_.set_time_us(now_us_ += 5'000);
  std::string bytes = entry_.SerializeAsString();
  entry_.Clear();
  return bytes;
}

}  // namespace holdfast::bench

#include "src/server/scrub.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/node/identity.h"
#include "src/store/rocksdb/folder.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

// What memory remembers of a file says nothing of the disk.
void DropFromCache(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;  // It is gone.
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
}

void StopAtDamage(const Result<void>& checked) {
  if (checked) return;
  DiskFailed(checked.error().message +
             ". It was found while the node ran. Run holdfast repair with the node's "
             "configuration: it comes back from the others.");
}

}  // namespace

Scrub::Scrub(FileSystem& files, std::string folder, const wal::SegmentLog& log,
             const store::RocksDbBase& base, uint64_t seconds, ScrubMetrics& metrics)
    : files_(files),
      folder_(std::move(folder)),
      log_(log),
      base_(base),
      seconds_(std::max<uint64_t>(seconds, 1)),
      metrics_(metrics),
      thread_([this] { Run(); }) {}

Scrub::~Scrub() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Scrub::Run() {
  pthread_setname_np(pthread_self(), "hf-scrub");
  while (Round()) metrics_.rounds.Add(1);
}

bool Scrub::Round() {
  const auto began = std::chrono::steady_clock::now();
  uint64_t total = 0;
  for (auto next = log_.ToScrub(0); next; next = log_.ToScrub(next->segment.sequence + 1)) {
    total += next->segment.bytes;
  }
  for (const auto& file : base_.LiveFiles()) total += file.bytes;
  bytes_per_second_ = std::clamp<uint64_t>(total / seconds_, 1, bounds::kScrubBytesPerSecondMax);
  const auto identity = node::Founding::Read(files_, folder_);
  StopAtDamage(identity ? Result<void>() : Fail(identity.error()));
  if (!ScrubStore() || !ScrubLog()) return false;  // The start has read the log.
  // What is read is less than what the files take: the rest of the time passes all the same.
  std::unique_lock lock(mutex_);
  return !wake_.wait_until(lock, began + std::chrono::seconds(seconds_),
                           [this] { return stopping_; });
}

bool Scrub::ScrubLog() {
  bool goes_on = true;
  for (auto next = log_.ToScrub(0); next && goes_on;
       next = log_.ToScrub(next->segment.sequence + 1)) {
    DropFromCache(next->segment.path);
    StopAtDamage(wal::ScrubSegment(*next, log_.salt(), [&](uint64_t bytes) {
      goes_on = goes_on && Pace(bytes);
      return goes_on;
    }));
  }
  return goes_on;
}

bool Scrub::ScrubStore() {
  auto live = base_.LiveFiles();
  // In any order: a node that is started often comes to all of them, too.
  std::shuffle(live.begin(), live.end(), std::mt19937(std::random_device()()));
  for (const auto& file : live) {
    DropFromCache(folder_ + "/store/" + store::kDatabaseFolder + "/" + file.name);
    StopAtDamage(base_.VerifyFile(file.name));
    if (!Pace(file.bytes)) return false;
  }
  return true;
}

bool Scrub::Pace(uint64_t bytes) {
  metrics_.bytes.Add(bytes);
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, milliseconds(bytes * 1'000 / bytes_per_second_),
                         [this] { return stopping_; });
}

}  // namespace holdfast

#include "src/wal/segment_log.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "src/base/check.h"
#include "src/base/reached.h"
#include "src/wal/recovery.h"

namespace holdfast::wal {
namespace {

std::string Explain(const Error& error) {
  return error.hint.empty() ? error.message : error.message + ". " + error.hint;
}

uint64_t DrawSalt() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// The segment comes first and the state file last: a folder with a state file is a log, and one
// without is not yet one.
Result<void> Create(FileSystem& files, const std::string& folder,
                    const SegmentLogOptions& options) {
  auto unused = HoldsNoRecords(files, folder);
  if (!unused) return Fail(unused.error());
  if (!*unused) {
    return Fail(Damaged(folder + "/" + StateFile::kName, 0,
                        "the file with term and vote is missing, although there are entries"));
  }
  auto names = files.List(folder);
  if (!names) return Fail(names.error());
  for (const std::string& name : *names) {
    if (!ParseSegmentName(name)) continue;
    if (auto done = files.Remove(folder + "/" + name); !done) return done;
  }
  const uint64_t salt = options.salt != 0 ? options.salt : DrawSalt();
  auto segment = CreateSegment(files, folder, 1, salt, options.segment_bytes);
  if (!segment) return Fail(segment.error());
  return StateFile::Create(files, folder, salt);
}

}  // namespace

struct SegmentLog::Parts {
  std::string folder;
  std::unique_ptr<FolderLock> lock;
  StateFile state;
  Recovered recovered;
};

Result<std::unique_ptr<SegmentLog>> SegmentLog::Open(FileSystem& files, const std::string& folder,
                                                     const Options& options, Durable durable) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax ||
      options.segment_bytes % kPageBytes != 0) {
    // Settings are judged before, with a minimum of their own: bounds::kSegmentBytesMin.
    return Fail(InvalidArgument("segment_bytes", "is " + std::to_string(options.segment_bytes) +
                                                     ": not a file of whole pages with room for "
                                                     "entries"));
  }
  if (auto done = files.CreateFolders(folder); !done) return Fail(done.error());
  auto lock = files.Lock(folder);
  if (!lock) return Fail(lock.error());
  auto names = files.List(folder);
  if (!names) return Fail(names.error());
  if (!std::binary_search(names->begin(), names->end(), std::string(StateFile::kName))) {
    if (auto done = Create(files, folder, options); !done) return Fail(done.error());
  }
  auto state = StateFile::Open(files, folder);
  if (!state) return Fail(state.error());
  auto recovered = Recover(files, folder, state->salt(), state->state());
  if (!recovered) return Fail(recovered.error());
  if (recovered->next && recovered->next->bytes != options.segment_bytes) {
    // Made ready for another size; an entry of today may not fit.
    if (auto done = files.Remove(recovered->next->path); !done) return Fail(done.error());
    recovered->next.reset();
  }
  LogState now = state->state();
  now.durable_group = recovered->durable_group;
  if (auto done = state->Save(now); !done) return Fail(done.error());
  return std::unique_ptr<SegmentLog>(
      new SegmentLog(files, options, std::move(durable),
                     Parts{folder, std::move(*lock), std::move(*state), std::move(*recovered)}));
}

SegmentLog::SegmentLog(FileSystem& files, const Options& options, Durable durable, Parts parts)
    : options_(options),
      files_(files),
      folder_(std::move(parts.folder)),
      durable_(std::move(durable)),
      lock_(std::move(parts.lock)),
      salt_(parts.state.salt()),
      state_(std::move(parts.state)),
      writer_(files, folder_, salt_, options.segment_bytes,
              {.active = parts.recovered.segments.back(),
               .end = parts.recovered.end,
               .next_group = parts.recovered.durable_group + 1,
               .next = std::move(parts.recovered.next)}),
      entries_(std::move(parts.recovered.entries)),
      segments_(std::move(parts.recovered.segments)),
      durable_group_(parts.recovered.durable_group) {
  if (options_.threaded) thread_ = std::thread([this] { Run(); });
}

SegmentLog::~SegmentLog() {
  if (thread_.joinable()) {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_one();
    thread_.join();
  } else if (!stopped_) {
    Flush();
  }
  // So that the next start knows that no group up to here was torn. It is no promise to anyone, so
  // a failure costs nothing.
  LogState state = state_.state();
  state.durable_group = durable_group_;
  if (!stopped_) static_cast<void>(state_.Save(state));
}

void SegmentLog::SaveHardState(const HardState& hard) {
  LogState state = state_.state();
  state.hard = hard;
  SaveState(state);
}

void SegmentLog::SaveState(LogState state) {
  HOLDFAST_CHECK(!stopped_, "the log in " + folder_ + " has stopped");
  {
    std::lock_guard lock(mutex_);
    state.durable_group = durable_group_;
  }
  Must(state_.Save(state));
}

std::optional<ScrubTarget> SegmentLog::ToScrub(uint32_t sequence) const {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (segments_[i].sequence < sequence) continue;
    const bool is_last = i + 1 == segments_.size();
    return ScrubTarget{segments_[i], is_last ? durable_group_ : segments_[i + 1].first_group - 1};
  }
  return std::nullopt;
}

LogIndex SegmentLog::first() const {
  std::lock_guard lock(mutex_);
  return entries_.first();
}

LogIndex SegmentLog::last() const {
  std::lock_guard lock(mutex_);
  return entries_.last();
}

Term SegmentLog::TermAt(LogIndex index) const {
  std::lock_guard lock(mutex_);
  if (index.Next() == entries_.first()) return entries_.previous_term();
  return entries_.Contains(index) ? entries_.at(index).term : Term(0);
}

EntryType SegmentLog::TypeAt(LogIndex index) const {
  std::lock_guard lock(mutex_);
  return entries_.at(index).type;
}

std::optional<SegmentLog::Place> SegmentLog::PlaceOf(LogIndex index) const {
  std::lock_guard lock(mutex_);
  if (!entries_.Contains(index) || !entries_.at(index).placed()) return std::nullopt;
  const Slot& slot = entries_.at(index);
  const Segment& segment = segments_[slot.segment - segments_.front().sequence];
  return Place{segment.path, slot.offset, RecordBytes(slot.length)};
}

Entry SegmentLog::Read(LogIndex index) const {
  Slot slot;
  std::string path;
  std::shared_ptr<File> file;
  {
    std::lock_guard lock(mutex_);
    slot = entries_.at(index);
    if (Payload payload = entries_.payload(index)) return {slot.term, slot.type, payload};
    const Segment& segment = segments_[slot.segment - segments_.front().sequence];
    path = segment.path;
    file = segment.file;
  }
  std::string bytes(RecordBytes(slot.length), '\0');
  const auto read = file->Read(slot.offset, bytes.size(), bytes.data());
  HOLDFAST_CHECK(read, Explain(read.error()));
  const auto header = DecodeRecordHeader(std::string_view(bytes).substr(0, *read), salt_);
  const bool good =
      header && header->length == slot.length && header->index == index &&
      header->term == slot.term &&
      static_cast<uint8_t>(header->type) == static_cast<uint8_t>(slot.type) &&
      PayloadMatches(*header, std::string_view(bytes).substr(kRecordHeaderBytes), salt_);
  HOLDFAST_CHECK(good,
                 Explain(Damaged(path, slot.offset,
                                 "entry " + index.ToString() + " does not read back as written")));
  bytes.erase(0, kRecordHeaderBytes);
  bytes.resize(slot.length);
  return {slot.term, slot.type, std::make_shared<const std::string>(std::move(bytes))};
}

Ticket SegmentLog::Append(LogIndex first, std::vector<Entry> entries) {
  HOLDFAST_CHECK(!stopped_, "the log in " + folder_ + " has stopped");
  static const Payload kEmpty = std::make_shared<const std::string>();
  const uint64_t fits = std::min<uint64_t>(
      bounds::kEntryBytesMax, options_.segment_bytes - kSegmentHeaderBytes - kRecordHeaderBytes);
  for (Entry& entry : entries) {
    if (entry.payload == nullptr) entry.payload = kEmpty;
    HOLDFAST_CHECK(entry.payload->size() <= fits,
                   "an entry of " + std::to_string(entry.payload->size()) +
                       " bytes is above the bound of " + std::to_string(fits));
  }
  Ticket ticket;
  {
    std::lock_guard lock(mutex_);
    HOLDFAST_CHECK(first >= entries_.first() && first <= entries_.last().Next(),
                   "append at entry " + first.ToString() + " to a log of entries " +
                       entries_.first().ToString() + " to " + entries_.last().ToString());
    Kill(first);
    entries_.Cut(first);
    ticket = ++ticket_;
    // Without an entry to overwrite the dropped ones, a record says that they are gone.
    if (entries.empty()) queue_.push_back({RecordType::kCut, first, Term(0), kEmpty, ticket});
    for (Entry& entry : entries) {
      queue_.push_back({static_cast<RecordType>(entry.type), entries_.last().Next(), entry.term,
                        entry.payload, ticket});
      entries_.Push(entry.term, entry.type, std::move(entry.payload));
    }
    entries_.EvictTail(options_.tail_bytes_max);
  }
  wake_.notify_one();
  return ticket;
}

LogIndex SegmentLog::OldestWithin(uint64_t bytes) const {
  std::lock_guard lock(mutex_);
  LogIndex oldest = entries_.last().Next();
  uint64_t sum = 0;
  while (oldest > entries_.first()) {
    sum += RecordBytes(entries_.at(oldest.Previous()).length);
    if (sum > bytes) break;
    oldest = oldest.Previous();
  }
  return oldest;
}

Ticket SegmentLog::Reset(LogIndex next, Term previous_term) {
  HOLDFAST_CHECK(!stopped_, "the log in " + folder_ + " has stopped");
  Ticket ticket;
  {
    std::lock_guard lock(mutex_);
    HOLDFAST_CHECK(
        next >= entries_.first(),
        "reset to entry " + next.ToString() + " below the first, " + entries_.first().ToString());
    Kill(entries_.first());
    entries_.Reset(next, previous_term);
    ticket = ++ticket_;
    queue_.push_back(
        {RecordType::kReset, next, previous_term, std::make_shared<const std::string>(), ticket});
  }
  wake_.notify_one();
  return ticket;
}

// Marks what is on its way to the disk and no longer in the log.
void SegmentLog::Kill(LogIndex from) {
  if (from > entries_.last()) return;
  HOLDFAST_REACHED("wal.log.drops_entries");
  for (Queued& queued : in_flight_) queued.live = queued.live && queued.index < from;
  for (Queued& queued : queue_) queued.live = queued.live && queued.index < from;
}

// What is at or above this may be different after a crash.
LogIndex SegmentLog::LowestNotDurable() const {
  LogIndex lowest = entries_.last().Next();
  const auto look = [&](const Queued& queued) {
    // A reset replaces everything.
    lowest = std::min(lowest, queued.type == RecordType::kReset ? LogIndex(0) : queued.index);
  };
  for (const Queued& queued : in_flight_) look(queued);
  for (const Queued& queued : queue_) look(queued);
  return lowest;
}

void SegmentLog::TruncatePrefix(LogIndex index) {
  LogState state = state_.state();
  std::vector<std::string> removed;
  {
    std::lock_guard lock(mutex_);
    index = std::min(index, LowestNotDurable());
    while (segments_.size() > 1 && segments_.front().highest < index) {
      removed.push_back(segments_.front().path);
      segments_.pop_front();
    }
    if (removed.empty()) return;
    entries_.DropSegmentsBelow(segments_.front().sequence);
    state.lowest_segment = segments_.front().sequence;
    state.lowest_group = segments_.front().first_group;
    state.first = entries_.first();
  }
  // First the word that they are not missed, then the removal, which the writer does.
  SaveState(state);
  {
    std::lock_guard lock(mutex_);
    doomed_.insert(doomed_.end(), removed.begin(), removed.end());
  }
  wake_.notify_one();
}

void SegmentLog::Flush() {
  if (!options_.threaded) {
    while (WriteGroup()) {
    }
    return;
  }
  std::unique_lock lock(mutex_);
  written_.wait(lock, [this] { return queue_.empty() && in_flight_.empty(); });
}

void SegmentLog::Abandon() {
  HOLDFAST_CHECK(!options_.threaded, "a log with a thread cannot be abandoned");
  stopped_ = true;
}

bool SegmentLog::WritePending() {
  if (WriteGroup() || RemoveDoomed()) return true;
  if (writer_.next_is_ready()) return false;
  Must(writer_.PrepareStep());
  return true;
}

void SegmentLog::Run() {
  pthread_setname_np(pthread_self(), "hf-log");
  bool idle = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (idle) {
        wake_.wait(lock, [this] { return closing_ || !queue_.empty() || !doomed_.empty(); });
      }
      if (closing_ && queue_.empty()) return;
    }
    idle = !WritePending();
  }
}

bool SegmentLog::WriteGroup() {
  HOLDFAST_CHECK(!stopped_, "the log in " + folder_ + " has stopped");
  {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) return false;
    if (RecordBytes(queue_.front().payload->size()) > writer_.room()) {
      lock.unlock();
      Must(writer_.Roll());
      lock.lock();
      segments_.push_back(writer_.active());
    }
    const uint64_t bytes_max = std::min(writer_.room(), bounds::kLogGroupBytesMax);
    uint64_t bytes = 0;
    while (!queue_.empty()) {
      bytes += RecordBytes(queue_.front().payload->size());
      if (bytes > bytes_max) break;
      in_flight_.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
  }
  HOLDFAST_CHECK(!in_flight_.empty(), "a record does not fit into " + writer_.active().path);

  uint64_t offset = writer_.end();
  const uint64_t group = writer_.next_group();
  group_.clear();
  for (size_t i = 0; i < in_flight_.size(); ++i) {
    const Queued& queued = in_flight_[i];
    const RecordHeader header{.type = queued.type,
                              .index = queued.index,
                              .term = queued.term,
                              .group = group,
                              .position = static_cast<uint32_t>(i),
                              .group_records = static_cast<uint32_t>(in_flight_.size())};
    AppendRecord(header, *queued.payload, salt_, &group_);
  }
  const auto began = std::chrono::steady_clock::now();
  Must(writer_.WriteGroup(group_));
  const auto took = std::chrono::steady_clock::now() - began;
  metrics_.sync_us.Observe(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  metrics_.group_records.Observe(in_flight_.size());
  metrics_.written_bytes.Add(group_.size());

  const Ticket ticket = in_flight_.back().ticket;
  bool ticket_complete;
  {
    std::lock_guard lock(mutex_);
    Segment& segment = segments_.back();
    for (const Queued& queued : in_flight_) {
      if (IsEntry(queued.type)) {
        segment.highest = std::max(segment.highest, queued.index);
        if (queued.live) {
          entries_.Place(queued.index, segment.sequence, static_cast<uint32_t>(offset));
        }
      }
      offset += RecordBytes(queued.payload->size());
    }
    // An Append may be spread over groups; it is durable with its last one.
    ticket_complete = queue_.empty() || queue_.front().ticket != ticket;
    in_flight_.clear();
    durable_group_ = group;
    entries_.EvictTail(options_.tail_bytes_max);
  }
  written_.notify_all();
  if (ticket_complete) {
    durable_(ticket);
  } else if (ticket > 1) {
    HOLDFAST_REACHED("wal.log.append_over_two_groups");
    durable_(ticket - 1);
  }
  while (writer_.next_is_late()) Must(writer_.PrepareStep());
  return true;
}

bool SegmentLog::RemoveDoomed() {
  std::string path;
  {
    std::lock_guard lock(mutex_);
    if (doomed_.empty()) return false;
    path = std::move(doomed_.back());
    doomed_.pop_back();
  }
  Must(files_.Remove(path));
  return true;
}

// The one answer to a disk that fails: a second try could succeed and still have lost the bytes.
void SegmentLog::Must(const Result<void>& done) {
  if (done) return;
  try {
    DiskFailed("the log cannot go on: " + Explain(done.error()));
  } catch (...) {
    // Only a simulated process lives on. A real one is ending, and the caller's thread must not
    // come upon a log that has stopped: its report would hide that the disk failed.
    stopped_ = true;
    throw;
  }
}

}  // namespace holdfast::wal

// The log on disk: segment files with a checksum on every record, written by one writer that puts
// everything that has queued up into one write and one fdatasync (docs/formats/log.md).
//
// Threads: as wal::Log says, one thread calls; the writer is a thread of the log's own, or, with
// `threaded` off, whoever calls WritePending. The code is the same.
// Failure: opening answers with an Error. Once open, a failed write or sync and a record that does
// not read back as it was written stop the node.
// The payloads of entries that are not durable yet are kept in memory however many they are: the
// caller bounds them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/file_system.h"
#include "src/wal/entry_index.h"
#include "src/wal/format.h"
#include "src/wal/log.h"
#include "src/wal/log_metrics.h"
#include "src/wal/scrub.h"
#include "src/wal/segment.h"
#include "src/wal/segment_writer.h"
#include "src/wal/state_file.h"

namespace holdfast::wal {

struct SegmentLogOptions {
  uint64_t segment_bytes = bounds::kSegmentBytes;  // Of files to come.
  size_t tail_bytes_max = bounds::kLogTailBytesMax;
  bool threaded = true;
  uint64_t salt = 0;  // Of a new log; 0 draws one. Fixed where runs must repeat.
};

class SegmentLog final : public Log {
 public:
  using Options = SegmentLogOptions;
  // Everything up to the ticket is durable. Comes from the writer, without any lock held; the last
  // calls come from within the destructor.
  using Durable = std::function<void(Ticket)>;

  // Creates the folder and the log if need be. `files` must outlive the log.
  static Result<std::unique_ptr<SegmentLog>> Open(FileSystem& files, const std::string& folder,
                                                  const Options& options, Durable durable);
  // Writes what is queued. (What a crash leaves behind: see Abandon.)
  ~SegmentLog() override;

  HardState hard_state() const override { return state_.state().hard; }
  void SaveHardState(const HardState& state) override;
  LogIndex first() const override;
  LogIndex last() const override;
  Term TermAt(LogIndex index) const override;
  EntryType TypeAt(LogIndex index) const override;
  Entry Read(LogIndex index) const override;
  Ticket Append(LogIndex first, std::vector<Entry> entries) override;
  LogIndex OldestWithin(uint64_t bytes) const override;
  Ticket Reset(LogIndex next, Term previous_term) override;
  void TruncatePrefix(LogIndex index) override;

  // Returns when everything appended so far is durable.
  void Flush();

  // Where an entry lies; none while it is not written. For who looks whether it is durable there.
  struct Place {
    std::string path;
    uint64_t offset;
    uint64_t bytes;
  };
  std::optional<Place> PlaceOf(LogIndex index) const;

  const LogMetrics& metrics() const { return metrics_; }  // Any thread.
  // The file with the lowest number from `sequence` on; nullopt: there is none. Any thread. The
  // file can be read as long as the answer lives, though the log may let go of it.
  std::optional<ScrubTarget> ToScrub(uint32_t sequence) const;
  uint64_t salt() const { return salt_; }

  // --- With `threaded` off
  // One step of the writer: a group, or upkeep when nothing is queued. False: nothing was left to
  // do.
  bool WritePending();
  // The process is taken to have died: nothing more is written, not even by the destructor.
  void Abandon();

 private:
  // A record on its way to the disk.
  struct Queued {
    RecordType type;
    LogIndex index;
    Term term;
    Payload payload;
    Ticket ticket;
    // False once a later Append has dropped the entry. It is written all the same, as the record
    // that overwrites it comes after it.
    bool live = true;
  };
  // What Open has put together.
  struct Parts;

  SegmentLog(FileSystem& files, const Options& options, Durable durable, Parts parts);

  void Run();  // The writer thread.
  bool WriteGroup();
  bool RemoveDoomed();
  void Must(const Result<void>& done);
  void SaveState(LogState state);
  // All below: mutex_ held.
  void Kill(LogIndex from);
  LogIndex LowestNotDurable() const;

  const Options options_;
  FileSystem& files_;
  const std::string folder_;
  const Durable durable_;
  const std::unique_ptr<FolderLock> lock_;
  const uint64_t salt_;

  StateFile state_;       // The caller's thread.
  SegmentWriter writer_;  // The writer's.
  std::atomic<bool> stopped_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;     // The writer: there is something to do.
  std::condition_variable written_;  // Flush: a group is durable.
  // Below: mutex_ held.
  EntryIndex entries_;
  std::deque<Segment> segments_;  // Sequence numbers without gaps; the last is written on.
  std::deque<Queued> queue_;
  // The group being written. The writer adds and removes and reads without the lock; others change
  // `live` only.
  std::vector<Queued> in_flight_;
  std::vector<std::string> doomed_;  // Files to remove.
  Ticket ticket_ = 0;
  uint64_t durable_group_ = 0;
  bool closing_ = false;

  LogMetrics metrics_;
  std::string group_;   // The writer's buffer.
  std::thread thread_;  // Last: starts when all else is there.
};

}  // namespace holdfast::wal

#include "src/wal/recovery.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/reached.h"

namespace holdfast::wal {
namespace {

constexpr uint64_t kSectorBytes = 512;
// No group is longer: one begun below the bound may end with the largest record.
constexpr uint64_t kGroupReachBytes =
    bounds::kLogGroupBytesMax + RecordBytes(bounds::kEntryBytesMax);
constexpr uint64_t kRecordCountOffset = 52;  // In a record's header.

bool AllZero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

uint64_t EndOfSector(uint64_t offset) { return offset - offset % kSectorBytes + kSectorBytes; }

// Whether all of what was to be written to [from, to) has certainly arrived. Segments hold zeros
// before. A write that the power cuts lacks whole sectors; one that the process did not finish
// lacks its end, and then there are zeros from before `to` to the end of its sector.
bool Arrived(std::string_view bytes, uint64_t from, uint64_t to) {
  if (to > bytes.size()) return false;
  const uint64_t last = to - 1;
  if (AllZero(bytes.substr(last, EndOfSector(last) - last))) return false;
  while (from < to) {
    const uint64_t end = std::min(to, EndOfSector(from));
    if (AllZero(bytes.substr(from, end - from))) return false;
    from = end;
  }
  return true;
}

// A record of the group that is being read; applied when the group is complete.
struct Pending {
  RecordHeader header;
  uint32_t offset;
};

class Scan {
 public:
  Scan(FileSystem& files, std::string folder, uint64_t salt, const LogState& state)
      : files_(files),
        folder_(std::move(folder)),
        salt_(salt),
        state_(state),
        group_(state.lowest_group) {
    recovered_.entries.Reset(state.first);
  }

  Result<Recovered> Run();

 private:
  Result<std::vector<uint32_t>> FindSegments();
  Result<void> Load(uint32_t sequence);
  Result<void> ReadGroups();
  // Reads the record at `offset` into group_records_; false when there is no good one.
  Result<bool> ReadRecord(uint64_t offset);
  Result<void> Apply();
  Result<void> JudgeHole(uint64_t group_start, uint64_t hole);
  Result<void> CheckEnd() const;
  Result<void> Settle();
  Result<void> ZeroReach(const Segment& segment, uint64_t from);

  std::string_view bytes() const { return bytes_; }
  Segment& segment() { return scanned_.back(); }
  Error DamagedAt(uint64_t offset, const std::string& why) const {
    return Damaged(scanned_.back().path, offset, why);
  }

  FileSystem& files_;
  const std::string folder_;
  const uint64_t salt_;
  const LogState& state_;

  std::deque<Segment> scanned_;
  std::string bytes_;  // Of the last scanned segment.
  uint64_t group_;     // The next to come.
  std::vector<Pending> group_records_;
  bool begun_ = false;  // An entry was seen.
  bool reset_seen_ = false;

  // The last complete group.
  size_t active_ = 0;  // Its segment in scanned_; 0 as well when there is none.
  uint64_t last_start_ = kSegmentHeaderBytes;
  uint64_t last_end_ = kSegmentHeaderBytes;
  // The torn one, if any.
  std::optional<size_t> torn_;  // Its segment in scanned_.
  uint64_t torn_start_ = 0;

  Recovered recovered_;
};

Result<std::vector<uint32_t>> Scan::FindSegments() {
  auto names = files_.List(folder_);
  if (!names) return Fail(names.error());
  std::vector<uint32_t> found;
  for (const std::string& name : *names) {
    const auto sequence = ParseSegmentName(name);
    const bool leftover =
        name == kUnfinishedSegmentName || (sequence && *sequence < state_.lowest_segment);
    if (leftover) {
      auto done = files_.Remove(folder_ + "/" + name);
      if (!done) return Fail(done.error());
    } else if (sequence) {
      found.push_back(*sequence);
    }
  }
  for (size_t i = 0; i == 0 || i < found.size(); ++i) {
    const uint64_t expected = state_.lowest_segment + i;
    if (i >= found.size() || found[i] != expected) {
      return Fail(Damaged(folder_ + "/" + SegmentName(static_cast<uint32_t>(expected)), 0,
                          "the segment is missing"));
    }
  }
  return found;
}

Result<void> Scan::Load(uint32_t sequence) {
  Segment loaded;
  loaded.sequence = sequence;
  loaded.path = folder_ + "/" + SegmentName(sequence);
  loaded.first_group = group_;
  auto file = files_.Open(loaded.path, OpenMode::kReadWrite);
  if (!file) return Fail(file.error());
  loaded.file = std::move(*file);
  auto size = loaded.file->Size();
  if (!size) return Fail(size.error());
  loaded.bytes = *size;
  scanned_.push_back(std::move(loaded));

  if (*size < kSegmentBytesMin || *size > kSegmentBytesMax) {
    return Fail(DamagedAt(0, "a segment is not " + std::to_string(*size) + " bytes long"));
  }
  bytes_.resize(*size);
  auto read = segment().file->Read(0, bytes_.size(), bytes_.data());
  if (!read) return Fail(read.error());
  if (*read != *size) return Fail(DamagedAt(*read, "the file ends early"));

  auto header = DecodeSegmentHeader(bytes_);
  if (!header) {
    Error error = header.error();
    error.message = segment().path + ", offset 0: " + error.message;
    return Fail(std::move(error));
  }
  if (header->salt != salt_) return Fail(DamagedAt(0, "the segment belongs to another log"));
  if (header->sequence != sequence) {
    return Fail(DamagedAt(
        0, "the file was written as " + SegmentName(static_cast<uint32_t>(header->sequence))));
  }
  if (header->segment_bytes != *size) {
    return Fail(DamagedAt(
        *size, "the file was written with " + std::to_string(header->segment_bytes) + " bytes"));
  }
  return {};
}

Result<bool> Scan::ReadRecord(uint64_t offset) {
  const auto header = DecodeRecordHeader(bytes().substr(offset), salt_);
  if (!header || header->group != group_ || header->position != group_records_.size()) return false;
  if (!group_records_.empty() &&
      header->group_records != group_records_.front().header.group_records) {
    return false;
  }
  // The header is ours and whole, so what it says is not noise.
  if (header->length > bounds::kEntryBytesMax) {
    return Fail(DamagedAt(offset, "a record of " + std::to_string(header->length) +
                                      " bytes is above this build's bound"));
  }
  if (RecordBytes(header->length) > bytes_.size() - offset) {
    return Fail(DamagedAt(offset, "the record does not fit into its segment"));
  }
  const auto padded =
      bytes().substr(offset + kRecordHeaderBytes, RecordBytes(header->length) - kRecordHeaderBytes);
  if (!PayloadMatches(*header, padded, salt_)) return false;
  group_records_.push_back({*header, static_cast<uint32_t>(offset)});
  return true;
}

Result<void> Scan::ReadGroups() {
  uint64_t group_start = kSegmentHeaderBytes;
  uint64_t offset = group_start;
  group_records_.clear();
  while (true) {
    auto good = ReadRecord(offset);
    if (!good) return Fail(good.error());
    if (!*good) break;
    const RecordHeader& header = group_records_.back().header;
    offset += RecordBytes(header.length);
    if (group_records_.size() < header.group_records) continue;
    if (auto done = Apply(); !done) return done;
    active_ = scanned_.size() - 1;
    last_start_ = group_start;
    last_end_ = offset;
    group_start = offset;
    ++group_;
  }
  if (group_records_.empty() && AllZero(bytes().substr(offset))) return {};
  return JudgeHole(group_start, offset);
}

Result<void> Scan::Apply() {
  EntryIndex& entries = recovered_.entries;
  for (const Pending& record : group_records_) {
    const RecordHeader& header = record.header;
    const LogIndex index = header.index;
    if (index.value == 0 || index.value > kNumberMax) {
      return Fail(DamagedAt(record.offset, "no log has an entry " + index.ToString()));
    }
    if (header.type == RecordType::kReset) {
      entries.Reset(index, header.term);
      reset_seen_ = true;
      continue;
    }
    if (!IsEntry(header.type) && header.type != RecordType::kCut) {
      return Fail(DamagedAt(record.offset, "record type " +
                                               std::to_string(static_cast<int>(header.type)) +
                                               " is unknown to this build"));
    }
    if (!reset_seen_) {
      // The lowest segment may begin with entries that were overwritten later, so the first may
      // have any index, and one below it is no surprise either. CheckEnd judges the result.
      if (header.type == RecordType::kCut && !begun_) continue;
      if (index < entries.first() || !begun_) entries.Reset(index);
    }
    if (index < entries.first() || index > entries.last().Next()) {
      return Fail(DamagedAt(record.offset, "index " + index.ToString() + " in a log of entries " +
                                               entries.first().ToString() + " to " +
                                               entries.last().ToString()));
    }
    begun_ = true;
    entries.Cut(index);
    if (header.type == RecordType::kCut) continue;
    entries.PushPlaced(Slot{.term = header.term,
                            .segment = segment().sequence,
                            .offset = record.offset,
                            .length = header.length,
                            .type = static_cast<EntryType>(header.type)});
    segment().highest = std::max(segment().highest, index);
  }
  group_records_.clear();
  return {};
}

Result<void> Scan::JudgeHole(uint64_t group_start, uint64_t hole) {
  for (uint64_t at = hole; at + kRecordHeaderBytes <= bytes_.size(); at += 8) {
    const auto header = DecodeRecordHeader(bytes().substr(at), salt_);
    if (!header || header->group <= group_) continue;
    return Fail(DamagedAt(hole, "bad record of group " + std::to_string(group_) +
                                    ", although group " + std::to_string(header->group) +
                                    " was written after it at offset " + std::to_string(at)));
  }
  if (group_ <= state_.durable_group) {
    return Fail(DamagedAt(hole, "bad record of group " + std::to_string(group_) +
                                    ", which is known to have been durable"));
  }
  const auto header = DecodeRecordHeader(bytes().substr(hole), salt_);
  // Of a header the number of records ends what is not 0; of a whole header the payload is bad.
  const uint64_t bytes_meant =
      header ? kRecordHeaderBytes + header->length : kRecordCountOffset + 1;
  if (Arrived(bytes(), hole, hole + bytes_meant)) {
    return Fail(DamagedAt(hole, "bad record of group " + std::to_string(group_) +
                                    ", although all its sectors were written"));
  }
  HOLDFAST_REACHED("wal.recovery.torn_group");
  torn_ = scanned_.size() - 1;
  torn_start_ = group_start;
  group_records_.clear();
  return {};
}

// What is missing without a trace in the bytes that are there.
Result<void> Scan::CheckEnd() const {
  if (group_ <= state_.durable_group) {
    const Segment& last = scanned_[active_];
    return Fail(Damaged(last.path, last_end_,
                        "the log ends before group " + std::to_string(state_.durable_group) +
                            ", which is known to have been durable"));
  }
  const LogIndex first = recovered_.entries.first();
  if (first < state_.first || (first > state_.first && !reset_seen_)) {
    return Fail(Damaged(scanned_.front().path, kSegmentHeaderBytes,
                        "the log begins with entry " + first.ToString() + " and not with " +
                            state_.first.ToString()));
  }
  return {};
}

// Makes what was read durable and what was cut gone.
Result<void> Scan::Settle() {
  // After a failed sync the page cache may show a group that never reached the disk. It can only be
  // the last one; writing the same bytes again settles it.
  const Segment& active = scanned_[active_];
  std::string group(last_end_ - last_start_, '\0');
  auto read = active.file->Read(last_start_, group.size(), group.data());
  if (!read) return Fail(read.error());
  if (*read != group.size()) {
    return Fail(Damaged(active.path, last_start_ + *read, "the file ends early"));
  }
  if (auto done = active.file->Write(last_start_, group); !done) return done;
  if (auto done = active.file->Sync(); !done) return done;
  if (torn_) {
    const Segment& torn = scanned_[*torn_];
    if (auto done = torn.file->WriteZeros(torn_start_, torn.bytes - torn_start_); !done)
      return done;
    if (auto done = torn.file->Sync(); !done) return done;
  }
  // Likewise zeros in the place of a group that an earlier start cut: that start may have failed
  // before they were durable, and what the group left behind would look like a later one's.
  if (auto done = ZeroReach(active, last_end_); !done) return done;
  if (active_ + 1 < scanned_.size()) {
    if (auto done = ZeroReach(scanned_[active_ + 1], kSegmentHeaderBytes); !done) return done;
  }
  return files_.SyncFolder(folder_);
}

Result<void> Scan::ZeroReach(const Segment& segment, uint64_t from) {
  const uint64_t bytes = std::min(kGroupReachBytes, segment.bytes - from);
  if (auto done = segment.file->WriteZeros(from, bytes); !done) return done;
  return segment.file->Sync();
}

Result<Recovered> Scan::Run() {
  auto sequences = FindSegments();
  if (!sequences) return Fail(sequences.error());
  for (const uint32_t sequence : *sequences) {
    if (auto done = Load(sequence); !done) return Fail(done.error());
    if (torn_) {
      // The torn group was the last write, so what follows was never written to.
      if (!AllZero(bytes().substr(kSegmentHeaderBytes))) {
        return Fail(Damaged(scanned_[*torn_].path, torn_start_,
                            "bad record, although " + segment().path + " was written after it"));
      }
      continue;
    }
    if (auto done = ReadGroups(); !done) return Fail(done.error());
  }
  if (auto done = CheckEnd(); !done) return Fail(done.error());
  if (auto done = Settle(); !done) return Fail(done.error());

  while (scanned_.size() > active_ + 2) {
    if (auto done = files_.Remove(scanned_.back().path); !done) return Fail(done.error());
    scanned_.pop_back();
  }
  if (scanned_.size() == active_ + 2) {
    recovered_.next = std::move(scanned_.back());
    scanned_.pop_back();
  }
  recovered_.segments = std::move(scanned_);
  recovered_.end = last_end_;
  recovered_.durable_group = group_ - 1;
  return std::move(recovered_);
}

}  // namespace

Result<Recovered> Recover(FileSystem& files, const std::string& folder, uint64_t salt,
                          const LogState& state) {
  return Scan(files, folder, salt, state).Run();
}

Result<bool> HoldsNoRecords(FileSystem& files, const std::string& folder) {
  auto names = files.List(folder);
  if (!names) return Fail(names.error());
  for (const std::string& name : *names) {
    if (!ParseSegmentName(name)) continue;
    auto bytes = ReadFile(files, folder + "/" + name, kSegmentBytesMax);
    if (!bytes) return Fail(bytes.error());
    if (bytes->size() > kSegmentHeaderBytes &&
        !AllZero(std::string_view(*bytes).substr(kSegmentHeaderBytes))) {
      return false;
    }
  }
  return true;
}

}  // namespace holdfast::wal

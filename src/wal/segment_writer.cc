#include "src/wal/segment_writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "src/base/check.h"
#include "src/wal/format.h"

namespace holdfast::wal {
namespace {

// The first step writes the header, the last one gives the file its name.
Result<void> FillStep(File& file, uint32_t sequence, uint64_t salt, uint64_t segment_bytes,
                      uint64_t* filled) {
  if (*filled == 0) {
    const SegmentHeader header{salt, sequence, segment_bytes};
    if (auto done = file.Write(0, EncodeSegmentHeader(header)); !done) return done;
    *filled = kSegmentHeaderBytes;
  }
  const uint64_t step = std::min(kPrepareStepBytes, segment_bytes - *filled);
  if (auto done = file.WriteZeros(*filled, step); !done) return done;
  if (auto done = file.Sync(); !done) return done;
  *filled += step;
  return {};
}

Result<Segment> Publish(FileSystem& files, const std::string& folder, uint32_t sequence,
                        std::shared_ptr<File> file, uint64_t segment_bytes) {
  const std::string path = folder + "/" + SegmentName(sequence);
  if (auto done = files.Rename(folder + "/" + kUnfinishedSegmentName, path); !done) {
    return Fail(done.error());
  }
  if (auto done = files.SyncFolder(folder); !done) return Fail(done.error());
  return Segment{sequence, path, std::move(file), segment_bytes, 0, LogIndex(0)};
}

}  // namespace

Result<Segment> CreateSegment(FileSystem& files, const std::string& folder, uint32_t sequence,
                              uint64_t salt, uint64_t segment_bytes) {
  auto file = files.Open(folder + "/" + kUnfinishedSegmentName, OpenMode::kCreate);
  if (!file) return Fail(file.error());
  for (uint64_t filled = 0; filled < segment_bytes;) {
    auto done = FillStep(**file, sequence, salt, segment_bytes, &filled);
    if (!done) return Fail(done.error());
  }
  return Publish(files, folder, sequence, std::move(*file), segment_bytes);
}

SegmentWriter::SegmentWriter(FileSystem& files, std::string folder, uint64_t salt,
                             uint64_t segment_bytes, Start start)
    : files_(files),
      folder_(std::move(folder)),
      salt_(salt),
      segment_bytes_(segment_bytes),
      active_(std::move(start.active)),
      end_(start.end),
      next_group_(start.next_group),
      next_(std::move(start.next)) {}

Result<void> SegmentWriter::PrepareStep() {
  if (next_) return {};
  HOLDFAST_CHECK(active_.sequence < std::numeric_limits<uint32_t>::max(),
                 "the log has used up its segment numbers");
  const uint32_t sequence = active_.sequence + 1;
  if (!unfinished_) {
    auto file = files_.Open(folder_ + "/" + kUnfinishedSegmentName, OpenMode::kCreate);
    if (!file) return Fail(file.error());
    unfinished_ = std::move(*file);
    filled_ = 0;
  }
  auto step = FillStep(*unfinished_, sequence, salt_, segment_bytes_, &filled_);
  if (!step || filled_ < segment_bytes_) return step;
  auto segment =
      Publish(files_, folder_, sequence, std::exchange(unfinished_, nullptr), segment_bytes_);
  if (!segment) return Fail(segment.error());
  next_ = std::move(*segment);
  return {};
}

Result<void> SegmentWriter::Roll() {
  while (!next_) {
    if (auto done = PrepareStep(); !done) return done;
  }
  active_ = std::move(*next_);
  next_.reset();
  filled_ = 0;
  active_.first_group = next_group_;
  end_ = kSegmentHeaderBytes;
  return {};
}

Result<void> SegmentWriter::WriteGroup(std::string_view group) {
  HOLDFAST_CHECK(group.size() <= room(), "a group of " + std::to_string(group.size()) +
                                             " bytes does not fit into " + active_.path);
  if (auto done = active_.file->Write(end_, group); !done) return done;
  if (auto done = active_.file->Sync(); !done) return done;
  end_ += group.size();
  ++next_group_;
  return {};
}

}  // namespace holdfast::wal

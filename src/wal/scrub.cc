#include "src/wal/scrub.h"

#include <algorithm>
#include <string>

#include "src/base/bounds.h"
#include "src/wal/format.h"

namespace holdfast::wal {
namespace {

// The largest record fits.
constexpr uint64_t kPieceBytes = 2 << 20;
static_assert(kPieceBytes >= RecordBytes(bounds::kEntryBytesMax));

// A file as a row of bytes of which a piece is in memory.
class Pieces {
 public:
  Pieces(const Segment& segment, const ScrubPace& pace) : segment_(segment), pace_(pace) {}

  // At most kPieceBytes from `offset` on; fewer at the end of the file. Until the next call.
  Result<std::string_view> At(uint64_t offset, uint64_t bytes) {
    bytes = std::min(bytes, segment_.bytes - offset);
    if (offset < begin_ || offset + bytes > begin_ + piece_.size()) {
      piece_.resize(std::min(kPieceBytes, segment_.bytes - offset));
      const auto read = segment_.file->Read(offset, piece_.size(), piece_.data());
      if (!read) return Fail(read.error());
      if (*read < piece_.size()) {
        return Fail(Damaged(segment_.path, offset + *read, "the file ends early"));
      }
      begin_ = offset;
      stopped_ = stopped_ || !pace_(piece_.size());
    }
    return std::string_view(piece_).substr(offset - begin_, bytes);
  }
  bool stopped() const { return stopped_; }

 private:
  const Segment& segment_;
  const ScrubPace& pace_;
  std::string piece_;
  uint64_t begin_ = 0;
  bool stopped_ = false;
};

}  // namespace

Result<void> ScrubSegment(const ScrubTarget& target, uint64_t salt, const ScrubPace& pace) {
  const Segment& segment = target.segment;
  Pieces pieces(segment, pace);
  const auto page = pieces.At(0, kSegmentHeaderBytes);
  if (!page) return Fail(page.error());
  const auto file = DecodeSegmentHeader(*page);
  if (!file || file->salt != salt || file->sequence != segment.sequence) {
    return Fail(Damaged(segment.path, 0, "the header is not the one that was written"));
  }
  uint64_t group = segment.first_group;
  uint32_t position = 0;
  for (uint64_t offset = kSegmentHeaderBytes; group <= target.last_group && !pieces.stopped();) {
    const auto bad = [&] {
      return Fail(Damaged(
          segment.path, offset,
          "bad record of group " + std::to_string(group) + ", which was written and durable"));
    };
    const auto head = pieces.At(offset, kRecordHeaderBytes);
    if (!head) return Fail(head.error());
    const auto header = DecodeRecordHeader(*head, salt);
    if (!header || header->group != group || header->position != position ||
        header->length > bounds::kEntryBytesMax) {
      return bad();
    }
    const uint64_t bytes = RecordBytes(header->length);
    const auto record = pieces.At(offset, bytes);
    if (!record) return Fail(record.error());
    if (record->size() < bytes ||
        !PayloadMatches(*header, record->substr(kRecordHeaderBytes), salt)) {
      return bad();
    }
    offset += bytes;
    if (++position < header->group_records) continue;
    ++group;
    position = 0;
  }
  return {};
}

}  // namespace holdfast::wal

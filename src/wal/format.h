// The bytes of the log on disk, as docs/formats/log.md defines them: encoding, decoding, and
// nothing else. Decoding takes any bytes at all.
//
// Every checksum is XXH3-64 seeded with the log's salt, a random number that never leaves the data
// folder: a caller who puts bytes that look like a record into a payload cannot make them pass.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/bounds.h"
#include "src/base/error.h"
#include "src/base/ids.h"
#include "src/wal/log.h"

namespace holdfast::wal {

inline constexpr uint32_t kFormatVersion = 1;
// Headers that are written once have a page to themselves, so that no torn write can reach them.
inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kSegmentHeaderBytes = kPageBytes;
inline constexpr size_t kRecordHeaderBytes = 56;
// A segment is read as a whole at restart, and offsets in it are 32-bit numbers.
inline constexpr uint64_t kSegmentBytesMax = bounds::kSegmentBytesMax;
// Of the format; a node's files are larger (bounds::kSegmentBytesMin).
inline constexpr uint64_t kSegmentBytesMin = 4 * kPageBytes;
// Of indices and groups: never reached, and far from where adding to them would wrap.
inline constexpr uint64_t kNumberMax = uint64_t{1} << 62;

// The first three are EntryType. Numbers are stored: never reuse one.
enum class RecordType : uint8_t {
  kCommand = 1,
  kBarrier = 2,
  kConfiguration = 3,
  kCut = 128,    // Entries from `index` on are gone. No term, no payload.
  kReset = 129,  // All entries are gone; the log goes on at `index`, after an entry of `term`.
};
inline bool IsEntry(RecordType type) {
  return type >= RecordType::kCommand && type <= RecordType::kConfiguration;
}

struct RecordHeader {
  uint32_t length = 0;  // Of the payload, without padding. Untrusted until compared with a bound.
  RecordType type = RecordType::kCommand;
  LogIndex index;
  Term term;
  uint64_t group = 0;          // Which write; grows by one with each.
  uint32_t position = 0;       // Within its group, from 0.
  uint32_t group_records = 0;  // How many the group has.
  uint64_t payload_checksum = 0;
};

// Header, payload and the zeros up to the next multiple of 8.
inline constexpr uint64_t RecordBytes(uint64_t payload_bytes) {
  return kRecordHeaderBytes + (payload_bytes + 7) / 8 * 8;
}
// Fills in length and checksum.
void AppendRecord(RecordHeader header, std::string_view payload, uint64_t salt, std::string* out);
// nullopt when the bytes are not a header that was written with this salt. What a header says is
// not judged: one that passes its checksum and makes no sense is damage, not a torn write.
std::optional<RecordHeader> DecodeRecordHeader(std::string_view bytes, uint64_t salt);
// `padded`: the payload with its zeros.
bool PayloadMatches(const RecordHeader& header, std::string_view padded, uint64_t salt);

struct SegmentHeader {
  uint64_t salt = 0;
  uint64_t sequence = 0;
  uint64_t segment_bytes = 0;
};
std::string EncodeSegmentHeader(const SegmentHeader& header);  // kSegmentHeaderBytes long.
// An Error without a place: the caller knows the path.
Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

// What the state file says, beside the hard state: where the log begins, so that a missing file is
// noticed.
struct LogState {
  HardState hard;
  uint64_t lowest_segment = 1;  // Files below are leftovers.
  uint64_t lowest_group = 1;    // The first group of that segment, written or to come.
  LogIndex first{1};            // Of the oldest entry; the next one's when there is none.
  uint64_t durable_group = 0;   // Groups up to here were durable: one that is bad was not torn.
  bool operator==(const LogState&) const = default;
};

// The state file: a page for the header, a page for each of two slots.
inline constexpr size_t kStateFileBytes = 3 * kPageBytes;
inline constexpr size_t kStateSlotBytes = 64;
std::string EncodeStateHeader(uint64_t salt);
Result<uint64_t> DecodeStateHeader(std::string_view bytes);  // The salt.
std::string EncodeStateSlot(uint64_t sequence, const LogState& state, uint64_t salt);
struct StateSlot {
  uint64_t sequence = 0;
  LogState state;
};
// nullopt when the bytes are no slot that was written with this salt, or say what no log does.
std::optional<StateSlot> DecodeStateSlot(std::string_view bytes, uint64_t salt);

}  // namespace holdfast::wal

#include "src/wal/format.h"

#include <xxhash.h>

#include "src/base/check.h"

namespace holdfast::wal {
namespace {

constexpr std::string_view kSegmentMagic = "HOLDFSEG";
constexpr std::string_view kStateMagic = "HOLDFLOG";
constexpr size_t kSegmentHeaderFields = 48;  // Bytes before the zeros that fill the page.
constexpr size_t kStateHeaderFields = 32;

// Numbers are little-endian.
template <class T>
void Put(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

// Takes fields off the front of bytes whose length the caller has checked.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T Take() {
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) {
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
    }
    bytes_.remove_prefix(sizeof(T));
    return static_cast<T>(value);
  }

 private:
  std::string_view bytes_;
};

uint64_t Checksum(std::string_view bytes, uint64_t salt) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), salt);
}

Error FormatError(std::string message, std::string hint) {
  Error error;
  error.message = std::move(message);
  error.hint = std::move(hint);
  return error;
}

// Magic and version stand first and are judged before the checksum: a newer format may have
// another one.
Result<void> CheckMagic(std::string_view bytes, std::string_view magic, const char* what) {
  if (bytes.size() < kPageBytes || !bytes.starts_with(magic)) {
    return Fail(FormatError(std::string("not a ") + what + " of a Holdfast log",
                            "Check that the node's data folder is the right one."));
  }
  const auto version = Reader(bytes.substr(magic.size())).Take<uint32_t>();
  if (version != kFormatVersion) {
    return Fail(FormatError(std::string(what) + " has format version " + std::to_string(version) +
                                ", this build reads version " + std::to_string(kFormatVersion),
                            "Start the node with the Holdfast release that wrote the folder."));
  }
  return {};
}

Error DamagedHeader(const char* what) {
  return FormatError(std::string(what) + " is damaged: its checksum does not match", "");
}

}  // namespace

void AppendRecord(RecordHeader header, std::string_view payload, uint64_t salt, std::string* out) {
  const size_t start = out->size();
  out->reserve(start + RecordBytes(payload.size()));
  out->append(kRecordHeaderBytes, '\0');
  out->append(payload);
  out->resize(start + RecordBytes(payload.size()), '\0');
  const auto padded = std::string_view(*out).substr(start + kRecordHeaderBytes);

  std::string fields;
  fields.reserve(kRecordHeaderBytes);
  Put<uint64_t>(Checksum(padded, salt), &fields);
  Put<uint32_t>(static_cast<uint32_t>(payload.size()), &fields);
  Put<uint8_t>(static_cast<uint8_t>(header.type), &fields);
  fields.append(3, '\0');
  Put<uint64_t>(header.index.value, &fields);
  Put<uint64_t>(header.term.value, &fields);
  Put<uint64_t>(header.group, &fields);
  Put<uint32_t>(header.position, &fields);
  Put<uint32_t>(header.group_records, &fields);
  std::string checksum;
  Put<uint64_t>(Checksum(fields, salt), &checksum);
  out->replace(start, checksum.size(), checksum);
  out->replace(start + checksum.size(), fields.size(), fields);
}

std::optional<RecordHeader> DecodeRecordHeader(std::string_view bytes, uint64_t salt) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  Reader reader(bytes);
  const auto checksum = reader.Take<uint64_t>();
  RecordHeader header;
  header.payload_checksum = reader.Take<uint64_t>();
  header.length = reader.Take<uint32_t>();
  header.type = static_cast<RecordType>(reader.Take<uint8_t>());
  uint32_t reserved = reader.Take<uint8_t>();
  reserved |= reader.Take<uint16_t>();
  header.index = LogIndex(reader.Take<uint64_t>());
  header.term = Term(reader.Take<uint64_t>());
  header.group = reader.Take<uint64_t>();
  header.position = reader.Take<uint32_t>();
  header.group_records = reader.Take<uint32_t>();
  // The cheap conditions first: recovery tries this at every multiple of 8 of a torn tail.
  if (reserved != 0 || header.position >= header.group_records) return std::nullopt;
  const auto fields = bytes.substr(sizeof(checksum), kRecordHeaderBytes - sizeof(checksum));
  if (Checksum(fields, salt) != checksum) return std::nullopt;
  return header;
}

bool PayloadMatches(const RecordHeader& header, std::string_view padded, uint64_t salt) {
  return padded.size() == RecordBytes(header.length) - kRecordHeaderBytes &&
         Checksum(padded, salt) == header.payload_checksum;
}

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentMagic);
  Put<uint32_t>(kFormatVersion, &bytes);
  Put<uint32_t>(0, &bytes);
  Put<uint64_t>(header.salt, &bytes);
  Put<uint64_t>(header.sequence, &bytes);
  Put<uint64_t>(header.segment_bytes, &bytes);
  Put<uint64_t>(Checksum(bytes, header.salt), &bytes);
  HOLDFAST_CHECK(bytes.size() == kSegmentHeaderFields, "segment header has the wrong length");
  bytes.resize(kSegmentHeaderBytes, '\0');
  return bytes;
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (auto magic = CheckMagic(bytes, kSegmentMagic, "segment"); !magic) return Fail(magic.error());
  Reader reader(bytes.substr(kSegmentMagic.size() + 2 * sizeof(uint32_t)));
  SegmentHeader header;
  header.salt = reader.Take<uint64_t>();
  header.sequence = reader.Take<uint64_t>();
  header.segment_bytes = reader.Take<uint64_t>();
  const auto fields = bytes.substr(0, kSegmentHeaderFields - sizeof(uint64_t));
  if (Checksum(fields, header.salt) != reader.Take<uint64_t>()) {
    return Fail(DamagedHeader("the segment's header"));
  }
  return header;
}

std::string EncodeStateHeader(uint64_t salt) {
  std::string bytes(kStateMagic);
  Put<uint32_t>(kFormatVersion, &bytes);
  Put<uint32_t>(0, &bytes);
  Put<uint64_t>(salt, &bytes);
  Put<uint64_t>(Checksum(bytes, salt), &bytes);
  HOLDFAST_CHECK(bytes.size() == kStateHeaderFields, "state header has the wrong length");
  bytes.resize(kPageBytes, '\0');
  return bytes;
}

Result<uint64_t> DecodeStateHeader(std::string_view bytes) {
  if (auto magic = CheckMagic(bytes, kStateMagic, "state file"); !magic) {
    return Fail(magic.error());
  }
  Reader reader(bytes.substr(kStateMagic.size() + 2 * sizeof(uint32_t)));
  const auto salt = reader.Take<uint64_t>();
  const auto fields = bytes.substr(0, kStateHeaderFields - sizeof(uint64_t));
  if (Checksum(fields, salt) != reader.Take<uint64_t>()) {
    return Fail(DamagedHeader("the state file's header"));
  }
  return salt;
}

std::string EncodeStateSlot(uint64_t sequence, const LogState& state, uint64_t salt) {
  std::string fields;
  Put<uint64_t>(sequence, &fields);
  Put<uint64_t>(state.hard.term.value, &fields);
  Put<uint64_t>(state.hard.vote.value, &fields);
  Put<uint64_t>(state.lowest_segment, &fields);
  Put<uint64_t>(state.lowest_group, &fields);
  Put<uint64_t>(state.first.value, &fields);
  Put<uint64_t>(state.durable_group, &fields);
  std::string bytes;
  Put<uint64_t>(Checksum(fields, salt), &bytes);
  bytes += fields;
  HOLDFAST_CHECK(bytes.size() == kStateSlotBytes, "state slot has the wrong length");
  return bytes;
}

std::optional<StateSlot> DecodeStateSlot(std::string_view bytes, uint64_t salt) {
  if (bytes.size() < kStateSlotBytes) return std::nullopt;
  Reader reader(bytes);
  const auto checksum = reader.Take<uint64_t>();
  const auto fields = bytes.substr(sizeof(checksum), kStateSlotBytes - sizeof(checksum));
  if (Checksum(fields, salt) != checksum) return std::nullopt;
  StateSlot slot;
  slot.sequence = reader.Take<uint64_t>();
  slot.state.hard.term = Term(reader.Take<uint64_t>());
  slot.state.hard.vote = NodeId(reader.Take<uint64_t>());
  slot.state.lowest_segment = reader.Take<uint64_t>();
  slot.state.lowest_group = reader.Take<uint64_t>();
  slot.state.first = LogIndex(reader.Take<uint64_t>());
  slot.state.durable_group = reader.Take<uint64_t>();
  const LogState& state = slot.state;
  for (uint64_t from_one : {state.lowest_segment, state.lowest_group, state.first.value}) {
    if (from_one == 0 || from_one > kNumberMax) return std::nullopt;
  }
  return slot;
}

}  // namespace holdfast::wal

// Headers of the log's records, segments and state file.
#include "fuzz/input.h"
#include "src/wal/format.h"

namespace holdfast::wal {
namespace {

constexpr uint64_t kSalt = 7;

void CheckRecord(std::string_view bytes) {
  const auto header = DecodeRecordHeader(bytes, kSalt);
  if (!header) return;
  std::string again;
  if (header->length > bytes.size()) return;
  const std::string_view payload = bytes.substr(kRecordHeaderBytes, header->length);
  AppendRecord(*header, payload, kSalt, &again);
  if (PayloadMatches(*header, bytes.substr(kRecordHeaderBytes, again.size() - kRecordHeaderBytes),
                     kSalt)) {
    HOLDFAST_CHECK(again == bytes.substr(0, again.size()), "another record than was decoded");
  }
}

// Bytes that pass the checksum: any header at all, damaged in one place.
void CheckWritten(fuzz::Input& input) {
  RecordHeader header;
  header.type = static_cast<RecordType>(input.Byte());
  header.index = LogIndex(input.Number());
  header.term = Term(input.Number());
  header.group = input.Number();
  header.group_records = static_cast<uint32_t>(input.Number() | 1);
  header.position = static_cast<uint32_t>(input.Number() % header.group_records);
  const size_t place = input.Number();
  const uint8_t damage = input.Byte();
  const std::string_view payload = input.Rest();
  std::string bytes;
  AppendRecord(header, payload, kSalt, &bytes);
  HOLDFAST_CHECK(bytes.size() == RecordBytes(payload.size()), "a record of another length");
  const auto decoded = DecodeRecordHeader(bytes, kSalt);
  HOLDFAST_CHECK(decoded && decoded->index == header.index && decoded->term == header.term &&
                     decoded->group == header.group && decoded->length == payload.size(),
                 "another header than was encoded");
  const auto padded = std::string_view(bytes).substr(kRecordHeaderBytes);
  HOLDFAST_CHECK(PayloadMatches(*decoded, padded, kSalt), "its own payload does not match");
  if (damage == 0) return;
  std::string damaged = bytes;
  damaged[place % damaged.size()] = static_cast<char>(damaged[place % damaged.size()] ^ damage);
  const auto other = DecodeRecordHeader(damaged, kSalt);
  HOLDFAST_CHECK(!other || !PayloadMatches(
                               *other, std::string_view(damaged).substr(kRecordHeaderBytes), kSalt),
                 "a damaged record passes");
}

}  // namespace
}  // namespace holdfast::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::wal;
  fuzz::Input input(data, size);
  switch (input.Byte() % 5) {
    case 0: CheckRecord(input.Rest()); break;
    case 1: CheckWritten(input); break;
    case 2: {
      std::string page(input.Rest());
      page.resize(kSegmentHeaderBytes);
      const auto header = DecodeSegmentHeader(page);
      HOLDFAST_CHECK(!header || EncodeSegmentHeader(*header) == page, "another segment header");
      DecodeSegmentHeader(input.Rest());
      break;
    }
    case 3: DecodeStateHeader(input.Rest()); break;
    default: {
      const std::string_view bytes = input.Rest();
      const auto slot = DecodeStateSlot(bytes, kSalt);
      HOLDFAST_CHECK(
          !slot || bytes.starts_with(EncodeStateSlot(slot->sequence, slot->state, kSalt)),
          "another state slot");
    }
  }
  return 0;
}

// Segments whose records carry valid checksums and say anything at all, then damage -> recovery ->
// a log that is used on.
#include <algorithm>

#include "fuzz/input.h"
#include "src/base/file_system_faulty.h"
#include "src/wal/recovery.h"
#include "src/wal/segment_log.h"
#include "src/wal/state_file.h"

namespace holdfast::wal {
namespace {

constexpr uint64_t kSalt = 7;
constexpr uint64_t kSegmentBytes = 4 * kPageBytes;
constexpr char kFolder[] = "/log";

const SegmentLogOptions kOptions{
    .segment_bytes = kSegmentBytes, .tail_bytes_max = 2'000, .threaded = false, .salt = kSalt};

void Put(FileSystem& files, const std::string& path, std::string_view bytes) {
  auto file = files.Open(path, OpenMode::kCreate);
  HOLDFAST_CHECK(file && (*file)->Write(0, bytes) && (*file)->Sync(), "cannot write " + path);
}

LogState ReadState(fuzz::Input& input) {
  LogState state;
  const uint8_t flags = input.Byte();
  if (flags & 1) state.hard = {Term(input.Number()), NodeId(input.Byte())};
  if (flags & 2) state.lowest_segment = input.Number();
  if (flags & 4) state.lowest_group = input.Number();
  if (flags & 8) state.first = LogIndex(input.Number());
  if (flags & 16) state.durable_group = input.Number();
  return state;
}

// Fields that the input does not spell out are what a writer would have put there.
std::string ReadRecords(fuzz::Input& input, uint64_t* group, uint64_t* index) {
  std::string records;
  for (uint8_t count = input.Byte() % 16; count > 0; --count) {
    const uint8_t flags = input.Byte();
    RecordHeader header;
    header.type = (flags & 1) ? static_cast<RecordType>(input.Byte()) : RecordType::kCommand;
    header.index = LogIndex((flags & 2) ? input.Number() : *index);
    header.term = Term((flags & 4) ? input.Number() : 1);
    header.group = (flags & 8) ? input.Number() : *group;
    header.position = (flags & 16) ? input.Byte() : 0;
    header.group_records = (flags & 16) ? input.Byte() : 1;
    const std::string_view payload = (flags & 32) ? input.Bytes() : "x";
    *index = header.index.value + 1;
    *group = header.group + (header.position + 1 >= header.group_records ? 1 : 0);
    AppendRecord(header, payload, kSalt, &records);
    if (flags & 64) {
      char& damaged = records[records.size() - 1 - input.Byte() % records.size()];
      damaged = static_cast<char>(damaged ^ 1);
    }
  }
  return records;
}

// Whatever recovery has accepted must be readable and can be written on.
void Use(SegmentLog& log) {
  HOLDFAST_CHECK(log.first() <= log.last().Next(), "the log ends before it begins");
  for (LogIndex index = log.first(); index <= log.last(); index = index.Next()) {
    HOLDFAST_CHECK(log.Read(index).term == log.TermAt(index), "an entry of another term");
  }
}

}  // namespace
}  // namespace holdfast::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::wal;
  fuzz::Input input(data, size);
  FaultyFileSystem files;
  const std::string folder = kFolder;
  if (!files.CreateFolders(folder)) return 0;
  const LogState state = ReadState(input);
  std::string state_file = EncodeStateHeader(kSalt);
  for (int slot = 0; slot < 2; ++slot) {
    state_file += EncodeStateSlot(1, state, kSalt);
    state_file.resize((slot + 2) * kPageBytes);
  }
  Put(files, folder + "/" + StateFile::kName, state_file);
  uint64_t group = state.lowest_group;
  uint64_t index = state.first.value;
  for (uint64_t sequence = 1; sequence <= 2 && (sequence == 1 || !input.empty()); ++sequence) {
    std::string segment = EncodeSegmentHeader({kSalt, sequence, kSegmentBytes});
    segment += ReadRecords(input, &group, &index);
    segment.resize(kSegmentBytes);
    Put(files, folder + "/" + SegmentName(static_cast<uint32_t>(sequence)), segment);
  }
  if (!files.SyncFolder(folder)) return 0;

  const auto ignore = [](Ticket) {};
  std::optional<LogIndex> last;
  {
    auto log = SegmentLog::Open(files, folder, kOptions, ignore);
    if (!log) return 0;
    Use(**log);
    (*log)->Append((*log)->last().Next(), {{Term(9), EntryType::kCommand,
                                            std::make_shared<const std::string>("appended")}});
    (*log)->Flush();
    last = (*log)->last();
  }
  auto again = SegmentLog::Open(files, folder, kOptions, ignore);
  HOLDFAST_CHECK(again, "does not open what it opened and wrote: " + again.error().message);
  HOLDFAST_CHECK((*again)->last() == *last, "an entry that was durable is gone");
  Use(**again);
  return 0;
}

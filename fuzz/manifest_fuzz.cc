// The manifest of a fetched checkpoint, as a start finds it -> a log that goes on behind it.
#include <filesystem>

#include "fuzz/input.h"
#include "src/base/file_system_faulty.h"
#include "src/node/checkpoint_install.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  // Whether there is a checkpoint is asked of the real disk, what it says of the one in memory.
  static const std::string folder = std::filesystem::temp_directory_path();
  FaultyFileSystem files;
  if (!files.CreateFolders(folder)) return 0;
  fuzz::Input input(data, size);
  const uint64_t entries = input.Byte() % 16;
  if (!ReplaceFile(files, folder + "/manifest", input.Rest())) return 0;
  const wal::SegmentLogOptions options{
      .segment_bytes = 4 * wal::kPageBytes, .tail_bytes_max = 2'000, .threaded = false, .salt = 7};
  LogIndex first;
  {
    auto log = wal::SegmentLog::Open(files, "/log", options, [](wal::Ticket) {});
    HOLDFAST_CHECK(log, "no log");
    for (uint64_t i = 0; i < entries; ++i) {
      (*log)->Append((*log)->last().Next(),
                     {{Term(1), wal::EntryType::kBarrier, std::make_shared<const std::string>()}});
    }
    (*log)->Flush();
    const auto manifest = node::PendingCheckpoint(files, folder, **log);
    if (!manifest || !*manifest) return 0;
    node::InstallLog(**log, **manifest);
    const LogIndex index((*manifest)->index());
    HOLDFAST_CHECK((*log)->TermAt(index) == Term((*manifest)->index_term()),
                   "the log does not go on behind the checkpoint");
    first = (*log)->first();
  }
  auto again = wal::SegmentLog::Open(files, "/log", options, [](wal::Ticket) {});
  HOLDFAST_CHECK(again && (*again)->first() == first, "another log after a restart");
  return 0;
}

#include "tests/faults/collected_log.h"

#include <filesystem>
#include <stdexcept>

#include "sim/world.h"
#include "src/base/file_system.h"
#include "src/wal/segment_log.h"

namespace holdfast::faults {

bool CollectedLog::Collect(const std::string& folder, const std::string& scratch,
                           LogIndex applied) {
  // Reading a log mends its torn end; that is the node's to do.
  std::filesystem::remove_all(scratch);
  std::filesystem::copy(folder, scratch, std::filesystem::copy_options::recursive);
  PosixFileSystem files;
  wal::SegmentLogOptions options;
  options.threaded = false;
  auto opened = wal::SegmentLog::Open(files, scratch, options, [](wal::Ticket) {});
  if (!opened) throw std::runtime_error(opened.error().message);
  const wal::SegmentLog& log = **opened;
  if (log.first() > last().Next()) return false;
  for (LogIndex i = log.first(); i <= log.last() && i <= applied; i = i.Next()) {
    const wal::Entry read = log.Read(i);
    const std::string payload = read.type == wal::EntryType::kCommand ? *read.payload : "";
    const Entry entry{read.term, std::hash<std::string>()(payload)};
    if (i > last()) {
      entries_.push_back(entry);
      CommittedEntry line;
      line.set_term(read.term.value);
      line.set_payload(payload);
      recording_.Add(line);
      continue;
    }
    const Entry& known = entries_[i.value - 1];
    sim::Require(known == entry, "state machine safety: " + folder + " holds another entry " +
                                     i.ToString() + " (term " + entry.term.ToString() +
                                     ") than was applied elsewhere (term " + known.term.ToString() +
                                     ")");
  }
  opened->reset();
  std::filesystem::remove_all(scratch);
  return true;
}

}  // namespace holdfast::faults

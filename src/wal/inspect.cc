#include "src/wal/inspect.h"

namespace holdfast::wal {

Result<std::unique_ptr<LogInspection>> LogInspection::Open(FileSystem& files,
                                                           const std::string& folder,
                                                           std::optional<LogState>* state) {
  std::unique_ptr<LogInspection> log(new LogInspection(files));
  auto state_file = StateFile::Open(log->files_, folder);
  if (!state_file) return Fail(state_file.error());
  log->state_ = state_file->state();
  *state = log->state_;
  auto recovered = Recover(log->files_, folder, state_file->salt(), log->state_);
  if (!recovered) return Fail(recovered.error());
  log->recovered_ = *std::move(recovered);
  return log;
}

Result<std::string> LogInspection::Payload(LogIndex index) const {
  const Slot& slot = entries().at(index);
  for (const Segment& segment : segments()) {
    if (segment.sequence != slot.segment) continue;
    std::string payload(slot.length, '\0');
    auto read =
        segment.file->Read(slot.offset + kRecordHeaderBytes, payload.size(), payload.data());
    if (!read) return Fail(read.error());
    payload.resize(*read);
    return payload;
  }
  return Fail(NotFound("entry " + index.ToString() + " lies in no segment"));
}

}  // namespace holdfast::wal

// What the log in a folder holds, for people: exactly what a start would find, and nothing is
// written. Only while no process has the log open; the caller sees to that, by its lock.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system_readonly.h"
#include "src/wal/recovery.h"
#include "src/wal/state_file.h"

namespace holdfast::wal {

class LogInspection {
 public:
  // Fails when the log does not open: names file and offset of the damage. What could be read until
  // then is in `state`, if that is not what is damaged.
  static Result<std::unique_ptr<LogInspection>> Open(FileSystem& files, const std::string& folder,
                                                     std::optional<LogState>* state);

  const LogState& state() const { return state_; }
  const EntryIndex& entries() const { return recovered_.entries; }
  const std::deque<Segment>& segments() const { return recovered_.segments; }
  // Of an entry that is there; its checksum was verified by Open.
  Result<std::string> Payload(LogIndex index) const;

 private:
  explicit LogInspection(FileSystem& files) : files_(files) {}

  ReadOnlyFileSystem files_;
  LogState state_;
  Recovered recovered_;
};

}  // namespace holdfast::wal

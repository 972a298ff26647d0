// The file that holds term, vote and where the log begins, in two slots that say the same.
//
// Save writes one slot, syncs, then the other, syncs. So whichever write a crash tears, the other
// slot is whole; and should a slot rot later, what was saved still stands: a vote that is forgotten
// could be given twice. (With slots used in turn the newest would stand in one place only.)
//
// Not thread-safe: the log's one caller owns it.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system.h"
#include "src/wal/format.h"

namespace holdfast::wal {

class StateFile {
 public:
  static constexpr const char* kName = "state";

  // Durable on return; the state is that of an empty log.
  static Result<void> Create(FileSystem& files, const std::string& folder, uint64_t salt);
  // Reads the newer slot that is valid and makes it durable: it may stand in the page cache only,
  // left there by a failed sync. That no slot is valid is an Error.
  static Result<StateFile> Open(FileSystem& files, const std::string& folder);

  uint64_t salt() const { return salt_; }
  const LogState& state() const { return state_; }
  // Durable when it succeeds. After a failure the file must not be used any more.
  Result<void> Save(const LogState& state);

 private:
  StateFile() = default;

  std::unique_ptr<File> file_;
  uint64_t salt_ = 0;
  uint64_t sequence_ = 0;
  // The slot that Save writes first, 1 or 2: never the only one that is good.
  size_t first_slot_ = 1;
  LogState state_;
};

}  // namespace holdfast::wal

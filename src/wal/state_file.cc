#include "src/wal/state_file.h"

#include <utility>

namespace holdfast::wal {

Result<void> StateFile::Create(FileSystem& files, const std::string& folder, uint64_t salt) {
  std::string bytes = EncodeStateHeader(salt);
  for (int slot = 0; slot < 2; ++slot) {
    std::string page = EncodeStateSlot(1, LogState{}, salt);
    page.resize(kPageBytes, '\0');
    bytes += page;
  }
  return ReplaceFile(files, folder + "/" + kName, bytes);
}

Result<StateFile> StateFile::Open(FileSystem& files, const std::string& folder) {
  const std::string path = folder + "/" + kName;
  auto bytes = ReadFile(files, path, kStateFileBytes);
  if (!bytes) return Fail(bytes.error());
  auto salt = DecodeStateHeader(*bytes);
  if (!salt) {
    Error error = salt.error();
    error.message = path + ", offset 0: " + error.message;
    return Fail(std::move(error));
  }
  StateFile result;
  result.salt_ = *salt;
  for (size_t page = 1; page <= 2; ++page) {
    if (bytes->size() < (page + 1) * kPageBytes) break;
    const auto slot = DecodeStateSlot(std::string_view(*bytes).substr(page * kPageBytes), *salt);
    if (slot && slot->sequence > result.sequence_) {
      result.sequence_ = slot->sequence;
      result.state_ = slot->state;
      result.first_slot_ = 3 - page;
    }
  }
  if (result.sequence_ == 0) {
    Error error;
    error.message = path + ", offset " + std::to_string(kPageBytes) +
                    ": both copies of term and vote are damaged";
    error.hint =
        "The node must not guess how it voted. Keep the folder for the report and replace the "
        "node.";
    return Fail(std::move(error));
  }
  auto file = files.Open(path, OpenMode::kReadWrite);
  if (!file) return Fail(file.error());
  result.file_ = std::move(*file);
  // The same bytes again: a slot that is on the disk stays as it is whatever happens now, and at
  // most one is not.
  if (auto done = result.file_->Write(0, *bytes); !done) return Fail(done.error());
  if (auto done = result.file_->Sync(); !done) return Fail(done.error());
  return result;
}

Result<void> StateFile::Save(const LogState& state) {
  const std::string slot = EncodeStateSlot(++sequence_, state, salt_);
  for (const size_t page : {first_slot_, 3 - first_slot_}) {
    if (auto done = file_->Write(page * kPageBytes, slot); !done) return done;
    if (auto done = file_->Sync(); !done) return done;
  }
  state_ = state;
  return {};
}

}  // namespace holdfast::wal

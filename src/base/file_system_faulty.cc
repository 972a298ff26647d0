#include "src/base/file_system_faulty.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "src/base/check.h"

namespace holdfast {
namespace {

std::string FolderOf(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

class FaultyFileSystem::OpenFile final : public File {
 public:
  OpenFile(FaultyFileSystem& files, std::string path, std::shared_ptr<Contained> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)), epoch_(files.epoch_) {}

  Result<void> Write(uint64_t offset, std::string_view bytes) override {
    std::lock_guard lock(files_.mutex_);
    if (epoch_ != files_.epoch_) return Fail(FileError(path_, "write", EBADF));
    auto refused = files_.Refuse(path_, "write");
    ++files_.writes_;
    if (!refused && files_.fail_write_ && files_.fail_write_->at == files_.writes_) {
      ++files_.faults_;
      refused = FileError(path_, "write", files_.fail_write_->errno_value);
    }
    // A write that fails may have got somewhere.
    if (refused) bytes = bytes.substr(0, files_.random_() % (bytes.size() + 1));
    Apply(Change{offset, std::string(bytes), false});
    if (refused) return Fail(*refused);
    return {};
  }

  Result<size_t> Read(uint64_t offset, size_t bytes, char* into) const override {
    std::lock_guard lock(files_.mutex_);
    if (epoch_ != files_.epoch_) return Fail(FileError(path_, "read", EBADF));
    if (offset >= file_->seen.size()) return size_t{0};
    return file_->seen.copy(into, bytes, offset);
  }

  Result<void> WriteZeros(uint64_t offset, uint64_t bytes) override {
    return Write(offset, std::string(bytes, '\0'));
  }

  Result<void> Truncate(uint64_t bytes) override {
    std::lock_guard lock(files_.mutex_);
    if (epoch_ != files_.epoch_) return Fail(FileError(path_, "truncate", EBADF));
    if (auto refused = files_.Refuse(path_, "truncate")) return Fail(*refused);
    Apply(Change{bytes, "", true});
    return {};
  }

  Result<uint64_t> Size() const override {
    std::lock_guard lock(files_.mutex_);
    if (epoch_ != files_.epoch_) return Fail(FileError(path_, "stat", EBADF));
    return uint64_t{file_->seen.size()};
  }

  Result<void> Sync() override {
    std::lock_guard lock(files_.mutex_);
    if (epoch_ != files_.epoch_) return Fail(FileError(path_, "fdatasync", EBADF));
    if (auto refused = files_.Refuse(path_, "fdatasync")) return Fail(*refused);
    ++files_.syncs_;
    if (files_.fail_sync_ && files_.fail_sync_->at == files_.syncs_) {
      ++files_.faults_;
      files_.Tear(*file_);
      return Fail(FileError(path_, "fdatasync", files_.fail_sync_->errno_value));
    }
    // Not simply `seen`: what an earlier sync failed to write stays missing.
    for (const Change& change : file_->unsynced) ApplyTo(change, file_->on_disk);
    file_->unsynced.clear();
    return {};
  }

 private:
  void Apply(Change change) {
    ApplyTo(change, file_->seen);
    file_->unsynced.push_back(std::move(change));
  }

  FaultyFileSystem& files_;
  const std::string path_;
  const std::shared_ptr<Contained> file_;
  const uint64_t epoch_;
};

class FaultyFileSystem::Held final : public FolderLock {
 public:
  Held(FaultyFileSystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)), epoch_(files.epoch_) {}
  ~Held() override {
    std::lock_guard lock(files_.mutex_);
    if (epoch_ == files_.epoch_) files_.locked_.erase(folder_);
  }

 private:
  FaultyFileSystem& files_;
  const std::string folder_;
  const uint64_t epoch_;
};

FaultyFileSystem::FaultyFileSystem(FaultyOptions options)
    : options_(options), random_(options.seed) {
  HOLDFAST_CHECK(options_.sector_bytes > 0, "a sector has at least one byte");
}

void FaultyFileSystem::Crash() {
  std::lock_guard lock(mutex_);
  ++epoch_;
  // A name survives only together with the ones changed before it in the same folder.
  std::map<std::string, bool> lost;
  for (const NameChange& change : unsynced_names_) {
    bool& rest_is_lost = lost[change.folder];
    rest_is_lost = rest_is_lost || Chance(50);
    if (!rest_is_lost) ApplyTo(change, on_disk_);
  }
  unsynced_names_.clear();
  seen_ = on_disk_;
  for (auto& [path, file] : seen_) {
    Tear(*file);
    file->seen = file->on_disk;
  }
  locked_.clear();
  ForgetPlanned();
}

void FaultyFileSystem::ForgetFaults() {
  std::lock_guard lock(mutex_);
  ForgetPlanned();
}

void FaultyFileSystem::ForgetPlanned() {
  power_fails_at_.reset();
  fail_write_.reset();
  fail_sync_.reset();
}

void FaultyFileSystem::CutPower(uint64_t nth) {
  std::lock_guard lock(mutex_);
  power_fails_at_ = changes_ + nth;
}

void FaultyFileSystem::FailWrite(uint64_t nth, int errno_value) {
  std::lock_guard lock(mutex_);
  fail_write_ = Planned{writes_ + nth, errno_value};
}

void FaultyFileSystem::FailSync(uint64_t nth, int errno_value) {
  std::lock_guard lock(mutex_);
  fail_sync_ = Planned{syncs_ + nth, errno_value};
}

void FaultyFileSystem::FlipBit(const std::string& path, uint64_t offset, uint32_t bit) {
  std::lock_guard lock(mutex_);
  const auto found = seen_.find(path);
  HOLDFAST_CHECK(found != seen_.end(), "no file " + path);
  Contained& file = *found->second;
  HOLDFAST_CHECK(offset < file.seen.size() && bit < 8, "no such bit in " + path);
  file.seen[offset] = static_cast<char>(file.seen[offset] ^ (1 << bit));
  if (offset < file.on_disk.size()) {
    file.on_disk[offset] = static_cast<char>(file.on_disk[offset] ^ (1 << bit));
  }
}

std::vector<std::string> FaultyFileSystem::Files() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, file] : seen_) {
    if (!file->is_folder) paths.push_back(path);
  }
  return paths;
}

std::optional<std::string> FaultyFileSystem::Contents(const std::string& path) const {
  std::lock_guard lock(mutex_);
  const auto found = seen_.find(path);
  if (found == seen_.end()) return std::nullopt;
  return found->second->seen;
}

bool FaultyFileSystem::IsDurable(const std::string& path, uint64_t offset, uint64_t bytes) const {
  std::lock_guard lock(mutex_);
  const auto found = on_disk_.find(path);
  const auto seen = seen_.find(path);
  if (found == on_disk_.end() || seen == seen_.end() || found->second != seen->second) return false;
  const Contained& file = *found->second;
  if (offset + bytes > std::min(file.seen.size(), file.on_disk.size())) return false;
  return file.on_disk.compare(offset, bytes, file.seen, offset, bytes) == 0;
}

uint64_t FaultyFileSystem::changes() const {
  std::lock_guard lock(mutex_);
  return changes_;
}

uint64_t FaultyFileSystem::syncs() const {
  std::lock_guard lock(mutex_);
  return syncs_;
}

uint64_t FaultyFileSystem::faults() const {
  std::lock_guard lock(mutex_);
  return faults_;
}

std::optional<Error> FaultyFileSystem::Refuse(const std::string& path, const std::string& what) {
  ++changes_;
  if (power_fails_at_ && changes_ >= *power_fails_at_) {
    ++faults_;
    return FileError(path, what + " (the power is gone)", EIO);
  }
  return std::nullopt;
}

void FaultyFileSystem::Tear(Contained& file) {
  const uint32_t percent = options_.survive_percent ? *options_.survive_percent
                                                    : static_cast<uint32_t>(random_() % 5) * 25;
  for (const Change& change : file.unsynced) {
    if (change.truncate) {
      if (Chance(percent)) ApplyTo(change, file.on_disk);
      continue;
    }
    for (size_t from = 0; from < change.bytes.size();) {
      const uint64_t place = change.offset + from;
      const size_t to_boundary = options_.sector_bytes - place % options_.sector_bytes;
      const size_t n = std::min(to_boundary, change.bytes.size() - from);
      if (Chance(percent)) ApplyTo({place, change.bytes.substr(from, n), false}, file.on_disk);
      from += n;
    }
  }
  file.unsynced.clear();
}

void FaultyFileSystem::ApplyTo(const Change& change, std::string& bytes) {
  if (change.truncate) {
    bytes.resize(change.offset, '\0');
    return;
  }
  if (change.bytes.empty()) return;
  if (bytes.size() < change.offset + change.bytes.size()) {
    bytes.resize(change.offset + change.bytes.size(), '\0');
  }
  std::copy(change.bytes.begin(), change.bytes.end(),
            bytes.begin() + static_cast<ptrdiff_t>(change.offset));
}

void FaultyFileSystem::ApplyTo(const NameChange& change, Names& names) {
  for (const NameStep& step : change.steps) {
    if (!step.removed.empty()) names.erase(step.removed);
    if (!step.added.empty()) names[step.added] = step.file;
  }
}

bool FaultyFileSystem::IsFolder(const std::string& path) const {
  const auto found = seen_.find(path);
  return found != seen_.end() && found->second->is_folder;
}

std::vector<std::string> FaultyFileSystem::PathsWithin(const std::string& folder) const {
  std::vector<std::string> paths;
  for (auto it = seen_.lower_bound(folder + "/");
       it != seen_.end() && it->first.starts_with(folder + "/"); ++it) {
    paths.push_back(it->first);
  }
  std::reverse(paths.begin(), paths.end());
  if (seen_.contains(folder)) paths.push_back(folder);
  return paths;
}

Result<void> FaultyFileSystem::ChangeNames(NameChange change) {
  const NameStep& first = change.steps.front();
  const std::string& path = first.added.empty() ? first.removed : first.added;
  if (auto refused = Refuse(path, "change name")) return Fail(*refused);
  ApplyTo(change, seen_);
  unsynced_names_.push_back(std::move(change));
  return {};
}

Result<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path, OpenMode mode) {
  std::lock_guard lock(mutex_);
  auto found = seen_.find(path);
  if (mode == OpenMode::kCreate) {
    if (!IsFolder(FolderOf(path))) return Fail(FileError(path, "open", ENOENT));
    if (found == seen_.end()) {
      NameChange change{FolderOf(path), {{"", path, std::make_shared<Contained>()}}};
      if (auto done = ChangeNames(std::move(change)); !done) return Fail(done.error());
      found = seen_.find(path);
    } else if (!found->second->seen.empty()) {
      if (auto refused = Refuse(path, "open")) return Fail(*refused);
      found->second->seen.clear();
      found->second->unsynced.push_back(Change{0, "", true});
    }
  }
  if (found == seen_.end()) return Fail(FileError(path, "open", ENOENT));
  if (found->second->is_folder) return Fail(FileError(path, "open", EISDIR));
  return std::make_unique<OpenFile>(*this, path, found->second);
}

Result<std::vector<std::string>> FaultyFileSystem::List(const std::string& folder) {
  std::lock_guard lock(mutex_);
  if (!IsFolder(folder)) return Fail(FileError(folder, "list", ENOENT));
  std::set<std::string> names;
  for (const auto& [path, file] : seen_) {
    if (path != folder && FolderOf(path) == folder) {
      names.insert(std::filesystem::path(path).filename().string());
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<void> FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  HOLDFAST_CHECK(FolderOf(from) == FolderOf(to), "rename from one folder to another: " + from);
  const auto found = seen_.find(from);
  if (found == seen_.end()) return Fail(FileError(from, "rename", ENOENT));
  return ChangeNames({FolderOf(from), {{from, to, found->second}}});
}

Result<void> FaultyFileSystem::Remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!seen_.contains(path)) return Fail(FileError(path, "remove", ENOENT));
  return ChangeNames({FolderOf(path), {{path, "", nullptr}}});
}

Result<void> FaultyFileSystem::SyncFolder(const std::string& folder) {
  std::lock_guard lock(mutex_);
  if (!IsFolder(folder)) return Fail(FileError(folder, "fsync", ENOENT));
  if (auto refused = Refuse(folder, "fsync")) return Fail(*refused);
  MakeNamesDurable(folder);
  return {};
}

void FaultyFileSystem::MakeNamesDurable(const std::string& folder) {
  std::erase_if(unsynced_names_, [&](const NameChange& change) {
    if (change.folder != folder) return false;
    ApplyTo(change, on_disk_);
    return true;
  });
}

Result<void> FaultyFileSystem::CreateFolders(const std::string& folder) {
  std::lock_guard lock(mutex_);
  if (IsFolder(folder)) return {};
  if (auto refused = Refuse(folder, "create folder")) return Fail(*refused);
  for (std::string path = folder; !path.empty() && !IsFolder(path); path = FolderOf(path)) {
    auto made = std::make_shared<Contained>();
    made->is_folder = true;
    MakeNamesDurable(FolderOf(path));
    on_disk_[path] = made;
    seen_[path] = std::move(made);
  }
  return {};
}

Result<std::unique_ptr<FolderLock>> FaultyFileSystem::Lock(const std::string& folder) {
  std::lock_guard lock(mutex_);
  if (!IsFolder(folder)) return Fail(FileError(folder, "lock", ENOENT));
  if (!locked_.insert(folder).second) return Fail(FileError(folder, "lock", EWOULDBLOCK));
  return std::make_unique<Held>(*this, folder);
}

Result<bool> FaultyFileSystem::Exists(const std::string& path) {
  std::lock_guard lock(mutex_);
  return seen_.contains(path);
}

// Changes of names hang on the folder, not on its path: none must wait under a path that will stand
// for another folder.
void FaultyFileSystem::SettleWithin(const std::string& folder) {
  for (const std::string& path : PathsWithin(folder)) MakeNamesDurable(path);
}

// In two halves: a crash may leave some.
Result<void> FaultyFileSystem::RemoveAll(const std::string& folder) {
  std::lock_guard lock(mutex_);
  const std::vector<std::string> paths = PathsWithin(folder);
  SettleWithin(folder);
  NameChange halves[2] = {{FolderOf(folder), {}}, {FolderOf(folder), {}}};
  for (size_t i = 0; i < paths.size(); ++i) {
    halves[2 * i < paths.size() ? 0 : 1].steps.push_back({paths[i], "", nullptr});
  }
  for (NameChange& half : halves) {
    if (half.steps.empty()) continue;
    if (auto done = ChangeNames(std::move(half)); !done) return done;
  }
  return {};
}

Result<void> FaultyFileSystem::MoveFolder(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  if (!IsFolder(from)) return Fail(FileError(from, "rename", ENOENT));
  if (seen_.contains(to)) return Fail(FileError(to, "rename", EEXIST));
  if (!IsFolder(FolderOf(to))) return Fail(FileError(to, "rename", ENOENT));
  SettleWithin(from);
  NameChange change{FolderOf(to), {}};
  for (const std::string& path : PathsWithin(from)) {
    change.steps.push_back({path, to + path.substr(from.size()), seen_.at(path)});
  }
  return ChangeNames(std::move(change));
}

Result<uint64_t> FaultyFileSystem::FreeBytes(const std::string& /*folder*/) {
  std::lock_guard lock(mutex_);
  return free_bytes_;
}

void FaultyFileSystem::SetFreeBytes(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  free_bytes_ = bytes;
}

}  // namespace holdfast

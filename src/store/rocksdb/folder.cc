#include "src/store/rocksdb/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>

#include "src/store/rocksdb/rocksdb_base.h"

namespace holdfast::store {
namespace {

namespace fs = std::filesystem;

constexpr char kMarkerFile[] = "FORMAT";
constexpr char kMarkerDraft[] = "FORMAT.new";
constexpr std::string_view kMarkerText = "holdfast store ";
constexpr size_t kMarkerBytesMax = 64;

Result<void> Failed(const fs::path& path, const char* doing) {
  return Fail(FolderError(path, std::string(doing) + ": " + std::strerror(errno)));
}

Result<void> MakePrivateFolder(const fs::path& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed(path, "cannot be created");
  if (chmod(path.c_str(), 0700) != 0) return Failed(path, "cannot be made private");
  return {};
}

Result<void> SyncFolder(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed(path, "cannot be opened");
  const bool synced = fsync(fd) == 0;
  close(fd);
  return synced ? Result<void>() : Failed(path, "cannot be synced");
}

// Written beside and renamed, so that it is there in full or not at all.
Result<void> WriteMarker(const fs::path& path) {
  const std::string text = std::string(kMarkerText) + std::to_string(kStoreFormat) + "\n";
  const fs::path draft = path / kMarkerDraft;
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Failed(draft, "cannot be created");
  const bool written =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  close(fd);
  if (!written) return Failed(draft, "cannot be written");
  if (rename(draft.c_str(), (path / kMarkerFile).c_str()) != 0) {
    return Failed(draft, "cannot be renamed");
  }
  return SyncFolder(path);
}

// The format that the folder is in.
Result<int> CheckMarker(const fs::path& path) {
  std::string text(kMarkerBytesMax, '\0');
  std::ifstream file(path / kMarkerFile, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  int format = 0;
  const char* end = text.data() + text.size();
  if (!text.starts_with(kMarkerText)) {
    return Fail(FolderError(path, "is not a Holdfast store: its FORMAT file says something else"));
  }
  const auto [stop, error] = std::from_chars(text.data() + kMarkerText.size(), end, format);
  if (error != std::errc() || std::string_view(stop, end) != "\n" || format < 1) {
    return Fail(FolderError(path, "has a damaged FORMAT file"));
  }
  if (format > kStoreFormat) {
    Error newer =
        FolderError(path, "has format " + std::to_string(format) +
                              "; this version knows formats up to " + std::to_string(kStoreFormat));
    newer.hint = "A newer version of Holdfast wrote it: run that version or a later one.";
    return Fail(std::move(newer));
  }
  return format;
}

// Whether somebody else's files are in the way. The draft of a marker is ours.
bool HoldsOtherFiles(const fs::path& path, std::error_code& error) {
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename() != kMarkerDraft) return true;
  }
  return false;
}

}  // namespace

Error FolderError(const fs::path& path, const std::string& what) {
  return Error{ErrorCode::kInternal, "store folder " + path.string() + " " + what, "", "", 0};
}

Result<void> PrepareFolder(const fs::path& path) {
  std::error_code error;
  const bool marked = fs::exists(path / kMarkerFile, error);
  if (!marked && fs::exists(path, error) && HoldsOtherFiles(path, error)) {
    return Fail(FolderError(path, "is not a Holdfast store: it holds files but no FORMAT"));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Fail(FolderError(path, "cannot be read: " + error.message()));
  }
  int format = 0;
  if (marked) {
    const Result<int> found = CheckMarker(path);
    if (!found) return Fail(found.error());
    format = *found;
  }
  if (Result<void> made = MakePrivateFolder(path); !made) return made;
  // A folder of format 1 is one of format 2, until the first run is added.
  if (format < kStoreFormat) {
    if (Result<void> written = WriteMarker(path); !written) return written;
  }
  if (!marked) {
    // The folder's own name must be durable before anything in it is relied upon.
    if (Result<void> synced = SyncFolder(fs::absolute(path).parent_path()); !synced) return synced;
  }
  for (const char* folder : {kDatabaseFolder, kIncomingFolder}) {
    if (Result<void> made = MakePrivateFolder(path / folder); !made) return made;
  }
  return SyncFolder(path);
}

Result<void> AdoptDatabase(const fs::path& path) {
  if (Result<void> written = WriteMarker(path); !written) return written;
  return PrepareFolder(path);
}

Result<void> EmptyFolder(const fs::path& path) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (!fs::remove(it->path(), error)) break;
  }
  if (error) return Fail(FolderError(path, "cannot be emptied: " + error.message()));
  return {};
}

}  // namespace holdfast::store

#include "src/base/file_system.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace holdfast {

Error FileError(const std::string& path, const std::string& what, int errno_value) {
  Error error;
  error.message = path + ": " + what + ": " + std::strerror(errno_value);
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
      error.hint =
          "The disk is full: free space on the volume of the data folder, then start again.";
      break;
    case EIO:
      error.hint =
          "The disk reported an I/O error: look at the kernel's log and the disk's health, and "
          "replace the disk before you start the node on it again.";
      break;
    case EROFS:
      error.hint =
          "The volume is read-only, often after an I/O error: look at the kernel's log and mount "
          "it for writing, then start again.";
      break;
    case EACCES:
    case EPERM: error.hint = "The user that runs the node must own the data folder."; break;
    case EMFILE:
    case ENFILE:
      error.hint = "Raise the limit on open files (ulimit -n, LimitNOFILE), then start again.";
      break;
    case EWOULDBLOCK:
      error.hint = "Another process uses this folder: stop it, or give this node its own folder.";
      break;
    default: break;
  }
  return error;
}

Result<std::string> ReadFile(FileSystem& files, const std::string& path, size_t bytes_max) {
  auto file = files.Open(path, OpenMode::kRead);
  if (!file) return Fail(file.error());
  auto size = (*file)->Size();
  if (!size) return Fail(size.error());
  if (*size > bytes_max) {
    Error error;
    error.message = path + ": is " + std::to_string(*size) + " bytes long, at most " +
                    std::to_string(bytes_max) + " were expected";
    return Fail(std::move(error));
  }
  std::string bytes(*size, '\0');
  auto read = (*file)->Read(0, bytes.size(), bytes.data());
  if (!read) return Fail(read.error());
  bytes.resize(*read);
  return bytes;
}

Result<void> ReplaceFile(FileSystem& files, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  auto file = files.Open(temporary, OpenMode::kCreate);
  if (!file) return Fail(file.error());
  if (auto done = (*file)->Write(0, bytes); !done) return done;
  if (auto done = (*file)->Sync(); !done) return done;
  if (auto done = files.Rename(temporary, path); !done) return done;
  return files.SyncFolder(std::filesystem::path(path).parent_path().string());
}

}  // namespace holdfast

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "src/base/file_system.h"

namespace holdfast {
namespace {

// Closes on destruction. The result of close is of no use: what matters was synced before.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Calls again when a signal came in between.
template <class Call>
auto Uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

Result<Descriptor> OpenDescriptor(const std::string& path, int flags) {
  const int fd = Uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); });
  if (fd < 0) return Fail(FileError(path, "open", errno));
  return Descriptor(fd);
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Result<void> Write(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = Uninterrupted([&] {
        return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      });
      if (n < 0) return Fail(FileError(path_, "write", errno));
      bytes.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

  Result<size_t> Read(uint64_t offset, size_t bytes, char* into) const override {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t n = Uninterrupted([&] {
        return ::pread(fd_.get(), into + done, bytes - done, static_cast<off_t>(offset + done));
      });
      if (n < 0) return Fail(FileError(path_, "read", errno));
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Result<void> WriteZeros(uint64_t offset, uint64_t bytes) override {
    static const std::string kZeros(256 << 10, '\0');
    while (bytes > 0) {
      const size_t n = std::min<uint64_t>(bytes, kZeros.size());
      if (auto done = Write(offset, std::string_view(kZeros).substr(0, n)); !done) return done;
      offset += n;
      bytes -= n;
    }
    return {};
  }

  Result<void> Truncate(uint64_t bytes) override {
    if (Uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(bytes)); }) < 0) {
      return Fail(FileError(path_, "truncate", errno));
    }
    return {};
  }

  Result<uint64_t> Size() const override {
    struct stat status;
    if (::fstat(fd_.get(), &status) < 0) return Fail(FileError(path_, "stat", errno));
    return static_cast<uint64_t>(status.st_size);
  }

  Result<void> Sync() override {
    if (Uninterrupted([&] { return ::fdatasync(fd_.get()); }) < 0) {
      return Fail(FileError(path_, "fdatasync", errno));
    }
    return {};
  }

 private:
  const std::string path_;
  const Descriptor fd_;
};

class PosixFolderLock final : public FolderLock {
 public:
  explicit PosixFolderLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;  // flock belongs to the open file: closing lets go, a killed process too.
};

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, OpenMode mode) {
  int flags = O_RDONLY;
  if (mode == OpenMode::kReadWrite) flags = O_RDWR;
  if (mode == OpenMode::kCreate) flags = O_RDWR | O_CREAT | O_TRUNC;
  auto fd = OpenDescriptor(path, flags);
  if (!fd) return Fail(fd.error());
  return std::make_unique<PosixFile>(path, std::move(*fd));
}

Result<std::vector<std::string>> PosixFileSystem::List(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  while (!error && it != std::filesystem::directory_iterator()) {
    names.push_back(it->path().filename().string());
    it.increment(error);
  }
  if (error) return Fail(FileError(folder, "list", error.value()));
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) < 0) {
    return Fail(FileError(from, "rename to " + to, errno));
  }
  return {};
}

Result<void> PosixFileSystem::Remove(const std::string& path) {
  if (::unlink(path.c_str()) < 0) return Fail(FileError(path, "remove", errno));
  return {};
}

Result<void> PosixFileSystem::SyncFolder(const std::string& folder) {
  auto fd = OpenDescriptor(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return Fail(fd.error());
  if (Uninterrupted([&] { return ::fsync(fd->get()); }) < 0) {
    return Fail(FileError(folder, "fsync", errno));
  }
  return {};
}

Result<void> PosixFileSystem::CreateFolders(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0) {
    return SyncFolder(std::filesystem::path(folder).parent_path().string());
  }
  if (errno == EEXIST) {
    struct stat status;
    if (::stat(folder.c_str(), &status) < 0) return Fail(FileError(folder, "stat", errno));
    if (!S_ISDIR(status.st_mode)) return Fail(FileError(folder, "create folder", ENOTDIR));
    return {};
  }
  const std::string parent = std::filesystem::path(folder).parent_path().string();
  if (errno != ENOENT || parent.empty() || parent == folder) {
    return Fail(FileError(folder, "create folder", errno));
  }
  if (auto done = CreateFolders(parent); !done) return done;
  // Once more and no deeper: /proc says ENOENT for ever.
  if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST) {
    return Fail(FileError(folder, "create folder", errno));
  }
  return SyncFolder(parent);
}

Result<std::unique_ptr<FolderLock>> PosixFileSystem::Lock(const std::string& folder) {
  auto fd = OpenDescriptor(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return Fail(fd.error());
  if (Uninterrupted([&] { return ::flock(fd->get(), LOCK_EX | LOCK_NB); }) < 0) {
    return Fail(FileError(folder, "lock", errno));
  }
  return std::make_unique<PosixFolderLock>(std::move(*fd));
}

Result<bool> PosixFileSystem::Exists(const std::string& path) {
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (error) return Fail(FileError(path, "stat", error.value()));
  return exists;
}

Result<void> PosixFileSystem::RemoveAll(const std::string& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) return Fail(FileError(folder, "remove", error.value()));
  return {};
}

Result<void> PosixFileSystem::MoveFolder(const std::string& from, const std::string& to) {
  return Rename(from, to);
}

Result<uint64_t> PosixFileSystem::FreeBytes(const std::string& folder) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) return Fail(FileError(folder, "statfs", error.value()));
  return uint64_t{space.available};
}

}  // namespace holdfast

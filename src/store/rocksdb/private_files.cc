#include "src/store/rocksdb/private_files.h"

#include <rocksdb/file_system.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace holdfast::store {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOStatus;

// Between the creation of a file and its chmod, the folder (0700) keeps everybody out.
class PrivateFileSystem : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "HoldfastPrivateFiles"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    return Private(name, target()->NewWritableFile(name, options, file, debug));
  }
  IOStatus NewLogger(const std::string& name, const rocksdb::IOOptions& options,
                     std::shared_ptr<rocksdb::Logger>* logger, IODebugContext* debug) override {
    return Private(name, target()->NewLogger(name, options, logger, debug));
  }
  IOStatus LockFile(const std::string& name, const rocksdb::IOOptions& options,
                    rocksdb::FileLock** lock, IODebugContext* debug) override {
    return Private(name, target()->LockFile(name, options, lock, debug));
  }

 private:
  static IOStatus Private(const std::string& name, IOStatus created) {
    if (created.ok() && chmod(name.c_str(), 0600) != 0) {
      return IOStatus::IOError("making " + name + " private", std::strerror(errno));
    }
    return created;
  }
};

}  // namespace

rocksdb::Env* PrivateFilesEnv() {
  // Not freed: RocksDB's background threads may outlive every other object.
  static rocksdb::Env* const env =
      rocksdb::NewCompositeEnv(std::make_shared<PrivateFileSystem>(rocksdb::FileSystem::Default()))
          .release();
  return env;
}

}  // namespace holdfast::store

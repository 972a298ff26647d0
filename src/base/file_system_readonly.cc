#include "src/base/file_system_readonly.h"

#include <utility>

namespace holdfast {
namespace {

class ReadOnlyFile final : public File {
 public:
  explicit ReadOnlyFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<void> Write(uint64_t, std::string_view) override { return {}; }
  Result<size_t> Read(uint64_t offset, size_t bytes, char* into) const override {
    return file_->Read(offset, bytes, into);
  }
  Result<void> WriteZeros(uint64_t, uint64_t) override { return {}; }
  Result<void> Truncate(uint64_t) override { return {}; }
  Result<uint64_t> Size() const override { return file_->Size(); }
  Result<void> Sync() override { return {}; }

 private:
  const std::unique_ptr<File> file_;
};

Error Refused(const std::string& path) {
  return Error{ErrorCode::kInvalidArgument, path + " is not there, and nothing is written", "", "",
               0};
}

}  // namespace

Result<std::unique_ptr<File>> ReadOnlyFileSystem::Open(const std::string& path, OpenMode mode) {
  if (mode == OpenMode::kCreate) return Fail(Refused(path));
  auto file = files_.Open(path, OpenMode::kRead);
  if (!file) return Fail(file.error());
  return std::make_unique<ReadOnlyFile>(*std::move(file));
}

Result<void> ReadOnlyFileSystem::CreateFolders(const std::string& folder) {
  const auto exists = files_.Exists(folder);
  if (!exists) return Fail(exists.error());
  return *exists ? Result<void>() : Fail(Refused(folder));
}

}  // namespace holdfast

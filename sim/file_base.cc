#include "sim/file_base.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "src/base/check.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kRunsMax = 6;  // Then one run is made of all.
constexpr size_t kRunBytesMax = 256 << 20;
constexpr char kRun[] = "run-";
constexpr char kAll[] = "all-";  // Replaces every run of a lower number.
constexpr uint32_t kDeleted = UINT32_MAX;

void AppendNumber(uint32_t number, std::string* out) {
  char bytes[sizeof(number)];
  std::memcpy(bytes, &number, sizeof(number));
  out->append(bytes, sizeof(number));
}

void AppendChange(const store::Change& change, std::string* out) {
  AppendNumber(static_cast<uint32_t>(change.key.size()), out);
  AppendNumber(change.value ? static_cast<uint32_t>(change.value->size()) : kDeleted, out);
  out->append(change.key);
  if (change.value) out->append(*change.value);
}

void AppendChecksum(std::string* bytes) {
  const uint64_t sum = XXH3_64bits(bytes->data(), bytes->size());
  char tail[sizeof(sum)];
  std::memcpy(tail, &sum, sizeof(sum));
  bytes->append(tail, sizeof(tail));
}

bool HasGoodChecksum(std::string_view bytes) {
  uint64_t sum = 0;
  if (bytes.size() < sizeof(sum)) return false;
  std::memcpy(&sum, bytes.data() + bytes.size() - sizeof(sum), sizeof(sum));
  return sum == XXH3_64bits(bytes.data(), bytes.size() - sizeof(sum));
}

// The changes of a run whose checksum was found good.
store::ChangeReader ReaderOf(std::string_view bytes) {
  bytes.remove_suffix(sizeof(uint64_t));
  return [bytes]() mutable -> std::optional<store::Change> {
    if (bytes.empty()) return std::nullopt;
    uint32_t sizes[2];
    std::memcpy(sizes, bytes.data(), sizeof(sizes));
    bytes.remove_prefix(sizeof(sizes));
    store::Change change{bytes.substr(0, sizes[0]), std::nullopt};
    bytes.remove_prefix(sizes[0]);
    if (sizes[1] != kDeleted) {
      change.value = bytes.substr(0, sizes[1]);
      bytes.remove_prefix(sizes[1]);
    }
    return change;
  };
}

std::string Name(const char* kind, uint64_t number) {
  std::string digits = std::to_string(number);
  return kind + std::string(10 - digits.size(), '0') + digits;
}

uint64_t NumberOf(const std::string& name) {
  uint64_t number = 0;
  std::from_chars(name.data() + sizeof(kRun) - 1, name.data() + name.size(), number);
  return number;
}

void Must(const Result<void>& done) {
  if (!done) DiskFailed("the store cannot go on: " + done.error().message);
}

}  // namespace

FileBase::FileBase(FileSystem& files, std::string folder)
    : files_(files),
      folder_(std::move(folder)),
      disk_(std::make_shared<store::MemoryDisk>()),
      memory_(disk_) {}

Result<std::unique_ptr<FileBase>> FileBase::Open(FileSystem& files, const std::string& folder) {
  if (auto made = files.CreateFolders(folder); !made) return Fail(made.error());
  std::unique_ptr<FileBase> base(new FileBase(files, folder));
  if (auto loaded = base->Load(); !loaded) return Fail(loaded.error());
  return base;
}

Result<void> FileBase::Load() {
  auto names = files_.List(folder_);
  if (!names) return Fail(names.error());
  std::erase_if(*names, [](const std::string& name) {
    return name.ends_with(".tmp") || !(name.starts_with(kRun) || name.starts_with(kAll));
  });
  std::sort(names->begin(), names->end(),
            [](const std::string& a, const std::string& b) { return NumberOf(a) < NumberOf(b); });
  uint64_t from = 0;
  for (const std::string& name : *names) {
    if (name.starts_with(kAll)) from = std::max(from, NumberOf(name));
  }
  for (const std::string& name : *names) {
    if (NumberOf(name) < from) continue;
    auto bytes = ReadFile(files_, folder_ + "/" + name, kRunBytesMax);
    if (!bytes) return Fail(bytes.error());
    if (!HasGoodChecksum(*bytes)) {
      return Fail(Error{ErrorCode::kInternal, folder_ + "/" + name + " is damaged", "",
                        "Remove the whole data folder: the node rejoins by itself.", 0});
    }
    memory_.Ingest(ReaderOf(*bytes));
    last_ = NumberOf(name);
    ++runs_;
  }
  return {};
}

bool FileBase::Get(std::string_view key, std::string* value) const {
  return memory_.Get(key, value);
}

std::unique_ptr<store::Cursor> FileBase::NewCursor(std::string_view prefix) const {
  return memory_.NewCursor(prefix);
}

Result<void> FileBase::WriteRun(const std::string& name, const std::string& bytes) {
  return ReplaceFile(files_, folder_ + "/" + name, bytes);
}

void FileBase::Ingest(const store::ChangeReader& next) {
  std::string bytes;
  while (auto change = next()) AppendChange(*change, &bytes);
  if (bytes.empty()) return;
  AppendChecksum(&bytes);
  Must(WriteRun(Name(kRun, ++last_), bytes));
  memory_.Ingest(ReaderOf(bytes));
  if (++runs_ < kRunsMax) return;
  std::string all;
  for (const auto& [key, value] : *disk_->rows()) AppendChange({key, value}, &all);
  AppendChecksum(&all);
  auto before = files_.List(folder_);
  HOLDFAST_CHECK(before, "the store cannot be listed");
  Must(WriteRun(Name(kAll, ++last_), all));
  for (const std::string& name : *before) Must(files_.Remove(folder_ + "/" + name));
  runs_ = 1;
}

Result<void> FileBase::Export(const std::string& folder) const {
  if (auto made = files_.CreateFolders(folder); !made) return made;
  std::string all;
  for (const auto& [key, value] : *disk_->rows()) AppendChange({key, value}, &all);
  AppendChecksum(&all);
  return ReplaceFile(files_, folder + "/" + Name(kAll, 1), all);
}

}  // namespace holdfast::sim

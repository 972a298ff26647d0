#include "src/node/backup_folder.h"

#include <xxhash.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <set>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/wal/format.h"

namespace holdfast::node {
namespace {

constexpr size_t kManifestBytesMax = bounds::kCheckpointFilesMax * 128;
constexpr size_t kPieceBytes = 1 << 20;

Error Bad(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, what, "",
               "Use another backup: nothing of this one was put in place.", 0};
}

uint64_t ChecksumOf(BackupManifest manifest) {
  manifest.clear_checksum();
  const std::string bytes = manifest.SerializeAsString();
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string WhyBad(const BackupManifest& manifest) {
  if (manifest.index() == 0 || manifest.index() >= wal::kNumberMax || manifest.index_term() == 0 ||
      manifest.term() < manifest.index_term() || manifest.term() >= wal::kNumberMax) {
    return "it names no position";
  }
  if (manifest.files().empty()) return "it has no files";
  if (static_cast<size_t>(manifest.files_size()) > bounds::kCheckpointFilesMax) {
    return "it has too many files";
  }
  std::set<std::string> names;
  for (const BackupFile& file : manifest.files()) {
    if (!IsPlainFileName(file.name())) return "a file's name is no plain name";
    if (!names.insert(file.name()).second) return "it names a file twice";
  }
  return "";
}

Result<void> ReadOne(FileSystem& files, const std::string& path, const BackupFile& expected,
                     const std::string& to, const std::function<void(uint64_t)>& more) {
  auto file = files.Open(path, OpenMode::kRead);
  if (!file) return Fail(file.error());
  const auto size = (*file)->Size();
  if (!size) return Fail(size.error());
  if (*size != expected.bytes()) {
    return Fail(Bad(path + " is damaged: it has " + std::to_string(*size) + " bytes instead of " +
                    std::to_string(expected.bytes())));
  }
  std::unique_ptr<File> copy;
  if (!to.empty()) {
    auto created = files.Open(to, OpenMode::kCreate);
    if (!created) return Fail(created.error());
    copy = std::move(*created);
  }
  Checksum checksum;
  std::string piece(std::min<uint64_t>(kPieceBytes, *size), '\0');
  for (uint64_t offset = 0; offset < *size;) {
    auto read =
        (*file)->Read(offset, std::min<uint64_t>(piece.size(), *size - offset), piece.data());
    if (!read) return Fail(read.error());
    if (*read == 0) return Fail(Bad(path + " ends at offset " + std::to_string(offset)));
    const std::string_view bytes(piece.data(), *read);
    checksum.Add(bytes);
    if (copy) {
      if (auto written = copy->Write(offset, bytes); !written) return written;
    }
    offset += *read;
    more(*read);
  }
  if (checksum.value() != expected.checksum()) {
    return Fail(Bad(path + " is damaged: its checksum is not the one in the manifest"));
  }
  return copy ? copy->Sync() : Result<void>();
}

}  // namespace

struct Checksum::State {
  XXH3_state_t* state = XXH3_createState();
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
  HOLDFAST_CHECK(state_->state != nullptr && XXH3_64bits_reset(state_->state) == XXH_OK,
                 "no memory for a checksum");
}
Checksum::~Checksum() { XXH3_freeState(state_->state); }
void Checksum::Add(std::string_view bytes) {
  XXH3_64bits_update(state_->state, bytes.data(), bytes.size());
}
uint64_t Checksum::value() const { return XXH3_64bits_digest(state_->state); }

bool IsPlainFileName(const std::string& name) {
  constexpr char kAllowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

std::string BackupName(uint64_t backup) {
  char name[17];
  std::snprintf(name, sizeof(name), "%016" PRIx64, backup);
  return name;
}

std::string EncodeManifest(BackupManifest manifest) {
  manifest.set_checksum(ChecksumOf(manifest));
  return manifest.SerializeAsString();
}

Result<BackupManifest> DecodeManifest(std::string_view bytes) {
  BackupManifest manifest;
  const bool parsed = bytes.size() <= kManifestBytesMax &&
                      manifest.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (!parsed || manifest.format() == 0) return Fail(Bad("the manifest is damaged"));
  if (manifest.format() > kBackupFormat) {
    return Fail(Bad("the backup was written by a newer Holdfast (format " +
                    std::to_string(manifest.format()) + "), or its manifest is damaged"));
  }
  if (ChecksumOf(manifest) != manifest.checksum()) {
    return Fail(Bad("the manifest is damaged: its checksum does not match"));
  }
  if (const std::string why = WhyBad(manifest); !why.empty()) {
    return Fail(Bad("the manifest makes no sense: " + why));
  }
  return manifest;
}

Result<BackupManifest> ReadManifest(FileSystem& files, const std::string& backup) {
  const std::string path = backup + "/" + kBackupManifest;
  const auto exists = files.Exists(path);
  if (!exists) return Fail(exists.error());
  if (!*exists) {
    return Fail(Error{ErrorCode::kInvalidArgument, backup + " is no backup: it has no manifest", "",
                      "Name a folder that holdfast backup has written. One that ends with .partial "
                      "was never finished.",
                      0});
  }
  const auto bytes = ReadFile(files, path, kManifestBytesMax);
  if (!bytes) return Fail(bytes.error());
  auto manifest = DecodeManifest(*bytes);
  if (!manifest) manifest.error().message = path + ": " + manifest.error().message;
  return manifest;
}

Result<void> ReadFiles(FileSystem& files, const std::string& backup, const BackupManifest& manifest,
                       const std::string& to, const BackupProgress& progress) {
  const std::string folder = backup + "/" + kBackupDatabase;
  const auto names = files.List(folder);
  if (!names) return Fail(names.error());
  std::set<std::string> known;
  for (const BackupFile& file : manifest.files()) known.insert(file.name());
  for (const std::string& name : *names) {
    if (!known.contains(name)) {
      return Fail(Bad(folder + "/" + name + " is not in the backup's manifest"));
    }
  }
  uint64_t done = 0;
  for (const BackupFile& file : manifest.files()) {
    if (!std::binary_search(names->begin(), names->end(), file.name())) {
      return Fail(Bad(folder + "/" + file.name() + " is missing"));
    }
    auto read = ReadOne(files, folder + "/" + file.name(), file,
                        to.empty() ? "" : to + "/" + file.name(), [&](uint64_t bytes) {
                          done += bytes;
                          if (progress) progress(done);
                        });
    if (!read) return read;
  }
  return {};
}

}  // namespace holdfast::node

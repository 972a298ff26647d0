// The manifest of a backup, as a restore finds it.
#include "fuzz/input.h"
#include "src/node/backup_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  // The bytes as they are, and with a checksum that fits, which chance does not find.
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto as_it_is = node::DecodeManifest(bytes);
  HOLDFAST_CHECK(as_it_is || !as_it_is.error().message.empty(), "refused without a word");
  BackupManifest manifest;
  if (!manifest.ParseFromString(bytes)) return 0;
  const auto decoded = node::DecodeManifest(node::EncodeManifest(manifest));
  if (!decoded) return 0;
  HOLDFAST_CHECK(decoded->index() != 0 && decoded->index_term() != 0, "a backup of no position");
  for (const BackupFile& file : decoded->files()) {
    HOLDFAST_CHECK(file.name().find('/') == std::string::npos && file.name().front() != '.',
                   "a name that leads elsewhere");
  }
  return 0;
}

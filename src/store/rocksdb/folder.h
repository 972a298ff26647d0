// The folder of the RocksDB base: who may read it, and which format it is in.
#pragma once

#include <filesystem>
#include <string>

#include "src/base/error.h"

namespace holdfast::store {

inline constexpr char kDatabaseFolder[] = "db";
inline constexpr char kIncomingFolder[] = "incoming";

// Creates what is missing. Refuses a folder of a newer format, and one that is not a store's: we
// would rather not start than mix up somebody's files.
Result<void> PrepareFolder(const std::filesystem::path& path);

// Makes a store folder around a database of this build's format that lies in `path`/db.
Result<void> AdoptDatabase(const std::filesystem::path& path);

// Removes every file in `path`.
Result<void> EmptyFolder(const std::filesystem::path& path);

// "store folder <path> <what>"
Error FolderError(const std::filesystem::path& path, const std::string& what);

}  // namespace holdfast::store

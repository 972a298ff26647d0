// RocksDB's files, readable by their owner only, whatever the process's umask says.
#pragma once

#include <rocksdb/env.h>

namespace holdfast::store {

// The default environment but for the mode of new files. Lives as long as the process.
rocksdb::Env* PrivateFilesEnv();

}  // namespace holdfast::store

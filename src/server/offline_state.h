// The state in a database that no node runs on, read-only: a stopped node's, or a backup's. For
// inspection and verification; nothing is written.
//
// One thread. Failure: Open answers with an Error that names what is damaged; rows that do not make
// sense although the files' checksums match end the program, as they would end a node.
#pragma once

#include <memory>
#include <string>

#include "src/base/error.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/store/rocksdb/rocksdb_base.h"
#include "src/store/store.h"

namespace holdfast {

class OfflineState {
 public:
  // Verifies every file's checksums first, so that what is read later is what was written.
  static Result<std::unique_ptr<OfflineState>> Open(const std::string& database);

  const state_machine::Machine& machine() const { return *machine_; }
  state_machine::Position position() const { return machine_->position(); }
  const state_machine::Registry& registry() const { return *registry_; }
  const store::Store& store() const { return *store_; }
  const store::RocksDbBase& base() const { return *base_; }
  // What a service finds wrong with its rows, if anything.
  std::string BrokenInvariant() const;
  // Over every row, as docs/formats/store.md says: equal states at one position have equal ones,
  // however their rows lie in files.
  uint64_t ContentHash() const;

 private:
  OfflineState() = default;

  const store::RocksDbBase* base_ = nullptr;  // The store's.
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<state_machine::Registry> registry_;
  std::unique_ptr<state_machine::Machine> machine_;
};

}  // namespace holdfast

// What the store knows of a table without its types. Only table.h derives from it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/store/base.h"
#include "src/store/store.h"

namespace holdfast::store {

class TableBase {
 public:
  TableBase(const TableBase&) = delete;
  TableBase& operator=(const TableBase&) = delete;

  TableNumber number() const { return number_; }
  const std::string& name() const { return name_; }

 protected:
  // A number that is taken is a bug that stops the program here, at start-up.
  TableBase(Store& store, TableNumber number, std::string name);
  virtual ~TableBase();

  const Base& base() const { return *store_.base_; }
  size_t cache_rows_max() const { return store_.options_.cache_rows_per_table; }
  // The delta has gained or lost a row of about `bytes`, or one has changed its size.
  void RowAdded(size_t bytes) {
    ++store_.delta_rows_;
    store_.delta_bytes_ += bytes;
  }
  void RowRemoved(size_t bytes) {
    --store_.delta_rows_;
    store_.delta_bytes_ -= bytes;
  }
  void BytesChanged(size_t before, size_t after) { store_.delta_bytes_ += after - before; }

  // Stored keys begin with these bytes.
  std::string_view prefix() const { return {prefix_, sizeof(prefix_)}; }

  // Records a change of the current entry: append the key to what StartChange returns, then EndKey,
  // then the row if there is one, then EndRow. The bytes are those of docs/formats/store.md,
  // "Digest".
  std::string* StartChange();
  void EndKey();
  void EndRow(bool present);

  // Stops the node: bytes that passed the base's checksums make no sense.
  [[noreturn]] void Corrupt(std::string_view stored_key, const Error& error) const;

 private:
  friend class Store;

  // Puts back what the newest change on the table's undo list replaced.
  virtual void UndoChange(std::string_view stored_key) = 0;
  virtual void ForgetUndo() = 0;

  // Makes the delta the frozen one. O(1).
  virtual void Freeze() = 0;
  // The changes of one delta with stored keys. The reader is used while that delta cannot change.
  virtual ChangeReader DeltaChanges() const = 0;
  virtual ChangeReader FrozenChanges() const = 0;
  // Lets go of the frozen delta. O(1): what is to be freed goes to `garbage`.
  virtual void DropFrozen(std::vector<std::shared_ptr<void>>* garbage) = 0;

  Store& store_;
  const TableNumber number_;
  const std::string name_;
  const char prefix_[2];
  size_t open_ = 0;  // Where the part being appended to the store's changes_ begins.
};

}  // namespace holdfast::store

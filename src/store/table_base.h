// What the store knows of a table without its types. Only table.h derives from it.
#pragma once

#include <absl/functional/function_ref.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/error.h"
#include "src/store/base.h"
#include "src/store/codec.h"
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
  bool check_known() const { return store_.options_.check_known; }
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

  // Records a change of the current entry: the table keeps in its own undo list what the change
  // replaced, and is asked to put it back in reverse order.
  template <class Key>
  void RecordErase(const Key& key) {
    store_.undo_.push_back(this);
    store_.digest_.Add(id_);
    store_.digest_.Add(key);
    store_.digest_.Add(false);
  }
  template <class Key, class Row>
  void RecordPut(const Key& key, const Row& row) {
    CheckKeyLength(key);
    store_.undo_.push_back(this);
    store_.digest_.Add(id_);
    store_.digest_.Add(key);
    store_.digest_.Add(true);
    store_.digest_.Add(row);
  }

  // Stops the node when a key is longer than its bound. Encodes only keys that might be.
  template <class Key>
  void CheckKeyLength(const Key& key) const {
    if (codec::KeyBytesMax(key) <= bounds::kTableKeyBytesMax) return;
    std::string bytes;
    EncodeKey(key, &bytes);
    HOLDFAST_CHECK(bytes.size() <= bounds::kTableKeyBytesMax,
                   "a key of table " + name_ + " takes " + std::to_string(bytes.size()) + " bytes");
  }

  template <class Key>
  void AppendStoredKey(const Key& key, std::string* out) const {
    out->append(prefix());
    EncodeKey(key, out);
  }

  template <class Row>
  void Decode(std::string_view stored_key, std::string_view bytes, Row* row) const {
    if (Result<void> decoded = DecodeRow(bytes, row); !decoded) {
      Corrupt(stored_key, decoded.error());
    }
  }

  template <class Key>
  void DecodeStoredKey(std::string_view stored_key, Key* key) const {
    if (Result<void> decoded = DecodeKey(stored_key.substr(prefix().size()), key); !decoded) {
      Corrupt(stored_key, decoded.error());
    }
  }

  // Stops the node: bytes that passed the base's checksums make no sense.
  [[noreturn]] void Corrupt(std::string_view stored_key, const Error& error) const;

  using VisitBytes = absl::FunctionRef<void(std::string_view key, std::string_view row)>;

 private:
  friend class Store;

  // Puts back what the newest change on the table's undo list replaced.
  virtual void UndoChange() = 0;
  virtual void ForgetUndo() = 0;

  // Makes the delta the frozen one. O(1).
  virtual void Freeze() = 0;
  // Looks at some more of the keys that the base has; false when there are no more. One thread at a
  // time, without the lock.
  virtual bool LearnKeys() { return false; }
  // The keys of the frozen delta are about to be the base's as well. The same thread.
  virtual void LearnFrozen() {}

  // The changes of one delta with stored keys. The reader is used while that delta cannot change.
  virtual ChangeReader DeltaChanges() const = 0;
  virtual ChangeReader FrozenChanges() const = 0;
  // The rows of a stored value, as encoded key without the prefix and encoded row.
  virtual void VisitStored(std::string_view stored_key, std::string_view bytes,
                           VisitBytes visit) const {
    visit(stored_key.substr(prefix().size()), bytes);
  }
  // Lets go of the frozen delta. O(1): what is to be freed goes to `garbage`.
  virtual void DropFrozen(std::vector<std::shared_ptr<void>>* garbage) = 0;

  Store& store_;
  const TableNumber number_;
  const std::string name_;
  const char prefix_[2];
  const uint16_t id_;  // The number as one integer.
};

}  // namespace holdfast::store

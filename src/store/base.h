// What lies under the tables: an ordered map of bytes that takes whole sorted runs atomically.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::store {

// Walks keys in order. A cursor sees the state at its creation, whatever is ingested afterwards. It
// must not outlive its base. Not thread-safe; cheap enough for one per scan.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void Seek(std::string_view key) = 0;         // First key >= key.
  virtual void SeekForPrev(std::string_view key) = 0;  // Last key <= key.
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual bool Valid() const = 0;
  // Until the cursor moves.
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
};

// One change of a run: a new value, or a deletion when the value is absent.
struct Change {
  std::string_view key;
  std::optional<std::string_view> value;
};

// Yields changes in strictly ascending order of key, nullopt at the end. The views live until the
// following call.
using ChangeReader = std::function<std::optional<Change>()>;

// Thread-safe: reads go on while a run is ingested. One run at a time.
// Failure: bytes that cannot be read or made durable stop the node (DiskFailed).
class Base {
 public:
  virtual ~Base() = default;
  virtual bool Get(std::string_view key, std::string* value) const = 0;
  // Confined to the keys that begin with `prefix`: it never walks over the deletions of others.
  virtual std::unique_ptr<Cursor> NewCursor(std::string_view prefix) const = 0;
  // Takes a run, all or nothing, durable on return.
  virtual void Ingest(const ChangeReader& next) = 0;
};

}  // namespace holdfast::store

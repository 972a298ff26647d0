#include "src/store/store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/base/check.h"
#include "src/store/table_base.h"

namespace holdfast::store {
namespace {

constexpr size_t kPrefixBytes = 2;

// One reader after the other; they must be in order.
ChangeReader Concatenate(std::vector<std::function<ChangeReader()>> parts) {
  return [parts = std::move(parts), next = size_t{0},
          reader = ChangeReader()]() mutable -> std::optional<Change> {
    for (;;) {
      if (reader) {
        if (std::optional<Change> change = reader()) return change;
      }
      if (next == parts.size()) return std::nullopt;
      reader = parts[next++]();
    }
  };
}

// Leaves out deletions of what the base does not have: rows that came and went between two
// checkpoints need not be known to the disk at all.
ChangeReader WithoutNeedlessDeletions(const Base& base, ChangeReader next) {
  return [&base, next = std::move(next), value = std::string()]() mutable {
    std::optional<Change> change = next();
    while (change.has_value() && !change->value.has_value() && !base.Get(change->key, &value)) {
      change = next();
    }
    return change;
  };
}

// Merges two readers; where both have a key, `newer` counts.
ChangeReader Merge(ChangeReader newer, ChangeReader older) {
  struct State {
    ChangeReader newer;
    ChangeReader older;
    std::optional<Change> new_change;
    std::optional<Change> old_change;
    bool step_newer = true;
    bool step_older = true;
  };
  return [state = State{std::move(newer), std::move(older), {}, {}}]() mutable {
    if (state.step_newer) state.new_change = state.newer();
    if (state.step_older) state.old_change = state.older();
    const bool has_new = state.new_change.has_value();
    const bool has_old = state.old_change.has_value();
    state.step_newer = has_new && (!has_old || state.new_change->key <= state.old_change->key);
    state.step_older = has_old && (!has_new || state.old_change->key <= state.new_change->key);
    return state.step_newer ? state.new_change : state.old_change;
  };
}

ChangeReader ReadAll(std::shared_ptr<Cursor> cursor) {
  cursor->Seek("");
  return [cursor = std::move(cursor), started = false]() mutable -> std::optional<Change> {
    if (started) cursor->Next();
    started = true;
    if (!cursor->Valid()) return std::nullopt;
    return Change{cursor->key(), cursor->value()};
  };
}

}  // namespace

// --- TableBase

TableBase::TableBase(Store& store, TableNumber number, std::string name)
    : store_(store),
      number_(number),
      name_(std::move(name)),
      prefix_{static_cast<char>(number.service), static_cast<char>(number.table)},
      id_(static_cast<uint16_t>(number.service << 8 | number.table)) {
  auto& tables = store_.tables_;
  auto it = std::find_if(tables.begin(), tables.end(),
                         [&](TableBase* table) { return table->number() >= number; });
  HOLDFAST_CHECK(it == tables.end() || (*it)->number() != number,
                 "tables " + (*it)->name() + " and " + name_ + " have the same number");
  tables.insert(it, this);
}

TableBase::~TableBase() { std::erase(store_.tables_, this); }

void TableBase::Corrupt(std::string_view stored_key, const Error& error) const {
  std::string hex;
  for (char byte : stored_key.substr(0, bounds::kTableKeyBytesMax)) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(byte) >> 4];
    hex += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  CheckFailed(__FILE__, __LINE__, "stored bytes decode",
              "table " + name_ + ", key " + hex + ": " + error.message);
}

// --- Store

Store::Store(std::unique_ptr<Base> base, Options options)
    : base_(std::move(base)), options_(options) {}

Store::~Store() {
  HOLDFAST_CHECK(tables_.empty(), "the store goes before table " + tables_.front()->name());
}

void Store::RollbackTo(Savepoint mark) {
  HOLDFAST_CHECK(mark.position <= undo_.size(), "rolling back to a mark that is gone");
  for (; undo_.size() > mark.position; undo_.pop_back()) undo_.back()->UndoChange();
  digest_ = mark.digest;
}

uint64_t Store::EndEntry() {
  mutex_.AssertHeld();
  for (TableBase* table : tables_) table->ForgetUndo();
  undo_.clear();
  return std::exchange(digest_, Digest()).value();
}

bool Store::WantsCheckpoint() const {
  return !checkpoint_running_ &&
         (delta_rows_ >= options_.checkpoint_rows || delta_bytes_ >= options_.checkpoint_bytes);
}

std::function<void()> Store::BeginCheckpoint() {
  mutex_.AssertHeld();
  HOLDFAST_CHECK(undo_.empty(), "a checkpoint begins in the middle of an entry");
  if (checkpoint_running_ || delta_rows_ == 0) return nullptr;
  checkpoint_running_ = true;
  for (TableBase* table : tables_) table->Freeze();
  delta_rows_ = 0;
  delta_bytes_ = 0;
  return [this] { FinishCheckpoint(); };
}

bool Store::LearnKeys() {
  return std::any_of(tables_.begin(), tables_.end(),
                     [](TableBase* table) { return table->LearnKeys(); });
}

// Reads the frozen deltas without the lock: nothing changes them but the end of this function.
void Store::FinishCheckpoint() {
  for (TableBase* table : tables_) table->LearnFrozen();
  std::vector<std::function<ChangeReader()>> parts;
  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });
  base_->Ingest(WithoutNeedlessDeletions(*base_, Concatenate(std::move(parts))));

  std::vector<std::shared_ptr<void>> garbage;  // Freed after the lock is.
  absl::MutexLock lock(&mutex_);
  for (TableBase* table : tables_) table->DropFrozen(&garbage);
  checkpoint_running_ = false;
}

void Store::ForEach(const std::function<void(TableNumber, std::string_view key,
                                             std::string_view row)>& visit) const {
  std::vector<std::function<ChangeReader()>> delta;
  std::vector<std::function<ChangeReader()>> frozen;
  for (TableBase* table : tables_) {
    delta.push_back([table] { return table->DeltaChanges(); });
    frozen.push_back([table] { return table->FrozenChanges(); });
  }
  ChangeReader next = Merge(Concatenate(std::move(delta)),
                            Merge(Concatenate(std::move(frozen)), ReadAll(base_->NewCursor(""))));
  while (std::optional<Change> change = next()) {
    if (!change->value.has_value()) continue;
    const TableNumber number{static_cast<uint8_t>(change->key[0]),
                             static_cast<uint8_t>(change->key[1])};
    auto table = std::find_if(tables_.begin(), tables_.end(),
                              [&](const TableBase* each) { return each->number() == number; });
    if (table == tables_.end()) {
      visit(number, change->key.substr(kPrefixBytes), *change->value);
      continue;
    }
    (*table)->VisitStored(
        change->key, *change->value,
        [&](std::string_view key, std::string_view row) { visit(number, key, row); });
  }
}

}  // namespace holdfast::store

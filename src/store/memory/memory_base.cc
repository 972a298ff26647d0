#include "src/store/memory/memory_base.h"

#include <iterator>
#include <optional>

#include "src/base/check.h"

namespace holdfast::store {
namespace {

using Rows = MemoryDisk::Rows;

class MemoryCursor : public Cursor {
 public:
  MemoryCursor(std::shared_ptr<const Rows> rows, std::string_view prefix)
      : rows_(std::move(rows)), prefix_(prefix), at_(rows_->end()) {}

  void Seek(std::string_view key) override {
    at_ = rows_->lower_bound(std::max<std::string_view>(key, prefix_));
  }
  void SeekForPrev(std::string_view key) override {
    at_ = rows_->upper_bound(key);
    Prev();
  }
  void Next() override { ++at_; }
  void Prev() override { at_ = at_ == rows_->begin() ? rows_->end() : std::prev(at_); }
  bool Valid() const override { return at_ != rows_->end() && at_->first.starts_with(prefix_); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }

 private:
  const std::shared_ptr<const Rows> rows_;
  const std::string prefix_;
  Rows::const_iterator at_;
};

}  // namespace

bool MemoryBase::Get(std::string_view key, std::string* value) const {
  const std::shared_ptr<const Rows> rows = disk_->rows();
  auto it = rows->find(key);
  if (it == rows->end()) return false;
  *value = it->second;
  return true;
}

std::unique_ptr<Cursor> MemoryBase::NewCursor(std::string_view prefix) const {
  return std::make_unique<MemoryCursor>(disk_->rows(), prefix);
}

void MemoryBase::Ingest(const ChangeReader& next) {
  auto rows = std::make_shared<Rows>(*disk_->rows());
  std::string last;
  for (bool first = true; std::optional<Change> change = next(); first = false) {
    HOLDFAST_CHECK(first || last < change->key, "the keys of a run do not ascend");
    last = change->key;
    if (change->value.has_value()) {
      rows->insert_or_assign(last, std::string(*change->value));
    } else {
      rows->erase(last);
    }
  }
  disk_->Replace(std::move(rows));
}

}  // namespace holdfast::store

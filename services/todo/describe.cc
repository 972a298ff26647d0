#include "services/todo/describe.h"

#include <charconv>
#include <limits>

#include "services/todo/order.h"
#include "src/base/timestamp.h"

namespace holdfast::todo {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

void AppendHex(uint64_t value, std::string* out) {
  char text[16];
  out->append(text, std::to_chars(text, text + sizeof(text), value, 16).ptr);
}

const char* ReadHex(const char* at, const char* end, uint64_t* value) {
  const auto read = std::from_chars(at, end, *value, 16);
  return read.ec == std::errc() ? read.ptr : nullptr;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

void FillTask(uint64_t id, const std::string& list, const TaskRow& row, Task* task) {
  task->set_id(id);
  task->set_list(list);
  task->set_title(row.title);
  task->set_note(row.note);
  task->set_done(row.done());
  if (row.due_us) FillTime(*row.due_us, task->mutable_due());
  task->set_version(row.version);
  FillTime(row.created_us, task->mutable_created());
  FillTime(row.changed_us, task->mutable_changed());
  if (row.completed_us) FillTime(*row.completed_us, task->mutable_completed());
}

// The list's name as hex, since a cursor travels in queries.
std::string PlaceCursor::Text() const {
  std::string text = "p";
  AppendHex(rank, &text);
  text += '-';
  for (const char c : list) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 0xf];
  }
  return text;
}

std::optional<PlaceCursor> PlaceCursor::Parse(const std::string& text) {
  PlaceCursor cursor;
  const char* end = text.data() + text.size();
  const char* at = text.starts_with('p') ? ReadHex(text.data() + 1, end, &cursor.rank) : nullptr;
  if (at == nullptr || at == end || *at++ != '-') return std::nullopt;
  for (; end - at >= 2; at += 2) {
    const int high = HexValue(at[0]), low = HexValue(at[1]);
    if (high < 0 || low < 0) return std::nullopt;
    cursor.list += static_cast<char>(high << 4 | low);
  }
  if (cursor.list.empty() || cursor.rank >= kRankEnd || cursor.Text() != text) return std::nullopt;
  return cursor;
}

std::string DueCursor::Text() const {
  std::string text = "d";
  AppendHex(static_cast<uint64_t>(due_us), &text);
  text += '-';
  AppendHex(id, &text);
  return text;
}

std::optional<DueCursor> DueCursor::Parse(const std::string& text) {
  uint64_t due = 0;
  DueCursor cursor;
  const char* end = text.data() + text.size();
  const char* at = text.starts_with('d') ? ReadHex(text.data() + 1, end, &due) : nullptr;
  if (at == nullptr || at == end || *at++ != '-') return std::nullopt;
  at = ReadHex(at, end, &cursor.id);
  cursor.due_us = static_cast<int64_t>(due);
  if (at != end || cursor.id == std::numeric_limits<uint64_t>::max() || cursor.Text() != text) {
    return std::nullopt;
  }
  return cursor;
}

}  // namespace holdfast::todo

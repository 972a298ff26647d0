#include "src/cli/terminal_text.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

namespace holdfast::cli {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";  // U+FFFD
constexpr size_t kMarksMax = 4;                  // On one letter.

using Range = std::pair<char32_t, char32_t>;

template <size_t n>
bool In(const Range (&ranges)[n], char32_t code) {
  const auto after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code,
                       [](char32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && code <= std::prev(after)->second;
}

// Marks on the letter before.
constexpr Range kMarks[] = {
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},     {0x64b, 0x65f},
    {0x6d6, 0x6dc},   {0x900, 0x902},   {0x93c, 0x93c},   {0x941, 0x948},     {0x94d, 0x94d},
    {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},   {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff},
    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0x1f3fb, 0x1f3ff}, {0xe0100, 0xe01ef}};
constexpr Range kWide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x2614, 0x2615},
    {0x26a1, 0x26a1},   {0x2705, 0x2705},   {0x274c, 0x274c},   {0x2753, 0x2757},
    {0x2b50, 0x2b50},   {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},
    {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
    {0x16fe0, 0x18cff}, {0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf},
    {0x1f18e, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f64f}, {0x1f680, 0x1f6ff},
    {0x1f7e0, 0x1f7f0}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};
constexpr Range kHidden[] = {
    {0x80, 0x9f},     {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f},   {0x3164, 0x3164},   {0xe000, 0xf8ff},
    {0xfdd0, 0xfdef}, {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
    {0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff}, {0xe01f0, 0x10ffff}};

size_t CellsOf(char32_t code) {
  if (In(kMarks, code)) return 0;
  return In(kWide, code) ? 2 : 1;
}

}  // namespace

Letter FirstLetter(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  char32_t code = lead & (0x7fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[size] || code > 0x10ffff || surrogate) return {};
  return {code, size, true};
}

bool IsHidden(char32_t code) { return In(kHidden, code); }

std::string Harmless(std::string_view text) {
  std::string harmless;
  size_t marks = kMarksMax;  // Of the last letter; there is none to stand on yet.
  while (!text.empty()) {
    const Letter letter = FirstLetter(text);
    const std::string_view bytes = text.substr(0, letter.bytes);
    text.remove_prefix(letter.bytes);
    const bool hidden = !letter.valid || IsHidden(letter.code);
    if (!hidden && In(kMarks, letter.code)) {
      if (marks++ < kMarksMax) harmless += bytes;
      continue;
    }
    marks = 0;
    if (hidden) {
      harmless += kReplacement;
    } else if (letter.code == '\n' || letter.code == '\t') {
      harmless += ' ';
    } else if (letter.code < 0x20 || letter.code == 0x7f) {
      harmless += '^';
      harmless += static_cast<char>(letter.code ^ 0x40);
    } else {
      harmless += bytes;
    }
  }
  return harmless;
}

size_t WidthOf(std::string_view harmless) {
  size_t width = 0;
  while (!harmless.empty()) {
    const Letter letter = FirstLetter(harmless);
    width += CellsOf(letter.code);
    harmless.remove_prefix(letter.bytes);
  }
  return width;
}

std::vector<std::string> Wrapped(std::string_view harmless, size_t width, size_t indent) {
  width = std::max<size_t>(width, 2);
  if (indent + 2 > width) indent = 0;
  std::vector<std::string> lines(1);
  size_t used = 0;
  while (!harmless.empty()) {
    const Letter letter = FirstLetter(harmless);
    const size_t cells = CellsOf(letter.code);
    if (used + cells > width) {
      lines.emplace_back(indent, ' ');
      used = indent;
    }
    lines.back() += harmless.substr(0, letter.bytes);
    used += cells;
    harmless.remove_prefix(letter.bytes);
  }
  return lines;
}

std::string_view TailOf(std::string_view harmless, size_t width) {
  size_t left = WidthOf(harmless);
  while (left > width) {
    const Letter letter = FirstLetter(harmless);
    left -= CellsOf(letter.code);
    harmless.remove_prefix(letter.bytes);
  }
  // Marks without their letter would stand on what is before.
  while (!harmless.empty() && CellsOf(FirstLetter(harmless).code) == 0) {
    harmless.remove_prefix(FirstLetter(harmless).bytes);
  }
  return harmless;
}

}  // namespace holdfast::cli

#include "src/cli/terminal_text.h"

#include <gtest/gtest.h>

#include <random>

#include "src/api/scalar.h"

namespace holdfast::cli {
namespace {

TEST(TextTest, WhatCouldDoSomethingToATerminalIsOnlySeen) {
  const std::pair<std::string, std::string> cases[] = {
      {"plain text", "plain text"},
      {"", ""},
      {"two\nlines\tand a tab", "two lines and a tab"},
      {"\x1b[2J\x1b]0;title\x07", "^[[2J^[]0;title^G"},
      {"back\x08\x08\rover", "back^H^H^Mover"},
      {std::string("nul\0", 4), "nul^@"},
      {"del\x7f", "del^?"},
      {"c1 \xc2\x9b"
       "2J",
       "c1 \xef\xbf\xbd"
       "2J"},  // CSI in one letter.
      {"turned \xe2\x80\xae"
       "txt",
       "turned \xef\xbf\xbd"
       "txt"},  // Right to left.
      {"hidden \xe2\x80\x8b"
       "x",
       "hidden \xef\xbf\xbd"
       "x"},  // No width.
      {"line\xe2\x80\xa8"
       "sep",
       "line\xef\xbf\xbd"
       "sep"},
      {"tag \xf3\xa0\x81\x81", "tag \xef\xbf\xbd"},
      {"bad \xff\xc0\xaf end", "bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd end"},
      {"cut \xe6\x97", "cut \xef\xbf\xbd\xef\xbf\xbd"},
      {"surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
      {"\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac"},
      {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
      {"e\xcc\x81", "e\xcc\x81"},
      {"\xcc\x81"
       "alone",
       "alone"},  // A mark on nothing.
  };
  for (const auto& [text, wanted] : cases) EXPECT_EQ(Harmless(text), wanted);
}

TEST(TextTest, MarksDoNotGrowIntoTheLinesAround) {
  std::string tower = "a";
  for (int i = 0; i < 50; ++i) tower += "\xcc\x81";
  EXPECT_EQ(Harmless(tower).size(), 1u + 4 * 2);
  EXPECT_EQ(WidthOf(Harmless(tower)), 1u);
}

TEST(TextTest, WidthsAreThoseOfTheTerminal) {
  EXPECT_EQ(WidthOf("abc"), 3u);
  EXPECT_EQ(WidthOf("gr\xc3\xbc\xc3\x9f"), 4u);
  EXPECT_EQ(WidthOf("\xe6\x97\xa5\xe6\x9c\xac"), 4u);
  EXPECT_EQ(WidthOf("\xf0\x9f\x98\x80!"), 3u);
  EXPECT_EQ(WidthOf("e\xcc\x81"), 1u);
}

TEST(TextTest, LinesAreWrappedByCells) {
  EXPECT_EQ(Wrapped("abcdefgh", 4, 0), (std::vector<std::string>{"abcd", "efgh"}));
  EXPECT_EQ(Wrapped("abcdefgh", 5, 2), (std::vector<std::string>{"abcde", "  fgh"}));
  EXPECT_EQ(Wrapped("", 5, 2), (std::vector<std::string>{""}));
  // A wide letter does not lie across the border.
  EXPECT_EQ(Wrapped("a\xe6\x97\xa5\xe6\x9c\xac", 4, 0),
            (std::vector<std::string>{"a\xe6\x97\xa5", "\xe6\x9c\xac"}));
  EXPECT_EQ(TailOf("abcdef", 3), "def");
  EXPECT_EQ(TailOf("a\xe6\x97\xa5\xe6\x9c\xac", 3), "\xe6\x9c\xac");
  EXPECT_EQ(TailOf("abc", 9), "abc");
}

TEST(TextTest, AnyBytesBecomeTextWithoutAControlCharacter) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random() % 40, ' ');
    for (char& byte : bytes) {
      // Many that begin something.
      byte = random() % 3 == 0 ? "\x1b\x9b\xc2\xe2\xf0\x80\xff\n"[random() % 8]
                               : static_cast<char>(random());
    }
    const std::string text = Harmless(bytes);
    ASSERT_TRUE(api::IsValidUtf8(text));
    for (const char byte : text) {
      ASSERT_FALSE(static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f);
    }
    ASSERT_EQ(text.find("\xc2\x9b"), std::string::npos);
    ASSERT_EQ(Harmless(text), text) << "once is enough";
    const size_t width = 2 + random() % 10;
    std::string together;
    for (const std::string& line : Wrapped(text, width, 0)) {
      ASSERT_LE(WidthOf(line), width);
      together += line;
    }
    ASSERT_EQ(together, text);
    ASSERT_LE(WidthOf(TailOf(text, width)), width);
  }
}

}  // namespace
}  // namespace holdfast::cli

#include "services/chat/cli/screen.h"

#include <gtest/gtest.h>

#include "services/chat/cli/line_editor.h"
#include "src/base/bounds.h"
#include "src/cli/terminal_text.h"

namespace holdfast::chat {
namespace {

using What = Line::What;

// What is seen of a frame: its rows, without styles.
std::vector<std::string> RowsOf(const std::string& frame) {
  std::vector<std::string> rows(1);
  for (size_t i = 0; i < frame.size(); ++i) {
    if (frame[i] == '\x1b') {
      EXPECT_EQ(frame[i + 1], '[');
      i = frame.find_first_of("HJKm", i);
    } else if (frame[i] == '\n') {
      rows.emplace_back();
    } else if (frame[i] != '\r') {
      EXPECT_GE(static_cast<unsigned char>(frame[i]), 0x20);
      rows.back() += frame[i];
    }
  }
  return rows;
}

TEST(ScreenTest, ArrivalsAreOnTheLeftAndTheCausalOrderOnTheRight) {
  Screen screen("garden as ann");
  screen.Add({What::kArrived, "#2 bob: yes"});
  screen.Add({What::kArrived, "#1 ann: who is there?"});
  screen.Add({What::kShown, "#1 ann: who is there?"});
  screen.Add({What::kShown, "#2 bob: yes"});
  screen.Add({What::kRepeated, "#2 bob: yes again"});
  screen.Say("status");
  const std::vector<std::string> rows = RowsOf(screen.Frame({7, 63}, "hel"));
  EXPECT_EQ(rows, (std::vector<std::string>{
                      "as they arrive                 | in causal order: garden as ann",
                      "                               |                               ",
                      "#2 bob: yes                    |                               ",
                      "#1 ann: who is there?          | #1 ann: who is there?         ",
                      "#2 bob: yes again              | #2 bob: yes                   ", "status",
                      "> hel"}));
}

TEST(ScreenTest, EveryRowFitsWhateverTheSizeIs) {
  Screen screen("a title that is longer than the column is wide, by far");
  const std::string wide = "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e e\xcc\x81 ";
  for (int i = 0; i < 40; ++i) {
    screen.Add({i % 3 == 0 ? What::kGap : What::kLate, std::to_string(i) + wide + wide + wide});
    screen.Add({What::kArrived, wide + std::to_string(i)});
  }
  screen.Say(wide + wide + wide + wide);
  for (const size_t rows : {size_t{0}, size_t{4}, size_t{5}, size_t{24}, size_t{60}}) {
    for (const size_t columns : {size_t{0}, size_t{10}, size_t{11}, size_t{80}, size_t{200}}) {
      const auto seen = RowsOf(screen.Frame({rows, columns}, wide + wide + wide));
      ASSERT_EQ(seen.size(), std::max<size_t>(rows, 4));
      const size_t width = std::max<size_t>(columns, 10);
      for (size_t i = 0; i < seen.size(); ++i) {
        ASSERT_LE(cli::WidthOf(seen[i]), width) << seen[i];
        // But for the two lines at the bottom all of it is filled.
        ASSERT_TRUE(i + 2 >= seen.size() || cli::WidthOf(seen[i]) == width) << seen[i];
      }
    }
  }
}

TEST(ScreenTest, WhatIsTypedIsHarmlessAndItsEndIsSeen) {
  Screen screen("r");
  const auto rows = RowsOf(screen.Frame({4, 20}, "a\x1b[2J long line \xff that does not fit"));
  EXPECT_EQ(rows.back(), "> that does not fit");
}

TEST(ScreenTest, OldLinesAreForgotten) {
  Screen screen("r");
  for (size_t i = 0; i < bounds::kChatScreenLinesMax + 10; ++i) {
    screen.Add({What::kArrived, "x"});
  }
  screen.Add({What::kShown, "the only one"});
  const auto rows = RowsOf(screen.Frame({1'000, 40}, ""));
  EXPECT_EQ(rows.size(), 1'000u);
  EXPECT_NE(rows[997].find("the only one"), std::string::npos);
}

TEST(LineEditorTest, ALineIsEditedAndEnded) {
  LineEditor editor;
  const auto typed = [&](const char* bytes) { return editor.Feed(bytes).lines; };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(typed("hel"), Lines{});
  EXPECT_EQ(editor.line(), "hel");
  EXPECT_EQ(typed("lo\r"), Lines{"hello"});
  EXPECT_EQ(editor.line(), "");
  EXPECT_EQ(typed("a\rb\nc"), (Lines{"a", "b"}));
  EXPECT_EQ(typed("\x15gr\xc3\xbc\xc3\x9f\x7f\x7f!\r"), Lines{"gr!"});
  EXPECT_EQ(typed("one two  \x17three\r"), Lines{"one three"});
  // Keys that mean nothing here, also when they come in parts.
  EXPECT_EQ(typed("a\x1b[Ab\x1bOPc\x1b[1;5"), Lines{});
  EXPECT_EQ(typed("Dd\x01\r"), Lines{"abcd"});
  EXPECT_EQ(typed("a\tb\r"), Lines{"a b"});
  EXPECT_EQ(typed("\x7f\x7f\x17\r"), Lines{""});
}

TEST(LineEditorTest, CtrlCEndsAndCtrlDOnAnEmptyLine) {
  LineEditor editor;
  EXPECT_FALSE(editor.Feed("a\x04").quit);
  EXPECT_TRUE(editor.Feed("\x15\x04").quit);
  EXPECT_TRUE(editor.Feed("b\x03").quit);
}

TEST(LineEditorTest, ALetterThatDoesNotFitIsNotCut) {
  LineEditor editor;
  const std::string before(bounds::kChatTextBytesMax - 2, 'x');
  editor.Feed(before);
  editor.Feed("\xe2\x82");  // In parts, as it comes.
  editor.Feed("\xac!\xc3");
  EXPECT_EQ(editor.line(), before + "!");
  editor.Feed("\x7f\xc3\xbc");
  EXPECT_EQ(editor.line(), before + "\xc3\xbc");
}

TEST(LineEditorTest, NoLineIsLongerThanAMessage) {
  LineEditor editor;
  editor.Feed(std::string(10'000, 'x'));
  EXPECT_EQ(editor.line().size(), bounds::kChatTextBytesMax);
}

}  // namespace
}  // namespace holdfast::chat

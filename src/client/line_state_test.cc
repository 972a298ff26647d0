#include "src/client/line_state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::client {
namespace {

std::vector<LineState> AllStates() {
  std::vector<LineState> states;
  for (int i = 0; i < kLineStates; ++i) states.push_back(static_cast<LineState>(i));
  return states;
}
std::vector<LineEvent> AllEvents() {
  std::vector<LineEvent> events;
  for (int i = 0; i < kLineEvents; ++i) events.push_back(static_cast<LineEvent>(i));
  return events;
}

TEST(LineStateTest, WhatIsBusyWaitsAndNothingElseDoes) {
  for (const LineState state : AllStates()) {
    for (const LineEvent event :
         {LineEvent::kRead, LineEvent::kWriteThrough, LineEvent::kWriteLocal}) {
      const LineTransition transition = NextOf(state, event);
      EXPECT_EQ(transition.action == LineAction::kWait, IsBusy(state)) << NameOf(state);
      EXPECT_TRUE(!IsBusy(state) || transition.next == state) << NameOf(state);
    }
  }
}

TEST(LineStateTest, RightsAreServedAndNoOthers) {
  for (const LineState state : AllStates()) {
    EXPECT_EQ(NextOf(state, LineEvent::kRead).action == LineAction::kServe, MayRead(state));
    EXPECT_EQ(NextOf(state, LineEvent::kWriteLocal).action == LineAction::kWrite, MayWrite(state));
  }
}

TEST(LineStateTest, RightsComeFromTheClusterOnly) {
  for (const LineState state : AllStates()) {
    for (const LineEvent event : AllEvents()) {
      const LineTransition transition = NextOf(state, event);
      if (transition.action == LineAction::kNever) continue;
      const bool answer = event == LineEvent::kGrantedShared ||
                          event == LineEvent::kGrantedExclusive || event == LineEvent::kWrittenBack;
      if (!MayRead(state) && MayRead(transition.next)) {
        EXPECT_TRUE(answer) << NameOf(state) << ": " << NameOf(event);
      }
      if (!MayWrite(state) && MayWrite(transition.next)) {
        EXPECT_EQ(event, LineEvent::kGrantedExclusive) << NameOf(state);
      }
    }
  }
}

TEST(LineStateTest, ARecallAndTheEndOfALeaseTakeEveryRight) {
  for (const LineState state : AllStates()) {
    EXPECT_FALSE(MayRead(NextOf(state, LineEvent::kRecall).next)) << NameOf(state);
    EXPECT_FALSE(MayRead(NextOf(state, LineEvent::kLeaseEnd).next)) << NameOf(state);
    EXPECT_FALSE(MayRead(NextOf(state, LineEvent::kEvict).next)) << NameOf(state);
    EXPECT_FALSE(MayWrite(NextOf(state, LineEvent::kRecallToShared).next)) << NameOf(state);
  }
}

TEST(LineStateTest, WhatIsModifiedIsWrittenBackOrToldToBeLost) {
  for (const LineEvent event : AllEvents()) {
    const LineTransition transition = NextOf(LineState::kModified, event);
    if (transition.action == LineAction::kNever || transition.next == LineState::kModified)
      continue;
    if (event == LineEvent::kWrittenBack) continue;
    EXPECT_TRUE(transition.action == LineAction::kWriteBackShared ||
                transition.action == LineAction::kWriteBackRelease ||
                transition.action == LineAction::kRescue || transition.action == LineAction::kLose)
        << NameOf(event);
  }
}

std::string Drawn(const std::vector<LineState>& states) {
  std::string head = "| |", rule = "|---|";
  for (const LineState state : states) {
    head.append(" **").append(NameOf(state)).append("** |");
    rule += "---|";
  }
  std::string text;
  text.append(head).append("\n").append(rule).append("\n");
  for (const LineEvent event : AllEvents()) {
    std::string row = "| ";
    row.append(NameOf(event)).append(" |");
    bool any = false;
    for (const LineState state : states) {
      const LineTransition transition = NextOf(state, event);
      if (transition.action == LineAction::kNever) {
        row += " |";
        continue;
      }
      any = true;
      std::string cell;
      if (transition.next != state) cell.append("-> ").append(NameOf(transition.next));
      const std::string_view action = NameOf(transition.action);
      if (!action.empty()) cell.append(cell.empty() ? "" : "; ").append(action);
      row.append(" ").append(cell.empty() ? "." : cell).append(" |");
    }
    if (any) text.append(row).append("\n");
  }
  return text;
}

// The page draws the very table that runs.
TEST(LineStateTest, TheReadmeDrawsTheTable) {
  std::ifstream file(HOLDFAST_SOURCE_FOLDER "/services/cache/README.md");
  std::stringstream page;
  page << file.rdbuf();
  for (const std::string& table :
       {Drawn(
            {LineState::kInvalid, LineState::kShared, LineState::kExclusive, LineState::kModified}),
        Drawn({LineState::kFetching, LineState::kFetchingExclusive, LineState::kStoring,
               LineState::kAbandoned, LineState::kDowngrading, LineState::kDowngradeRecalled,
               LineState::kLeaving})}) {
    EXPECT_NE(page.str().find(table), std::string::npos) << "it should have:\n" << table;
  }
}

}  // namespace
}  // namespace holdfast::client

// `holdfast chat` against a node, as lines.
#include "services/chat/cli/commands.h"

#include <gtest/gtest.h>

#include <chrono>

#include "services/chat/cli/view.h"
#include "src/cli/testing.h"

namespace holdfast::chat {
namespace {

using cli::Ran;

class ChatCommandsTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> arguments, const std::string& in = "") {
    arguments.push_back("--endpoints=" + node_.endpoint());
    return program_.Run(std::move(arguments), in);
  }
  // Lines that begin with this word, without it.
  static std::string Only(const std::string& word, const std::string& out) {
    std::istringstream lines(out);
    std::string all;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(word + " ")) all += line.substr(9) + "\n";
    }
    return all;
  }

  cli::TestNode node_;
  cli::TestProgram program_{RegisterCommands};
};

TEST_F(ChatCommandsTest, WhatIsTypedIsPostedAndSeenByAll) {
  const Ran ann = Run({"chat", "garden", "--as", "ann"}, "hello\nis anybody there?\n");
  EXPECT_EQ(ann.code, cli::kExitOk) << ann.err;
  EXPECT_EQ(Only("shown", ann.out), "#1 ann: hello\n#2 ann: is anybody there?\n");
  EXPECT_EQ(Only("arrived", ann.out), Only("shown", ann.out));
  const Ran bob = Run({"chat", "garden", "--as", "bob", "--since", "1"}, "//slash\n");
  EXPECT_EQ(bob.code, cli::kExitOk) << bob.err;
  EXPECT_EQ(Only("shown", bob.out), "#2 ann: is anybody there?\n#3 bob: /slash\n");
  const Ran changes =
      Run({"chat", "garden", "--as", "ann", "--once"}, "/edit 9 x\n/delete\n/what\n");
  EXPECT_EQ(changes.code, cli::kExitRefused);
  EXPECT_NE(changes.err.find("which message?"), std::string::npos) << changes.err;
  EXPECT_NE(changes.err.find("/edit NUMBER TEXT"), std::string::npos) << changes.err;
  // What is typed may speak of what was typed before it.
  const Ran own = Run({"chat", "pond", "--as", "ann"}, "frog\n/edit 1 a frog\n/delete #1\n");
  EXPECT_EQ(own.code, cli::kExitOk) << own.err;
  EXPECT_EQ(own.err, "");
  EXPECT_EQ(Only("shown", own.out), "#1 ann: frog\n#2 ann edits #1: a frog\n#3 ann deletes #1\n");
  // Each follows what its author has seen and said.
  const Ran told = Run({"chat", "receive", "--room", "garden", "--compact"});
  EXPECT_EQ(told.code, cli::kExitOk) << told.err;
  EXPECT_NE(told.out.find(R"("number":2,)"), std::string::npos) << told.out;
  const auto second = told.out.find(R"("text":"is anybody there?","follows":[{)");
  EXPECT_NE(second, std::string::npos) << told.out;
  // What was shown has been read.
  const Ran rooms = Run({"chat", "list-rooms", "--member", "ann", "--compact"});
  EXPECT_NE(rooms.out.find(R"("read_to":3,"unread":0)"), std::string::npos) << rooms.out;
}

TEST_F(ChatCommandsTest, TwoWhoSeeOtherNetworksAgreeOnTheOrder) {
  std::string said;
  for (int i = 0; i < 60; ++i) said += "message " + std::to_string(i) + "\n";
  ASSERT_EQ(Run({"chat", "r", "--as", "ann"}, said).code, cli::kExitOk);
  const auto seen = [&](const std::string& seed) {
    return Run({"chat", "r", "--as", "bob", "--once", "--delay-ms", "200", "--shuffle",
                "--duplicate-percent", "30", "--seed", seed});
  };
  const Ran first = seen("1");
  const Ran second = seen("2");
  EXPECT_EQ(first.code, cli::kExitOk) << first.err;
  EXPECT_NE(Only("arrived", first.out), Only("arrived", second.out));
  EXPECT_NE(Only("again", first.out), "");
  EXPECT_EQ(Only("gap", first.out), "");
  EXPECT_EQ(Only("shown", first.out), Only("shown", second.out));
  const std::string shown = Only("shown", first.out);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 60);
}

TEST_F(ChatCommandsTest, WhatIsLostIsSeenAsAGap) {
  std::string said;
  for (int i = 0; i < 30; ++i) said += std::to_string(i) + "\n";
  ASSERT_EQ(Run({"chat", "r", "--as", "ann"}, said).code, cli::kExitOk);
  const Ran ran = Run({"chat", "r", "--as", "bob", "--once", "--lose-percent", "20", "--patience",
                       "50ms", "--seed", "3"});
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_NE(Only("gap", ran.out), "");
  EXPECT_NE(ran.out.find("which never came)"), std::string::npos) << ran.out;
}

// What went wrong: it showed nothing, as if the room were empty.
TEST_F(ChatCommandsTest, WhatIsLostAtTheEndIsSeenAsAGap) {
  ASSERT_EQ(Run({"chat", "r", "--as", "ann"}, "1\n2\n3\n").code, cli::kExitOk);
  const Ran ran = Run({"chat", "r", "--as", "bob", "--once", "--since", "0", "--lose-percent",
                       "100", "--patience", "50ms"});
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "gap      #1 to #3 never came\n");
}

// What went wrong: it waited for ever for a message that the network had lost, and all that was
// typed behind it as well.
TEST_F(ChatCommandsTest, WhatSpeaksOfALostMessageDoesNotWaitForEver) {
  const std::vector<std::string> lossy = {"chat",           "r",   "--as",      "eve",
                                          "--lose-percent", "100", "--patience"};
  const auto with = [&](const std::string& patience) {
    std::vector<std::string> arguments = lossy;
    arguments.push_back(patience);
    return arguments;
  };
  // One's own, whose id is known.
  Ran ran = Run(with("50ms"), "hello\n/edit 1 x\nmore\n");
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(Only("shown", Run({"chat", "r", "--as", "bob", "--once"}).out),
            "#1 eve: hello\n#2 eve edits #1: x\n#3 eve: more\n");
  // Somebody else's: it is waited for, and given up.
  auto since = with("50ms");
  since.insert(since.end(), {"--since", "0"});
  ASSERT_EQ(Run({"chat", "r", "--as", "ann"}, "ann's\n").code, cli::kExitOk);
  ran = Run(since, "again\n/delete 4\nlast\n");
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_EQ(ran.err, "holdfast: not posted: /delete: #4 never came, or was long ago\n");
  EXPECT_EQ(Only("shown", Run({"chat", "r", "--as", "bob", "--once", "--since", "4"}).out),
            "#5 eve: again\n#6 eve: last\n");
  // Whoever wants to go does not wait for that.
  since = with("60s");
  since.insert(since.end(), {"--since", "0"});
  const auto begun = std::chrono::steady_clock::now();
  ran = Run(since, "hello\n/delete 4\n/quit\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30));
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_EQ(ran.err, "holdfast: 1 line was typed and not posted, as far as is known\n");
}

TEST_F(ChatCommandsTest, HostileTextIsHarmless) {
  ASSERT_EQ(Run({"chat", "create-room", "--room", "r"}).code, cli::kExitOk);
  ASSERT_EQ(Run({"chat", "join", "--room", "r", "--member", "eve"}).code, cli::kExitOk);
  ASSERT_EQ(Run({"chat", "post", "--json",
                 R"({"room":"r","id":"m1","author":"eve","text":"\u001b[2J\u202e\nx"})"})
                .code,
            cli::kExitOk);
  const Ran ran = Run({"chat", "r", "--as", "ann", "--once"});
  EXPECT_EQ(Only("shown", ran.out), "#1 eve: ^[[2J\xef\xbf\xbd x\n");
}

TEST_F(ChatCommandsTest, MistakesAreToldAndRoomsThatAreGone) {
  Ran ran = Run({"chat"});
  EXPECT_EQ(ran.code, cli::kExitUsage);
  EXPECT_NE(ran.err.find("a ROOM or a method is missing"), std::string::npos) << ran.err;
  ran = Run({"chat", "r"});
  EXPECT_EQ(ran.code, cli::kExitUsage);
  EXPECT_NE(ran.err.find("it needs --as NAME"), std::string::npos) << ran.err;
  ran = Run({"chat", "r", "--as", "a\nb", "--once"});
  EXPECT_EQ(ran.code, cli::kExitUsage);
  EXPECT_NE(ran.err.find("member"), std::string::npos) << ran.err;
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--duration", "0s"},
                                                {"--duration", "2d"},
                                                {"--patience", "x"},
                                                {"--delay-ms", "10001"},
                                                {"--lose-percent", "101"},
                                                {"--duplicate-percent", "-1"},
                                                {"--since", "7"},
                                                {"--since", "-1"}}) {
    std::vector<std::string> arguments = {"chat", "r", "--as", "ann", "--once"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    ran = Run(arguments);
    EXPECT_EQ(ran.code, cli::kExitUsage) << wrong[0] << " " << wrong[1] << ran.err;
  }
  ran = Run({"chat", "r", "--as", "ann", "--once", "--since", "-5"});
  EXPECT_EQ(ran.err,
            "holdfast: --since: must be 0 or the number of a message (see holdfast chat --help)\n");
  ASSERT_EQ(Run({"chat", "r", "--as", "ann", "--once"}).code, cli::kExitOk);
  ASSERT_EQ(Run({"chat", "delete-room", "--room", "r"}).code, cli::kExitOk);
  ran = Run({"chat", "r", "--as", "ann", "--once"});
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("room_deleted"), std::string::npos) << ran.err;
}

TEST_F(ChatCommandsTest, WhatIsTypedAndNotPostedIsTold) {
  // Whoever says that it ends leaves what comes behind it.
  Ran ran = Run({"chat", "r", "--as", "ann"}, "hello\n/quit\nnever\n\nsaid\n");
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("lines were typed and not posted"), std::string::npos) << ran.err;
  // A line is not cut in silence: neither in a letter nor behind a command.
  const std::string longest(bounds::kChatTextBytesMax, 'x');
  ran = Run({"chat", "long", "--as", "ann"}, longest + "\n/edit 1 " + longest + "\n");
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  std::string letters;
  for (size_t i = 0; i < kLineBytesMax; ++i) letters += "\xc3\xa9";
  ran = Run({"chat", "long", "--as", "ann"}, letters + "\n");
  EXPECT_EQ(ran.code, cli::kExitRefused);
  EXPECT_NE(ran.err.find("at most 8192 bytes"), std::string::npos) << ran.err;
}

TEST_F(ChatCommandsTest, ItEndsByItselfAfterAWhile) {
  const Ran ran = Run({"chat", "r", "--as", "ann", "--duration", "300ms"}, "hello\n");
  EXPECT_EQ(ran.code, cli::kExitOk) << ran.err;
  EXPECT_EQ(Only("shown", ran.out), "#1 ann: hello\n");
}

}  // namespace
}  // namespace holdfast::chat

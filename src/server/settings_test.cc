#include "src/server/settings.h"

#include <gtest/gtest.h>

#include "src/server/config_file.h"

namespace holdfast {
namespace {

std::string Texts(const Problems& problems) {
  std::string all;
  for (const Problem& problem : problems) all += problem.field + ": " + problem.message + "\n";
  return all;
}

TEST(SettingsTest, FlagsAndKeysAreUnique) {
  std::set<std::string> seen;
  for (const Setting& setting : AllSettings()) {
    EXPECT_TRUE(seen.insert(setting.key()).second) << setting.key();
    EXPECT_TRUE(seen.insert(setting.flag()).second) << setting.flag();
    EXPECT_FALSE(setting.help.empty());
    EXPECT_FALSE(setting.range.empty());
  }
}

TEST(SettingsTest, DefaultsAreWithinTheirRanges) {
  for (const Setting& setting : AllSettings()) {
    Settings settings;
    Problems problems;
    Apply(setting, setting.get(Settings()), &settings, &problems);
    EXPECT_TRUE(problems.empty()) << Texts(problems);
    EXPECT_EQ(setting.get(settings), setting.get(Settings())) << setting.key();
  }
  Problems problems;
  const ServerConfig config = ToServerConfig(Settings(), &problems);
  EXPECT_TRUE(problems.empty()) << Texts(problems);
  EXPECT_EQ(config.http.ToString(), "127.0.0.1:8001");
  EXPECT_EQ(config.grpc.ToString(), "127.0.0.1:9001");
}

TEST(ConfigFileTest, SetsEveryKindOfValue) {
  Settings settings;
  Problems problems;
  ReadConfig(R"(
[node]
id = 2
data = "/var/lib/holdfast"
[cluster]
members = ["1=10.0.0.1:7001", "2=10.0.0.2:7002", "3=10.0.0.3:7003"]
election_timeout_ms = 1_000
[log]
level = "warn,raft=debug"
)",
             &settings, &problems);
  const ServerConfig config = ToServerConfig(settings, &problems);
  ASSERT_TRUE(problems.empty()) << Texts(problems);
  EXPECT_EQ(config.id, NodeId(2));
  EXPECT_EQ(config.data, "/var/lib/holdfast");
  EXPECT_EQ(config.members.at(NodeId(3)).ToString(), "10.0.0.3:7003");
  EXPECT_EQ(config.election_timeout_ms, 1'000U);
  EXPECT_EQ(config.http.port, 8002);
  EXPECT_EQ(settings.log_level, "warn,raft=debug");
}

TEST(ConfigFileTest, EverythingWrongIsToldAtOnce) {
  Settings settings;
  Problems problems;
  ReadConfig(R"([node]
id = 0
dta = "x"
http = "localhost"
[cluster]
heartbeat_ms = "80"
members = ["1=127.0.0.1:1", "1=127.0.0.1:2", "nonsense"]
election_timeout_ms = 20
[clutser]
x = 1
[log]
level = "loud"
)",
             &settings, &problems);
  ToServerConfig(settings, &problems);
  const std::string all = Texts(problems);
  for (const char* part :
       {"node.id: is '0': must be an integer from 1 to 999 (line 2)",
        "node.dta: is no setting; did you mean data? (line 3)",
        "node.http: is 'localhost': must be HOST:PORT", "cluster.heartbeat_ms: must be an integer",
        "cluster.members: names node 1 twice", "'nonsense' is not ID=HOST:PORT",
        "cluster.election_timeout_ms: is '20': must be an integer from 50 to 60000 ms (line 8)",
        "clutser: is no section; did you mean cluster? (line 9)", "log.level: is 'loud'",
        "there are trace, debug, info, warn, error, off"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part << "\n" << all;
  }
}

TEST(ConfigFileTest, WhatDoesNotFitTogetherIsTold) {
  Settings settings;
  Problems problems;
  ReadConfig(R"(
[node]
id = 4
http = "127.0.0.1:7000"
grpc = "127.0.0.1:7000"
[cluster]
heartbeat_ms = 200
members = ["1=127.0.0.1:7001", "2=127.0.0.1:7001"]
)",
             &settings, &problems);
  ToServerConfig(settings, &problems);
  const std::string all = Texts(problems);
  for (const char* part : {"at least 3 times", "does not name node 4", "the same address",
                           "node.grpc: is 127.0.0.1:7000, as node.http is"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part << "\n" << all;
  }
  EXPECT_EQ(problems.size(), 4U) << all;
}

// `config --check` found it fine, and `serve` refused it after it had made the folder.
TEST(ConfigFileTest, ALogFileThatIsNoWholePagesIsAProblem) {
  for (const auto& [value, fine] : std::vector<std::pair<std::string, bool>>{
           {"5000000", false},
           {"2097151", false},
           {"2093056", false},  // Whole pages, but an entry might not fit.
           {"1073745920", false},
           {"2097152", true},
           {"5001216", true},
           {"1073741824", true}}) {
    Settings settings;
    Problems problems;
    ReadConfig("[store]\nlog_segment_bytes = " + value + "\n", &settings, &problems);
    EXPECT_EQ(Texts(problems), fine ? ""
                                    : "store.log_segment_bytes: is '" + value +
                                          "': must be an integer from 2097152 to 1073741824, a "
                                          "multiple of 4096 bytes (line 2)\n");
  }
}

// toml++ stops the program at these, left to itself.
TEST(ConfigFileTest, TextThatTomlPlusPlusTakesForImpossibleIsAProblem) {
  for (const char* text :
       {"[=node]", "[[=node]]", "[\xc3\x94]", "[n\xc3\x94ode]", "\xc3\xa9 = 1"}) {
    Settings settings;
    Problems problems;
    ReadConfig(text, &settings, &problems);
    EXPECT_NE(Texts(problems).find("is no TOML"), std::string::npos) << text;
  }
}

TEST(ConfigFileTest, AKeyOutsideItsSectionIsShownTheWay) {
  Settings settings;
  Problems problems;
  ReadConfig("heartbeat_ms = 80\n", &settings, &problems);
  EXPECT_NE(Texts(problems).find("did you mean cluster.heartbeat_ms?"), std::string::npos);
  problems.clear();
  ReadConfig("node = 3\n", &settings, &problems);
  EXPECT_NE(Texts(problems).find("must be a section"), std::string::npos);
  problems.clear();
  ReadConfig("[node\n", &settings, &problems);
  EXPECT_NE(Texts(problems).find("is no TOML"), std::string::npos);
  problems.clear();
  ReadConfigFile("/nonexistent", &settings, &problems);
  EXPECT_EQ(Texts(problems), ": /nonexistent cannot be read: No such file or directory\n");
  problems.clear();
  ReadConfigFile("/", &settings, &problems);
  EXPECT_EQ(Texts(problems), ": / cannot be read: Is a directory\n");
}

// What `holdfast config` prints is the defaults, commented out or not.
TEST(ConfigFileTest, TheDefaultFileMeansTheDefaults) {
  const std::string text = DefaultConfigText();
  std::string open;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find(" = ");
    const bool setting =
        line.starts_with("# ") && equals != std::string::npos && line.find(' ', 2) == equals;
    open += (setting ? line.substr(2) : line) + "\n";
  }
  for (const std::string& file : {text, open, EffectiveConfigText(Settings())}) {
    Settings settings;
    Problems problems;
    ReadConfig(file, &settings, &problems);
    EXPECT_TRUE(problems.empty()) << Texts(problems) << file;
    EXPECT_EQ(EffectiveConfigText(settings), EffectiveConfigText(Settings()));
  }
  for (const Setting& setting : AllSettings()) {
    EXPECT_NE(open.find("\n" + setting.name + " = "), std::string::npos) << setting.key();
  }
}

TEST(ConfigFileTest, ControlCharactersInTextAreReadAsTheyWereWritten) {
  Settings settings;
  Problems problems;
  ReadConfig("[node]\ndata = \"/a\\f\\u007f\\t\\u0000\\\"\\\\b\"\n", &settings, &problems);
  const std::string effective = EffectiveConfigText(settings);
  EXPECT_NE(effective.find("\ndata = \"/a\\u000c\\u007f\\u0009\\u0000\\\"\\\\b\"\n"),
            std::string::npos)
      << effective;
  Settings again;
  ReadConfig(effective, &again, &problems);
  EXPECT_TRUE(problems.empty()) << Texts(problems);
  EXPECT_EQ(EffectiveConfigText(again), effective);
}

TEST(ConfigFileTest, ServersOfTime) {
  Settings settings;
  Problems problems;
  ReadConfig(R"(
[clock]
ntp_servers = ["ntp.example.net", "10.0.0.9:1123", "[2001:db8::1]"]
ntp_poll_ms = 500
own_error_ms = 0
)",
             &settings, &problems);
  const ServerConfig config = ToServerConfig(settings, &problems);
  ASSERT_TRUE(problems.empty()) << Texts(problems);
  EXPECT_EQ(
      config.clock.ntp_servers,
      (std::vector<std::string>{"ntp.example.net:123", "10.0.0.9:1123", "[2001:db8::1]:123"}));
  EXPECT_EQ(config.clock.ntp_poll_ms, 500u);
  EXPECT_EQ(config.clock.own_error_ms, 0u);
}

TEST(ConfigFileTest, SaysWhatIsWrongWithServersOfTime) {
  struct Case {
    const char* list;
    const char* what;
  };
  const Case cases[] = {
      {R"(["a b"])", "'a b' is neither HOST nor HOST:PORT"},
      {R"(["", "b"])", "'' is neither HOST nor HOST:PORT"},
      {R"(["a:0"])", "'a:0' is neither HOST nor HOST:PORT"},
      {R"(["a", "a:123"])", "names a:123 twice: it would count twice"},
      {R"(["a","b","c","d","e","f","g","h","i"])", "names 9 servers; at most 8 are allowed"},
  };
  for (const Case& one : cases) {
    Settings settings;
    Problems problems;
    ReadConfig(std::string("[clock]\nntp_servers = ") + one.list + "\n", &settings, &problems);
    ToServerConfig(settings, &problems);
    ASSERT_EQ(problems.size(), 1u) << one.list;
    EXPECT_EQ(problems[0].field, "clock.ntp_servers");
    EXPECT_EQ(problems[0].message, one.what);
  }
}

}  // namespace
}  // namespace holdfast

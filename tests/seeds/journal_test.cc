// Seed 1's tasks on time that concern logs: records that arrive out of sequence are reordered, and
// timestamps corrected, by the command line against a cluster of three; and log files of three
// machines are merged.
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <vector>

#include "src/base/utc_text.h"
#include "tests/support/process_cluster.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using rapidjson::Document;
using testing::Ended;
using testing::ProcessCluster;
using testing::RunHoldfast;

constexpr int64_t kMs = 1'000;
constexpr int64_t kSecond = 1'000'000;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Text(const rapidjson::Value& json, const char* name) {
  return json.HasMember(name) && json[name].IsString() ? json[name].GetString() : "";
}

int64_t Number(const rapidjson::Value& json, const char* name) {
  if (!json.HasMember(name)) return 0;
  return json[name].IsString() ? std::stoll(json[name].GetString()) : json[name].GetInt64();
}

// "2026-11-30T14:58:59.123456Z" with a fraction of any length, or none.
int64_t MicrosecondsOf(const std::string& text) {
  std::tm at{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &at);
  if (rest == nullptr) {
    ADD_FAILURE() << text << " is no time";
    return 0;
  }
  std::string fraction;
  if (*rest == '.') fraction.assign(rest + 1, strspn(rest + 1, "0123456789"));
  fraction.resize(6, '0');
  return int64_t{timegm(&at)} * kSecond + std::stoll(fraction);
}

class JournalSeedTest : public ::testing::Test {
 protected:
  JournalSeedTest() : cluster_(3) {}
  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
  }

  // `holdfast journal ...` at one node.
  Document Run(int node, const std::string& arguments, int code = 0) {
    const Ended ended = RunHoldfast("journal " + arguments + " --compact --endpoints 127.0.0.1:" +
                                    std::to_string(cluster_.grpc(node)));
    EXPECT_EQ(ended.code, code) << arguments << "\n" << ended.output;
    Document json;
    json.Parse(ended.output.data(), ended.output.size());
    EXPECT_TRUE(!json.HasParseError() && json.IsObject()) << ended.output;
    if (!json.IsObject()) json.SetObject();
    return json;
  }

  // A source whose clock is off, and what it saw of the last answer.
  struct Source {
    std::string name;
    int node = 1;
    int64_t ahead_us = 0;
    std::string seen = {};

    std::string Says(int64_t true_us) const { return UtcText(true_us + ahead_us, 6); }
  };
  void Append(Source& source, const std::vector<std::pair<int64_t, std::string>>& records,
              uint64_t first = 0) {
    std::string arguments = "append --journal logs --source " + source.name + " --sent-time " +
                            source.Says(NowUs()) + source.seen;
    if (first != 0) arguments += " --first-sequence " + std::to_string(first);
    for (const auto& [true_us, body] : records) {
      arguments +=
          R"( --records '{"time":")" + source.Says(true_us) + R"(","body":")" + body + R"("}')";
    }
    const Document reply = Run(source.node, arguments);
    source.seen = R"( --previous '{"batch":)" + std::to_string(Number(reply, "batch")) +
                  R"(,"received_time":")" + source.Says(NowUs() + 1) + R"("}')";
  }

  ProcessCluster cluster_;
};

TEST_F(JournalSeedTest, RecordsOutOfSequenceAreReorderedAndTheirTimesCorrected) {
  Run(1, "create --name logs --window-ms 6000");
  Source ahead{"payment-1", 1, 5 * kSecond};
  Source behind{"payment-2", 2, -3 * kSecond};
  for (Source* source : {&ahead, &behind}) {
    Append(*source, {});
    Append(*source, {});
  }
  // What truly happened, in this order, a fifth of a second apart; the network brings it in
  // another.
  const int64_t begin = NowUs() - kSecond;
  const auto at = [begin](int n) { return begin + n * 200 * kMs; };
  Append(behind, {{at(4), "e4"}, {at(2), "e2"}}, 1);
  Append(ahead, {{at(1), "e1"}, {at(3), "e3"}}, 1);
  Append(ahead, {{at(1), "e1"}, {at(3), "e3"}}, 1);  // Its answer was lost: once more.

  for (int node = 1; node <= 3; ++node) {
    std::string order;
    int64_t after = 0;
    for (int pages = 0; pages < 20 && order.size() < 12; ++pages) {
      const Document page =
          Run(node, "follow --journal logs --wait-ms 2000 --after " + std::to_string(after));
      after = Number(page, "after");
      for (const auto& record : page["records"].GetArray()) {
        const std::string body = Text(record, "body");
        order += body + " ";
        EXPECT_FALSE(record["late"].GetBool());
        EXPECT_EQ(Text(record, "correction"), "bounded");
        // The clocks are off by seconds; the corrected time is within its bound of the truth.
        const int64_t corrected_us = MicrosecondsOf(Text(record, "corrected"));
        const int64_t error_us = Number(record, "error_us");
        const int64_t truth = at(body[1] - '0');
        EXPECT_LT(error_us, kSecond);
        EXPECT_LE(std::abs(corrected_us - truth), error_us + 1);
      }
    }
    EXPECT_EQ(order, "e1 e2 e3 e4 ") << "node " << node;
  }
  const Document source = Run(3, "get-source --journal logs --source payment-1");
  const int64_t offset = Number(source["offset"], "offset_us");
  EXPECT_NEAR(static_cast<double>(offset), -5e6,
              static_cast<double>(Number(source["offset"], "error_us")));

  // What comes too late is flagged, and is there.
  Append(behind, {{begin - 60 * kSecond, "e0"}}, 3);
  const Document page = Run(2, "follow --journal logs --after 4");
  ASSERT_EQ(page["records"].Size(), 1u);
  EXPECT_TRUE(page["records"][0]["late"].GetBool());
  const Document found = Run(1, "query --journal logs --text e");
  ASSERT_EQ(found["records"].Size(), 5u);
  EXPECT_EQ(Text(found["records"][0], "body"), "e0") << "by time it has its place";
}

TEST(JournalMergeSeedTest, LogFilesOfThreeMachinesAreMerged) {
  testing::TempFolder folder;
  const int64_t begin = 1'796'050'700 * kSecond;
  // Machines whose clocks are 2 s ahead, right, and 700 ms behind; e0, e1, ... in turn.
  const int64_t ahead_us[] = {2 * kSecond, 0, -700 * kMs};
  std::string wanted;
  std::vector<std::string> logs(3);
  for (int i = 0; i < 30; ++i) {
    const int64_t at = begin + i * 50 * kMs;
    const std::string time = UtcText(at + ahead_us[i % 3], 3);
    const std::string body = "e" + std::to_string(i);
    logs[i % 3] += i % 3 == 1
                       ? R"({"time":")" + time + R"(","level":"info","msg":")" + body + "\"}\n"
                       : time + " info  raft   " + body + "\n";
    wanted += body + " ";
  }
  std::string arguments = "journal merge --window 1000";
  const char* offsets[] = {"-2s~1ms", "", "+700ms~1ms"};
  for (int i = 0; i < 3; ++i) {
    const std::string path = folder.path() + "/node" + std::to_string(i) + ".log";
    std::ofstream(path) << logs[static_cast<size_t>(i)];
    arguments += " " + path;
    if (*offsets[i] != 0) arguments += " --offset " + path + "=" + offsets[i];
  }
  const Ended ended = RunHoldfast(arguments);
  ASSERT_EQ(ended.code, 0) << ended.output;
  std::string order;
  for (size_t at = 0; at < ended.output.size();) {
    const size_t end = ended.output.find('\n', at);
    const std::string line = ended.output.substr(at, end - at);
    at = end + 1;
    if (line.find("lines, ") != line.npos) continue;
    const size_t body = line.find_last_of(" \"", line.size() - (line.ends_with("\"}") ? 3 : 1)) + 1;
    order += line.substr(body, line.find_last_not_of("\"}") + 1 - body) + " ";
  }
  EXPECT_EQ(order, wanted);
  EXPECT_NE(ended.output.find("30 lines, 0 late"), std::string::npos) << ended.output;
}

}  // namespace
}  // namespace holdfast

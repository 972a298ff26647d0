// What real nodes know about the time: with clocks that agree, with one that is set while it leads,
// with clocks that contradict one another, and with NTP from chrony on loopback.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "src/base/utc_text.h"
#include "tests/faults/fault_control.h"
#include "tests/support/free_ports.h"
#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/temp_folder.h"

extern char** environ;

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HttpClient;
using testing::JsonField;
using testing::ProcessCluster;
using Steady = std::chrono::steady_clock;

constexpr int64_t kHourUs = int64_t{3'600} * 1'000'000;
constexpr int64_t kNearUs = 2'000'000;  // Between two looks, on a busy machine.
constexpr seconds kPatience{30};

int64_t WallUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A node's wall clock, to be set from here.
class HeldClock {
 public:
  explicit HeldClock(const std::string& path) : path_(path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(fd, sizeof(FaultControl)), 0);
    void* mapped = mmap(nullptr, sizeof(FaultControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    EXPECT_NE(mapped, MAP_FAILED);
    control_ = static_cast<FaultControl*>(mapped);
  }
  ~HeldClock() { munmap(control_, sizeof(FaultControl)); }
  HeldClock(const HeldClock&) = delete;
  void Set(int64_t offset_us) { control_->clock_offset_us = offset_us; }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  FaultControl* control_ = nullptr;
};

class ClockTest : public ::testing::Test {
 protected:
  // With a clock each that the test holds.
  void StartHeld(const std::vector<int64_t>& offsets_us) {
    for (int node = 1; node <= cluster_.size(); ++node) {
      clocks_.push_back(
          std::make_unique<HeldClock>(folder_.path() + "/clock" + std::to_string(node)));
      clocks_.back()->Set(offsets_us[static_cast<size_t>(node - 1)]);
      setenv("LD_PRELOAD", HOLDFAST_FAULT_SHIM, 1);
      setenv("HOLDFAST_FAULTS", clocks_.back()->path().c_str(), 1);
      cluster_.Start(node);
      unsetenv("LD_PRELOAD");
      unsetenv("HOLDFAST_FAULTS");
    }
    ASSERT_TRUE(cluster_.WaitHealthy()) << cluster_.LogOf(1);
  }
  std::string Clock(int node) {
    return HttpClient(cluster_.http(node), seconds(5)).Get("/v1/clock").body;
  }
  // Waits until the node says that.
  std::string WaitStatus(int node, const std::string& status) {
    const auto deadline = Steady::now() + kPatience;
    std::string clock;
    do {
      clock = Clock(node);
    } while (JsonField(clock, "status") != status && Steady::now() < deadline);
    EXPECT_EQ(JsonField(clock, "status"), status) << "node " << node << ": " << clock;
    return clock;
  }
  static int64_t Number(const std::string& json, const std::string& name) {
    const std::string text = JsonField(json, name);
    return text.empty() ? 0 : std::stoll(text);
  }
  // When the entry that opened the account was stamped, as the ledger says.
  std::string CreatedOf(const std::string& account) {
    HttpClient client(cluster_.http(1), seconds(10));
    const std::string body = R"({"transaction_id":"t-)" + account +
                             R"(","from_account":"bank","to_account":")" + account +
                             R"(","amount":1})";
    EXPECT_EQ(client.PostUntilKnown("/payment", body).status, 201);
    return JsonField(client.Get("/v1/ledger/accounts/" + account).body, "created");
  }
  static std::string TextOf(int64_t us) { return UtcText(us, 6); }

  testing::TempFolder folder_;
  ProcessCluster cluster_{3};
  std::vector<std::unique_ptr<HeldClock>> clocks_;
};

TEST_F(ClockTest, ThreeNodesAgree) {
  cluster_.StartAll();
  ASSERT_TRUE(cluster_.WaitHealthy());
  for (int node = 1; node <= 3; ++node) {
    const std::string clock = WaitStatus(node, "synchronised");
    EXPECT_EQ(JsonField(clock, "reason"), "");
    EXPECT_EQ(Number(clock, "needed"), 2);
    EXPECT_EQ(Number(clock, "falsetickers"), 0);
    EXPECT_NEAR(static_cast<double>(Number(clock, "now_us")), static_cast<double>(WallUs()),
                static_cast<double>(kNearUs));
    EXPECT_LE(Number(clock, "earliest_us"), Number(clock, "now_us"));
    EXPECT_GE(Number(clock, "latest_us"), Number(clock, "now_us"));
    // What each clock claims for itself, and a little for the way.
    EXPECT_GE(Number(clock, "error_us"), 90'000);
    EXPECT_LE(Number(clock, "error_us"), 400'000);
    EXPECT_LT(std::abs(Number(clock, "offset_us")), 200'000);
    const std::string metrics = HttpClient(cluster_.http(node), seconds(5)).Get("/metrics").body;
    EXPECT_NE(metrics.find("holdfast_clock_status{status=\"synchronised\"} 1"), std::string::npos);
    EXPECT_NE(metrics.find("holdfast_clock_messages_total{direction=\"sent\"}"), std::string::npos);
  }
}

TEST_F(ClockTest, OneAloneGoesByItsOwn) {
  ProcessCluster alone(1);
  alone.StartAll();
  ASSERT_TRUE(alone.WaitHealthy());
  const std::string clock = HttpClient(alone.http(1), seconds(5)).Get("/v1/clock").body;
  EXPECT_EQ(JsonField(clock, "status"), "synchronised") << clock;
  EXPECT_EQ(Number(clock, "needed"), 1);
}

TEST_F(ClockTest, TakesNoFields) {
  cluster_.StartAll();
  ASSERT_TRUE(cluster_.WaitHealthy());
  HttpClient client(cluster_.http(1), seconds(5));
  const testing::HttpReply reply = client.Get("/v1/clock?node=2");
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("node"), std::string::npos) << reply.body;
  EXPECT_EQ(client.Post("/v1/clock", "{}").status, 405);
}

#ifdef HOLDFAST_FAULT_SHIM

// The leader's wall clock is put an hour ahead while it leads: log time goes on as before, and all
// nodes, itself included, say whose clock is false.
TEST_F(ClockTest, ALeadersClockThatJumpsIsOutvoted) {
  StartHeld({0, 0, 0});
  const int leader = cluster_.WaitLeader();
  ASSERT_NE(leader, 0);
  WaitStatus(leader, "synchronised");
  clocks_[static_cast<size_t>(leader - 1)]->Set(kHourUs);
  const auto deadline = Steady::now() + kPatience;
  while (Number(Clock(leader), "falsetickers") != 1 && Steady::now() < deadline) {
  }
  const std::string clock = WaitStatus(leader, "synchronised");
  EXPECT_EQ(Number(clock, "falsetickers"), 1) << clock;
  EXPECT_NEAR(static_cast<double>(Number(clock, "now_us")), static_cast<double>(WallUs()),
              static_cast<double>(kNearUs));
  EXPECT_NEAR(static_cast<double>(Number(clock, "offset_us")), static_cast<double>(-kHourUs),
              static_cast<double>(kNearUs));
  const int64_t before_us = WallUs();
  const std::string created = CreatedOf("alice");
  EXPECT_GE(created, TextOf(before_us - kNearUs));
  EXPECT_LE(created, TextOf(WallUs() + kNearUs));
}

// No two clocks agree. Nobody knows the time, and says so; log time goes on, and writes with it.
// Once two agree all know it.
TEST_F(ClockTest, WithoutAMajorityNobodyKnows) {
  StartHeld({0, kHourUs, -kHourUs});
  for (int node = 1; node <= 3; ++node) {
    const std::string clock = WaitStatus(node, "unsynchronised");
    EXPECT_NE(JsonField(clock, "reason").find("agree"), std::string::npos);
    EXPECT_EQ(JsonField(clock, "now"), "");
  }
  CreatedOf("alice");
  const std::string before = CreatedOf("bob");
  const std::string after = CreatedOf("carol");
  EXPECT_LT(before, after);
  clocks_[1]->Set(0);
  for (int node = 1; node <= 3; ++node) WaitStatus(node, "synchronised");
}

#endif  // HOLDFAST_FAULT_SHIM

// --- NTP

// chronyd that serves this machine's time on a port of loopback, and sets nothing.
class Chrony {
 public:
  explicit Chrony(const std::string& folder) : folder_(folder) {
    port_ = testing::FreePorts(1, SOCK_DGRAM).front();
    const std::string config = folder + "/chrony.conf";
    std::ofstream(config) << "port " << port_ << "\nbindaddress 127.0.0.1\nallow 127.0.0.1\n"
                          << "local stratum 8\ncmdport 0\npidfile " << folder << "/chronyd.pid\n";
    const char* user = getuid() == 0 ? "root" : std::getenv("USER");
    std::vector<std::string> arguments = {"chronyd", "-x", "-d", "-f", config};
    if (user != nullptr) arguments.insert(arguments.end(), {"-u", user});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = folder + "/chrony.log";
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT, 0600);
    for (const char* program : {"/usr/sbin/chronyd", "/usr/local/sbin/chronyd"}) {
      if (access(program, X_OK) != 0) continue;
      if (posix_spawn(&pid_, program, &actions, nullptr, argv.data(), environ) != 0) pid_ = 0;
      break;
    }
    posix_spawn_file_actions_destroy(&actions);
    why_not_ =
        pid_ == 0 ? "chronyd is not installed (./dev test installs it)" : WaitUntilItServes();
  }
  ~Chrony() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Chrony(const Chrony&) = delete;

  bool is_there() const { return pid_ > 0; }
  // Empty: it serves.
  const std::string& why_not() const { return why_not_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  static sockaddr_in At(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  // Asks until there is an answer.
  std::string WaitUntilItServes() {
    const auto deadline = Steady::now() + kPatience;
    while (Steady::now() < deadline) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        std::ifstream log(folder_ + "/chrony.log");
        return "chronyd ended: " + std::string(std::istreambuf_iterator<char>(log), {});
      }
      const int fd = socket(AF_INET, SOCK_DGRAM, 0);
      timeval patience{0, 100'000};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      const sockaddr_in address = At(port_);
      char bytes[48] = {0x23};
      const bool asked =
          connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
          send(fd, bytes, sizeof(bytes), 0) == sizeof(bytes);
      const bool answered = asked && recv(fd, bytes, sizeof(bytes), 0) == sizeof(bytes);
      close(fd);
      // Leap 3: it has yet to find out that it serves by itself.
      if (answered && static_cast<unsigned char>(bytes[0]) >> 6 != 3) return "";
    }
    return "chronyd does not serve";
  }

  const std::string folder_;
  uint16_t port_ = 0;
  pid_t pid_ = 0;
  std::string why_not_;
};

// The machines' clocks count for nothing, an hour off or not: the server's time does.
TEST_F(ClockTest, GoesByAServerOfTime) {
  const Chrony chrony(folder_.path());
  if (!chrony.is_there()) GTEST_SKIP() << "NTP is not tested here: " << chrony.why_not();
  ASSERT_EQ(chrony.why_not(), "");
  cluster_.SetFlags({"--clock-ntp-servers", chrony.address(), "--clock-ntp-poll-ms", "200",
                     "--clock-own-error-ms", "0"});
#ifdef HOLDFAST_FAULT_SHIM
  constexpr int64_t kOffUs = kHourUs;
  StartHeld({kOffUs, kOffUs, kOffUs});
#else
  constexpr int64_t kOffUs = 0;
  cluster_.StartAll();
  ASSERT_TRUE(cluster_.WaitHealthy());
#endif
  for (int node = 1; node <= 3; ++node) {
    const std::string clock = WaitStatus(node, "synchronised");
    EXPECT_NE(clock.find("\"kind\":\"server\""), std::string::npos) << clock;
    EXPECT_NE(clock.find(chrony.address()), std::string::npos) << clock;
    EXPECT_NEAR(static_cast<double>(Number(clock, "now_us")), static_cast<double>(WallUs()),
                static_cast<double>(kNearUs));
    EXPECT_NEAR(static_cast<double>(Number(clock, "offset_us")), static_cast<double>(-kOffUs),
                200'000);
    EXPECT_LT(Number(clock, "error_us"), 200'000) << clock;
  }
  const std::string created = CreatedOf("alice");
  EXPECT_GE(created, TextOf(WallUs() - 10 * kNearUs));
  EXPECT_LE(created, TextOf(WallUs() + kNearUs));
}

}  // namespace
}  // namespace holdfast

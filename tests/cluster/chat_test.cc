// Chat rooms on real processes: messages over the kill of the leader, readers at every node, and
// the terminal of `holdfast chat`, which it gives back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <string_view>
#include <thread>

#include "services/chat/chat.pb.h"
#include "src/client/client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using client::Client;
using std::chrono::seconds;
using testing::ProcessCluster;
using Clock = std::chrono::steady_clock;

constexpr char kRoom[] = "garden";

std::string Endpoint(const ProcessCluster& cluster, int node) {
  return "127.0.0.1:" + std::to_string(cluster.grpc(node));
}

// A client that asks this node first.
std::unique_ptr<Client> ClientAt(const ProcessCluster& cluster, int node) {
  std::vector<std::string> endpoints;
  for (int i = 0; i < cluster.size(); ++i) {
    endpoints.push_back(Endpoint(cluster, 1 + (node - 1 + i) % cluster.size()));
  }
  return std::make_unique<Client>(std::move(endpoints));
}

template <class Reply, class Request>
Reply Call(Client& client, const char* method, const Request& request) {
  const auto reply = client.Call<Reply>(std::string("/holdfast.chat.Chat/") + method, request);
  EXPECT_TRUE(reply) << method << ": " << (reply ? "" : reply.error().message);
  return reply ? reply->message : Reply();
}

void MakeRoom(Client& client, const std::vector<std::string>& members) {
  chat::CreateRoomRequest create;
  create.set_room(kRoom);
  Call<chat::RoomReply>(client, "CreateRoom", create);
  for (const std::string& member : members) {
    chat::JoinRequest join;
    join.set_room(kRoom);
    join.set_member(member);
    Call<chat::MemberReply>(client, "Join", join);
  }
}

// Says one thing after the other, each after what was said before and after what somebody else has
// said by then; at times in the wrong order. What it was told is posted, or is held back for what
// it says next.
struct Speaker {
  std::string name;
  std::map<std::string, uint64_t> posted;  // As it was told: id, number.
  std::vector<std::string> ids;            // In its own order.

  void Run(Client& client, const std::atomic<bool>& stop) {
    std::string last;
    for (int i = 0; !stop; ++i) {
      std::vector<chat::PostRequest> round(2);
      for (size_t k = 0; k < 2; ++k) {
        chat::PostRequest& request = round[k];
        request.set_room(kRoom);
        request.set_author(name);
        request.set_id(name + std::to_string(2 * i) + (k == 0 ? "a" : "b"));
        request.set_text("text " + request.id());
        if (!last.empty()) request.add_follows(last);
        last = request.id();
        ids.push_back(last);
      }
      if (i % 3 == 0) std::swap(round[0], round[1]);
      for (const chat::PostRequest& request : round) {
        const auto reply = Call<chat::PostReply>(client, "Post", request);
        if (reply.number() != 0) posted[request.id()] = reply.number();
      }
    }
  }
};

// Follows the room at one node, page by page, for as long as there is more to come.
struct Reader {
  std::vector<std::string> ids;  // Of message 1, 2, ...
  std::string wrong;

  void Run(Client& client, const std::atomic<uint64_t>& until) {
    chat::ReceiveRequest request;
    request.set_room(kRoom);
    request.set_wait_ms(200);
    const auto deadline = Clock::now() + seconds(90);  // Of a message that is lost.
    while (wrong.empty() && ids.size() < until) {
      if (Clock::now() > deadline) wrong = "nothing more comes";
      const auto page = Call<chat::ReceiveReply>(client, "Receive", request);
      for (const chat::Message& message : page.messages()) {
        if (message.number() != ids.size() + 1) wrong = "a gap before " + message.id();
        for (const chat::Named& named : message.follows()) {
          const bool seen = named.number() >= 1 && named.number() <= ids.size() &&
                            ids[named.number() - 1] == named.id();
          if (!seen) wrong = message.id() + " before " + named.id();
        }
        ids.push_back(message.id());
      }
      request.set_after(ids.size());
    }
  }
};

TEST(ChatTest, ReadersAtAllNodesSeeOneCausalOrderWhileTheLeaderDies) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  const int leader = cluster.WaitLeader();
  ASSERT_NE(leader, 0);
  const auto founder = ClientAt(cluster, 1);
  MakeRoom(*founder, {"ann", "bob", "eve"});

  std::atomic<bool> stop = false;
  std::atomic<uint64_t> until = UINT64_MAX;
  Speaker speakers[] = {{"ann", {}, {}}, {"bob", {}, {}}, {"eve", {}, {}}};
  Reader readers[3];
  std::vector<std::unique_ptr<Client>> clients;
  for (int node : {1, 2, 3, 1, 2, 3}) clients.push_back(ClientAt(cluster, node));
  std::vector<std::thread> speaking, reading;
  for (size_t i = 0; i < 3; ++i) {
    speaking.emplace_back([&, i] { speakers[i].Run(*clients[i], stop); });
    reading.emplace_back([&, i] { readers[i].Run(*clients[3 + i], until); });
  }
  // Some is said, the leader dies, and more is said without it.
  const auto said_more = [&] {
    chat::GetRoomRequest get;
    get.set_room(kRoom);
    const uint64_t last = Call<chat::Room>(*founder, "GetRoom", get).last();
    const auto deadline = Clock::now() + seconds(20);
    while (Call<chat::Room>(*founder, "GetRoom", get).last() < last + 100) {
      if (Clock::now() > deadline) return false;
    }
    return true;
  };
  EXPECT_TRUE(said_more());
  cluster.Kill(leader);
  EXPECT_TRUE(said_more());
  cluster.Start(leader);
  EXPECT_TRUE(cluster.WaitHealthy());
  EXPECT_TRUE(said_more());
  stop = true;
  for (std::thread& thread : speaking) thread.join();
  chat::GetRoomRequest get;
  get.set_room(kRoom);
  const chat::Room room = Call<chat::Room>(*founder, "GetRoom", get);
  EXPECT_EQ(room.held(), 0u) << "all that was waited for has come";
  until = room.last();
  for (std::thread& thread : reading) thread.join();

  for (const Reader& reader : readers) {
    EXPECT_EQ(reader.wrong, "");
    EXPECT_EQ(reader.ids, readers[0].ids);
  }
  const std::vector<std::string>& order = readers[0].ids;
  EXPECT_EQ(std::set<std::string>(order.begin(), order.end()).size(), order.size());
  size_t spoken = 0;
  for (const Speaker& speaker : speakers) {
    spoken += speaker.ids.size();
    for (const auto& [id, number] : speaker.posted) {
      ASSERT_LE(number, order.size());
      EXPECT_EQ(order[number - 1], id);
    }
    // Everything, and in the order in which it was meant, whatever was sent first.
    std::vector<std::string> own;
    for (const std::string& id : order) {
      if (id.starts_with(speaker.name)) own.push_back(id);
    }
    EXPECT_EQ(own, speaker.ids);
  }
  EXPECT_EQ(order.size(), spoken);
}

// `holdfast` on a terminal of its own.
class OnATerminal {
 public:
  explicit OnATerminal(std::vector<std::string> arguments,
                       const std::string& program = ProcessCluster::Program()) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 80;
    // Made here, so that its settings can be looked at after the program's end.
    EXPECT_EQ(openpty(&master_, &slave_, nullptr, nullptr, &size), 0);
    EXPECT_EQ(tcgetattr(slave_, &before_), 0);
    EXPECT_EQ(fcntl(master_, F_SETFL, O_NONBLOCK), 0);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    close(master_);
    login_tty(slave_);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~OnATerminal() {
    if (pid_ > 0 && !ended_) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(master_);
    close(slave_);
  }

  // As fast as they are taken, and looks at what is shown meanwhile.
  void Type(std::string_view keys) {
    for (auto deadline = Clock::now() + seconds(20); !keys.empty() && Clock::now() < deadline;) {
      const ssize_t taken = write(master_, keys.data(), keys.size());
      if (taken > 0) {
        keys.remove_prefix(static_cast<size_t>(taken));
        deadline = Clock::now() + seconds(20);
      }
      Read(keys.empty() ? 0 : 10);
    }
    EXPECT_EQ(keys, "");
  }
  void Signal(int number) { kill(pid_, number); }
  // Until the terminal was shown this, for as long as it is shown something, and for 5 minutes.
  bool Shows(const std::string& what) {
    const auto end = Clock::now() + std::chrono::minutes(5);
    auto deadline = Clock::now() + seconds(20);
    while (shown_.find(what) == std::string::npos && Clock::now() < std::min(deadline, end)) {
      const size_t before = shown_.size();
      Read(100);
      if (shown_.size() > before) deadline = Clock::now() + seconds(20);
    }
    return shown_.find(what) != std::string::npos;
  }
  // Waits for its end: the exit status, or -signal.
  int Wait() {
    int status = 0;
    const auto deadline = Clock::now() + seconds(20);
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (Clock::now() > deadline) return -1'000;
      Read(20);
    }
    ended_ = true;
    Read(0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& shown() const { return shown_; }
  bool IsAsItWas() const {
    termios now{};
    EXPECT_EQ(tcgetattr(slave_, &now), 0);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag &&
           now.c_oflag == before_.c_oflag;
  }

 private:
  void Read(int timeout_ms) {
    pollfd ready{master_, POLLIN, 0};
    while (poll(&ready, 1, timeout_ms) > 0 && (ready.revents & POLLIN) != 0) {
      char bytes[4'096];
      const ssize_t count = read(master_, bytes, sizeof(bytes));
      if (count <= 0) return;
      shown_.append(bytes, static_cast<size_t>(count));
      timeout_ms = 0;
    }
  }

  int master_ = -1;
  int slave_ = -1;
  pid_t pid_ = -1;
  bool ended_ = false;
  termios before_{};
  std::string shown_;
};

TEST(ChatTest, WhatComesThroughAPipeIsPostedAndThenItEnds) {
  ProcessCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  testing::TempFolder folder;
  const std::string path = folder.path() + "/said.txt";
  std::ofstream(path) << "frog\n\n/edit 1 a frog\nlast without an end";
  const auto ended =
      testing::RunHoldfast("chat pond --as ann --endpoints " + Endpoint(cluster, 1) + " < " + path);
  EXPECT_EQ(ended.code, 0) << ended.output;
  for (const char* line : {"shown    #1 ann: frog\n", "shown    #2 ann edits #1: a frog\n",
                           "shown    #3 ann: last without an end\n"}) {
    EXPECT_NE(ended.output.find(line), std::string::npos) << ended.output;
  }
  // So it does on a terminal: keys come from there only if input does.
  OnATerminal shell({"-c", "echo toad | " + ProcessCluster::Program() +
                               " chat pond --as bob --endpoints " + Endpoint(cluster, 1)},
                    "/bin/sh");
  EXPECT_EQ(shell.Wait(), 0) << shell.shown();
  EXPECT_NE(shell.shown().find("shown    #4 bob: toad"), std::string::npos) << shell.shown();
  // Nobody answers: it says so, and ends when it was told to.
  cluster.Kill(1);
  const auto alone = testing::RunHoldfast("chat pond --as ann --duration 10s --timeout 500ms" +
                                          (" --endpoints " + Endpoint(cluster, 1)) + " < " + path);
  EXPECT_EQ(alone.code, 3) << alone.output;
}

TEST(ChatTest, TheTerminalShowsBothOrdersAndIsGivenBack) {
  ProcessCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  const std::vector<std::string> arguments = {"chat", kRoom,         "--as",
                                              "ann",  "--endpoints", Endpoint(cluster, 1)};
  {
    OnATerminal ann(arguments);
    ASSERT_TRUE(ann.Shows("as they arrive"));
    EXPECT_TRUE(ann.Shows("in causal order: garden as ann"));
    EXPECT_FALSE(ann.IsAsItWas()) << "it takes every key";
    ann.Type("hello\r");
    EXPECT_TRUE(ann.Shows("#1 ann: hello"));
    // Somebody else, with what would clear the screen and write elsewhere.
    const auto eve = ClientAt(cluster, 1);
    MakeRoom(*eve, {"eve"});
    chat::PostRequest hostile;
    hostile.set_room(kRoom);
    hostile.set_id("h1");
    hostile.set_author("eve");
    hostile.set_text("\x1b[31mred\x1b]0;title\x07");
    EXPECT_EQ(Call<chat::PostReply>(*eve, "Post", hostile).number(), 2u);
    EXPECT_TRUE(ann.Shows("#2 eve: ^[[31mred^[]0;title^G"));
    EXPECT_EQ(ann.shown().find("\x1b]0"), std::string::npos);
    ann.Type("\x03");
    EXPECT_EQ(ann.Wait(), 0);
    EXPECT_TRUE(ann.IsAsItWas());
    EXPECT_TRUE(ann.shown().ends_with("\x1b[?1049l")) << "the screen before is back";
  }
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGABRT}) {
    OnATerminal ann(arguments);
    ASSERT_TRUE(ann.Shows("as they arrive"));
    ann.Signal(SIGWINCH);
    ann.Signal(number);
    EXPECT_EQ(ann.Wait(), number == SIGABRT ? -SIGABRT : 0) << number;
    EXPECT_TRUE(ann.IsAsItWas()) << number;
    EXPECT_TRUE(ann.shown().ends_with("\x1b[?1049l")) << number;
  }
}

// What went wrong: what was typed while two thousand lines waited was dropped without a word.
TEST(ChatTest, WhatIsTypedFasterThanItIsPostedWaitsInTheTerminal) {
  constexpr uint64_t kLines = 2'600;
  ProcessCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  OnATerminal ann({"chat", kRoom, "--as", "ann", "--endpoints", Endpoint(cluster, 1)});
  ASSERT_TRUE(ann.Shows("as they arrive"));
  std::string keys;
  for (uint64_t i = 0; i < kLines; ++i) keys += "x\r";
  ann.Type(keys);
  EXPECT_TRUE(ann.Shows("#" + std::to_string(kLines) + " ann: x"));
  chat::GetRoomRequest get;
  get.set_room(kRoom);
  EXPECT_EQ(Call<chat::Room>(*ClientAt(cluster, 1), "GetRoom", get).last(), kLines);
  // Keys are not read while the node does not answer and enough lines wait; Ctrl-C is seen.
  cluster.Kill(1);
  ann.Type(keys.substr(0, 4'800));
  ann.Type("\x03");
  EXPECT_EQ(ann.Wait(), 1) << "not all was posted";
  EXPECT_NE(ann.shown().find("typed and not posted"), std::string::npos);
  EXPECT_TRUE(ann.IsAsItWas());
}

}  // namespace
}  // namespace holdfast

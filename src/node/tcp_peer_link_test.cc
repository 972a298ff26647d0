// Two links over loopback, and connections that are made by hand.
#include "src/node/tcp_peer_link.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <mutex>

#include "src/base/bounds.h"
#include "src/node/peer_frames.h"
#include "tests/support/free_ports.h"

namespace holdfast::node {
namespace {

using boost::asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr NodeId kOne{1}, kTwo{2};

// Notes what the link tells, and waits for it.
class Listener : public PeerHandler {
 public:
  explicit Listener(NodeId id) {
    identity_.set_node(id.value);
    identity_.set_incarnation(id.value);
  }

  Hello Greeting() override {
    Hello hello;
    *hello.mutable_identity() = identity_;
    return hello;
  }
  std::string OnHello(const Hello& hello) override {
    std::lock_guard lock(mutex_);
    return hello.identity().incarnation() >= 100 ? "this folder is a stranger's" : "";
  }
  void OnFrames(NodeId from, uint64_t epoch, std::vector<PeerFrame> frames) override {
    std::lock_guard lock(mutex_);
    for (const PeerFrame& frame : frames) {
      sequences_.push_back(frame.probe().sequence());
      epochs_.push_back(epoch);
    }
    from_ = from;
    changed_.notify_all();
  }
  void OnLinkDown(NodeId) override {
    std::lock_guard lock(mutex_);
    ++downs_;
    changed_.notify_all();
  }

  bool WaitFrames(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return sequences_.size() >= count; });
  }
  bool WaitDown(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return downs_ >= count; });
  }
  std::vector<uint64_t> sequences() const {
    std::lock_guard lock(mutex_);
    return sequences_;
  }
  std::vector<uint64_t> epochs() const {
    std::lock_guard lock(mutex_);
    return epochs_;
  }
  NodeId from() const {
    std::lock_guard lock(mutex_);
    return from_;
  }

 private:
  Identity identity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint64_t> sequences_;
  std::vector<uint64_t> epochs_;
  NodeId from_;
  int downs_ = 0;
};

PeerFrame Probe(uint64_t sequence) {
  PeerFrame frame;
  frame.mutable_probe()->set_sequence(sequence);
  return frame;
}

struct Node {
  explicit Node(NodeId id) : listener(id) {}
  ~Node() {
    if (link) link->Stop();
  }
  void Start(const std::string& listen, const std::map<NodeId, std::string>& peers) {
    auto started = TcpPeerLink::Start({listen, peers, 10}, listener, loop);
    ASSERT_TRUE(started) << started.error().message;
    link = std::move(*started);
  }
  // Until the link takes it.
  bool SendSoon(NodeId to, const PeerFrame& frame) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      if (link->Send(to, frame)) return true;
      std::this_thread::yield();
    }
    return false;
  }

  EventLoop loop{"test-loop"};
  Listener listener;
  std::unique_ptr<TcpPeerLink> link;
};

class TcpPeerLinkTest : public ::testing::Test {
 protected:
  TcpPeerLinkTest() { spdlog::set_level(spdlog::level::off); }
  ~TcpPeerLinkTest() override { spdlog::set_level(spdlog::level::info); }

  void StartBoth() {
    one_.Start(address_one_, {{kTwo, address_two_}});
    two_.Start(address_two_, {{kOne, address_one_}});
  }

  const std::string address_one_ = testing::FreeAddress();
  const std::string address_two_ = testing::FreeAddress();
  Node one_{kOne}, two_{kTwo};
};

// A member played by hand, which speaks to node 1.
class Caller {
 public:
  explicit Caller(const std::string& address) : socket_(io_) {
    const auto port = static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1)));
    socket_.connect(tcp::endpoint(boost::asio::ip::address_v4::loopback(), port));
  }
  void Say(const std::string& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }
  void Say(const PeerFrame& frame) {
    std::string bytes;
    AppendFrame(frame, &bytes);
    Say(bytes);
  }
  void SayHello(uint64_t node, uint64_t incarnation, uint64_t to = 1) {
    PeerFrame hello;
    hello.mutable_hello()->mutable_identity()->set_node(node);
    hello.mutable_hello()->mutable_identity()->set_incarnation(incarnation);
    hello.mutable_hello()->set_to(to);
    Say(hello);
  }
  // The refusal in what is answered; nothing: the connection ended without a word.
  std::optional<std::string> Answer() {
    PeerFrame frame;
    for (;;) {
      const auto next = reader_.Take(bounds::kPeerWelcomeBytesMax, &frame);
      if (next == FrameReader::Next::kFrame) return frame.welcome().refusal();
      boost::system::error_code error;
      reader_.Came(socket_.read_some(reader_.Room(), error));
      if (error) return std::nullopt;
    }
  }
  bool Ended() {
    char byte;
    boost::system::error_code error;
    socket_.read_some(boost::asio::buffer(&byte, 1), error);
    return static_cast<bool>(error);
  }
  void Close() { socket_.close(); }

 private:
  boost::asio::io_context io_;
  tcp::socket socket_;
  FrameReader reader_;
};

TEST_F(TcpPeerLinkTest, FramesArriveInOrder) {
  StartBoth();
  ASSERT_TRUE(one_.SendSoon(kTwo, Probe(0)));
  for (uint64_t i = 1; i < 10'000; ++i) ASSERT_TRUE(one_.link->Send(kTwo, Probe(i)));
  ASSERT_TRUE(two_.listener.WaitFrames(10'000));
  const std::vector<uint64_t> sequences = two_.listener.sequences();
  for (uint64_t i = 0; i < sequences.size(); ++i) ASSERT_EQ(sequences[i], i);
  EXPECT_EQ(two_.listener.from(), kOne);
  ASSERT_TRUE(two_.SendSoon(kOne, Probe(7)));
  EXPECT_TRUE(one_.listener.WaitFrames(1));
}

TEST_F(TcpPeerLinkTest, TheLargestFrameArrives) {
  StartBoth();
  PeerFrame frame;
  auto& piece = *frame.mutable_checkpoint_reply()->mutable_piece();
  piece.set_data(std::string(bounds::kPeerFrameBytesMax - 64, 'x'));
  ASSERT_TRUE(one_.SendSoon(kTwo, frame));
  ASSERT_TRUE(one_.link->Send(kTwo, Probe(3)));
  ASSERT_TRUE(two_.listener.WaitFrames(2));
  EXPECT_EQ(two_.listener.sequences().back(), 3u);
}

TEST_F(TcpPeerLinkTest, NothingIsTakenForAPeerThatIsNotThere) {
  one_.Start(address_one_, {{kTwo, address_two_}});
  EXPECT_FALSE(one_.link->Send(kTwo, Probe(1)));
  EXPECT_FALSE(one_.link->Send(NodeId(9), Probe(1)));
  EXPECT_FALSE(one_.link->States().at(kTwo).connected);
}

TEST_F(TcpPeerLinkTest, APeerThatComesAgainIsDialledAgain) {
  StartBoth();
  ASSERT_TRUE(one_.SendSoon(kTwo, Probe(1)));
  ASSERT_TRUE(two_.listener.WaitFrames(1));
  two_.link->Stop();
  ASSERT_TRUE(one_.listener.WaitDown(1));
  Node again(kTwo);
  again.Start(address_two_, {{kOne, address_one_}});
  ASSERT_TRUE(one_.SendSoon(kTwo, Probe(2)));
  ASSERT_TRUE(again.listener.WaitFrames(1));
  EXPECT_EQ(again.listener.sequences(), std::vector<uint64_t>{2});
}

TEST_F(TcpPeerLinkTest, ALaterConnectionTakesThePlaceOfAnEarlierOne) {
  one_.Start(address_one_, {{kTwo, address_two_}});
  Caller first(address_one_);
  first.SayHello(2, 2);
  ASSERT_EQ(first.Answer(), "");
  first.Say(Probe(1));
  ASSERT_TRUE(one_.listener.WaitFrames(1));
  Caller second(address_one_);
  second.SayHello(2, 2);
  ASSERT_EQ(second.Answer(), "");
  EXPECT_TRUE(first.Ended());
  second.Say(Probe(2));
  ASSERT_TRUE(one_.listener.WaitFrames(2));
  const std::vector<uint64_t> epochs = one_.listener.epochs();
  EXPECT_LT(epochs[0], epochs[1]);
}

TEST_F(TcpPeerLinkTest, WhoIsNotWelcomeIsToldWhy) {
  one_.Start(address_one_, {{kTwo, address_two_}});
  Caller member(address_one_);
  member.SayHello(2, 2);
  ASSERT_EQ(member.Answer(), "");
  const struct {
    uint64_t node, incarnation;
    const char* refusal;
  } cases[] = {{9, 100, "a stranger's"}, {2, 3, "another data folder"}};
  for (const auto& one : cases) {
    Caller caller(address_one_);
    caller.SayHello(one.node, one.incarnation);
    const auto refusal = caller.Answer();
    ASSERT_TRUE(refusal);
    EXPECT_NE(refusal->find(one.refusal), std::string::npos) << *refusal;
  }
  member.Close();
  // Until the node has noticed that, the id is in use.
  for (std::string refusal;;) {
    Caller caller(address_one_);
    caller.SayHello(2, 100);
    refusal = caller.Answer().value_or("");
    if (refusal.find("another data folder") != std::string::npos) continue;
    EXPECT_EQ(refusal, "this folder is a stranger's");
    break;
  }
}

// Two addresses swapped: said at once, or elections go wrong for ever.
TEST_F(TcpPeerLinkTest, WhoMeansAnotherNodeIsTold) {
  one_.Start(address_one_, {{kTwo, address_two_}});
  const auto answer = [&](uint64_t to) {
    Caller caller(address_one_);
    caller.SayHello(2, 2, to);
    return caller.Answer().value_or("nothing");
  };
  EXPECT_EQ(answer(3), "this is node 1, not node 3: check the addresses in cluster.members");
  EXPECT_EQ(answer(1), "");
}

TEST_F(TcpPeerLinkTest, WhatIsNoFrameEndsTheConnection) {
  one_.Start(address_one_, {{kTwo, address_two_}});
  PeerFrame long_hello;
  for (int i = 0; i < 4'000; ++i) {
    long_hello.mutable_hello()->mutable_identity()->add_founders()->set_node(1u << 30);
  }
  std::string too_long, damaged;
  AppendFrame(long_hello, &too_long);
  AppendFrame(Probe(1), &damaged);
  damaged[9] = static_cast<char>(damaged[9] ^ 1);
  for (const std::string& bytes : {std::string(64, '\xff'), too_long, damaged}) {
    Caller stranger(address_one_);
    stranger.Say(bytes);
    EXPECT_TRUE(stranger.Ended());
    Caller member(address_one_);
    member.SayHello(2, 2);
    ASSERT_EQ(member.Answer(), "");
    member.Say(bytes == too_long ? damaged : bytes);
    EXPECT_TRUE(member.Ended());
  }
  EXPECT_EQ(one_.listener.sequences().size(), 0u);
}

TEST_F(TcpPeerLinkTest, StrangersAreBounded) {
  one_.Start(address_one_, {{kTwo, address_two_}});
  std::vector<std::unique_ptr<Caller>> silent;
  for (size_t i = 0; i < bounds::kPeerConnectionsMax; ++i) {
    silent.push_back(std::make_unique<Caller>(address_one_));
  }
  EXPECT_TRUE(Caller(address_one_).Ended());
  silent.clear();
  for (;;) {  // Until the node has noticed.
    Caller member(address_one_);
    member.SayHello(2, 2);
    if (member.Answer() == "") break;
  }
}

// A peer that reads nothing: the queue is bounded, and the link goes down rather than lose a frame
// in the middle.
TEST_F(TcpPeerLinkTest, AQueuePastItsBoundBreaksTheLink) {
  boost::asio::io_context io;
  tcp::acceptor deaf(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  one_.Start(address_one_, {{kTwo, "127.0.0.1:" + std::to_string(deaf.local_endpoint().port())}});
  tcp::socket peer = deaf.accept();
  std::string welcome;
  PeerFrame frame;
  frame.mutable_welcome();
  AppendFrame(frame, &welcome);
  boost::asio::write(peer, boost::asio::buffer(welcome));
  ASSERT_TRUE(one_.SendSoon(kTwo, Probe(1)));
  PeerFrame large;
  large.mutable_forward_write()->set_body(std::string(1 << 20, 'x'));
  size_t sent = 0;
  const auto began = std::chrono::steady_clock::now();
  while (one_.link->Send(kTwo, large)) ++sent;
  const auto took = std::chrono::steady_clock::now() - began;
  // A build with a sanitizer copies so slowly that the kernel gives the silent peer up before.
  if (took < std::chrono::milliseconds(bounds::kPeerSilentMsMax / 2)) {
    EXPECT_GE(sent, (bounds::kPeerQueueBytesMax >> 20) - 1);
  }
  EXPECT_LE(sent, (bounds::kPeerQueueBytesMax >> 20) + 64) << "with what the kernel took";
  EXPECT_TRUE(one_.listener.WaitDown(1));
  EXPECT_EQ(one_.link->States().at(kTwo).queued_bytes, 0u);
}

TEST_F(TcpPeerLinkTest, AnAddressThatIsTakenIsRefused) {
  one_.Start(address_one_, {});
  Listener listener(kTwo);
  auto second = TcpPeerLink::Start({address_one_, {}, 10}, listener, two_.loop);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(address_one_), std::string::npos);
}

}  // namespace
}  // namespace holdfast::node

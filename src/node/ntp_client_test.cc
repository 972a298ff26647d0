// The client against servers that are made by hand, over loopback.
#include "src/node/ntp_client.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <boost/asio/ip/udp.hpp>
#include <condition_variable>
#include <mutex>

#include "src/clock/ntp_packet.h"

namespace holdfast::node {
namespace {

using boost::asio::ip::udp;
using std::chrono::seconds;

constexpr int64_t kEpochUs = 1'700'000'000'000'000;
constexpr uint64_t kPollMs = 100;

// A server's socket; the test is the server.
class Server {
 public:
  Server() : socket_(io_, udp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
    timeval patience{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  std::string address() const {
    return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port());
  }
  // The next question's number; it must be a good question.
  uint64_t TakeQuestion() {
    char bytes[512];
    boost::system::error_code error;
    const size_t size = socket_.receive_from(boost::asio::buffer(bytes), asker_, 0, error);
    EXPECT_FALSE(error) << error.message();
    EXPECT_EQ(size, clock::kNtpBytes);
    EXPECT_EQ(bytes[0], 0x23);
    uint64_t nonce = 0;
    for (size_t i = 40; i < 48; ++i) nonce = nonce << 8 | static_cast<uint8_t>(bytes[i]);
    return nonce;
  }
  void Send(const std::string& bytes) { socket_.send_to(boost::asio::buffer(bytes), asker_); }
  uint16_t asker_port() const { return asker_.port(); }
  const udp::endpoint& asker() const { return asker_; }

 private:
  boost::asio::io_context io_;
  udp::socket socket_;
  udp::endpoint asker_;
};

clock::NtpServerState Good(uint64_t nonce) {
  clock::NtpServerState state;
  state.origin = nonce;
  state.received_us = kEpochUs;
  state.answered_us = kEpochUs + 10;
  return state;
}

class NtpClientTest : public ::testing::Test {
 protected:
  NtpClientTest() { spdlog::set_level(spdlog::level::off); }
  ~NtpClientTest() override {
    client_.reset();
    loop_.Stop();
    spdlog::set_level(spdlog::level::info);
  }
  void Start() {
    client_ = std::make_unique<NtpClient>(loop_, clock_, std::vector{server_.address()}, kPollMs,
                                          [this](size_t, ClockKeeper::ServerWord word) {
                                            std::lock_guard lock(mutex_);
                                            words_.push_back(std::move(word));
                                            changed_.notify_all();
                                          });
  }
  // The client's next word.
  ClockKeeper::ServerWord Word() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(20), [this] { return taken_ < words_.size(); }));
    return taken_ < words_.size() ? words_[taken_++] : ClockKeeper::ServerWord{};
  }

  Server server_;
  SystemClock clock_;
  EventLoop loop_{"test"};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ClockKeeper::ServerWord> words_;
  size_t taken_ = 0;
  std::unique_ptr<NtpClient> client_;
};

TEST_F(NtpClientTest, AnAnswerIsASample) {
  Start();
  const uint64_t nonce = server_.TakeQuestion();
  server_.Send(NtpAnswerBytes(Good(nonce)));
  const ClockKeeper::ServerWord word = Word();
  ASSERT_TRUE(word.sample) << word.problem;
  const int64_t now_us = clock_.ElapsedUs();
  const clock::Claim claim = word.sample->At(now_us, 200);
  EXPECT_LE(claim.offset_us - claim.error_us, kEpochUs + 10 - word.sample->since_us);
  EXPECT_GE(claim.offset_us + claim.error_us, kEpochUs - now_us);
}

// Each question has a number and a port of its own.
TEST_F(NtpClientTest, AsksAgainWithAnotherNumber) {
  Start();
  const uint64_t first = server_.TakeQuestion();
  server_.Send(NtpAnswerBytes(Good(first)));
  Word();
  const uint64_t second = server_.TakeQuestion();
  EXPECT_NE(first, second);
  // An answer to the first is none to the second; that may still come.
  server_.Send(NtpAnswerBytes(Good(first)));
  server_.Send("short");
  server_.Send(NtpAnswerBytes(Good(second)));
  EXPECT_TRUE(Word().sample);
}

// Whoever is not the server, whatever he knows.
TEST_F(NtpClientTest, HearsNobodyElse) {
  Start();
  const uint64_t nonce = server_.TakeQuestion();
  boost::asio::io_context io;
  udp::socket stranger(io, udp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  clock::NtpServerState lie = Good(nonce);
  lie.received_us = lie.answered_us = kEpochUs / 2;
  stranger.send_to(boost::asio::buffer(NtpAnswerBytes(lie)), server_.asker());
  server_.Send(NtpAnswerBytes(Good(nonce)));
  const ClockKeeper::ServerWord word = Word();
  ASSERT_TRUE(word.sample);
  EXPECT_GT(word.sample->offset_us, kEpochUs / 4 * 3);
}

TEST_F(NtpClientTest, AServerWithoutTimeIsAProblem) {
  Start();
  clock::NtpServerState state = Good(server_.TakeQuestion());
  state.leap = 3;
  server_.Send(NtpAnswerBytes(state));
  const ClockKeeper::ServerWord word = Word();
  EXPECT_FALSE(word.sample);
  EXPECT_TRUE(word.answered);
  EXPECT_EQ(word.problem, "the server is not synchronised");
  server_.Send(NtpAnswerBytes(Good(server_.TakeQuestion())));
  EXPECT_TRUE(Word().sample) << "and it is asked again";
}

TEST_F(NtpClientTest, ARefusalIsForGood) {
  Start();
  clock::NtpServerState state = Good(server_.TakeQuestion());
  state.stratum = 0;
  state.reference = "DENY";
  server_.Send(NtpAnswerBytes(state));
  EXPECT_EQ(Word().problem, "it refuses to serve: DENY; it is asked no more");
}

TEST_F(NtpClientTest, RateMakesItAskLessOften) {
  Start();
  clock::NtpServerState state = Good(server_.TakeQuestion());
  state.stratum = 0;
  state.reference = "RATE";
  const int64_t kissed_us = clock_.ElapsedUs();
  server_.Send(NtpAnswerBytes(state));
  EXPECT_EQ(Word().problem, "it asks to be left alone: RATE");
  server_.TakeQuestion();
  EXPECT_GE(clock_.ElapsedUs() - kissed_us, static_cast<int64_t>(2 * kPollMs) * 1'000);
}

TEST_F(NtpClientTest, StopsWhileItWaits) {
  Start();
  server_.TakeQuestion();
  client_->Stop();
  std::lock_guard lock(mutex_);
  EXPECT_TRUE(words_.empty());
}

}  // namespace
}  // namespace holdfast::node

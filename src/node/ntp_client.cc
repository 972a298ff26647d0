#include "src/node/ntp_client.h"

#include <algorithm>
#include <boost/asio/ip/udp.hpp>
#include <future>
#include <random>

#include "src/base/logging.h"
#include "src/clock/ntp_packet.h"
#include "src/node/tcp_socket.h"

namespace holdfast::node {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;
using std::chrono::milliseconds;

// The first questions, for a good sample soon.
constexpr size_t kFirst = 4;
constexpr uint64_t kFirstMs = 1'000;
// What may lie in the socket and be none of ours is read, so many at a time.
constexpr size_t kDatagramsAtOnce = 16;

uint64_t Nonce() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

// All on the loop.
class NtpClient::Server : public std::enable_shared_from_this<Server> {
 public:
  Server(EventLoop& loop, const Clock& clock, size_t number, std::string address, uint64_t poll_ms,
         Say say)
      : loop_(loop),
        clock_(clock),
        number_(number),
        address_(std::move(address)),
        least_ms_(poll_ms),
        pause_ms_(poll_ms),
        say_(std::move(say)),
        resolver_(loop.io()),
        socket_(loop.io()),
        timer_(loop.io()) {}

  void Begin() { LookUp(); }
  void End() {
    ended_ = true;
    CloseQuestion();
    resolver_.cancel();
  }

 private:
  // A name is looked up for each question: servers of a pool come and go.
  void LookUp() {
    const auto [host, port] = HostAndPort(address_);
    resolver_.async_resolve(
        host, port,
        loop_.Wrap([self = shared_from_this()](error_code error,
                                               const udp::resolver::results_type& found) {
          if (self->ended_) return;
          if (error || found.empty()) return self->Fail("its name is not found", false);
          self->Ask(found.begin()->endpoint());
        }));
  }

  void Ask(const udp::endpoint& endpoint) {
    CloseQuestion();
    error_code error;
    socket_.open(endpoint.protocol(), error);
    if (!error) socket_.non_blocking(true, error);
    if (!error) socket_.connect(endpoint, error);  // Nobody else's datagrams reach it.
    nonce_ = Nonce();
    const std::string question = clock::NtpQuestion(nonce_);
    sent_us_ = clock_.ElapsedUs();
    if (!error) socket_.send(asio::buffer(question), 0, error);
    if (error) return Fail(error.message(), false);
    After(bounds::kNtpAnswerMsMax, [this] { Fail("no answer", false); });
    Listen();
  }

  void Listen() {
    socket_.async_wait(udp::socket::wait_read, loop_.Wrap([self = shared_from_this(),
                                                           question = question_](error_code error) {
      if (self->ended_ || question != self->question_ || error) return;
      self->Take();
    }));
  }

  void Take() {
    const int64_t received_us = clock_.ElapsedUs();
    for (size_t i = 0; i < kDatagramsAtOnce; ++i) {
      char bytes[bounds::kNtpPacketBytesMax];
      error_code error;
      const size_t size = socket_.receive(asio::buffer(bytes), 0, error);
      if (error == asio::error::would_block) break;
      if (error) return Fail(error.message(), false);
      if (Hear({bytes, size}, received_us)) return;
    }
    Listen();
  }

  // True: that was the answer.
  bool Hear(std::string_view datagram, int64_t received_us) {
    using Kind = clock::NtpAnswer::Kind;
    const clock::NtpAnswer answer = clock::ReadNtpAnswer(datagram, nonce_);
    if (!answer.is_ours) return false;
    switch (answer.kind) {
      case Kind::kKiss: Kissed(answer.kiss); return true;
      case Kind::kRefused: Fail(answer.why, true); return true;
      case Kind::kTime: break;
    }
    const auto sample = clock::SampleOf(
        {sent_us_, answer.received_us, answer.answered_us, received_us}, answer.error_us);
    if (!sample) {
      Fail("its times cannot be", true);
      return true;
    }
    pause_ms_ = least_ms_;
    Tell({sample, "", true});
    AskAgain(++asked_ < kFirst ? std::min(kFirstMs, pause_ms_) : pause_ms_);
    return true;
  }

  void Kissed(const std::string& code) {
    const bool for_good = code == "DENY" || code == "RSTR";
    if (code == "RATE") least_ms_ = std::min(2 * least_ms_, bounds::kNtpPollMsMax);
    logging::Warn(Component::kNode, "a server of time asks to be left alone",
                  {{"server", address_}, {"code", code}});
    if (!for_good) return Fail("it asks to be left alone: " + code, true);
    CloseQuestion();
    Tell({std::nullopt, "it refuses to serve: " + code + "; it is asked no more", true});
  }

  void Fail(std::string why, bool answered) {
    Tell({std::nullopt, std::move(why), answered});
    pause_ms_ = std::min(std::max(2 * pause_ms_, least_ms_), bounds::kNtpPollMsMax);
    AskAgain(pause_ms_);
  }

  void Tell(ClockKeeper::ServerWord word) { say_(number_, std::move(word)); }

  void AskAgain(uint64_t pause_ms) {
    CloseQuestion();
    After(pause_ms, [this] { LookUp(); });
  }

  template <class Then>
  void After(uint64_t ms, Then then) {
    timer_.expires_after(milliseconds(ms));
    timer_.async_wait(
        loop_.Wrap([self = shared_from_this(), question = question_, then](error_code error) {
          if (!error && !self->ended_ && question == self->question_) then();
        }));
  }

  // What was waited for does not count any more.
  void CloseQuestion() {
    ++question_;
    error_code ignored;
    timer_.cancel(ignored);
    socket_.close(ignored);
  }

  EventLoop& loop_;
  const Clock& clock_;
  const size_t number_;
  const std::string address_;
  uint64_t least_ms_;  // Between two questions.
  uint64_t pause_ms_;  // Now.
  const Say say_;
  udp::resolver resolver_;
  udp::socket socket_;
  asio::steady_timer timer_;
  uint64_t question_ = 0;  // Which one is open.
  uint64_t nonce_ = 0;
  int64_t sent_us_ = 0;
  size_t asked_ = 0;
  bool ended_ = false;
};

NtpClient::NtpClient(EventLoop& loop, const Clock& clock, const std::vector<std::string>& servers,
                     uint64_t poll_ms, Say say)
    : loop_(loop) {
  for (const std::string& address : servers) {
    servers_.push_back(
        std::make_shared<Server>(loop, clock, servers_.size(), address, poll_ms, say));
    loop_.Post([server = servers_.back()] { server->Begin(); });
  }
}

NtpClient::~NtpClient() { Stop(); }

void NtpClient::Stop() {
  if (std::exchange(stopped_, true)) return;
  std::promise<void> ended;
  loop_.Post([this, &ended] {
    for (const auto& server : servers_) server->End();
    ended.set_value();
  });
  ended.get_future().wait();
}

}  // namespace holdfast::node

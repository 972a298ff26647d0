#include "src/node/tcp_outgoing.h"

#include "src/base/bounds.h"
#include "src/base/logging.h"
#include "src/node/tcp_socket.h"

namespace holdfast::node {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

}  // namespace

TcpOutgoing::TcpOutgoing(EventLoop& loop, PeerHandler& handler, NodeId to, std::string address,
                         uint64_t redial_ms)
    : loop_(loop),
      handler_(handler),
      to_(to),
      address_(std::move(address)),
      redial_(redial_ms),
      resolver_(loop.io()),
      socket_(loop.io()),
      timer_(loop.io()) {}

void TcpOutgoing::Dial() {
  ++attempt_;
  LookUp();
  if (!addresses_.empty()) return Connect();
  waits_for_lookup_ = true;
}

bool TcpOutgoing::Send(const PeerFrame& frame) {
  bool wake = false;
  bool overflow = false;
  {
    std::lock_guard lock(mutex_);
    if (!up_) return false;
    AppendFrame(frame, &queue_);
    overflow = queue_.size() + writing_bytes_ > bounds::kPeerQueueBytesMax;
    if (overflow) up_ = false;
    wake = !std::exchange(flush_posted_, true);
  }
  if (wake || overflow) {
    loop_.Post([self = shared_from_this(), overflow] {
      if (self->ended_) return;
      overflow ? self->Down("it does not take what it is sent") : self->Flush();
    });
  }
  return !overflow;
}

PeerState TcpOutgoing::State() {
  std::lock_guard lock(mutex_);
  return {up_, queue_.size() + writing_bytes_};
}

void TcpOutgoing::End() {
  ended_ = true;
  Close();
  std::lock_guard lock(mutex_);
  up_ = false;
}

void TcpOutgoing::Close() {
  ++attempt_;
  error_code ignored;
  timer_.cancel(ignored);
  socket_.close(ignored);
}

template <class Then>
void TcpOutgoing::RunAfter(milliseconds delay, Then then) {
  timer_.expires_after(delay);
  timer_.async_wait(
      loop_.Wrap([self = shared_from_this(), attempt = attempt_, then](error_code error) {
        if (!error && self->IsNow(attempt)) then();
      }));
}

void TcpOutgoing::SetTimer(int ms) {
  RunAfter(milliseconds(ms),
           [this, ms] { Down("no answer within " + std::to_string(ms) + " ms"); });
}

void TcpOutgoing::LookUp() {
  if (std::exchange(looking_up_, true)) return;
  const auto [host, port] = HostAndPort(address_);
  resolver_.async_resolve(
      host, port,
      loop_.Wrap(
          [self = shared_from_this()](error_code error, const tcp::resolver::results_type& found) {
            self->looking_up_ = false;
            if (self->ended_) return;
            if (!error) self->addresses_.assign(found.begin(), found.end());
            if (!std::exchange(self->waits_for_lookup_, false)) return;
            error ? self->Down(error.message()) : self->Connect();
          }));
}

void TcpOutgoing::Connect() {
  SetTimer(bounds::kPeerDialMsMax);
  socket_.async_connect(
      addresses_[next_address_++ % addresses_.size()],
      loop_.Wrap([self = shared_from_this(), attempt = attempt_](error_code error) {
        if (!self->IsNow(attempt)) return;
        error ? self->Down(error.message()) : self->Greet();
      }));
}

void TcpOutgoing::Greet() {
  SetTimer(bounds::kPeerHelloMsMax);
  SetUpPeerSocket(socket_);
  reader_ = FrameReader();
  written_ = 0;
  writing_.clear();
  PeerFrame frame;
  *frame.mutable_hello() = handler_.Greeting();
  frame.mutable_hello()->set_to(to_.value);
  AppendFrame(frame, &writing_);
  Read();
  WriteAll();
}

void TcpOutgoing::Read() {
  socket_.async_read_some(
      reader_.Room(),
      loop_.Wrap([self = shared_from_this(), attempt = attempt_](error_code error, size_t bytes) {
        if (!self->IsNow(attempt)) return;
        if (error == asio::error::eof) return self->Down("it closed the connection");
        if (error) return self->Down(error.message());
        self->reader_.Came(bytes);
        self->TakeWelcome();
      }));
}

void TcpOutgoing::TakeWelcome() {
  PeerFrame frame;
  const auto next = reader_.Take(bounds::kPeerWelcomeBytesMax, &frame);
  if (next == FrameReader::Next::kMore) return Read();
  if (next == FrameReader::Next::kBroken || !frame.has_welcome() || welcome_) {
    return Down("it says what no peer says");
  }
  if (!frame.welcome().refusal().empty()) return Down(frame.welcome().refusal());
  Up();
  Read();
}

void TcpOutgoing::Up() {
  error_code ignored;
  timer_.cancel(ignored);
  welcome_ = true;
  warned_ = false;
  logging::Info(Component::kPeer, "connected", {{"peer", to_.value}});
  std::lock_guard lock(mutex_);
  up_ = true;
}

void TcpOutgoing::Flush() {
  while (TakeQueue() && WriteAll()) {
  }
}

bool TcpOutgoing::TakeQueue() {
  std::lock_guard lock(mutex_);
  flush_posted_ = false;
  if (!up_ || !writing_.empty() || queue_.empty()) return false;
  writing_.swap(queue_);
  writing_bytes_ = writing_.size();
  return true;
}

bool TcpOutgoing::WriteAll() {
  while (written_ < writing_.size()) {
    error_code error;
    written_ += socket_.write_some(
        asio::buffer(writing_.data() + written_, writing_.size() - written_), error);
    if (error == asio::error::would_block) {
      WriteLater();
      return false;
    }
    if (error) {
      Down(error.message());
      return false;
    }
  }
  written_ = 0;
  writing_.clear();
  if (writing_.capacity() > kPeerBytesAtOnce) std::string().swap(writing_);
  std::lock_guard lock(mutex_);
  writing_bytes_ = 0;
  return true;
}

void TcpOutgoing::WriteLater() {
  socket_.async_wait(tcp::socket::wait_write,
                     loop_.Wrap([self = shared_from_this(), attempt = attempt_](error_code error) {
                       if (!self->IsNow(attempt)) return;
                       if (error) return self->Down(error.message());
                       if (self->WriteAll()) self->Flush();
                     }));
}

void TcpOutgoing::Down(const std::string& why) {
  Close();
  const bool was_up = std::exchange(welcome_, false);
  {
    std::lock_guard lock(mutex_);
    up_ = flush_posted_ = false;
    std::string().swap(queue_);
    writing_bytes_ = 0;
  }
  std::string().swap(writing_);
  written_ = 0;
  if (was_up || !std::exchange(warned_, true)) {
    logging::Warn(Component::kPeer, "no link, trying again",
                  {{"peer", to_.value}, {"address", address_}, {"why", why}});
  }
  if (was_up) handler_.OnLinkDown(to_);
  RunAfter(redial_, [this] { Dial(); });
}

}  // namespace holdfast::node

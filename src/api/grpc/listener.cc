#include "src/api/grpc/listener.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <utility>

#include "src/api/text.h"

namespace holdfast::api::grpc {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int kAcceptsAtOnce = 64;                // Then it looks whether it is to stop.
constexpr std::chrono::milliseconds kPause{100};  // After an error such as too many files.

}  // namespace

struct Listener::Socket {
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer timer{io};
  uint16_t port = 0;
  size_t files_max = 0;
  std::function<void(int)> take;

  void Accept() {
    acceptor.async_wait(tcp::acceptor::wait_read, [this](error_code error) {
      if (acceptor.is_open() && !error) TakeWaiting();
    });
  }

  void TakeWaiting() {
    for (int accepted = 0; accepted < kAcceptsAtOnce; ++accepted) {
      const int connection =
          accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection < 0) {
        if (errno == EAGAIN) return Accept();
        if (errno == ECONNABORTED || errno == EINTR) continue;
        return Pause();
      }
      // The system gives the least number that is free, so as many are open at least.
      if (static_cast<size_t>(connection) < files_max) {
        take(connection);
      } else {
        close(connection);
      }
    }
    Accept();
  }

  void Pause() {
    timer.expires_after(kPause);
    timer.async_wait([this](error_code error) {
      if (acceptor.is_open() && !error) Accept();
    });
  }
};

Listener::Listener(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}

Listener::~Listener() { Stop(); }

uint16_t Listener::port() const { return socket_->port; }

Result<std::unique_ptr<Listener>> Listener::Open(const std::string& address, uint16_t port) {
  auto socket = std::make_unique<Socket>();
  tcp::acceptor& acceptor = socket->acceptor;
  error_code error;
  const tcp::endpoint endpoint(asio::ip::make_address(address, error), port);
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.set_option(tcp::no_delay(true), error);  // Connections have it from here.
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor.non_blocking(true, error);
  if (error) {
    return Fail(Error{ErrorCode::kUnavailable,
                      Cat("cannot listen for gRPC on ", address, ":", port, ": ", error.message()),
                      "", "check that the address is this machine's and the port is free", 0});
  }
  socket->port = acceptor.local_endpoint().port();
  return std::unique_ptr<Listener>(new Listener(std::move(socket)));
}

void Listener::Start(size_t files_max, std::function<void(int connection)> take) {
  socket_->files_max = files_max;
  socket_->take = std::move(take);
  socket_->Accept();
  thread_ = std::thread([socket = socket_.get()] {
    pthread_setname_np(pthread_self(), "hf-grpc-accept");
    socket->io.run();
  });
}

void Listener::Stop() {
  asio::post(socket_->io, [socket = socket_.get()] {
    error_code ignored;
    socket->acceptor.close(ignored);
    socket->timer.cancel(ignored);
  });
  if (thread_.joinable()) thread_.join();
}

}  // namespace holdfast::api::grpc

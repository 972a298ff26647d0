#include "src/api/http/server.h"

#include <pthread.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "src/api/http/connection.h"
#include "src/api/http/core.h"
#include "src/api/text.h"
#include "src/base/check.h"

namespace holdfast::api::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int kAcceptsAtOnce = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};  // After an error such as too many files.

}  // namespace

class Server::Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  // The core must outlive it.
  explicit Acceptor(Core& core)
      : core_(core), acceptor_(asio::make_strand(core.io)), timer_(acceptor_.get_executor()) {}

  // The port on which it listens.
  Result<uint16_t> Listen() {
    error_code error;
    const auto address = asio::ip::make_address(core_.options.address, error);
    const tcp::endpoint endpoint(address, core_.options.port);
    if (!error) acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor_.non_blocking(true, error);
    // Else a connection that was gone before it was accepted would be waited for.
    if (!error) acceptor_.set_option(asio::socket_base::enable_connection_aborted(true), error);
    if (error) {
      return Fail(Error{ErrorCode::kUnavailable,
                        Cat("cannot listen for HTTP on ", core_.options.address, ":",
                            core_.options.port, ": ", error.message()),
                        "", "check that the address is this machine's and the port is free", 0});
    }
    const uint16_t port = acceptor_.local_endpoint().port();
    Accept();
    return port;
  }

  void Close() {
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
      error_code ignored;
      self->acceptor_.close(ignored);
      self->timer_.cancel(ignored);
    });
  }

 private:
  void Accept() {
    acceptor_.async_wait(tcp::acceptor::wait_read, [self = shared_from_this()](error_code error) {
      if (self->acceptor_.is_open()) self->AcceptWaiting(error);
    });
  }

  // Many at once: a loop that has much to do comes here rarely, and callers that nobody has
  // accepted are not refused either.
  void AcceptWaiting(error_code error) {
    for (int accepted = 0; !error && accepted < kAcceptsAtOnce; ++accepted) {
      tcp::socket socket(asio::make_strand(core_.io));
      acceptor_.accept(socket, error);
      if (error == asio::error::connection_aborted) {
        error = {};
      } else if (!error) {
        Take(std::move(socket));
      }
    }
    if (!error || error == asio::error::would_block) return Accept();
    // Out of file descriptors, most likely. Those that wait stay in the kernel's queue.
    timer_.expires_after(kAcceptPause);
    timer_.async_wait([self = shared_from_this()](error_code cancelled) {
      if (!cancelled && self->acceptor_.is_open()) self->Accept();
    });
  }

  void Take(tcp::socket socket) {
    // The system gives the least number that is free, so as many are open at least.
    if (static_cast<size_t>(socket.native_handle()) >= core_.options.files_max) return;
    std::shared_ptr<Connection> connection;
    auto role = Connection::Role::kServe;
    {
      absl::MutexLock lock(&core_.mutex);
      const size_t count = core_.connections.size() - core_.closed;
      if (core_.draining || count >= core_.options.connections_max + bounds::kHttpRefusalsMax)
        return;
      if (count >= core_.options.connections_max) role = Connection::Role::kRefuse;
      connection = std::make_shared<Connection>(core_.shared_from_this(), std::move(socket));
      core_.connections.emplace(connection.get(), connection);
    }
    connection->Start(role);
  }

  Core& core_;
  tcp::acceptor acceptor_;
  asio::steady_timer timer_;
};

Server::Server(std::shared_ptr<Core> core)
    : core_(std::move(core)), acceptor_(std::make_shared<Acceptor>(*core_)) {}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const Handler& handler) {
  HOLDFAST_CHECK(options.threads >= 1, "an HTTP server without threads");
  std::unique_ptr<Server> server(new Server(std::make_shared<Core>(options, handler)));
  const Result<uint16_t> port = server->acceptor_->Listen();
  if (!port) return Fail(port.error());
  server->port_ = *port;
  for (int i = 0; i < options.threads; ++i) {
    server->threads_.emplace_back([io = &server->core_->io] {
      pthread_setname_np(pthread_self(), "hf-http");
      io->run();
    });
  }
  return server;
}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

void Server::Stop(std::chrono::milliseconds grace) {
  if (threads_.empty()) return;
  acceptor_->Close();
  const auto each = [this](void (Connection::*what)()) {
    std::vector<std::shared_ptr<Connection>> all;
    {
      absl::MutexLock lock(&core_->mutex);
      core_->draining = true;
      for (const auto& [connection, weak] : core_->connections) {
        if (auto shared = weak.lock()) all.push_back(std::move(shared));
      }
    }
    for (const auto& connection : all) (connection.get()->*what)();
  };
  each(&Connection::Drain);
  {
    absl::MutexLock lock(&core_->mutex);
    const auto gone = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_->mutex) {
      return core_->connections.empty();
    };
    core_->mutex.AwaitWithTimeout(absl::Condition(&gone), absl::FromChrono(grace));
  }
  each(&Connection::Abort);
  {
    absl::MutexLock lock(&core_->mutex);
    core_->stopped = true;
  }
  core_->work.reset();  // The threads end when the last handler has run.
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  core_->DropTurns();
  acceptor_.reset();
}

}  // namespace holdfast::api::http

#include "src/api/http/server.h"

#include <pthread.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <ctime>
#include <deque>

#include "src/api/text.h"
#include "src/base/check.h"
#include "src/node/admission.h"

namespace holdfast::api::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr size_t kReadBytes = 16 << 10;         // An ordinary request fits.
constexpr size_t kIdleBufferBytes = 4 << 10;    // Kept for the next request.
constexpr size_t kReadBytesAtOnce = 256 << 10;  // Then other connections get their turn.
// How long requests are handled before sockets are looked at again. Longer than it takes to look at
// all that one look brings (128 of them), so that those who ask too much do not take it all.
constexpr std::chrono::milliseconds kTurnsTime{4};
constexpr int kAcceptsAtOnce = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};  // After an error such as too many files.

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// IMF-fixdate, as RFC 9110 wants of a server with a clock.
void AppendDate(std::string* out) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  fmt::format_to(std::back_inserter(*out), "Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n",
                 kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon], parts.tm_year + 1900,
                 parts.tm_hour, parts.tm_min, parts.tm_sec);
}

struct ConnectionWish {
  unsigned version = 11;
  bool keep_alive = false;
};

std::string FormatHead(const Response& response, ConnectionWish wish) {
  std::string head;
  head.reserve(256);
  const auto reason =
      beast::http::obsolete_reason(static_cast<beast::http::status>(response.status));
  Append(&head, "HTTP/1.1 ", response.status, " ", View(reason), "\r\n");
  AppendDate(&head);
  if (!response.content_type.empty()) {
    Append(&head, "Content-Type: ", response.content_type, "\r\n");
  }
  if (response.status != 204) Append(&head, "Content-Length: ", response.body.size(), "\r\n");
  for (const auto& [name, value] : response.headers) Append(&head, name, ": ", value, "\r\n");
  if (!wish.keep_alive) {
    head += "Connection: close\r\n";
  } else if (wish.version < 11) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

Response TooLarge(std::string what) {
  return ProblemResponse(Error{ErrorCode::kTooLarge, std::move(what), "", "", 0});
}

}  // namespace

// What outlives the server itself: a reply may come after Stop, on a connection that must still be
// able to say that it is closed.
struct Server::Core : std::enable_shared_from_this<Core> {
  Core(const ServerOptions& o, const Handler& h)
      : options(o), handler(h), io(o.threads), work(io.get_executor()) {}

  // Runs `task` on the executor unless the threads are gone: a task left in the queue would keep
  // the queue alive.
  template <class Executor, class Task>
  void Dispatch(const Executor& executor, Task task) {
    absl::ReaderMutexLock lock(&mutex);
    if (!stopped) asio::post(executor, std::move(task));
  }

  // Requests to be handled and replies to be written as JSON wait here for their turn, replies
  // first, so that reading goes on meanwhile, and what is too much is refused soon instead of
  // waiting unseen in the sockets.
  struct Turn {
    std::shared_ptr<Connection> connection;
    Render render;  // Null: its request is to be handled.
  };
  void AwaitTurn(Turn turn);
  void TakeTurns();

  const ServerOptions options;
  const Handler& handler;
  std::atomic<size_t> bodies_bytes{0};   // Of all connections, on their way in ...
  std::atomic<size_t> replies_bytes{0};  // ... and out.
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::thread> threads;
  std::shared_ptr<Acceptor> acceptor;
  uint16_t port = 0;

  node::Admission admission{"requests"};
  absl::Mutex turns_mutex;
  std::deque<Turn> requests ABSL_GUARDED_BY(turns_mutex);
  std::deque<Turn> replies ABSL_GUARDED_BY(turns_mutex);
  int takers ABSL_GUARDED_BY(turns_mutex) = 0;  // Of turns; as many as there are threads.

  absl::Mutex mutex;
  bool draining ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  std::map<Connection*, std::weak_ptr<Connection>> connections ABSL_GUARDED_BY(mutex);
};

// One connection. Everything runs on its strand, except the reply's way in, which posts to it.
class Server::Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class Role { kServe, kRefuse };

  Connection(std::shared_ptr<Core> core, tcp::socket socket)
      : core_(std::move(core)),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        buffer_(bounds::kHttpBufferBytesMax) {}

  ~Connection() {
    DropBody();
    DropReply();
    Leave(false);
    absl::MutexLock lock(&core_->mutex);
    core_->connections.erase(this);
  }

  void Start(Role role) {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    asio::dispatch(socket_.get_executor(), [self = shared_from_this(), role] {
      if (role == Role::kServe) return self->Wait();
      Error error{ErrorCode::kUnavailable, "this node has all the connections it can hold", "", "",
                  1'000};
      self->keep_alive_ = false;
      self->Write(ProblemResponse(error));
    });
  }

  // No further request; closes now if none is under way. Any thread.
  void Drain() {
    core_->Dispatch(socket_.get_executor(), [self = shared_from_this()] {
      self->draining_ = true;
      if (self->state_ == State::kWaiting || self->state_ == State::kReading) self->Close();
    });
  }
  void Abort() {
    core_->Dispatch(socket_.get_executor(), [self = shared_from_this()] { self->Close(); });
  }

  // It is this connection's turn. `render`: null, or its reply.
  void TakeTurn(Render render) {
    asio::dispatch(socket_.get_executor(),
                   [self = shared_from_this(), render = std::move(render)]() mutable {
                     if (self->state_ != State::kHandling) return;
                     if (render == nullptr) return self->Handle();
                     self->Answer(std::move(render)());
                   });
  }

 private:
  enum class State { kWaiting, kReading, kHandling, kWriting, kLingering, kClosed };

  // The timer fires rarely: it is only moved when the new deadline is the earlier one, and looks at
  // the deadline when it fires.
  void SetDeadline(std::chrono::milliseconds from_now) {
    deadline_ = Clock::now() + from_now;
    if (timer_set_ && timer_.expiry() <= deadline_) return;
    ArmTimer();
  }
  void ClearDeadline() { deadline_ = Clock::time_point::max(); }
  void ArmTimer() {
    timer_set_ = true;
    timer_.expires_at(deadline_);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (error || self->state_ == State::kClosed) return;  // Moved, or over.
      self->timer_set_ = false;
      if (self->deadline_ == Clock::time_point::max()) return;
      if (Clock::now() < self->deadline_) return self->ArmTimer();
      self->TimedOut();
    });
  }

  void TimedOut() {
    if (state_ == State::kReading) {
      // The read under way, or the one that has just ended, finds this.
      timed_out_ = true;
      error_code ignored;
      socket_.cancel(ignored);
    } else {
      // Idle, or the client does not take its response: then what is queued is not worth keeping.
      error_code ignored;
      if (state_ == State::kWriting) {
        socket_.set_option(asio::socket_base::linger(true, 0), ignored);
      }
      Close();
    }
  }

  // Waits for the first byte of the next request.
  void Wait() {
    if (state_ == State::kClosed) return;
    if (draining_) return Close();
    if (buffer_.size() > 0) return ReadHeader();  // Pipelined.
    // Idle connections are many.
    if (buffer_.capacity() > kIdleBufferBytes) buffer_.shrink_to_fit();
    state_ = State::kWaiting;
    SetDeadline(core_->options.idle_max);
    AwaitBytes(
        [](Connection& self, error_code error) { error ? self.Close() : self.ReadHeader(); });
  }

  // Without a buffer while nothing comes: connections that only wait cost next to nothing.
  void AwaitBytes(void (*then)(Connection&, error_code)) {
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this(), then](error_code error) {
      if (self->state_ != State::kClosed) then(*self, error);
    });
  }

  void ReadHeader() {
    state_ = State::kReading;
    SetDeadline(core_->options.read_max);
    parser_.emplace();
    continued_ = false;
    parser_->eager(true);
    parser_->header_limit(bounds::kHttpHeaderBytesMax);
    parser_->body_limit(bounds::kHttpBodyBytesMax);
    if (buffer_.size() > 0) {
      if (const error_code error = Parse()) return ReadFailed(error);
    }
    Read();
  }

  // Takes what has come, as far as it belongs to this request, without going back to the queue of
  // handlers for each piece: whatever is to be refused is so soon.
  void Read() {
    for (size_t taken = 0; taken < kReadBytesAtOnce && !parser_->is_done();) {
      if (ExpectsContinue()) return SendContinue();
      const auto room = buffer_.prepare(std::min(kReadBytes, buffer_.max_size() - buffer_.size()));
      error_code error;
      const size_t bytes = socket_.read_some(room, error);
      if (error == asio::error::would_block) break;
      if (error) return Close();  // Half a request has no answer.
      buffer_.commit(bytes);
      taken += bytes;
      if (error = Parse(); error) return ReadFailed(error);
      const size_t all = CountBody();
      if (!parser_->is_done() && all > core_->options.bodies_bytes_max) {
        keep_alive_ = false;
        DropBody();
        return Write(ProblemResponse(Error{ErrorCode::kResourceExhausted,
                                           "this node is receiving all the bytes that it can hold",
                                           "", "Nothing was done. Try again.", 1'000}));
      }
    }
    if (parser_->is_done()) return Queue();
    AwaitBytes([](Connection& self, error_code error) {
      error || self.timed_out_ ? self.ReadFailed(error) : self.Read();
    });
  }

  error_code Parse() {
    error_code error;
    buffer_.consume(parser_->put(buffer_.data(), error));
    if (error != beast::http::error::need_more) return error;
    // A header that is not complete stays in the buffer as a whole.
    if (buffer_.size() == buffer_.max_size()) return beast::http::error::buffer_overflow;
    return {};
  }

  // What has come is counted, of all connections: a length that is only announced costs nothing.
  size_t CountBody() {
    const size_t bytes = parser_->get().body().size();
    return core_->bodies_bytes += bytes - std::exchange(body_bytes_, bytes);
  }

  bool ExpectsContinue() {
    return parser_->is_header_done() && !std::exchange(continued_, true) &&
           beast::iequals(parser_->get()[beast::http::field::expect], "100-continue");
  }
  void SendContinue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = shared_from_this()](error_code error, size_t) {
                        if (self->state_ == State::kClosed) return;
                        if (error || self->timed_out_) return self->ReadFailed(error);
                        self->Read();
                      });
  }

  void DropBody() {
    parser_.reset();
    core_->bodies_bytes -= std::exchange(body_bytes_, 0);
  }
  void DropReply() {
    std::string().swap(body_);
    core_->replies_bytes -= std::exchange(reply_bytes_, 0);
  }

  void ReadFailed(error_code error) {
    namespace http_error = beast::http;
    keep_alive_ = false;  // Where the next request would begin is unknown.
    DropBody();
    if (timed_out_) {
      return Write(ProblemResponse(
          Error{ErrorCode::kDeadlineExceeded, "the request took too long to arrive", "", "", 0},
          408));
    }
    if (error == http_error::error::body_limit) {
      return Write(TooLarge(Cat("the body is larger than ", bounds::kHttpBodyBytesMax, " bytes")));
    }
    if (error == http_error::error::header_limit || error == http_error::error::buffer_overflow) {
      Response response = ProblemResponse(
          Error{ErrorCode::kTooLarge,
                Cat("the headers are larger than ", bounds::kHttpHeaderBytesMax, " bytes"), "",
                "send fewer or shorter headers", 0},
          431);
      return Write(std::move(response));
    }
    // Everything that is not about the syntax is a connection that went away.
    if (error.category() != make_error_code(http_error::error::bad_version).category() ||
        error == http_error::error::end_of_stream || error == http_error::error::partial_message) {
      return Close();
    }
    Write(ProblemResponse(InvalidArgument("", "not an HTTP/1.1 request: " + error.message())));
  }

  // All of the request is here: refused now, or handled when it is its turn.
  void Queue() {
    state_ = State::kHandling;
    ClearDeadline();  // The call has its own.
    const auto& message = parser_->get();
    keep_alive_ = parser_->keep_alive();
    version_ = message.version();
    head_only_ = message.method() == beast::http::verb::head;
    if (const auto error = core_->admission.Refusal(bounds::kWaitMsMax)) {
      if (auto response = core_->handler.Refuse(ParsedRequest(), *error)) {
        DropBody();
        return Write(*std::move(response));
      }
    }
    entered_bytes_ = body_bytes_;
    core_->admission.Enter(*entered_bytes_);
    core_->AwaitTurn({shared_from_this(), nullptr});
  }

  void Leave(bool done) {
    if (entered_bytes_) core_->admission.Leave(*std::exchange(entered_bytes_, std::nullopt), done);
  }

  // Views into the parser.
  Request ParsedRequest() const {
    const auto& message = parser_->get();
    Request request;
    request.verb = View(message.method_string());
    request.target = View(message.target());
    request.body = message.body();
    for (const auto& field : message) {
      request.headers.emplace_back(View(field.name_string()), View(field.value()));
    }
    return request;
  }

  void Handle() {
    const Request request = ParsedRequest();
    core_->handler.Handle(request, [self = shared_from_this()](Render render) mutable {
      // After Stop this may be the last that holds the core, and executors must not outlive it.
      const std::shared_ptr<Core> core = self->core_;
      core->AwaitTurn({std::move(self), std::move(render)});
    });
    DropBody();  // The call has what it needs of it.
  }

  void Answer(Response response) {
    Leave(response.status != 429 && response.status < 500);
    Write(std::move(response));
  }

  void Write(Response response) {
    state_ = State::kWriting;
    if (draining_) keep_alive_ = false;
    SetDeadline(core_->options.write_max);
    if (response.droppable &&
        core_->replies_bytes + response.body.size() > core_->options.replies_bytes_max) {
      response = ProblemResponse(Error{ErrorCode::kResourceExhausted,
                                       "this node holds all the responses that it can", "",
                                       "Try again, or ask another node.", 1'000});
    }
    head_ = FormatHead(response, {version_, keep_alive_});
    body_ = head_only_ ? std::string() : std::move(response.body);
    reply_bytes_ = body_.size();
    core_->replies_bytes += reply_bytes_;
    const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head_), asio::buffer(body_)};
    asio::async_write(socket_, buffers, [self = shared_from_this()](error_code error, size_t) {
      if (self->state_ == State::kClosed) return;
      if (error) return self->Close();
      self->DropReply();
      if (self->keep_alive_) return self->Wait();
      error_code ignored;
      self->socket_.shutdown(tcp::socket::shutdown_send, ignored);
      self->state_ = State::kLingering;
      self->SetDeadline(std::chrono::milliseconds(bounds::kHttpLingerMsMax));
      self->Linger(0);
    });
  }

  void Linger(size_t total) {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this(), total](error_code error, size_t bytes) {
                              if (self->state_ == State::kClosed) return;
                              if (error || total + bytes > bounds::kHttpLingerBytesMax)
                                return self->Close();
                              self->Linger(total + bytes);
                            });
  }

  void Close() {
    state_ = State::kClosed;
    error_code ignored;
    Leave(false);
    socket_.close(ignored);  // What was under way ends, and lets go of this connection.
    timer_.cancel(ignored);
  }

  const std::shared_ptr<Core> core_;  // First: the socket and the timer live in its io_context.
  tcp::socket socket_;
  asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool timer_set_ = false;
  beast::flat_buffer buffer_;
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  State state_ = State::kWaiting;
  bool timed_out_ = false;
  bool continued_ = false;  // The client has been told to go on, if it asked.
  bool draining_ = false;
  bool keep_alive_ = false;
  bool head_only_ = false;
  unsigned version_ = 11;
  std::string head_;  // Of the response being written.
  std::string body_;
  std::optional<size_t> entered_bytes_;  // Counted in Core::admission.
  size_t body_bytes_ = 0;                // Counted in Core::bodies_bytes ...
  size_t reply_bytes_ = 0;               // ... and in Core::replies_bytes.
};

void Server::Core::AwaitTurn(Turn turn) {
  absl::ReaderMutexLock alive(&mutex);
  if (stopped) return;  // The turn would hold the core, and the core the turn, for ever.
  {
    absl::MutexLock lock(&turns_mutex);
    (turn.render == nullptr ? requests : replies).push_back(std::move(turn));
    if (takers == options.threads) return;
    ++takers;
  }
  asio::post(io, [this] { TakeTurns(); });
}

// For a while, then sockets get theirs.
void Server::Core::TakeTurns() {
  const auto began = Clock::now();
  do {
    Turn next;
    {
      absl::MutexLock lock(&turns_mutex);
      admission.Step(static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(began.time_since_epoch()).count()));
      std::deque<Turn>& turns = replies.empty() ? requests : replies;
      if (turns.empty()) {
        --takers;
        return;
      }
      next = std::move(turns.front());
      turns.pop_front();
    }
    next.connection->TakeTurn(std::move(next.render));
  } while (Clock::now() - began < kTurnsTime);
  asio::post(io, [this] { TakeTurns(); });
}

class Server::Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  // The core owns the acceptor until Stop, and is alive while its threads run.
  explicit Acceptor(Core& core)
      : core_(core), acceptor_(asio::make_strand(core.io)), timer_(acceptor_.get_executor()) {}

  Result<void> Listen() {
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
    core_.port = acceptor_.local_endpoint().port();
    Accept();
    return {};
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
    std::shared_ptr<Connection> connection;
    auto role = Connection::Role::kServe;
    {
      absl::MutexLock lock(&core_.mutex);
      const size_t count = core_.connections.size();
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

Server::Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const Handler& handler) {
  HOLDFAST_CHECK(options.threads >= 1, "an HTTP server without threads");
  auto core = std::make_shared<Core>(options, handler);
  core->acceptor = std::make_shared<Acceptor>(*core);
  if (Result<void> listening = core->acceptor->Listen(); !listening) {
    core->acceptor.reset();
    return Fail(listening.error());
  }
  for (int i = 0; i < options.threads; ++i) {
    core->threads.emplace_back([io = &core->io] {
      pthread_setname_np(pthread_self(), "hf-http");
      io->run();
    });
  }
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

uint16_t Server::port() const { return core_->port; }

void Server::Stop(std::chrono::milliseconds grace) {
  if (core_->threads.empty()) return;
  core_->acceptor->Close();
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
  for (std::thread& thread : core_->threads) thread.join();
  core_->threads.clear();
  {
    absl::MutexLock lock(&core_->turns_mutex);
    core_->requests.clear();
    core_->replies.clear();
  }
  core_->acceptor.reset();
}

}  // namespace holdfast::api::http

#include "src/api/http/connection.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <ctime>

#include "src/api/errors.h"
#include "src/api/http/beast_request.h"
#include "src/api/text.h"
#include "src/base/bounds.h"

namespace holdfast::api::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 << 10;         // An ordinary request fits.
constexpr size_t kIdleBufferBytes = 4 << 10;    // Kept for the next request.
constexpr size_t kReadBytesAtOnce = 256 << 10;  // Then other connections get their turn.

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

Connection::Connection(std::shared_ptr<Core> core, tcp::socket socket)
    : core_(std::move(core)),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      buffer_(bounds::kHttpBufferBytesMax) {}

Connection::~Connection() {
  DropBody();
  DropReply();
  Leave(false);
  if (state_ == State::kClosed) --core_->closed;  // Before that: it is never more than there are.
  core_->Leave(this);
}

void Connection::Start(Role role) {
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

void Connection::Drain() {
  core_->Dispatch(socket_.get_executor(), [self = shared_from_this()] {
    self->draining_ = true;
    if (self->state_ == State::kWaiting || self->state_ == State::kReading) self->Close();
    if (self->state_ == State::kLingering) {
      self->SetDeadline(std::chrono::milliseconds(self->LingerMsMax()));
    }
  });
}

void Connection::Abort() {
  core_->Dispatch(socket_.get_executor(), [self = shared_from_this()] { self->Close(); });
}

void Connection::TakeTurn(Render render) {
  asio::dispatch(socket_.get_executor(),
                 [self = shared_from_this(), render = std::move(render)]() mutable {
                   if (self->state_ != State::kHandling) return;
                   if (render == nullptr) return self->Handle();
                   self->Answer(std::move(render)());
                 });
}

void Connection::SetDeadline(std::chrono::milliseconds from_now) {
  deadline_ = Clock::now() + from_now;
  if (timer_set_ && timer_.expiry() <= deadline_) return;
  ArmTimer();
}

void Connection::ArmTimer() {
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

void Connection::TimedOut() {
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

void Connection::Wait() {
  if (state_ == State::kClosed) return;
  if (draining_) return Close();
  if (buffer_.size() > 0) return ReadHeader();  // Pipelined.
  // Idle connections are many.
  if (buffer_.capacity() > kIdleBufferBytes) buffer_.shrink_to_fit();
  state_ = State::kWaiting;
  SetDeadline(core_->options.idle_max);
  AwaitBytes([](Connection& self, error_code error) { error ? self.Close() : self.ReadHeader(); });
}

void Connection::AwaitBytes(void (*then)(Connection&, error_code)) {
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this(), then](error_code error) {
    if (self->state_ != State::kClosed) then(*self, error);
  });
}

void Connection::ReadHeader() {
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

void Connection::Read() {
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

error_code Connection::Parse() {
  error_code error;
  buffer_.consume(parser_->put(buffer_.data(), error));
  if (error != beast::http::error::need_more) return error;
  // A header that is not complete stays in the buffer as a whole.
  if (buffer_.size() == buffer_.max_size()) return beast::http::error::buffer_overflow;
  return {};
}

size_t Connection::CountBody() {
  const size_t bytes = parser_->get().body().size();
  return core_->bodies_bytes += bytes - std::exchange(body_bytes_, bytes);
}

bool Connection::ExpectsContinue() {
  return parser_->is_header_done() && !std::exchange(continued_, true) &&
         beast::iequals(parser_->get()[beast::http::field::expect], "100-continue");
}

void Connection::SendContinue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(socket_, asio::buffer(kContinue.data(), kContinue.size()),
                    [self = shared_from_this()](error_code error, size_t) {
                      if (self->state_ == State::kClosed) return;
                      if (error || self->timed_out_) return self->ReadFailed(error);
                      self->Read();
                    });
}

void Connection::DropBody() {
  parser_.reset();
  core_->bodies_bytes -= std::exchange(body_bytes_, 0);
}

void Connection::DropReply() {
  std::string().swap(body_);
  core_->replies_bytes -= std::exchange(reply_bytes_, 0);
}

void Connection::ReadFailed(error_code error) {
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
        InfoOf(ErrorCode::kTooLarge).special_http_status);
    return Write(std::move(response));
  }
  // Everything that is not about the syntax is a connection that went away.
  if (error.category() != make_error_code(http_error::error::bad_version).category() ||
      error == http_error::error::end_of_stream || error == http_error::error::partial_message) {
    return Close();
  }
  Write(ProblemResponse(InvalidArgument("", "not an HTTP/1.1 request: " + error.message())));
}

void Connection::Queue() {
  state_ = State::kHandling;
  ClearDeadline();  // The call has its own.
  const auto& message = parser_->get();
  keep_alive_ = parser_->keep_alive();
  version_ = message.version();
  head_only_ = message.method() == beast::http::verb::head;
  if (const auto error = core_->admission.Refusal(bounds::kWaitMsMax)) {
    if (auto response = core_->handler.Refuse(RequestOf(parser_->get()), *error)) {
      DropBody();
      return Write(*std::move(response));
    }
  }
  entered_bytes_ = body_bytes_;
  core_->admission.Enter(*entered_bytes_);
  core_->AwaitTurn({shared_from_this(), nullptr});
}

void Connection::Leave(bool done) {
  if (entered_bytes_) core_->admission.Leave(*std::exchange(entered_bytes_, std::nullopt), done);
}

void Connection::Handle() {
  Request request = RequestOf(parser_->get());
  request.gone = gone_;
  const bool waits =
      core_->handler.Handle(request, [self = shared_from_this()](Render render) mutable {
        // After Stop this may be the last that holds the core, and executors must not outlive it.
        const std::shared_ptr<Core> core = self->core_;
        core->AwaitTurn({std::move(self), std::move(render)});
      });
  DropBody();  // The call has what it needs of it.
  if (!waits) return;
  Leave(true);
  WatchClient();
}

void Connection::WatchClient() {
  // A client that has sent its next request already is not looked for behind that.
  if (watching_ || buffer_.size() > 0) return;
  watching_ = true;
  AwaitBytes([](Connection& self, error_code error) {
    self.watching_ = false;
    if (self.state_ != State::kHandling) return;
    char next = 0;
    if (!error) self.socket_.receive(asio::buffer(&next, 1), tcp::socket::message_peek, error);
    if (error == asio::error::would_block) return self.WatchClient();
    if (error) self.Close();
  });
}

void Connection::Answer(Response response) {
  Leave(response.status != 429 && response.status < 500);
  Write(std::move(response));
}

void Connection::Write(Response response) {
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
    self->SetDeadline(std::chrono::milliseconds(self->LingerMsMax()));
    self->Linger(0);
  });
}

// The client has its answer, and was told that the connection ends.
int64_t Connection::LingerMsMax() const {
  return draining_ ? bounds::kHttpStopLingerMsMax : bounds::kHttpLingerMsMax;
}

void Connection::Linger(size_t total) {
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(kReadBytes),
                          [self = shared_from_this(), total](error_code error, size_t bytes) {
                            if (self->state_ == State::kClosed) return;
                            if (error || total + bytes > bounds::kHttpLingerBytesMax)
                              return self->Close();
                            self->Linger(total + bytes);
                          });
}

void Connection::Close() {
  if (state_ != State::kClosed) ++core_->closed;
  state_ = State::kClosed;
  *gone_ = true;
  error_code ignored;
  Leave(false);
  socket_.close(ignored);  // What was under way ends, and lets go of this connection.
  timer_.cancel(ignored);
}

}  // namespace holdfast::api::http

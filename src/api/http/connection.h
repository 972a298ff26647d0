// One connection of the HTTP server: reads a request within its bounds, awaits its turn, writes the
// response, and begins again.
//
//   waiting -> reading -> handling -> writing -> waiting ..., or lingering -> closed
//
// Handling: it awaits its turn, then the reply, then the reply's turn.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "src/api/http/core.h"

namespace holdfast::api::http {

// Everything runs on its strand, except the reply's way in, which posts to it.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class Role { kServe, kRefuse };

  Connection(std::shared_ptr<Core> core, boost::asio::ip::tcp::socket socket);
  ~Connection();

  void Start(Role role);

  // No further request; closes now if none is under way. Any thread.
  void Drain();
  void Abort();

  // It is this connection's turn. `render`: null, or its reply.
  void TakeTurn(Render render);

 private:
  using Clock = std::chrono::steady_clock;
  using error_code = boost::system::error_code;
  enum class State { kWaiting, kReading, kHandling, kWriting, kLingering, kClosed };

  // The timer fires rarely: it is only moved when the new deadline is the earlier one, and looks at
  // the deadline when it fires.
  void SetDeadline(std::chrono::milliseconds from_now);
  void ClearDeadline() { deadline_ = Clock::time_point::max(); }
  void ArmTimer();
  void TimedOut();

  // Waits for the first byte of the next request.
  void Wait();

  // Without a buffer while nothing comes: connections that only wait cost next to nothing.
  void AwaitBytes(void (*then)(Connection&, error_code));
  void ReadHeader();

  // Takes what has come, as far as it belongs to this request, without going back to the queue of
  // handlers for each piece: whatever is to be refused is so soon.
  void Read();
  error_code Parse();

  // What has come is counted, of all connections: a length that is only announced costs nothing.
  size_t CountBody();
  bool ExpectsContinue();
  void SendContinue();
  void DropBody();
  void DropReply();
  void ReadFailed(error_code error);

  // All of the request is here: refused now, or handled when it is its turn.
  void Queue();
  void Leave(bool done);

  void Handle();
  // While a call waits: nobody takes its answer any more once the client sends nothing more.
  std::shared_ptr<const std::atomic<bool>> WatchForEnd();
  void EndWatch();
  void Answer(Response response);
  void Write(Response response);
  void Linger(size_t total);
  int64_t LingerMsMax() const;
  void Close();

  const std::shared_ptr<Core> core_;  // First: the socket and the timer live in its io_context.
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool timer_set_ = false;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  State state_ = State::kWaiting;
  bool timed_out_ = false;
  bool continued_ = false;  // The client has been told to go on, if it asked.
  bool draining_ = false;
  bool keep_alive_ = false;
  std::shared_ptr<std::atomic<bool>> gone_;  // Of the call, while its connection is watched.
  bool head_only_ = false;
  unsigned version_ = 11;
  std::string head_;  // Of the response being written.
  std::string body_;
  std::optional<size_t> entered_bytes_;  // Counted in Core::admission.
  size_t body_bytes_ = 0;                // Counted in Core::bodies_bytes ...
  size_t reply_bytes_ = 0;               // ... and in Core::replies_bytes.
};

}  // namespace holdfast::api::http

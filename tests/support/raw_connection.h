// A TCP connection that says whatever a test wants said: half a request, garbage, a request whose
// answer is not awaited yet.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "src/base/ids.h"
#include "tests/support/http_client.h"

namespace holdfast::testing {

// Blocking; one thread at a time.
class RawConnection {
 public:
  explicit RawConnection(uint16_t port);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;

  // Returns once the kernel has it all; false when the other side is gone.
  bool Send(std::string_view bytes);
  void Reset();          // The other side is told by RST, as when a program dies.
  void FinishSending();  // The other side reads an end, and may still answer.
  // What comes until the other side closes; `*closed` says whether it did so in time.
  std::string ReadToEnd(std::chrono::milliseconds patience, bool* closed);
  // One HTTP/1.1 response; status 0 when none came in time.
  HttpReply ReadReply(std::chrono::milliseconds patience);

 private:
  // More bytes into `buffer_`; false at the end, or when time is up (then *timed_out).
  bool ReadSome(std::chrono::steady_clock::time_point until, bool* timed_out);

  int socket_;
  std::string buffer_;
};

// A request as it goes over the wire; Content-Length included when there is a body.
std::string HttpRequestText(std::string_view verb, std::string_view target, std::string_view body,
                            const HttpClient::Headers& headers = {});

}  // namespace holdfast::testing

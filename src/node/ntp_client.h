// Asks servers of time over UDP, each at its own pace (RFC 5905, client mode; clock/ntp_packet.h).
//
// Each question leaves from a port of its own and carries a number drawn at random, so that whoever
// does not see it can only guess. Datagrams that do not repeat it are not looked at and end
// nothing. A server that is silent, or has no time, is asked at longer and longer pauses; one that
// asks for that (RATE) keeps the longer pause; one that refuses (DENY, RSTR) is asked no more.
//
// Runs on the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/clock/clock.h"
#include "src/node/clock_keeper.h"
#include "src/node/event_loop.h"

namespace holdfast::node {

class NtpClient {
 public:
  // On the loop.
  using Say = std::function<void(size_t server, ClockKeeper::ServerWord word)>;

  // `servers`: host:port each. The loop and the clock outlive the client.
  NtpClient(EventLoop& loop, const Clock& clock, const std::vector<std::string>& servers,
            uint64_t poll_ms, Say say);
  ~NtpClient();  // Stop().
  NtpClient(const NtpClient&) = delete;

  // Nothing is said any more once it returns. Not on the loop.
  void Stop();

 private:
  class Server;

  EventLoop& loop_;
  std::vector<std::shared_ptr<Server>> servers_;
  bool stopped_ = false;
};

}  // namespace holdfast::node

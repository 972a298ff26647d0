// The connections that this node opens to one peer, one after another, and sends its frames on.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/node/event_loop.h"
#include "src/node/peer_frames.h"
#include "src/node/peer_link.h"

namespace holdfast::node {

struct PeerState {
  bool connected = false;
  size_t queued_bytes = 0;
};

// All runs on the loop, but for Send and State.
//
//   resting -> connecting -> greeting (hello is sent) -> up (it said welcome) -> resting ...
class TcpOutgoing : public std::enable_shared_from_this<TcpOutgoing> {
 public:
  // `handler` is called on `loop`; both must outlive it, up to End.
  TcpOutgoing(EventLoop& loop, PeerHandler& handler, NodeId to, std::string address,
              uint64_t redial_ms);

  const std::string& address() const { return address_; }

  // One address an attempt, one after the other. A name is looked up again for each attempt; those
  // that it had before are good until an answer comes, which may take longer than many attempts.
  void Dial();

  // Any thread. Before the peer has said welcome nothing is queued: what may never leave is better
  // kept.
  bool Send(const PeerFrame& frame);
  // Any thread.
  PeerState State();

  // For good: the handler may be gone when what is under way learns of it.
  void End();

 private:
  bool IsNow(uint64_t attempt) const { return attempt == attempt_; }

  void Close();
  void SetTimer(int ms);
  template <class Then>
  void RunAfter(std::chrono::milliseconds delay, Then then);
  void LookUp();
  void Connect();

  // Its loop may be busy; not so the kernel that took the connection.
  void Greet();

  // Welcome, and then nothing any more; but it tells at once when the connection breaks.
  void Read();
  void TakeWelcome();
  void Up();
  void Flush();

  // False: there is nothing to write, or something is being written.
  bool TakeQueue();

  // Most often the kernel takes it all at once, and nobody has to be woken for the rest. False: it
  // did not, or the connection is over.
  bool WriteAll();
  void WriteLater();

  // The connection, or the attempt at one, is over; once for each.
  void Down(const std::string& why);

  EventLoop& loop_;
  PeerHandler& handler_;
  const NodeId to_;
  const std::string address_;
  const std::chrono::milliseconds redial_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  uint64_t attempt_ = 0;  // What belongs to an earlier one is over.
  bool ended_ = false;
  bool looking_up_ = false;
  bool waits_for_lookup_ = false;
  std::vector<boost::asio::ip::tcp::endpoint> addresses_;
  size_t next_address_ = 0;
  bool welcome_ = false;
  bool warned_ = false;  // Once per outage.
  FrameReader reader_;
  std::string writing_;
  size_t written_ = 0;  // Of it.

  std::mutex mutex_;
  bool up_ = false;
  bool flush_posted_ = false;
  std::string queue_;
  size_t writing_bytes_ = 0;  // Counted with queue_.
};

}  // namespace holdfast::node

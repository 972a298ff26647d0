// The connections that peers open to this node, on which their frames come. Of each peer the newest
// one counts.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "src/base/error.h"
#include "src/node/event_loop.h"
#include "src/node/peer_link.h"

namespace holdfast::node {

class TcpIncoming : public std::enable_shared_from_this<TcpIncoming> {
 public:
  // `handler` is called on `loop`; both must outlive it, up to Close.
  TcpIncoming(EventLoop& loop, PeerHandler& handler, NodeId self);

  // Fails when the address, host:port, is taken or means nothing.
  Result<void> Listen(const std::string& address);
  // --- The loop
  void Accept();
  // For good.
  void Close();

 private:
  class Connection;

  void AcceptLater();
  void Leave(Connection* one);

  EventLoop& loop_;
  PeerHandler& handler_;
  const NodeId self_;
  bool stopped_ = false;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  uint64_t epoch_ = 0;  // Of the last connection that was accepted.
  std::list<std::shared_ptr<Connection>> connections_;
};

}  // namespace holdfast::node

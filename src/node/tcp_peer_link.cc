#include "src/node/tcp_peer_link.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <list>
#include <mutex>

#include "src/base/bounds.h"
#include "src/base/logging.h"
#include "src/node/peer_frames.h"

namespace holdfast::node {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

// Then other events get their turn.
constexpr size_t kReadBytesAtOnce = 1 << 20;
constexpr milliseconds kAcceptPause{100};  // After an error such as too many files.

// The last colon is before the port; an IPv6 address stands in brackets.
std::pair<std::string, std::string> HostAndPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return {host, colon == std::string::npos ? "" : address.substr(colon + 1)};
}

// A peer that is gone without a word is noticed, whether or not something is on its way to it.
void SetUp(tcp::socket& socket) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&socket](int option, int value) {
    setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
  };
  set(TCP_KEEPIDLE, bounds::kPeerSilentMsMax / 2'000);
  set(TCP_KEEPINTVL, 1);
  set(TCP_USER_TIMEOUT, bounds::kPeerSilentMsMax);
}

PeerFrame Hello(Identity identity) {
  PeerFrame frame;
  *frame.mutable_hello() = std::move(identity);
  return frame;
}

PeerFrame Welcome(std::string refusal) {
  PeerFrame frame;
  frame.mutable_welcome()->set_refusal(std::move(refusal));
  return frame;
}

}  // namespace

struct TcpPeerLink::Core : std::enable_shared_from_this<Core> {
  Core(Options o, PeerHandler& h, EventLoop& l)
      : options(std::move(o)), handler(h), loop(l), acceptor(l.io()), pause(l.io()) {}

  Result<void> Listen();
  void Accept();
  void AcceptLater();
  void Leave(Incoming* one);

  const Options options;
  PeerHandler& handler;
  EventLoop& loop;
  std::map<NodeId, std::shared_ptr<Outgoing>> peers;  // Not changed once it runs.
  // The loop's own.
  bool stopped = false;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  uint64_t epoch = 0;  // Of the last connection that was accepted.
  std::list<std::shared_ptr<Incoming>> incoming;
};

// The connections to one peer, one after another. All runs on the loop, but for Send and State.
//
//   resting -> connecting -> greeting (hello is sent) -> up (it said welcome) -> resting ...
class TcpPeerLink::Outgoing : public std::enable_shared_from_this<Outgoing> {
 public:
  Outgoing(Core& core, NodeId to, std::string address)
      : core_(core),
        to_(to),
        address_(std::move(address)),
        resolver_(core.loop.io()),
        socket_(core.loop.io()),
        timer_(core.loop.io()) {}

  // One address an attempt, one after the other. A name is looked up again for each attempt; those
  // that it had before are good until an answer comes, which may take longer than many attempts.
  void Dial() {
    ++attempt_;
    LookUp();
    if (!addresses_.empty()) return Connect();
    waits_for_lookup_ = true;
  }

  // Before the peer has said welcome nothing is queued: what may never leave is better kept.
  bool Send(const PeerFrame& frame) {
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
      core_.loop.Post([self = shared_from_this(), overflow] {
        if (self->ended_) return;
        overflow ? self->Down("it does not take what it is sent") : self->Flush();
      });
    }
    return !overflow;
  }

  PeerState State() {
    std::lock_guard lock(mutex_);
    return {up_, queue_.size() + writing_bytes_};
  }

  // For good: the core may be gone when what is under way learns of it.
  void End() {
    ended_ = true;
    Close();
    std::lock_guard lock(mutex_);
    up_ = false;
  }

 private:
  bool IsNow(uint64_t attempt) const { return attempt == attempt_; }

  void Close() {
    ++attempt_;
    error_code ignored;
    timer_.cancel(ignored);
    socket_.close(ignored);
  }

  void SetTimer(int ms) {
    RunAfter(milliseconds(ms),
             [this, ms] { Down("no answer within " + std::to_string(ms) + " ms"); });
  }
  template <class Then>
  void RunAfter(milliseconds delay, Then then) {
    timer_.expires_after(delay);
    timer_.async_wait(
        core_.loop.Wrap([self = shared_from_this(), attempt = attempt_, then](error_code error) {
          if (!error && self->IsNow(attempt)) then();
        }));
  }

  void LookUp() {
    if (std::exchange(looking_up_, true)) return;
    const auto [host, port] = HostAndPort(address_);
    resolver_.async_resolve(
        host, port,
        core_.loop.Wrap([self = shared_from_this()](error_code error,
                                                    const tcp::resolver::results_type& found) {
          self->looking_up_ = false;
          if (self->ended_) return;
          if (!error) self->addresses_.assign(found.begin(), found.end());
          if (!std::exchange(self->waits_for_lookup_, false)) return;
          error ? self->Down(error.message()) : self->Connect();
        }));
  }

  void Connect() {
    SetTimer(bounds::kPeerDialMsMax);
    socket_.async_connect(
        addresses_[next_address_++ % addresses_.size()],
        core_.loop.Wrap([self = shared_from_this(), attempt = attempt_](error_code error) {
          if (!self->IsNow(attempt)) return;
          error ? self->Down(error.message()) : self->Greet();
        }));
  }

  // Its loop may be busy; not so the kernel that took the connection.
  void Greet() {
    SetTimer(bounds::kPeerHelloMsMax);
    SetUp(socket_);
    reader_ = FrameReader();
    written_ = 0;
    writing_.clear();
    AppendFrame(Hello(core_.handler.Hello()), &writing_);
    Read();
    WriteAll();
  }

  // Welcome, and then nothing any more; but it tells at once when the connection breaks.
  void Read() {
    socket_.async_read_some(reader_.Room(),
                            core_.loop.Wrap([self = shared_from_this(), attempt = attempt_](
                                                error_code error, size_t bytes) {
                              if (!self->IsNow(attempt)) return;
                              if (error == asio::error::eof)
                                return self->Down("it closed the connection");
                              if (error) return self->Down(error.message());
                              self->reader_.Came(bytes);
                              self->TakeWelcome();
                            }));
  }

  void TakeWelcome() {
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

  void Up() {
    error_code ignored;
    timer_.cancel(ignored);
    welcome_ = true;
    warned_ = false;
    logging::Info(Component::kPeer, "connected", {{"peer", to_.value}});
    std::lock_guard lock(mutex_);
    up_ = true;
  }

  void Flush() {
    while (TakeQueue() && WriteAll()) {
    }
  }

  // False: there is nothing to write, or something is being written.
  bool TakeQueue() {
    std::lock_guard lock(mutex_);
    flush_posted_ = false;
    if (!up_ || !writing_.empty() || queue_.empty()) return false;
    writing_.swap(queue_);
    writing_bytes_ = writing_.size();
    return true;
  }

  // Most often the kernel takes it all at once, and nobody has to be woken for the rest. False: it
  // did not, or the connection is over.
  bool WriteAll() {
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
    if (writing_.capacity() > kReadBytesAtOnce) std::string().swap(writing_);
    std::lock_guard lock(mutex_);
    writing_bytes_ = 0;
    return true;
  }

  void WriteLater() {
    socket_.async_wait(
        tcp::socket::wait_write,
        core_.loop.Wrap([self = shared_from_this(), attempt = attempt_](error_code error) {
          if (!self->IsNow(attempt)) return;
          if (error) return self->Down(error.message());
          if (self->WriteAll()) self->Flush();
        }));
  }

  // The connection, or the attempt at one, is over; once for each.
  void Down(const std::string& why) {
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
    if (was_up) core_.handler.OnLinkDown(to_);
    RunAfter(milliseconds(core_.options.redial_ms), [this] { Dial(); });
  }

  Core& core_;
  const NodeId to_;
  const std::string address_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  uint64_t attempt_ = 0;  // What belongs to an earlier one is over.
  bool ended_ = false;
  bool looking_up_ = false;
  bool waits_for_lookup_ = false;
  std::vector<tcp::endpoint> addresses_;
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

// One connection that a peer opened. All on the loop.
class TcpPeerLink::Incoming : public std::enable_shared_from_this<Incoming> {
 public:
  Incoming(std::shared_ptr<Core> core, tcp::socket socket)
      : core_(std::move(core)),
        epoch_(++core_->epoch),
        socket_(std::move(socket)),
        timer_(core_->loop.io()) {}

  void Start() {
    SetUp(socket_);
    SetTimer();
    Read();
  }

  void Close() {
    closed_ = true;
    error_code ignored;
    timer_.cancel(ignored);
    socket_.close(ignored);
  }

 private:
  // Whoever says nothing, or does not go once refused, is not kept.
  void SetTimer() {
    timer_.expires_after(milliseconds(bounds::kPeerHelloMsMax));
    timer_.async_wait(core_->loop.Wrap([self = shared_from_this()](error_code error) {
      if (!error && !self->closed_) self->Leave();
    }));
  }

  void Read() {
    socket_.async_wait(tcp::socket::wait_read,
                       core_->loop.Wrap([self = shared_from_this()](error_code error) {
                         if (self->closed_) return;
                         if (error) return self->Leave();
                         self->Take();
                       }));
  }

  void Take() {
    for (size_t taken = 0; taken < kReadBytesAtOnce;) {
      error_code error;
      const auto room = reader_.Room();
      const size_t bytes = socket_.read_some(room, error);
      if (error == asio::error::would_block) break;
      if (error) return Leave();
      taken += bytes;
      if (!refused_) {  // What else a stranger says is not kept.
        reader_.Came(bytes);
        if (!TakeFrames() || closed_) return Leave();
      }
      if (bytes < room.size()) break;  // That was all.
    }
    Read();
  }

  bool TakeFrames() {
    std::vector<PeerFrame> frames;
    for (;;) {
      const bool known = from_.value != 0;
      PeerFrame frame;
      const auto next =
          reader_.Take(known ? bounds::kPeerFrameBytesMax : bounds::kPeerWelcomeBytesMax, &frame);
      if (next == FrameReader::Next::kBroken) {
        logging::Warn(Component::kPeer, "a connection brought bytes that are no frame, closed",
                      {{"peer", from_.value}});
        return false;
      }
      if (next == FrameReader::Next::kMore) break;
      if (known) {
        frames.push_back(std::move(frame));
      } else if (!frame.has_hello()) {
        return false;
      } else if (!Meet(frame.hello())) {
        return true;
      }
    }
    if (!frames.empty()) core_->handler.OnFrames(from_, epoch_, std::move(frames));
    return true;
  }

  // False: refused, or gone.
  bool Meet(const Identity& hello) {
    std::string refusal = Refusal(hello);
    refused_ = !refusal.empty();
    if (!refused_) {
      from_ = NodeId(hello.node());
      incarnation_ = hello.incarnation();
      error_code ignored;
      timer_.cancel(ignored);
      for (const auto& other : core_->incoming) {
        if (other->epoch_ < epoch_ && other->from_ == from_) other->LeaveSoon();
      }
    }
    std::string welcome;
    AppendFrame(Welcome(std::move(refusal)), &welcome);
    error_code error;  // The first bytes on a connection: the kernel takes them.
    if (socket_.write_some(asio::buffer(welcome), error) != welcome.size()) Close();
    return !refused_ && !closed_;
  }

  std::string Refusal(const Identity& hello) const {
    const std::string node = "node " + std::to_string(hello.node());
    if (!core_->options.peers.contains(NodeId(hello.node()))) {
      return node + " is not a member here: check --members";
    }
    const auto later = [&](const auto& other) {
      return other->from_.value == hello.node() && other->epoch_ > epoch_;
    };
    if (std::any_of(core_->incoming.begin(), core_->incoming.end(), later)) {
      return node + " has dialled again since";
    }
    // A new folder may take the place of a lost one, not of one in use.
    const auto lives = [&](const auto& other) {
      return other->from_.value == hello.node() && other->incarnation_ != hello.incarnation();
    };
    if (std::any_of(core_->incoming.begin(), core_->incoming.end(), lives)) {
      return node + " is connected here with another data folder: is its id used twice?";
    }
    return core_->handler.OnHello(hello);
  }

  // The list of connections is being walked.
  void LeaveSoon() {
    Close();
    core_->loop.Post([self = shared_from_this()] { self->Leave(); });
  }
  void Leave() {
    Close();
    core_->Leave(this);
  }

  const std::shared_ptr<Core> core_;  // Of which we are a part until it stops.
  const uint64_t epoch_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  FrameReader reader_;
  NodeId from_;  // 0 before the hello.
  uint64_t incarnation_ = 0;
  bool refused_ = false;  // Told so; the peer is to close.
  bool closed_ = false;
};

Result<void> TcpPeerLink::Core::Listen() {
  error_code error;
  const auto [host, port] = HostAndPort(options.listen);
  const auto found = tcp::resolver(loop.io()).resolve(host, port, tcp::resolver::passive, error);
  if (!error) {
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor.non_blocking(true, error);
  }
  if (!error) return {};
  return Fail(Error{ErrorCode::kUnavailable,
                    "cannot listen for peers on " + options.listen + ": " + error.message(), "",
                    "Is another node running there? Choose another peer address.", 0});
}

void TcpPeerLink::Core::Accept() {
  acceptor.async_accept(
      loop.Wrap([self = shared_from_this()](error_code error, tcp::socket socket) {
        if (self->stopped) return;
        if (error) return self->AcceptLater();
        // Beyond the bound: dropped. Members come again.
        if (self->incoming.size() < bounds::kPeerConnectionsMax) {
          self->incoming.push_back(std::make_shared<Incoming>(self, std::move(socket)));
          self->incoming.back()->Start();
        }
        self->Accept();
      }));
}

void TcpPeerLink::Core::AcceptLater() {
  pause.expires_after(kAcceptPause);
  pause.async_wait(loop.Wrap([self = shared_from_this()](error_code cancelled) {
    if (!cancelled && !self->stopped) self->Accept();
  }));
}

void TcpPeerLink::Core::Leave(Incoming* one) {
  std::erase_if(incoming, [one](const auto& other) { return other.get() == one; });
}

Result<std::unique_ptr<TcpPeerLink>> TcpPeerLink::Start(Options options, PeerHandler& handler,
                                                        EventLoop& loop) {
  auto core = std::make_shared<Core>(std::move(options), handler, loop);
  if (auto listening = core->Listen(); !listening) return Fail(listening.error());
  for (const auto& [id, address] : core->options.peers) {
    core->peers[id] = std::make_shared<Outgoing>(*core, id, address);
  }
  loop.Post([core] {
    core->Accept();
    for (const auto& [id, peer] : core->peers) peer->Dial();
  });
  return std::unique_ptr<TcpPeerLink>(new TcpPeerLink(std::move(core)));
}

TcpPeerLink::TcpPeerLink(std::shared_ptr<Core> core) : core_(std::move(core)) {}
TcpPeerLink::~TcpPeerLink() { Stop(); }

bool TcpPeerLink::Send(NodeId to, PeerFrame frame) {
  const auto peer = core_->peers.find(to);
  return peer != core_->peers.end() && peer->second->Send(frame);
}

std::map<NodeId, TcpPeerLink::PeerState> TcpPeerLink::States() const {
  std::map<NodeId, PeerState> states;
  for (const auto& [id, peer] : core_->peers) states[id] = peer->State();
  return states;
}

void TcpPeerLink::Stop() {
  if (std::exchange(stopped_, true)) return;
  std::promise<void> closed;
  core_->loop.Post([core = core_.get(), &closed] {
    core->stopped = true;
    error_code ignored;
    core->acceptor.close(ignored);
    core->pause.cancel(ignored);
    for (const auto& [id, peer] : core->peers) peer->End();
    for (const auto& connection : core->incoming) connection->Close();
    core->incoming.clear();
    closed.set_value();
  });
  closed.get_future().wait();
}

}  // namespace holdfast::node

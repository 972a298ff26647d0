#include "src/node/tcp_incoming.h"

#include <algorithm>

#include "src/base/bounds.h"
#include "src/base/logging.h"
#include "src/node/peer_frames.h"
#include "src/node/tcp_socket.h"

namespace holdfast::node {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds kAcceptPause{100};  // After an error such as too many files.

PeerFrame Welcome(std::string refusal) {
  PeerFrame frame;
  frame.mutable_welcome()->set_refusal(std::move(refusal));
  return frame;
}

}  // namespace

// One of them. All on the loop.
class TcpIncoming::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<TcpIncoming> all, tcp::socket socket)
      : all_(std::move(all)),
        epoch_(++all_->epoch_),
        socket_(std::move(socket)),
        timer_(all_->loop_.io()) {}

  void Start() {
    SetUpPeerSocket(socket_);
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
    timer_.async_wait(all_->loop_.Wrap([self = shared_from_this()](error_code error) {
      if (!error && !self->closed_) self->Leave();
    }));
  }

  void Read() {
    socket_.async_wait(tcp::socket::wait_read,
                       all_->loop_.Wrap([self = shared_from_this()](error_code error) {
                         if (self->closed_) return;
                         if (error) return self->Leave();
                         self->Take();
                       }));
  }

  void Take() {
    for (size_t taken = 0; taken < kPeerBytesAtOnce;) {
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
    if (!frames.empty()) all_->handler_.OnFrames(from_, epoch_, std::move(frames));
    return true;
  }

  // False: refused, or gone.
  bool Meet(const Hello& greeting) {
    const Identity& hello = greeting.identity();
    std::string refusal = Refusal(greeting);
    refused_ = !refusal.empty();
    if (!refused_) {
      from_ = NodeId(hello.node());
      incarnation_ = hello.incarnation();
      error_code ignored;
      timer_.cancel(ignored);
      for (const auto& other : all_->connections_) {
        if (other->epoch_ < epoch_ && other->from_ == from_) other->LeaveSoon();
      }
    }
    std::string welcome;
    AppendFrame(Welcome(std::move(refusal)), &welcome);
    error_code error;  // The first bytes on a connection: the kernel takes them.
    if (socket_.write_some(asio::buffer(welcome), error) != welcome.size()) Close();
    return !refused_ && !closed_;
  }

  std::string Refusal(const Hello& greeting) const {
    const Identity& hello = greeting.identity();
    const std::string node = "node " + std::to_string(hello.node());
    const std::string self = "node " + all_->self_.ToString();
    if (greeting.to() != all_->self_.value) {
      return "this is " + self + ", not node " + std::to_string(greeting.to()) +
             ": check the addresses in cluster.members";
    }
    const auto later = [&](const auto& other) {
      return other->from_.value == hello.node() && other->epoch_ > epoch_;
    };
    if (std::any_of(all_->connections_.begin(), all_->connections_.end(), later)) {
      return node + " has dialled again since";
    }
    // A new folder may take the place of a lost one, not of one in use.
    const auto lives = [&](const auto& other) {
      return other->from_.value == hello.node() && other->incarnation_ != hello.incarnation();
    };
    if (std::any_of(all_->connections_.begin(), all_->connections_.end(), lives)) {
      return node + " is connected here with another data folder: is its id used twice?";
    }
    return all_->handler_.OnHello(greeting);
  }

  // The list of connections is being walked.
  void LeaveSoon() {
    Close();
    all_->loop_.Post([self = shared_from_this()] { self->Leave(); });
  }
  void Leave() {
    Close();
    all_->Leave(this);
  }

  const std::shared_ptr<TcpIncoming> all_;  // Of which we are a part until it stops.
  const uint64_t epoch_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  FrameReader reader_;
  NodeId from_;  // 0 before the hello.
  uint64_t incarnation_ = 0;
  bool refused_ = false;  // Told so; the peer is to close.
  bool closed_ = false;
};

TcpIncoming::TcpIncoming(EventLoop& loop, PeerHandler& handler, NodeId self)
    : loop_(loop), handler_(handler), self_(self), acceptor_(loop.io()), pause_(loop.io()) {}

Result<void> TcpIncoming::Listen(const std::string& address) {
  error_code error;
  const auto [host, port] = HostAndPort(address);
  const auto found = tcp::resolver(loop_.io()).resolve(host, port, tcp::resolver::passive, error);
  if (!error) {
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor_.non_blocking(true, error);
  }
  if (!error) return {};
  return Fail(Error{ErrorCode::kUnavailable,
                    "cannot listen for peers on " + address + ": " + error.message(), "",
                    "Is another node running there? Choose another peer address.", 0});
}

void TcpIncoming::Accept() {
  acceptor_.async_accept(
      loop_.Wrap([self = shared_from_this()](error_code error, tcp::socket socket) {
        if (self->stopped_) return;
        if (error) return self->AcceptLater();
        // Beyond the bound: dropped. Members come again.
        if (self->connections_.size() < bounds::kPeerConnectionsMax) {
          self->connections_.push_back(std::make_shared<Connection>(self, std::move(socket)));
          self->connections_.back()->Start();
        }
        self->Accept();
      }));
}

void TcpIncoming::AcceptLater() {
  pause_.expires_after(kAcceptPause);
  pause_.async_wait(loop_.Wrap([self = shared_from_this()](error_code cancelled) {
    if (!cancelled && !self->stopped_) self->Accept();
  }));
}

void TcpIncoming::Leave(Connection* one) {
  std::erase_if(connections_, [one](const auto& other) { return other.get() == one; });
}

void TcpIncoming::Close() {
  stopped_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel(ignored);
  for (const auto& connection : connections_) connection->Close();
  connections_.clear();
}

}  // namespace holdfast::node

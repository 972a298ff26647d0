#include "src/node/grpc_peer_link.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>

#include "src/base/bounds.h"
#include "src/base/logging.h"

namespace holdfast::node {
namespace {

constexpr char kMethod[] = "/holdfast.Peer/Link";

grpc::ByteBuffer ToBuffer(const PeerBatch& batch) {
  grpc::Slice slice(batch.ByteSizeLong());
  batch.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return grpc::ByteBuffer(&slice, 1);
}

bool FromBuffer(const grpc::ByteBuffer& buffer, PeerBatch* batch) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok() && !buffer.DumpToSingleSlice(&slice).ok()) return false;
  return batch->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

}  // namespace

struct GrpcPeerLink::Impl : std::enable_shared_from_this<Impl> {
  Options options;
  PeerHandler& handler;
  Executor& executor;

  std::mutex mutex;
  std::condition_variable idle;
  bool stopping = false;
  int streams = 0;     // Outgoing and incoming; Stop waits for none.
  uint64_t epoch = 0;  // Of the last incoming stream.
  struct Peer {
    std::unique_ptr<grpc::GenericStub> stub;
    Outgoing* stream = nullptr;  // Deletes itself when done.
    bool warned = false;         // Once per outage.
  };
  std::map<NodeId, Peer> peers;
  std::set<Incoming*> incoming;
  std::unique_ptr<Service> service;
  std::unique_ptr<grpc::Server> server;

  Impl(Options o, PeerHandler& h, Executor& e) : options(std::move(o)), handler(h), executor(e) {}

  void Dial(NodeId to);
  void Redial(NodeId to);
  // A stream is gone: the last step of its life.
  void Leave() {
    std::lock_guard lock(mutex);
    --streams;
    idle.notify_all();
  }
};

// One stream that we opened. Owned by itself from StartCall until OnDone.
class GrpcPeerLink::Outgoing : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Outgoing(Impl& impl, NodeId to) : impl_(impl), to_(to) {}

  void Open(grpc::GenericStub& stub, Identity hello) {
    *first_.add_frames()->mutable_hello() = std::move(hello);
    stub.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    buffer_ = ToBuffer(first_);
    StartWrite(&buffer_);
    StartRead(&incoming_);  // Nothing ever comes; it tells at once when the stream breaks.
    StartCall();
  }

  // Before the connection stands nothing is queued: what may never leave is better kept.
  bool Send(PeerFrame frame) {
    std::unique_lock lock(mutex_);
    if (closed_ || !connected_) return false;
    const size_t bytes = frame.ByteSizeLong();
    queued_bytes_ += bytes;
    if (queued_bytes_ > bounds::kPeerQueueBytesMax) {
      logging::Warn(Component::kPeer, "a peer does not take what it is sent, link reset",
                    {{"peer", to_.value}, {"queued_bytes", queued_bytes_}});
      closed_ = true;
      lock.unlock();
      context_.TryCancel();
      return false;
    }
    queue_.push_back(std::move(frame));
    sizes_.push_back(bytes);
    if (!writing_) WriteNext();
    return true;
  }

  PeerState State() {
    std::lock_guard lock(mutex_);
    return {connected_ && !closed_, queued_bytes_};
  }

  void Cancel() { context_.TryCancel(); }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) closed_ = true;
    if (ok && !connected_) {
      connected_ = true;
      logging::Info(Component::kPeer, "connected", {{"peer", to_.value}});
    }
    if (!closed_ && !queue_.empty()) WriteNext();
  }
  void OnReadDone(bool) override { Cancel(); }
  void OnDone(const grpc::Status& status) override {
    Impl& impl = impl_;
    const NodeId to = to_;
    {
      std::lock_guard lock(impl.mutex);
      Impl::Peer& peer = impl.peers[to];
      peer.stream = nullptr;
      if (connected_) peer.warned = false;
      if (!impl.stopping && !peer.warned) {
        peer.warned = true;
        logging::Warn(Component::kPeer, "no link, trying again",
                      {{"peer", to.value},
                       {"address", impl.options.peers[to]},
                       {"why", status.error_message()}});
      }
    }
    impl.handler.OnLinkDown(to);
    impl.Redial(to);
    delete this;
    impl.Leave();
  }

 private:
  void WriteNext() {  // Under mutex_.
    PeerBatch batch;
    size_t bytes = 0;
    while (!queue_.empty() && (bytes == 0 || bytes + sizes_.front() <= bounds::kPeerBatchBytes)) {
      bytes += sizes_.front();
      *batch.add_frames() = std::move(queue_.front());
      queue_.pop_front();
      sizes_.pop_front();
    }
    queued_bytes_ -= bytes;
    buffer_ = ToBuffer(batch);
    writing_ = true;
    StartWrite(&buffer_);
  }

  Impl& impl_;
  const NodeId to_;
  grpc::ClientContext context_;
  PeerBatch first_;
  grpc::ByteBuffer buffer_;
  grpc::ByteBuffer incoming_;
  std::mutex mutex_;
  bool writing_ = true;  // The hello.
  bool connected_ = false;
  bool closed_ = false;
  std::deque<PeerFrame> queue_;
  std::deque<size_t> sizes_;
  size_t queued_bytes_ = 0;
};

// One stream that a peer opened. Owned by itself until OnDone.
class GrpcPeerLink::Incoming : public grpc::ServerGenericBidiReactor {
 public:
  explicit Incoming(Impl& impl) : impl_(impl) {
    {
      std::lock_guard lock(impl.mutex);
      ++impl.streams;
      impl.incoming.insert(this);
    }
    StartRead(&buffer_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Close(grpc::Status::OK);
      return;
    }
    PeerBatch batch;
    if (!FromBuffer(buffer_, &batch)) {
      Close({grpc::StatusCode::INVALID_ARGUMENT, "frames that do not parse"});
      return;
    }
    if (from_.value == 0 && !Welcome(batch)) return;
    if (batch.frames_size() > 0) impl_.handler.OnFrames(from_, epoch_, std::move(batch));
    StartRead(&buffer_);
  }

  void OnDone() override {
    Impl& impl = impl_;
    {
      std::lock_guard lock(impl.mutex);
      impl.incoming.erase(this);
    }
    delete this;
    impl.Leave();
  }

 private:
  bool Welcome(PeerBatch& batch) {
    if (batch.frames_size() == 0 || !batch.frames(0).has_hello()) {
      Close({grpc::StatusCode::INVALID_ARGUMENT, "a stream must begin with hello"});
      return false;
    }
    const Identity& hello = batch.frames(0).hello();
    if (!impl_.options.peers.contains(NodeId(hello.node()))) {
      Close({grpc::StatusCode::FAILED_PRECONDITION,
             "node " + std::to_string(hello.node()) + " is not a member here: check --members"});
      return false;
    }
    if (AnotherLives(hello)) {
      Close({grpc::StatusCode::FAILED_PRECONDITION,
             "node " + std::to_string(hello.node()) +
                 " is connected here with another data folder: is its id used twice?"});
      return false;
    }
    if (const std::string refusal = impl_.handler.OnHello(hello); !refusal.empty()) {
      Close({grpc::StatusCode::FAILED_PRECONDITION, refusal});
      return false;
    }
    {
      std::lock_guard lock(impl_.mutex);
      from_ = NodeId(hello.node());
      incarnation_ = hello.incarnation();
      epoch_ = ++impl_.epoch;
    }
    batch.mutable_frames()->DeleteSubrange(0, 1);
    return true;
  }

  // A new folder may take the place of a lost one, not of one in use.
  bool AnotherLives(const Identity& hello) {
    std::lock_guard lock(impl_.mutex);
    return std::any_of(impl_.incoming.begin(), impl_.incoming.end(), [&](const Incoming* other) {
      return other->from_.value == hello.node() && other->incarnation_ != hello.incarnation();
    });
  }

  void Close(const grpc::Status& status) {
    if (!closed_.exchange(true)) Finish(status);
  }

  Impl& impl_;
  grpc::ByteBuffer buffer_;
  NodeId from_;  // 0 before the hello. Changed under the link's mutex, as the next.
  uint64_t incarnation_ = 0;
  uint64_t epoch_ = 0;
  std::atomic<bool> closed_{false};
};

class GrpcPeerLink::Service : public grpc::CallbackGenericService {
 public:
  explicit Service(Impl& impl) : impl_(impl) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Incoming(impl_);
  }

 private:
  Impl& impl_;
};

void GrpcPeerLink::Impl::Dial(NodeId to) {
  Identity hello = handler.Hello();
  std::lock_guard lock(mutex);
  if (stopping) return;
  Peer& peer = peers[to];
  peer.stream = new Outgoing(*this, to);
  ++streams;
  peer.stream->Open(*peer.stub, std::move(hello));
}

void GrpcPeerLink::Impl::Redial(NodeId to) {
  {
    std::lock_guard lock(mutex);
    if (stopping) return;
  }
  executor.PostAfter(options.redial_ms, [weak = weak_from_this(), to] {
    if (auto self = weak.lock()) self->Dial(to);
  });
}

Result<std::unique_ptr<GrpcPeerLink>> GrpcPeerLink::Start(Options options, PeerHandler& handler,
                                                          Executor& executor) {
  auto impl = std::make_shared<Impl>(std::move(options), handler, executor);
  impl->service = std::make_unique<Service>(*impl);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(impl->options.listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(impl->service.get());
  builder.SetMaxReceiveMessageSize(static_cast<int>(bounds::kPeerFrameBytesMax));
  impl->server = builder.BuildAndStart();
  if (!impl->server || port == 0) {
    return Fail(Error{ErrorCode::kUnavailable, "cannot listen on " + impl->options.listen, "",
                      "Is another node running there? Choose another peer address.", 0});
  }
  for (const auto& [id, address] : impl->options.peers) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxSendMessageSize(-1);
    impl->peers[id].stub = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  std::unique_ptr<GrpcPeerLink> link(new GrpcPeerLink(std::move(impl)));
  for (const auto& [id, address] : link->impl_->options.peers) link->impl_->Dial(id);
  return link;
}

GrpcPeerLink::GrpcPeerLink(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcPeerLink::~GrpcPeerLink() { Stop(); }

bool GrpcPeerLink::Send(NodeId to, PeerFrame frame) {
  std::lock_guard lock(impl_->mutex);
  auto peer = impl_->peers.find(to);
  if (peer == impl_->peers.end() || peer->second.stream == nullptr) return false;
  return peer->second.stream->Send(std::move(frame));
}

std::map<NodeId, GrpcPeerLink::PeerState> GrpcPeerLink::States() const {
  std::lock_guard lock(impl_->mutex);
  std::map<NodeId, PeerState> states;
  for (const auto& [id, peer] : impl_->peers) {
    states[id] = peer.stream == nullptr ? PeerState() : peer.stream->State();
  }
  return states;
}

void GrpcPeerLink::Stop() {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return;
    impl_->stopping = true;
    for (auto& [id, peer] : impl_->peers) {
      if (peer.stream != nullptr) peer.stream->Cancel();
    }
  }
  // Cancels incoming streams at once: peers redial whoever comes next under this address.
  impl_->server->Shutdown(std::chrono::system_clock::now());
  std::unique_lock lock(impl_->mutex);
  impl_->idle.wait(lock, [this] { return impl_->streams == 0; });
}

}  // namespace holdfast::node

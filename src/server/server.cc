#include "src/server/server.h"

#include <spdlog/spdlog.h>

#include <charconv>
#include <random>

#include "src/api/grpc/server.h"
#include "src/api/http/server.h"
#include "src/api/metered.h"
#include "src/base/file_system.h"
#include "src/base/version.h"
#include "src/clock/clock.h"
#include "src/node/checkpoint_install.h"
#include "src/node/cluster_service.h"
#include "src/node/tcp_peer_link.h"
#include "src/server/observe.h"
#include "src/server/preflight.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/requests_service.h"
#include "src/store/rocksdb/folder.h"
#include "src/store/rocksdb/rocksdb_base.h"
#include "src/wal/segment_log.h"

namespace holdfast {
namespace {

constexpr uint64_t kHandOverMsMax = 1'000;
constexpr uint64_t kHealthMs = 100;  // How late gRPC's health service may know.

// A cluster of one has nobody to talk to.
class NoPeers : public node::PeerLink {
 public:
  bool Send(NodeId, PeerFrame) override { return false; }
};

uint64_t RandomNumber() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

Result<Address> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos && colon > 0) {
    address.host = text.substr(0, colon);
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    if (error == std::errc() && at == end) return address;
  }
  return Fail(InvalidArgument("", "'" + text + "' is not host:port"));
}

// Declared in the order in which things are built; Stop takes them down in the opposite one.
struct Server::Parts {
  ServerConfig config;
  SystemClock clock;
  PosixFileSystem files;
  node::EventLoop loop{"hf-loop"};
  ThreadExecutor apply{"hf-apply"};
  ThreadExecutor reads{"hf-reads"};
  ThreadExecutor background{"hf-background"};
  std::optional<node::Founding> founding;
  const store::RocksDbBase* rocksdb = nullptr;  // The store's own.
  std::unique_ptr<store::Store> store;
  std::unique_ptr<state_machine::Registry> registry;
  std::unique_ptr<state_machine::Machine> machine;
  // The log's writer reports to the node, which is built after the log.
  std::atomic<node::Node*> log_listener{nullptr};
  std::unique_ptr<wal::SegmentLog> log;
  // Outlive every call under way.
  std::unique_ptr<Observer> observer;
  std::unique_ptr<api::MeteredDispatcher> grpc_door;
  std::unique_ptr<api::MeteredDispatcher> pipe_door;
  std::unique_ptr<api::MeteredDispatcher> http_door;
  std::unique_ptr<node::Node> node;
  NoPeers no_peers;
  std::unique_ptr<node::TcpPeerLink> link;
  std::unique_ptr<api::http::Handler> http_handler;
  std::unique_ptr<api::http::Server> http;
  std::unique_ptr<api::grpc::Server> grpc;
  std::atomic<bool> stopped{false};
  uint32_t restarts = 0;
  std::function<void()> restart;

  Result<void> Check() const;
  Result<void> Open();
  Result<void> Serve();
  void LearnKeys();
  void WatchHealth();
  void Stop(std::chrono::milliseconds grace);
};

// Before anything is created: a start that cannot succeed leaves nothing behind.
Result<void> Server::Parts::Check() const {
  std::vector<Address> addresses = {config.http, config.grpc};
  const auto self = config.members.find(config.id);
  if (config.members.size() > 1 && self != config.members.end()) addresses.push_back(self->second);
  if (auto ports = CheckPorts(addresses); !ports) return ports;
  return CheckDataFolder(config.data);
}

Result<void> Server::Parts::Open() {
  std::vector<NodeId> members;
  for (const auto& [id, address] : config.members) members.push_back(id);
  if (members.empty()) members.push_back(config.id);
  if (members.size() > bounds::kNodesMax) {
    return Fail(InvalidArgument(
        "members", "a cluster has at most " + std::to_string(bounds::kNodesMax) + " nodes"));
  }
  if (std::find(members.begin(), members.end(), config.id) == members.end()) {
    return Fail(InvalidArgument(
        "members", "node " + config.id.ToString() + " is not one of the cluster's members"));
  }
  auto opened = node::Founding::Open(files, config.data, config.id, members, RandomNumber());
  if (!opened) return Fail(opened.error());
  founding.emplace(std::move(*opened));

  wal::SegmentLogOptions log_options;
  log_options.segment_bytes = config.log_segment_bytes;
  auto segment_log =
      wal::SegmentLog::Open(files, config.data + "/log", log_options, [this](wal::Ticket t) {
        if (node::Node* listener = log_listener.load(std::memory_order_acquire)) {
          listener->LogDurable(t);
        }
      });
  if (!segment_log) return Fail(segment_log.error());
  log = std::move(*segment_log);
  if (founding->founded() && log->last().value == 0) {
    return Fail(
        Error{ErrorCode::kInternal,
              "the folder " + config.data +
                  " belongs to a founded cluster, but its log is "
                  "empty",
              "",
              "Put the log back if it was moved. Do not start the node without it: it would "
              "have forgotten what it promised. The other nodes go on.",
              0});
  }

  const std::string checkpoint = config.data + "/" + node::kCheckpointFolder;
  auto pending = node::PendingCheckpoint(files, checkpoint, *log);
  if (!pending) return Fail(pending.error());
  if (*pending) {
    const std::string database = config.data + "/store/" + store::kDatabaseFolder;
    if (auto done = node::InstallStore(files, checkpoint, database); !done) {
      return Fail(done.error());
    }
    node::InstallLog(*log, **pending);
    if (auto done = node::FinishInstall(files, checkpoint); !done) return Fail(done.error());
  }

  auto base = store::RocksDbBase::Open(config.data + "/store");
  if (!base) return Fail(base.error());
  rocksdb = base->get();
  store::Options store_options;
  store_options.checkpoint_bytes = config.checkpoint_bytes;
  store_options.checkpoint_rows = config.checkpoint_rows;
  store = std::make_unique<store::Store>(std::move(*base), store_options);
  registry = std::make_unique<state_machine::Registry>(*store);
  RegisterServices(*registry);
  observer = std::make_unique<Observer>(config.data);
  node::RegisterClusterService(
      *registry, {[this] { return observer->Status(); }, [this] { return observer->Figures(); },
                  [this] { return observer->Load(); }});
  // No principal is known yet: all callers share one space of keys.
  state_machine::RegisterRequestsService(
      *registry, [this](const state_machine::Method& method, const std::string& key) {
        return machine->StoredReply(method, "", key);
      });
  registry->Finish();
  machine = std::make_unique<state_machine::Machine>(*store, *registry);
  LearnKeys();

  if (machine->applied().Next() < log->first()) {
    return Fail(Error{ErrorCode::kInternal,
                      "the store in " + config.data + " ends at entry " +
                          machine->applied().ToString() + ", its log begins at " +
                          log->first().ToString(),
                      "",
                      "Put back what was removed. If it is lost, remove the whole folder: the node "
                      "rejoins and fetches what it lacks.",
                      0});
  }

  node::NodeOptions options;
  options.checkpoint_interval_ms = config.checkpoint_interval_ms;
  options.retention.bytes = config.log_keep_bytes;
  options.retention.entries = config.log_keep_entries;
  options.members = members;
  options.restarts = restarts;
  options.lifetime = RandomNumber();
  options.raft.id = config.id;
  options.raft.election_timeout_ms = config.election_timeout_ms;
  options.raft.heartbeat_ms = config.heartbeat_ms;
  options.raft.seed = static_cast<uint32_t>(RandomNumber());
  node = std::make_unique<node::Node>(
      options,
      node::Node::Parts{clock, *machine, *store, *log, *founding, loop, apply, reads, background,
                        files, config.data,
                        [this](const std::string& folder) { return rocksdb->Export(folder); }},
      node::Node::Endings{[this](const std::string& why) { config.fatal(why); },
                          [this] { restart(); }});
  log_listener.store(node.get(), std::memory_order_release);
  return {};
}

// Step by step, so that checkpoints get their turn.
void Server::Parts::LearnKeys() {
  background.Post([this] {
    if (store->LearnKeys()) LearnKeys();
  });
}

Result<void> Server::Parts::Serve() {
  if (config.members.size() > 1) {
    node::TcpPeerLink::Options options;
    options.listen = config.members.at(config.id).ToString();
    for (const auto& [id, address] : config.members) {
      if (id != config.id) options.peers[id] = address.ToString();
    }
    // Hellos that come before the node has started are kept; other frames are dropped, as ever.
    auto started = node::TcpPeerLink::Start(std::move(options), *node, loop);
    if (!started) return Fail(started.error());
    link = std::move(*started);
    node->Start(*link);
  } else {
    node->Start(no_peers);
  }
  grpc_door = std::make_unique<api::MeteredDispatcher>(*registry, *node, "grpc");
  pipe_door = std::make_unique<api::MeteredDispatcher>(*registry, *node, "pipe");
  http_door = std::make_unique<api::MeteredDispatcher>(*registry, *node, "http");
  observer->Watch({node.get(),
                   log.get(),
                   rocksdb,
                   link.get(),
                   {grpc_door.get(), pipe_door.get(), http_door.get()}});

  api::grpc::ServerOptions grpc_options;
  grpc_options.address = config.grpc.host;
  grpc_options.port = config.grpc.port;
  grpc_options.pipe = pipe_door.get();
  auto grpc_server = api::grpc::Server::Start(grpc_options, *registry, *grpc_door);
  if (!grpc_server) return Fail(grpc_server.error());
  grpc = std::move(*grpc_server);
  WatchHealth();

  http_handler = std::make_unique<api::http::Handler>(*registry, *http_door, kVersion,
                                                      [this] { return observer->MetricsText(); });
  api::http::ServerOptions http_options;
  http_options.address = config.http.host;
  http_options.port = config.http.port;
  http_options.connections_max = HttpConnectionsFor(OpenFilesMax());
  auto http_server = api::http::Server::Start(http_options, *http_handler);
  if (!http_server) return Fail(http_server.error());
  http = std::move(*http_server);
  return {};
}

// gRPC's health service is told, while HTTP's /health asks.
void Server::Parts::WatchHealth() {
  if (stopped) return;
  grpc->SetServing(observer->Status().ready);
  reads.PostAfter(kHealthMs, [this] { WatchHealth(); });
}

void Server::Parts::Stop(std::chrono::milliseconds grace) {
  if (stopped.exchange(true)) return;
  if (observer) observer->Stopping();
  if (grpc) grpc->SetServing(false);
  if (node && grace.count() > 0) node->HandOver(kHandOverMsMax);
  if (http) http->Stop(grace);
  if (grpc) grpc->Stop(grace);
  if (node) node->Stop();
  if (link) link->Stop();
  log_listener.store(nullptr, std::memory_order_release);
  log.reset();  // Writes what is queued; its last reports go nowhere.
  loop.Stop();
  apply.Stop();
  reads.Stop();
  background.Stop();
}

// --- The server: its parts, and another set of them when a checkpoint is to be installed

Server::Server(ServerConfig config) : config_(std::move(config)) {}

Result<std::unique_ptr<Server>> Server::Start(ServerConfig config) {
  std::unique_ptr<Server> server(new Server(std::move(config)));
  if (auto begun = server->Begin(); !begun) return Fail(begun.error());
  // From now on these very ports.
  server->config_.http.port = server->http_port();
  server->config_.grpc.port = server->grpc_port();
  server->supervisor_ = std::thread([raw = server.get()] { raw->Supervise(); });
  return server;
}

Result<void> Server::Begin() {
  auto parts = std::make_unique<Parts>();
  parts->config = config_;
  parts->restarts = restarts_;
  parts->restart = [this] {
    std::lock_guard lock(mutex_);
    restart_wanted_ = true;
    wake_.notify_all();
  };
  auto begun = parts->Check();
  if (begun) begun = parts->Open();
  if (begun) begun = parts->Serve();
  if (!begun) {
    parts->Stop(std::chrono::milliseconds(0));
    return begun;
  }
  std::lock_guard lock(mutex_);
  parts_ = std::move(parts);
  return {};
}

void Server::Supervise() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || restart_wanted_; });
    if (stopping_) return;
    restart_wanted_ = false;
    ++restarts_;
    spdlog::info("starting anew with the checkpoint");
    std::unique_ptr<Parts> old = std::move(parts_);
    lock.unlock();
    old->Stop(std::chrono::milliseconds(0));
    old.reset();
    if (auto begun = Begin(); !begun) {
      config_.fatal("cannot start anew with the checkpoint: " + begun.error().message);
      return;
    }
    lock.lock();
  }
}

void Server::Stop(std::chrono::milliseconds grace) {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (supervisor_.joinable()) supervisor_.join();
  if (parts_) parts_->Stop(grace);
}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

uint16_t Server::http_port() const {
  std::lock_guard lock(mutex_);
  return parts_ ? parts_->http->port() : config_.http.port;
}
uint16_t Server::grpc_port() const {
  std::lock_guard lock(mutex_);
  return parts_ ? parts_->grpc->port() : config_.grpc.port;
}
node::NodeStatus Server::status() const {
  std::lock_guard lock(mutex_);
  if (parts_) return parts_->node->status();
  node::NodeStatus status;  // Between two lives.
  status.id = config_.id;
  return status;
}

}  // namespace holdfast

#include "src/server/server.h"

#include <spdlog/spdlog.h>

#include <charconv>
#include <random>

#include "src/api/grpc/server.h"
#include "src/api/http/server.h"
#include "src/api/metered.h"
#include "src/base/behaviour.h"
#include "src/base/file_system.h"
#include "src/clock/clock.h"
#include "src/node/cluster_service.h"
#include "src/node/node_state.h"
#include "src/node/ntp_client.h"
#include "src/node/tcp_peer_link.h"
#include "src/server/observe.h"
#include "src/server/preflight.h"
#include "src/server/scrub.h"
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
  void SetPeers(const std::map<NodeId, std::string>& /*peers*/) override {}
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
  std::unique_ptr<Observer> observer;  // Outlives every call under way, as what follows does.
  const store::RocksDbBase* rocksdb = nullptr;  // The store's own.
  ScrubMetrics scrubbed;
  // The log's writer reports to the node, which is built after the log.
  std::atomic<node::Node*> log_listener{nullptr};
  std::unique_ptr<node::NodeState> state;
  std::unique_ptr<api::MeteredDispatcher> grpc_door;
  std::unique_ptr<api::MeteredDispatcher> pipe_door;
  std::unique_ptr<api::MeteredDispatcher> http_door;
  std::unique_ptr<node::Node> node;
  NoPeers no_peers;
  std::unique_ptr<node::TcpPeerLink> link;
  std::unique_ptr<node::NtpClient> ntp;
  std::unique_ptr<api::http::Handler> http_handler;
  std::unique_ptr<api::http::Server> http;
  std::unique_ptr<api::grpc::Server> grpc;
  std::unique_ptr<Scrub> scrub;
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
  if (self != config.members.end()) addresses.push_back(self->second);
  if (auto ports = CheckPorts(addresses); !ports) return ports;
  return CheckDataFolder(config.data);
}

Result<void> Server::Parts::Open() {
  observer = std::make_unique<Observer>(config.data);
  node::NodeStateOptions folder;
  folder.id = config.id;
  for (const auto& [id, address] : config.members) folder.members.push_back(id);
  if (folder.members.empty()) folder.members.push_back(config.id);
  folder.folder = config.data;
  folder.incarnation = RandomNumber();
  folder.log.segment_bytes = config.log_segment_bytes;
  folder.store.checkpoint_bytes = config.checkpoint_bytes;
  folder.store.checkpoint_rows = config.checkpoint_rows;
  folder.database = config.data + "/store/" + store::kDatabaseFolder;
  folder.open_base = [this]() -> Result<std::unique_ptr<store::Base>> {
    auto base = store::RocksDbBase::Open(config.data + "/store");
    if (!base) return Fail(base.error());
    rocksdb = base->get();
    return std::unique_ptr<store::Base>(std::move(*base));
  };
  folder.add_services = [this](state_machine::Registry& registry,
                               const std::unique_ptr<state_machine::Machine>& machine) {
    RegisterServices(registry);
    node::RegisterClusterService(
        registry,
        {[this] { return observer->Status(); }, [this] { return observer->Figures(); },
         [this] { return observer->Load(); },
         [this](node::MembershipChange change) {
           return node->ChangeMembership(std::move(change));
         },
         [this] { return &node->backup(); },
         [this](uint64_t delay_ms, uint64_t for_ms) { node->HoldBackFor(delay_ms, for_ms); },
         [this] { return observer->Clock(); }});
    // No principal is known yet: all callers share one space of keys.
    state_machine::RegisterRequestsService(
        registry, [&machine](const state_machine::Method& method, const std::string& key) {
          auto last = machine->LastReply(method, "", key);
          return last ? std::optional(std::move(last->reply)) : std::nullopt;
        });
  };
  auto opened = node::NodeState::Open(files, folder, [this](wal::Ticket t) {
    if (node::Node* listener = log_listener.load(std::memory_order_acquire)) {
      listener->LogDurable(t);
    }
  });
  if (!opened) return Fail(opened.error());
  state = std::move(*opened);
  LearnKeys();

  node::NodeOptions options;
  options.checkpoint_interval_ms = config.checkpoint_interval_ms;
  options.retention.bytes = config.log_keep_bytes;
  options.retention.entries = config.log_keep_entries;
  options.disk_reserve_bytes = config.disk_reserve_bytes;
  options.clock = config.clock;
  options.entry_requests = config.entry_requests;
  options.members = folder.members;
  for (const auto& [id, address] : config.members) options.addresses[id] = address.ToString();
  options.restarts = restarts;
  options.lifetime = RandomNumber();
  options.raft.id = config.id;
  options.raft.election_timeout_ms = config.election_timeout_ms;
  options.raft.heartbeat_ms = config.heartbeat_ms;
  options.raft.seed = static_cast<uint32_t>(RandomNumber());
  node = std::make_unique<node::Node>(
      options,
      node::Node::Parts{clock, state->machine(), state->store(), state->log(), state->founding(),
                        loop, apply, reads, background, files, config.data,
                        [this](const std::string& to) { return rocksdb->Export(to); }},
      node::Node::Endings{[this](const std::string& why) { config.fatal(why); },
                          [this] { restart(); }});
  log_listener.store(node.get(), std::memory_order_release);
  if (config.scrub_seconds > 0) {
    scrub = std::make_unique<Scrub>(files, config.data, state->log(), *rocksdb,
                                    config.scrub_seconds, scrubbed);
  }
  return {};
}

// Step by step, so that checkpoints get their turn.
void Server::Parts::LearnKeys() {
  background.Post([this] {
    if (state->store().LearnKeys()) LearnKeys();
  });
}

Result<void> Server::Parts::Serve() {
  const bool runs_at_once = config.members.size() <= 1 || state->founding().founded();
  if (!config.members.empty()) {
    node::TcpPeerLink::Options options;
    options.listen = config.members.at(config.id).ToString();
    // Hellos that come before the node has started are kept; other frames are dropped, as ever.
    auto started = node::TcpPeerLink::Start(options, *node, loop);
    if (!started) return Fail(started.error());
    link = std::move(*started);
    node->Start(*link);
  } else {
    node->Start(no_peers);
  }
  ntp = std::make_unique<node::NtpClient>(
      loop, clock, config.clock.ntp_servers, config.clock.ntp_poll_ms,
      [this](size_t server, node::ClockKeeper::ServerWord word) {
        node->ServerSays(server, std::move(word));
      });
  if (runs_at_once) node->WaitUntilRunning();  // Calls that follow find consensus running.
  grpc_door = std::make_unique<api::MeteredDispatcher>(state->registry(), *node, "grpc");
  pipe_door = std::make_unique<api::MeteredDispatcher>(state->registry(), *node, "pipe");
  http_door = std::make_unique<api::MeteredDispatcher>(state->registry(), *node, "http");
  observer->Watch({node.get(),
                   &state->log(),
                   rocksdb,
                   link.get(),
                   &scrubbed,
                   {grpc_door.get(), pipe_door.get(), http_door.get()}});

  api::grpc::ServerOptions grpc_options;
  grpc_options.address = config.grpc.host;
  grpc_options.port = config.grpc.port;
  grpc_options.pipe = pipe_door.get();
  const FileShares files = ShareFiles(OpenFilesMax());
  grpc_options.files_max = files.grpc_files_max;
  auto grpc_server = api::grpc::Server::Start(grpc_options, state->registry(), *grpc_door);
  if (!grpc_server) return Fail(grpc_server.error());
  grpc = std::move(*grpc_server);
  WatchHealth();

  http_handler =
      std::make_unique<api::http::Handler>(state->registry(), *http_door, ThisProgram().release,
                                           [this] { return observer->MetricsText(); });
  api::http::ServerOptions http_options;
  http_options.address = config.http.host;
  http_options.port = config.http.port;
  http_options.connections_max = files.http_connections;
  http_options.files_max = files.http_files_max;
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
  if (node) node->StopWaiting();
  if (http) http->Stop(grace);
  if (grpc) grpc->Stop(grace);
  if (ntp) ntp->Stop();
  if (node) node->Stop();
  if (link) link->Stop();
  scrub.reset();
  log_listener.store(nullptr, std::memory_order_release);
  if (state) state->CloseLog();  // Writes what is queued; its last reports go nowhere.
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

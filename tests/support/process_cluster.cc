#include "tests/support/process_cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/free_ports.h"
#include "tests/support/http_client.h"

extern char** environ;

namespace holdfast::testing {
namespace {

using Clock = std::chrono::steady_clock;

// The pause between two looks at a process from outside, which sends no event.
void LookAgainSoon() { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }

}  // namespace

std::string ProcessCluster::Program() {
  if (const char* path = std::getenv("HOLDFAST_PROGRAM")) return path;
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
  if (length <= 0) throw std::runtime_error("cannot find myself");
  return (std::filesystem::path(std::string(self, static_cast<size_t>(length))).parent_path() /
          "holdfast")
      .string();
}

ProcessCluster::ProcessCluster(int nodes)
    : own_folder_(std::in_place), folder_(own_folder_->path()), nodes_(static_cast<size_t>(nodes)) {
  const std::vector<uint16_t> ports = FreePorts(nodes_.size() * 3);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].site.host = "127.0.0.1";
    nodes_[i].site.data = folder_ + "/" + std::to_string(i + 1);
    nodes_[i].http = ports[3 * i];
    nodes_[i].grpc = ports[3 * i + 1];
    nodes_[i].peer = ports[3 * i + 2];
  }
}

ProcessCluster::ProcessCluster(std::string folder, std::vector<Site> sites)
    : folder_(std::move(folder)), nodes_(sites.size()) {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const auto id = static_cast<uint16_t>(i + 1);
    nodes_[i].site = std::move(sites[i]);
    nodes_[i].http = 8000 + id;
    nodes_[i].grpc = 9000 + id;
    nodes_[i].peer = 7000 + id;
  }
}

ProcessCluster::~ProcessCluster() {
  for (int node = 1; node <= size(); ++node) {
    if (Running(node)) Kill(node);
  }
}

void ProcessCluster::SetProgram(const std::string& name) {
  program_ = (std::filesystem::path(Program()).parent_path() / name).string();
}

void ProcessCluster::Start(int node) {
  Node& n = nodes_[Index(node)];
  std::string members;
  for (int i = 1; i <= size(); ++i) {
    const bool is_told = members_.empty() ? i <= std::max(node, founders())
                                          : i == node || std::ranges::count(members_, i) > 0;
    if (!is_told) continue;
    if (!members.empty()) members += ',';
    members += std::to_string(i) + "=" + host(i) + ":" + std::to_string(nodes_[Index(i)].peer);
  }
  std::vector<std::string> arguments = {program_,    "serve",
                                        "--id",      std::to_string(node),
                                        "--data",    data(node),
                                        "--members", members,
                                        "--http",    host(node) + ":" + std::to_string(n.http),
                                        "--grpc",    host(node) + ":" + std::to_string(n.grpc)};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  if (open_files_max_ > 0) {
    const std::string limit = "--nofile=" + std::to_string(open_files_max_);
    arguments.insert(arguments.begin(), {"/usr/bin/prlimit", limit});
  }
  if (!n.site.enter) {
    Spawn(n, std::move(arguments), LogPath(node));
    return;
  }
  // A process begins in the namespaces of the thread that starts it.
  std::exception_ptr failure;
  std::thread([&] {
    try {
      n.site.enter();
      Spawn(n, std::move(arguments), LogPath(node));
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

void ProcessCluster::Spawn(Node& node, std::vector<std::string> arguments, const std::string& log) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (std::string& setting : node.site.environment) environment.push_back(setting.data());
  for (char** setting = environ; *setting != nullptr; ++setting) environment.push_back(*setting);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int error =
      posix_spawn(&node.pid, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + arguments[0]);
}

void ProcessCluster::StartAll() {
  for (int node = 1; node <= founders(); ++node) {
    if (!Running(node)) Start(node);
  }
}

void ProcessCluster::Signal(int node, int signal) { kill(nodes_[Index(node)].pid, signal); }

void ProcessCluster::Kill(int node) {
  Node& n = nodes_[Index(node)];
  kill(n.pid, SIGKILL);
  waitpid(n.pid, nullptr, 0);
  n.pid = 0;
}

void ProcessCluster::Wipe(int node) { std::filesystem::remove_all(data(node)); }

int ProcessCluster::Terminate(int node) {
  Node& n = nodes_[Index(node)];
  kill(n.pid, SIGTERM);
  int status = -1;
  waitpid(n.pid, &status, 0);
  n.pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int ProcessCluster::Wait(int node) {
  Node& n = nodes_[Index(node)];
  int status = 0;
  waitpid(n.pid, &status, 0);
  n.pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int ProcessCluster::WaitEnd(int node, std::chrono::seconds patience) {
  Node& n = nodes_[Index(node)];
  const auto deadline = Clock::now() + patience;
  int status = 0;
  while (waitpid(n.pid, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) return -1;
    LookAgainSoon();
  }
  n.pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::optional<int> ProcessCluster::Ended(int node) {
  Node& n = nodes_[Index(node)];
  int status = 0;
  if (n.pid == 0 || waitpid(n.pid, &status, WNOHANG) == 0) return std::nullopt;
  n.pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void ProcessCluster::Freeze(int node) {
  Signal(node, SIGSTOP);
  int status = 0;
  if (waitpid(nodes_[Index(node)].pid, &status, WUNTRACED) < 0 || !WIFSTOPPED(status)) {
    nodes_[Index(node)].pid = 0;
    throw std::runtime_error("node " + std::to_string(node) + " ended instead of standing still");
  }
}

void ProcessCluster::Thaw(int node) { Signal(node, SIGCONT); }

bool ProcessCluster::WaitHealthy(std::chrono::seconds patience) {
  for (int node = 1; node <= size(); ++node) {
    if (Running(node) && !WaitHealthy(node, patience)) return false;
  }
  return true;
}

bool ProcessCluster::WaitHealthy(int node, std::chrono::seconds patience) {
  const auto deadline = Clock::now() + patience;
  while (Clock::now() < deadline) {
    if (HttpClient(host(node), http(node), std::chrono::seconds(2)).Get("/health").status == 200)
      return true;
    LookAgainSoon();
  }
  return false;
}

int ProcessCluster::WaitLeader(int except, std::chrono::seconds patience) {
  const auto deadline = Clock::now() + patience;
  while (Clock::now() < deadline) {
    for (int node = 1; node <= size(); ++node) {
      if (node == except || !Running(node)) continue;
      const HttpReply reply =
          HttpClient(host(node), http(node), std::chrono::seconds(2)).Get("/leader");
      if (reply.status == 200 && JsonField(reply.body, "is_me") == "true") return node;
    }
    LookAgainSoon();
  }
  return 0;
}

uint64_t ProcessCluster::Term() const {
  for (const auto deadline = Clock::now() + std::chrono::seconds(30); Clock::now() < deadline;) {
    uint64_t highest = 0;
    for (int node = 1; node <= size(); ++node) {
      if (!Running(node)) continue;
      const HttpReply reply =
          HttpClient(host(node), http(node), std::chrono::seconds(15)).Get("/status");
      const std::string term = JsonField(reply.body, "term");
      highest = std::max<uint64_t>(highest, std::strtoull(term.c_str(), nullptr, 10));
    }
    if (highest > 0) return highest;
    LookAgainSoon();
  }
  throw std::runtime_error("no node tells its term");
}

bool ProcessCluster::HandedOver(int node) const {
  const std::string log = LogOf(node);
  const size_t leads = log.rfind("raft   leads ");
  return leads != std::string::npos && log.find("raft   follows ", leads) != std::string::npos;
}

bool ProcessCluster::WaitEqualState(std::chrono::seconds patience, std::string* report) {
  const auto deadline = Clock::now() + patience;
  while (true) {
    std::string first_applied;
    std::string first_digest;
    bool level = true;
    bool equal = true;
    report->clear();
    for (int node = 1; node <= size(); ++node) {
      if (!Running(node)) continue;
      const HttpReply reply =
          HttpClient(host(node), http(node), std::chrono::seconds(5)).Get("/status");
      const std::string applied = JsonField(reply.body, "applied");
      const std::string digest = JsonField(reply.body, "digest");
      *report += "node " + std::to_string(node) + ": " + reply.body + "\n";
      if (first_applied.empty()) {
        first_applied = applied;
        first_digest = digest;
      }
      level = level && !applied.empty() && applied == first_applied;
      equal = equal && digest == first_digest;
    }
    if (level) return equal;
    if (Clock::now() >= deadline) return false;
    LookAgainSoon();
  }
}

std::string ProcessCluster::LogOf(int node) const {
  std::ifstream in(LogPath(node));
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace holdfast::testing

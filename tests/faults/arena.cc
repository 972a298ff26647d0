#include "tests/faults/arena.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The machine may be busy with other things; a cluster that heals at all does so long before.
constexpr std::chrono::seconds kLevelMax{60};
// Well below what the nodes keep of their logs (kFlags), at the rate of the load.
constexpr std::chrono::seconds kCollectEvery{15};

// Small limits, so that checkpoints, truncation and catching up by checkpoint happen all the time.
const std::vector<std::string> kFlags = {
    "--checkpoint-interval-ms", "2000",     "--log-segment-bytes",  "2097152",
    "--log-keep-bytes",         "16777216", "--disk-reserve-bytes", "67108864",
    "--scrub-seconds",          "2",
};

constexpr char kSmallDiskOptions[] = "size=512m";

FaultControl* MapControl(const std::string& path, const std::string& folder) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(FaultControl)) != 0) throw std::runtime_error("no " + path);
  void* mapped = mmap(nullptr, sizeof(FaultControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) throw std::runtime_error("cannot map " + path);
  auto* control = static_cast<FaultControl*>(mapped);
  std::strncpy(control->folder, folder.c_str(), sizeof(control->folder) - 1);
  return control;
}

}  // namespace

void Wait(milliseconds duration) { std::this_thread::sleep_for(duration); }

Arena::Arena(std::string folder, int nodes, uint64_t seed, const std::string& shim)
    : folder_(std::move(folder)),
      network_(nodes + 1, seed),
      log_(RecordingIn(folder_)),
      collected_at_(steady_clock::now()),
      may_end_(static_cast<size_t>(nodes + 1)),
      spoken_(static_cast<size_t>(nodes + 1)) {
  small_disk_ = nodes;
  MakeSmallDisk();
  std::vector<testing::Site> sites;
  for (int node = 1; node <= nodes + 1; ++node) {
    if (node <= nodes) members_.push_back(node);
    const std::string place = folder_ + "/" + std::to_string(node);
    testing::Site site;
    site.host = Network::Host(node);
    std::filesystem::create_directories(place);
    site.data = place + "/data";
    const std::string control = place + "/faults";
    controls_.push_back(MapControl(control, site.data));
    site.environment = {"LD_PRELOAD=" + shim, "HOLDFAST_FAULTS=" + control};
    site.enter = [this, node] { network_.Enter(node); };
    sites.push_back(std::move(site));
  }
  cluster_ = std::make_unique<testing::ProcessCluster>(folder_, std::move(sites));
  cluster_->SetFlags(kFlags);
  cluster_->SetMembers(members_);
  watch_ = std::make_unique<Watch>(*cluster_);
}

Arena::~Arena() {
  watch_.reset();
  cluster_.reset();
  for (FaultControl* control : controls_) munmap(control, sizeof(FaultControl));
  if (small_disk_ != 0) umount2((folder_ + "/" + std::to_string(small_disk_)).c_str(), MNT_DETACH);
}

std::string Arena::endpoint(int node) const {
  return addresses()[static_cast<size_t>(node - 1)].endpoint();
}

std::vector<Address> Arena::addresses() const {
  std::vector<Address> all;
  for (int node = 1; node <= cluster_->size(); ++node) {
    all.push_back({cluster_->host(node), cluster_->http(node), cluster_->grpc(node)});
  }
  return all;
}

int Arena::spare() const {
  int node = 1;
  while (IsMember(node)) ++node;
  return node;
}

void Arena::Replace(int removed, int added) {
  std::ranges::replace(members_, removed, added);
  std::ranges::sort(members_);
  cluster_->SetMembers(members_);
}

int Arena::Operate(const std::string& words, int node) {
  std::string endpoints = node == 0 ? "" : endpoint(node);
  for (const Address& each : addresses()) {
    if (node == 0) endpoints += (endpoints.empty() ? "" : ",") + each.endpoint();
  }
  const std::string command = testing::ProcessCluster::Program() + " --endpoints " + endpoints +
                              " " + words + " >> " + folder_ + "/operator.log 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// --- Lives

void Arena::Start(int node) {
  std::error_code none_yet;
  const auto size = std::filesystem::file_size(LogFile(node), none_yet);
  spoken_[static_cast<size_t>(node - 1)] = none_yet ? 0 : size;
  may_end_[static_cast<size_t>(node - 1)] = false;
  cluster_->Start(node);
}

void Arena::Collect(int node) {
  // What is damaged on purpose is not the log that was agreed on.
  if (may_end_[static_cast<size_t>(node - 1)]) return;
  const LogIndex applied(watch_->status(node).applied());
  if (applied <= log_.last()) return;
  if (log_.Collect(cluster_->data(node) + "/log", folder_ + "/copy-of-a-log", applied)) {
    collected_at_ = steady_clock::now();
  }
}

void Arena::Kill(int node) {
  cluster_->Kill(node);
  Collect(node);
}

int Arena::Terminate(int node) {
  const int status = cluster_->Terminate(node);
  Collect(node);
  return status;
}

void Arena::Freeze(int node) {
  cluster_->Freeze(node);
  Collect(node);
}

void Arena::Wipe(int node) {
  cluster_->Wipe(node);
  watch_->Forget(node);
}

void Arena::CollectIfLate() {
  if (steady_clock::now() - collected_at_ < kCollectEvery) return;
  for (int node : members_) {
    const cluster::StatusReply status = watch_->status(node);
    const bool is_new = LogIndex(status.applied()) > log_.last();
    const bool reaches_back = LogIndex(status.first()) <= log_.last().Next();
    if (!cluster_->Running(node) || !is_new || !reaches_back) continue;
    Freeze(node);
    cluster_->Thaw(node);
    return;
  }
}

std::optional<int> Arena::WaitEnd(int node, milliseconds patience) {
  const auto until = steady_clock::now() + patience;
  while (true) {
    if (const auto status = cluster_->Ended(node)) {
      Collect(node);
      return status;
    }
    if (steady_clock::now() > until) return std::nullopt;
    CheckAlive();
    Wait(milliseconds(10));
  }
}

std::string Arena::LastWords(int node) const {
  std::string all = cluster_->LogOf(node);
  return all.substr(std::min(all.size(), spoken_[static_cast<size_t>(node - 1)]));
}

// --- The small disk

void Arena::MakeSmallDisk() {
  const std::string place = folder_ + "/" + std::to_string(small_disk_);
  std::filesystem::create_directories(place);
  if (mount("small", place.c_str(), "tmpfs", 0, kSmallDiskOptions) != 0) small_disk_ = 0;
}

void Arena::FillDisk(uint64_t bytes_left) {
  const std::string place = folder_ + "/" + std::to_string(small_disk_);
  struct statvfs space {};
  if (statvfs(place.c_str(), &space) != 0) throw std::runtime_error("statvfs of " + place);
  const uint64_t free_bytes = space.f_bavail * space.f_frsize;
  if (free_bytes <= bytes_left) return;
  const int fd = open((place + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const off_t begin = lseek(fd, 0, SEEK_END);
  // The node goes on writing meanwhile: what does not fit any more is no failure.
  if (posix_fallocate(fd, begin, static_cast<off_t>(free_bytes - bytes_left)) != 0) errno = 0;
  close(fd);
}

void Arena::FreeDisk() {
  std::filesystem::remove(folder_ + "/" + std::to_string(small_disk_) + "/filler");
}

// --- Judging

void Arena::Abandon() {
  for (int node : members_) {
    cluster::StatusReply status;
    if (cluster_->Running(node)) watch_->Ask(node, &status);
  }
  for (int node : members_) {
    if (cluster_->Running(node)) Kill(node);
  }
}

void Arena::CheckAlive() {
  for (int node = 1; node <= cluster_->size(); ++node) {
    if (may_end_[static_cast<size_t>(node - 1)]) continue;
    if (const auto status = cluster_->Ended(node)) {
      throw sim::Violation("node " + std::to_string(node) + " has ended by itself with status " +
                           std::to_string(*status) + "; its last words:\n" + LastWords(node));
    }
  }
  if (std::string found = watch_->violation(); !found.empty()) throw sim::Violation(found);
}

void Arena::WaitLevel(LogIndex position) {
  const auto until = steady_clock::now() + kLevelMax;
  for (int node : members_) {
    cluster::StatusReply status;
    while (!cluster_->Running(node) || !watch_->Ask(node, &status) || !status.ready() ||
           status.applied() < position.value) {
      CheckAlive();
      CollectIfLate();
      if (steady_clock::now() > until) {
        throw sim::Violation("liveness: node " + std::to_string(node) +
                             " is not level after everything healed; it says " +
                             status.ShortDebugString());
      }
      status.Clear();
      Wait(milliseconds(20));
    }
  }
}

}  // namespace holdfast::faults

// What happens to the machines of a simulated cluster.
#include <algorithm>
#include <cerrno>

#include "sim/cluster.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kFreeBytes = uint64_t{1} << 40;

std::string Name(NodeId node) { return "node " + node.ToString(); }

}  // namespace

void Cluster::CutPower(NodeId node, uint64_t nth) {
  if (!IsUp(node)) return;
  At(node).files->CutPower(nth);
}

void Cluster::FailSync(NodeId node, uint64_t nth) {
  if (!IsUp(node)) return;
  At(node).files->FailSync(nth, EIO);
}

void Cluster::FailWrite(NodeId node, uint64_t nth) {
  if (!IsUp(node)) return;
  At(node).files->FailWrite(nth, ENOSPC);
}

void Cluster::FillDisk(NodeId node, uint64_t ms) {
  Machine& machine = At(node);
  world_.Trace(Name(node) + " has no room on its disk for " + std::to_string(ms) + " ms");
  machine.files->SetFreeBytes(0);
  machine.full_until_us = std::max(machine.full_until_us, world_.events.now_us() + ms * 1000);
  world_.events.At(machine.full_until_us, [this, node] {
    Machine& full = At(node);
    if (world_.events.now_us() >= full.full_until_us) full.files->SetFreeBytes(kFreeBytes);
  });
}

void Cluster::Pause(NodeId node, uint64_t ms) {
  Machine& machine = At(node);
  if (!machine.life || machine.paused) return;
  world_.Trace(Name(node) + " is paused for " + std::to_string(ms) + " ms");
  machine.paused = true;
  world_.events.After(ms * 1000, [this, node, life = std::weak_ptr(machine.life)] {
    if (life.expired() || life.lock() != At(node).life) return;
    GoOn(At(node));
  });
}

void Cluster::GoOn(Machine& machine) {
  if (!machine.paused) return;
  world_.Trace(Name(machine.id) + " goes on");
  machine.paused = false;
  auto kept = std::exchange(machine.kept, {});
  for (auto& [life, action] : kept) Run(machine.id, life, std::move(action));
}

void Cluster::Heal(NodeId node) {
  Machine& machine = At(node);
  machine.files->ForgetFaults();
  machine.files->SetFreeBytes(kFreeBytes);
  GoOn(machine);
}

bool Cluster::Wipe(NodeId node) {
  Machine& machine = At(node);
  if (machine.use != Use::kInUse || !MayLose(machine)) return false;
  Drop(node, false);
  world_.Trace(Name(node) + " loses its disk");
  ReplaceDisk(machine);
  return true;
}

void Cluster::ReplaceDisk(Machine& machine) {
  NoteDisk(machine);
  checker_.LosesDisk(machine.id);
  machine.files = std::make_unique<FaultyFileSystem>(FaultyOptions{.seed = world_.random.Next()});
  machine.holds.reset();
  machine.proposed.clear();
  machine.rotten = false;
  machine.lost = true;
  if (checker_.memberships().empty()) return;
  machine.members = checker_.memberships().last().All();
  if (std::find(machine.members.begin(), machine.members.end(), machine.id) !=
      machine.members.end())
    return;
  machine.members.push_back(machine.id);
  std::sort(machine.members.begin(), machine.members.end());
}

void Cluster::BeginAnew() {
  Require(founded_ == 0, "liveness: no leader, though the cluster was founded:" + Describe());
  world_.Trace("the cluster cannot be founded; all begin anew");
  for (auto& machine : machines_) {
    if (machine->use != Use::kInUse) continue;
    Drop(machine->id, false);
    ReplaceDisk(*machine);
    machine->lost = false;
    Start(machine->id);
  }
}

void Cluster::Rot(NodeId node) {
  Machine& machine = At(node);
  const std::vector<std::string> files = machine.files->Files();
  if (files.empty() || !MayLose(machine)) return;
  const std::string& file = files[world_.random.Between(0, files.size() - 1)];
  const std::string bytes = *machine.files->Contents(file);
  // Most of a log's file is zeros that nobody has written yet.
  const size_t end = bytes.find_last_not_of('\0') + 1;
  if (end == 0) return;
  const uint64_t offset = world_.random.Between(0, end - 1);
  world_.Trace(Name(node) + " has a flipped bit in " + file + " at " + std::to_string(offset));
  machine.files->FlipBit(file, offset, static_cast<uint32_t>(world_.random.Between(0, 7)));
  NoteDisk(machine);
  machine.rotten = true;
}

void Cluster::SetDisk(NodeId node, uint64_t min_us, uint64_t max_us) {
  At(node).disk_min_us = min_us;
  At(node).disk_max_us = max_us;
}

}  // namespace holdfast::sim

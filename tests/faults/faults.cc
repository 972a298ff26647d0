#include "tests/faults/faults.h"

#include "tests/faults/disk_faults.h"

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;

milliseconds Between(sim::Random& random, uint64_t low_ms, uint64_t high_ms) {
  return milliseconds(random.Between(low_ms, high_ms));
}

// --- Processes

Fault KillSome(Arena& arena, std::vector<int> nodes, milliseconds lasts, std::string what) {
  return {std::move(what),
          [&arena, nodes] {
            for (int node : nodes) arena.Kill(node);
          },
          lasts,
          [&arena, nodes] {
            for (int node : nodes) arena.Start(node);
          }};
}

Fault Kill(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  return KillSome(arena, {node}, Between(random, 100, 3'000), Name(arena, node) + " is killed");
}

Fault KillLeader(Arena& arena, sim::Random& random) {
  const int node = arena.Leader();
  if (node == 0) return {};
  return KillSome(arena, {node}, Between(random, 100, 3'000), Name(arena, node) + " is killed");
}

Fault KillAll(Arena& arena, sim::Random& random) {
  return KillSome(arena, arena.members(), Between(random, 0, 1'000), "all nodes are killed");
}

Fault Stop(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  return {Name(arena, node) + " is stopped in an orderly way",
          [&arena, node] {
            const int status = arena.Terminate(node);
            sim::Require(status == 0, "a node that was asked to stop ended with status " +
                                          std::to_string(status) + ":\n" + arena.LastWords(node));
          },
          Between(random, 100, 2'000), [&arena, node] { arena.Start(node); }};
}

Fault Freeze(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  return {Name(arena, node) + " stands still", [&arena, node] { arena.Freeze(node); },
          Between(random, kElectionTimeoutMs * 3 / 2, 5'000),
          [&arena, node] { arena.cluster().Thaw(node); }};
}

Fault Lose(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  return {Name(arena, node) + " loses its folder",
          [&arena, node] {
            arena.Kill(node);
            arena.Wipe(node);
          },
          Between(random, 100, 1'000), [&arena, node] { arena.Start(node); }};
}

// Its wall clock alone: the monotonic one goes right.
Fault SetClocks(Arena& arena, sim::Random& random) {
  std::vector<int> nodes = {SomeNode(arena, random)};
  std::string what = Name(arena, nodes[0]) + " has a clock that is wrong";
  if (random.OneIn(3)) {
    nodes = arena.members();
    what = "all nodes have clocks that are wrong";
  }
  const int64_t far_us = random.OneIn(4) ? 60'000'000 : 2'000'000;
  for (int node : nodes) {
    arena.control(node).clock_offset_us =
        static_cast<int64_t>(random.Between(0, static_cast<uint64_t>(2 * far_us))) - far_us;
  }
  return {what, [] {}, Between(random, 500, 5'000),
          [&arena, nodes] {
            for (int node : nodes) arena.control(node).clock_offset_us = 0;
          }};
}

// --- Members

constexpr int kRemoved = 5;                  // How a node ends that was removed while it ran.
constexpr milliseconds kRemovedMax{45'000};  // It tells the others for half a minute.

// One dies for good, or is to go, and another takes its place: added, promoted, and the old one
// removed, as docs/operations.md has it.
Fault Replace(Arena& arena, sim::Random& random) {
  const int old = SomeNode(arena, random);
  const int young = arena.spare();
  const bool dies = random.OneIn(2);
  const auto operate = [&arena](const std::string& words) {
    // On a bad network it takes many attempts; each may be repeated.
    const int code = arena.Operate("members " + words + " --wait 300");
    sim::Require(code == 0, "holdfast members " + words + " ends with " + std::to_string(code) +
                                ", see operator.log");
  };
  return {Name(arena, old) + (dies ? " dies for good" : " is to go") + ", node " +
              std::to_string(young) + " takes its place",
          [&arena, old, young, dies, operate] {
            const testing::ProcessCluster& cluster = arena.cluster();
            if (dies) arena.Kill(old);
            operate("add " + std::to_string(young) + " " + cluster.host(young) + ":" +
                    std::to_string(cluster.peer(young)));
            arena.Start(young);
            operate("promote " + std::to_string(young));
            arena.ExpectEnd(old);
            operate("remove " + std::to_string(old));
            arena.Replace(old, young);
            if (dies) return;
            const auto ended = arena.WaitEnd(old, kRemovedMax);
            sim::Require(ended == kRemoved, "node " + std::to_string(old) +
                                                " was removed, and did not end with status 5:\n" +
                                                arena.LastWords(old));
          },
          Between(random, 100, 2'000), [&arena, old] { arena.Wipe(old); }};
}

// --- The network

Fault OnNetwork(Arena& arena, std::string what, milliseconds lasts, std::function<void()> begin) {
  return {std::move(what), std::move(begin), lasts, [&arena] { arena.network().Heal(); }};
}

constexpr Link kCut{.cut = true};

Fault Isolate(Arena& arena, sim::Random& random, int node, bool from_clients) {
  if (node == 0) return {};
  const std::string what =
      Name(arena, node) + " is cut off from " + (from_clients ? "everything" : "the others");
  return OnNetwork(arena, what, Between(random, 500, 6'000), [&arena, node, from_clients] {
    for (int other = from_clients ? 0 : 1; other <= arena.network().nodes(); ++other) {
      if (other != node) arena.network().SetBoth(node, other, kCut);
    }
  });
}

Fault Partition(Arena& arena, sim::Random& random) {
  return Isolate(arena, random, SomeNode(arena, random), random.OneIn(2));
}

Fault IsolateLeader(Arena& arena, sim::Random& random) {
  return Isolate(arena, random, arena.Leader(), random.OneIn(2));
}

// Groups in which nobody, or one of them, has a majority.
Fault Split(Arena& arena, sim::Random& random) {
  std::vector<bool> left;
  for (int node = 1; node <= arena.network().nodes(); ++node) left.push_back(random.OneIn(2));
  const bool all = random.OneIn(4);
  return OnNetwork(
      arena, all ? "all nodes are cut off from one another" : "the network is split",
      Between(random, 500, 6'000), [&arena, left, all] {
        for (int a = 1; a <= arena.network().nodes(); ++a) {
          for (int b = a + 1; b <= arena.network().nodes(); ++b) {
            if (all || left[static_cast<size_t>(a - 1)] != left[static_cast<size_t>(b - 1)]) {
              arena.network().SetBoth(a, b, kCut);
            }
          }
        }
      });
}

Fault OneWay(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  const bool speaks = random.OneIn(2);
  return OnNetwork(arena,
                   Name(arena, node) + (speaks ? " hears nothing of the others" : " is not heard"),
                   Between(random, 500, 6'000), [&arena, node, speaks] {
                     for (int other = 1; other <= arena.network().nodes(); ++other) {
                       if (other == node) continue;
                       if (speaks) {
                         arena.network().Set(other, node, kCut);
                       } else {
                         arena.network().Set(node, other, kCut);
                       }
                     }
                   });
}

// Two nodes do not reach each other, and both reach the rest.
Fault Pair(Arena& arena, sim::Random& random) {
  const int a = SomeNode(arena, random);
  const std::vector<int>& members = arena.members();
  const auto at = std::ranges::find(members, a);
  const int b = at + 1 == members.end() ? members.front() : *(at + 1);
  return OnNetwork(
      arena,
      "nodes " + std::to_string(a) + " and " + std::to_string(b) + " do not reach each other",
      Between(random, 500, 6'000), [&arena, a, b] { arena.network().SetBoth(a, b, kCut); });
}

Fault Everywhere(Arena& arena, sim::Random& random, std::string what, const Link& link) {
  return OnNetwork(arena, std::move(what), Between(random, 1'000, 6'000), [&arena, link] {
    for (int from = 0; from <= arena.network().nodes(); ++from) {
      for (int to = 0; to <= arena.network().nodes(); ++to) arena.network().Set(from, to, link);
    }
  });
}

Fault Lossy(Arena& arena, sim::Random& random) {
  Link link;
  link.loss_percent = static_cast<uint32_t>(random.Between(1, 20));
  link.twice_percent = static_cast<uint32_t>(random.Between(0, 10));
  return Everywhere(arena, random, std::to_string(link.loss_percent) + " % of all packets are lost",
                    link);
}

Fault Slow(Arena& arena, sim::Random& random) {
  Link link;
  link.delay_ms_min = static_cast<uint32_t>(random.Between(0, 20));
  link.delay_ms_max = link.delay_ms_min + static_cast<uint32_t>(random.Between(1, 60));
  return Everywhere(arena, random,
                    "packets take " + std::to_string(link.delay_ms_min) + " to " +
                        std::to_string(link.delay_ms_max) + " ms",
                    link);
}

}  // namespace

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds = {
      {"kill", 3, false, Kill},
      {"kill the leader", 3, false, KillLeader},
      {"kill all", 1, false, KillAll},
      {"orderly stop", 2, false, Stop},
      {"stand still", 3, false, Freeze},
      {"lost folder", 2, false, Lose},
      {"node replaced", 2, false, Replace},
      {"wrong clock", 2, false, SetClocks},
      {"partition", 2, false, Partition},
      {"leader isolated", 3, false, IsolateLeader},
      {"split", 2, false, Split},
      {"one way", 3, false, OneWay},
      {"pair cut", 2, false, Pair},
      {"loss", 3, true, Lossy},
      {"delay", 3, true, Slow},
      {"disk error", 3, false, DiskError},
      {"disk stall", 2, false, DiskStall},
      {"full disk", 3, false, FullDisk},
      {"flipped bit", 3, false, FlippedBit},
  };
  return kinds;
}

}  // namespace holdfast::faults

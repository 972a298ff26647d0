// A network of our own between nodes and clients. Every node has a network namespace with one
// device, whose other end is a file of this process; a thread here carries each packet from device
// to device, and loses, delays and repeats it as it is told. So every pair of places can be cut in
// one direction or in both at once, exactly and on any kernel.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "sim/world.h"

namespace holdfast::faults {

// What a packet meets on its way from one place to another.
struct Link {
  bool cut = false;
  uint32_t loss_percent = 0;
  uint32_t twice_percent = 0;
  uint32_t delay_ms_min = 0;  // Each packet draws its own: they overtake one another.
  uint32_t delay_ms_max = 0;
};

// Place 0 is the namespace of the caller, where clients are; nodes are the places from 1. Set and
// Heal may be called on any thread.
class Network {
 public:
  // Within a sandbox. Throws std::runtime_error when the system refuses.
  Network(int nodes, uint64_t seed);
  ~Network();
  Network(const Network&) = delete;

  static std::string Host(int place);
  // Puts the calling thread, and the processes that it starts, at a node's place.
  void Enter(int node) const;
  int nodes() const { return static_cast<int>(places_.size()) - 1; }

  void Set(int from, int to, const Link& link);
  void SetBoth(int a, int b, const Link& link);
  void Heal();
  uint64_t carried() const { return carried_; }
  uint64_t lost() const { return lost_; }

 private:
  struct Place {
    int device = -1;
    int name_space = -1;
  };
  struct Packet {
    int64_t due_us = 0;
    uint64_t sequence = 0;
    int to = 0;
    std::string bytes;
    bool operator<(const Packet& other) const {
      return due_us != other.due_us ? due_us > other.due_us : sequence > other.sequence;
    }
  };

  void Run();
  void Carry(int from, std::string_view packet);
  void Deliver(int to, std::string_view packet);
  Link& At(int from, int to) {
    return links_[static_cast<size_t>(from) * places_.size() + static_cast<size_t>(to)];
  }

  std::vector<Place> places_;
  std::mutex mutex_;
  std::vector<Link> links_;
  // The thread's.
  sim::Random random_;
  std::priority_queue<Packet> delayed_;
  uint64_t sequence_ = 0;
  std::atomic<uint64_t> carried_{0};
  std::atomic<uint64_t> lost_{0};
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace holdfast::faults

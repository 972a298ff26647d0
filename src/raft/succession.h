// When a follower stands for election although its patience is not out: its connection to the
// leader broke, as it does at once when the leader's process ends. That is no proof, and need not
// be one: a pre-vote changes nothing, and is refused by whoever still hears of the leader.
//
// The voters take turns, so that two do not split the vote; who has just given its own to another
// waits for the next turn. After an election timeout the engine's own timer is to decide again.
#pragma once

#include <algorithm>
#include <cstdint>

namespace holdfast::raft {

class Succession {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;
  // For the others to notice it too, and for what the leader sent before to be heard.
  static constexpr uint64_t kNoticeMs = 10;
  // An election in a healthy cluster takes less: two rounds, and term and vote saved twice.
  static constexpr uint64_t kTurnMs = 40;

  // `turn`: of this server among the `voters` that are left, from 0.
  void Begin(uint64_t now_ms, uint64_t turn, uint64_t voters, uint64_t election_timeout_ms) {
    lost_ms_ = now_ms;
    round_ms_ = std::max<uint64_t>(voters, 1) * kTurnMs;
    due_ms_ = now_ms + kNoticeMs + turn * kTurnMs;
    end_ms_ = now_ms + election_timeout_ms;
  }
  void End() { *this = Succession(); }
  // A message of the leader came: it lives, unless it was under way when the connection broke.
  void Heard(uint64_t now_ms) {
    if (is_on() && now_ms > lost_ms_ + kNoticeMs) End();
  }
  // This server has stood for election, or helped another to.
  void Stood(uint64_t now_ms) { Postpone(now_ms + round_ms_); }
  // Nobody may be elected before it has saved what it has.
  void WaitForDisk(uint64_t now_ms) { Postpone(now_ms + kNoticeMs / 2); }

  bool is_on() const { return lost_ms_ != kNever; }
  uint64_t due_ms() const { return due_ms_; }

 private:
  void Postpone(uint64_t due_ms) {
    if (!is_on()) return;
    due_ms_ = due_ms;
    if (due_ms_ > end_ms_) End();
  }

  uint64_t lost_ms_ = kNever;
  uint64_t due_ms_ = kNever;
  uint64_t end_ms_ = 0;
  uint64_t round_ms_ = 0;
};

}  // namespace holdfast::raft

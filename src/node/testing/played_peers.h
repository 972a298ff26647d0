// One real server of a group of three, whose two peers are played by hand: they vote, acknowledge
// and lead as the test says.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/raft/replica.h"
#include "src/raft/testing/memory_log.h"

namespace holdfast::node::testing {

inline constexpr NodeId kSelf{1}, kPeer{2}, kOther{3};

inline constexpr LogIndex kMembership(1);  // The founding one.

class PlayedPeers : public ::testing::Test {
 protected:
  PlayedPeers() {
    spdlog::set_level(spdlog::level::off);
    raft::Replica::FoundLog(log_, raft::Membership{{kSelf, kPeer, kOther}});
    log_.Write(log_.queued());
    replica_.emplace(raft::EngineOptions{kSelf}, raft::Membership{{kSelf, kPeer, kOther}}, log_,
                     [this](NodeId to, LogIndex, raft::Message message) {
                       if (to == kPeer) sent_.push_back(std::move(message));
                     });
    replica_->Start(now_ms_, LogIndex(0));
  }
  ~PlayedPeers() override { spdlog::set_level(spdlog::level::info); }

  void Persist() {
    while (log_.queued() > 0) replica_->Durable(now_ms_, log_.Write(log_.queued()));
  }

  // Elected with the peer's votes; the election's own entry is appended, not acknowledged.
  void Lead() {
    for (int round = 0; round < 10 && replica_->role() != raft::Role::kLeader; ++round) {
      sent_.clear();
      now_ms_ = std::max(now_ms_, replica_->timeout_ms());
      replica_->Tick(now_ms_);
      for (size_t i = 0; i < sent_.size(); ++i) {
        const auto* vote = std::get_if<raft::RequestVote>(&sent_[i]);
        if (vote == nullptr) continue;
        const raft::RequestVoteResult granted{vote->term, true, vote->pre_vote};
        replica_->Receive(now_ms_, kPeer, kMembership, granted);
      }
    }
    ASSERT_EQ(replica_->role(), raft::Role::kLeader);
    Persist();
    // Its first command comes behind a barrier, which would be in the way of counting.
    if (log_.TermAt(log_.last()) == replica_->term()) return;
    ASSERT_TRUE(replica_->Propose(now_ms_, ""));
    Persist();
  }
  // The peer has all of our log.
  void Acknowledge() {
    Persist();
    replica_->Receive(
        now_ms_, kPeer, kMembership,
        raft::AppendEntriesResult{replica_->term(), replica_->term(), LogIndex(0), log_.last()});
  }
  // `leader` leads a later term, and its log has only a barrier after `prev`.
  void FollowAnother(NodeId leader, LogIndex prev) {
    const Term term(replica_->term().value + 1);
    raft::AppendEntries append{term, prev, log_.TermAt(prev), replica_->committed(), {}};
    append.entries.push_back(
        {term, wal::EntryType::kBarrier, std::make_shared<const std::string>()});
    replica_->Receive(now_ms_, leader, kMembership, append);
    Persist();
    ASSERT_EQ(replica_->leader(), leader);
  }
  // That leader says that its barrier is committed.
  void HearOfCommit(NodeId leader) {
    const LogIndex last = log_.last();
    replica_->Receive(now_ms_, leader, kMembership,
                      raft::AppendEntries{replica_->term(), last, log_.TermAt(last), last, {}});
    ASSERT_EQ(replica_->committed(), last);
  }

  uint64_t now_ms_ = 1'000;
  raft::sim::MemoryLog log_;
  std::vector<raft::Message> sent_;  // To the peer.
  std::optional<raft::Replica> replica_;
};

}  // namespace holdfast::node::testing

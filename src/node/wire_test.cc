// Messages, forwarded writes and errors there and back, and what is no message.
#include "src/node/wire.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::node {
namespace {

wal::Entry EntryOf(uint64_t term, wal::EntryType type, std::string payload) {
  return {Term(term), type, std::make_shared<const std::string>(std::move(payload))};
}

// There and back, through the bytes.
std::optional<raft::Message> Sent(const raft::Message& message) {
  RaftMessage arrived;
  EXPECT_TRUE(arrived.ParseFromString(ToWire(message).SerializeAsString()));
  return FromWire(arrived);
}

template <class T>
T SentAs(const T& message) {
  const auto arrived = Sent(message);
  EXPECT_TRUE(arrived && std::holds_alternative<T>(*arrived));
  return std::get<T>(*arrived);
}

TEST(WireTest, AppendEntries) {
  const raft::AppendEntries sent{Term(7),
                                 LogIndex(40),
                                 Term(6),
                                 LogIndex(39),
                                 {EntryOf(6, wal::EntryType::kCommand, std::string("a\0\xff", 3)),
                                  EntryOf(7, wal::EntryType::kBarrier, ""),
                                  EntryOf(7, wal::EntryType::kConfiguration,
                                          raft::Membership{{NodeId(1), NodeId(2)}}.Encode())}};
  const auto arrived = SentAs(sent);
  EXPECT_EQ(arrived.term, sent.term);
  EXPECT_EQ(arrived.prev_index, sent.prev_index);
  EXPECT_EQ(arrived.prev_term, sent.prev_term);
  EXPECT_EQ(arrived.leader_commit, sent.leader_commit);
  ASSERT_EQ(arrived.entries.size(), sent.entries.size());
  for (size_t i = 0; i < sent.entries.size(); ++i) {
    EXPECT_EQ(arrived.entries[i].term, sent.entries[i].term);
    EXPECT_EQ(arrived.entries[i].type, sent.entries[i].type);
    EXPECT_EQ(*arrived.entries[i].payload, *sent.entries[i].payload);
  }
  EXPECT_TRUE(SentAs(raft::AppendEntries{Term(1), {}, {}, {}, {}}).entries.empty());
}

TEST(WireTest, AppendEntriesResult) {
  const auto arrived =
      SentAs(raft::AppendEntriesResult{Term(8), Term(7), LogIndex(40), LogIndex(UINT64_MAX)});
  EXPECT_EQ(arrived.term, Term(8));
  EXPECT_EQ(arrived.request_term, Term(7));
  EXPECT_EQ(arrived.rejected, LogIndex(40));
  EXPECT_EQ(arrived.last_index, LogIndex(UINT64_MAX));
}

TEST(WireTest, Votes) {
  for (const bool flag : {false, true}) {
    const auto request = SentAs(raft::RequestVote{Term(9), LogIndex(41), Term(8), flag, !flag});
    EXPECT_EQ(request.term, Term(9));
    EXPECT_EQ(request.last_index, LogIndex(41));
    EXPECT_EQ(request.last_term, Term(8));
    EXPECT_EQ(request.disrupt_leader, flag);
    EXPECT_EQ(request.pre_vote, !flag);
    const auto result = SentAs(raft::RequestVoteResult{Term(9), flag, !flag});
    EXPECT_EQ(result.term, Term(9));
    EXPECT_EQ(result.granted, flag);
    EXPECT_EQ(result.pre_vote, !flag);
  }
}

TEST(WireTest, TimeoutNow) {
  const auto arrived = SentAs(raft::TimeoutNow{Term(9), LogIndex(41), Term(8)});
  EXPECT_EQ(arrived.term, Term(9));
  EXPECT_EQ(arrived.last_index, LogIndex(41));
  EXPECT_EQ(arrived.last_term, Term(8));
}

TEST(WireTest, WhatIsNoMessageIsRefused) {
  RaftMessage nothing;
  EXPECT_FALSE(FromWire(nothing));
  for (const uint32_t type : {0u, 4u, 257u, UINT32_MAX}) {
    RaftMessage message = ToWire(
        raft::AppendEntries{Term(7), {}, {}, {}, {EntryOf(7, wal::EntryType::kCommand, "a")}});
    message.mutable_append_entries()->mutable_entries(0)->set_type(type);
    EXPECT_FALSE(FromWire(message)) << "entry type " << type;
  }
}

// The engine reads the membership of such an entry, and stops the node when there is none in it.
TEST(WireTest, AConfigurationEntryWithoutAMembershipIsRefused) {
  const auto arrives = [](const std::string& payload) {
    return Sent(raft::AppendEntries{
                    Term(7), {}, {}, {}, {EntryOf(7, wal::EntryType::kConfiguration, payload)}})
        .has_value();
  };
  EXPECT_TRUE(arrives(raft::Membership{{NodeId(1), NodeId(2)}}.Encode()));
  EXPECT_FALSE(arrives("members"));
  EXPECT_FALSE(arrives(""));
  EXPECT_FALSE(arrives(raft::Membership{{NodeId(2), NodeId(1)}}.Encode()));
  EXPECT_FALSE(arrives(raft::Membership{{NodeId(1), NodeId(1)}}.Encode()));
  EXPECT_FALSE(arrives(raft::Membership{{NodeId(0)}}.Encode()));
  EXPECT_TRUE(arrives(raft::Membership{{NodeId(1)}, {NodeId(2)}}.Encode()));
  EXPECT_FALSE(arrives(raft::Membership{{NodeId(1)}, {NodeId(1)}}.Encode()));
  EXPECT_FALSE(arrives(raft::Membership{{NodeId(1)}, {NodeId(3), NodeId(2)}}.Encode()));
  EXPECT_FALSE(arrives(raft::Membership{{}, {NodeId(1)}}.Encode()));
  std::vector<NodeId> many;
  for (uint64_t id = 1; id <= bounds::kNodesMax + 1; ++id) many.push_back(NodeId(id));
  EXPECT_FALSE(arrives(raft::Membership{many}.Encode()));
}

TEST(WireTest, AMembershipIsWhatItWas) {
  raft::Membership sent{{NodeId(1), NodeId(3)}, {NodeId(2)}};
  sent.addresses[NodeId(3)] = "host:7003";
  sent.incarnations[NodeId(3)] = 30;
  const auto read = raft::Membership::Decode(sent.Encode(), LogIndex(9));
  EXPECT_EQ(read.voters, sent.voters);
  EXPECT_EQ(read.learners, sent.learners);
  EXPECT_EQ(read.addresses, sent.addresses);
  EXPECT_EQ(read.incarnations, sent.incarnations);
  EXPECT_EQ(read.index, LogIndex(9));
}

TEST(WireTest, WhoHasNoVoiceSaysSo) {
  for (const bool flag : {false, true}) {
    const auto result =
        SentAs(raft::AppendEntriesResult{Term(9), Term(8), LogIndex(7), LogIndex(6), flag});
    EXPECT_EQ(result.rejoining, flag);
    EXPECT_EQ(SentAs(raft::RejoinAnswer{Term(9), false, LogIndex(1), flag}).settled, flag);
  }
}

// Bytes of chance, and messages with a byte changed: refused or read, never more.
TEST(WireTest, AnyBytesAreTaken) {
  std::mt19937_64 random(1);
  const std::string good =
      ToWire(raft::AppendEntries{Term(7),
                                 LogIndex(40),
                                 Term(6),
                                 LogIndex(39),
                                 {EntryOf(7, wal::EntryType::kCommand, "payload")}})
          .SerializeAsString();
  size_t read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    if (i % 2 == 0) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    } else {
      bytes.resize(random() % 40);
      for (char& byte : bytes) byte = static_cast<char>(random());
    }
    RaftMessage message;
    if (!message.ParseFromString(bytes)) continue;
    const auto arrived = FromWire(message);
    if (!arrived) continue;
    ++read;
    if (const auto* append = std::get_if<raft::AppendEntries>(&*arrived)) {
      for (const wal::Entry& entry : append->entries) ASSERT_NE(entry.payload, nullptr);
    }
  }
  EXPECT_GT(read, 100u);
}

TEST(WireTest, EveryErrorArrivesAsItIs) {
  for (int code = static_cast<int>(ErrorCode::kInvalidArgument);
       code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    const Error sent{static_cast<ErrorCode>(code), "what", "field", "do this", 500};
    ErrorMessage bytes;
    ASSERT_TRUE(bytes.ParseFromString(ToWire(sent).SerializeAsString()));
    const Error arrived = FromWire(bytes);
    EXPECT_EQ(arrived.code, sent.code);
    EXPECT_EQ(arrived.message, sent.message);
    EXPECT_EQ(arrived.field, sent.field);
    EXPECT_EQ(arrived.hint, sent.hint);
    EXPECT_EQ(arrived.retry_after_ms, sent.retry_after_ms);
  }
}

TEST(WireTest, AForwardedWriteArrivesAsItIs) {
  LogRequest sent;
  sent.set_service(3);
  sent.set_method(4);
  sent.set_idempotency_key("key");
  sent.set_principal("who");
  sent.set_body("body");
  ForwardWrite arrived;
  ASSERT_TRUE(arrived.ParseFromString(ToWire(7, sent, 800).SerializeAsString()));
  EXPECT_EQ(arrived.id(), 7u);
  EXPECT_EQ(arrived.timeout_ms(), 800u);
  EXPECT_EQ(FromWire(arrived).SerializeAsString(), sent.SerializeAsString());
}

TEST(WireTest, AForwardedWritesOutcomeArrivesAsItIs) {
  ForwardResult arrived;
  ASSERT_TRUE(arrived.ParseFromString(
      ToWire(7, Reply{std::string("done"), LogIndex(12), true}).SerializeAsString()));
  EXPECT_EQ(arrived.id(), 7u);
  const Reply reply = FromWire(arrived);
  ASSERT_TRUE(reply.body);
  EXPECT_EQ(*reply.body, "done");
  EXPECT_EQ(reply.position, LogIndex(12));
  EXPECT_TRUE(reply.replayed);

  const Error error{ErrorCode::kUnavailable, "what", "field", "do this", 500};
  ASSERT_TRUE(arrived.ParseFromString(
      ToWire(8, Reply{Fail(error), LogIndex(0), false}).SerializeAsString()));
  const Reply refused = FromWire(arrived);
  ASSERT_FALSE(refused.body);
  EXPECT_EQ(refused.body.error().message, "what");
  EXPECT_EQ(refused.position, LogIndex(0));
}

TEST(WireTest, AnUnknownErrorIsAFaultOfOurs) {
  for (const uint32_t code : {0u, 11u, 256u + 1, UINT32_MAX}) {
    ErrorMessage message;
    message.set_code(code);
    message.set_message("from the future");
    EXPECT_EQ(FromWire(message).code, ErrorCode::kInternal);
    EXPECT_EQ(FromWire(message).message, "from the future");
  }
}

}  // namespace
}  // namespace holdfast::node

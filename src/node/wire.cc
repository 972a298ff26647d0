#include "src/node/wire.h"

namespace holdfast::node {
namespace {

struct Encoder {
  RaftMessage& out;

  void operator()(const raft::AppendEntries& m) const {
    auto& a = *out.mutable_append_entries();
    a.set_term(m.term.value);
    a.set_prev_index(m.prev_index.value);
    a.set_prev_term(m.prev_term.value);
    a.set_leader_commit(m.leader_commit.value);
    a.mutable_entries()->Reserve(static_cast<int>(m.entries.size()));
    for (const wal::Entry& entry : m.entries) {
      RaftEntry& e = *a.add_entries();
      e.set_term(entry.term.value);
      e.set_type(static_cast<uint32_t>(entry.type));
      e.set_payload(*entry.payload);
    }
  }
  void operator()(const raft::AppendEntriesResult& m) const {
    auto& a = *out.mutable_append_entries_result();
    a.set_term(m.term.value);
    a.set_request_term(m.request_term.value);
    a.set_rejected(m.rejected.value);
    a.set_last_index(m.last_index.value);
    a.set_rejoining(m.rejoining);
  }
  void operator()(const raft::RequestVote& m) const {
    auto& a = *out.mutable_request_vote();
    a.set_term(m.term.value);
    a.set_last_index(m.last_index.value);
    a.set_last_term(m.last_term.value);
    a.set_disrupt_leader(m.disrupt_leader);
    a.set_pre_vote(m.pre_vote);
  }
  void operator()(const raft::RequestVoteResult& m) const {
    auto& a = *out.mutable_request_vote_result();
    a.set_term(m.term.value);
    a.set_granted(m.granted);
    a.set_pre_vote(m.pre_vote);
  }
  void operator()(const raft::TimeoutNow& m) const {
    auto& a = *out.mutable_timeout_now();
    a.set_term(m.term.value);
    a.set_last_index(m.last_index.value);
    a.set_last_term(m.last_term.value);
  }
  void operator()(const raft::InstallSnapshot& m) const {
    auto& a = *out.mutable_install_snapshot();
    a.set_term(m.term.value);
    a.set_last_index(m.last_index.value);
    a.set_last_term(m.last_term.value);
  }
  void operator()(const raft::RejoinRequest& m) const {
    out.mutable_rejoin_request()->set_knows_terms(m.knows_terms);
  }
  void operator()(const raft::RejoinAnswer& m) const {
    auto& a = *out.mutable_rejoin_answer();
    a.set_term(m.term.value);
    a.set_leads(m.leads);
    a.set_last_index(m.last_index.value);
    a.set_settled(m.settled);
  }
};

bool KnownType(uint32_t type) {
  return type >= static_cast<uint32_t>(wal::EntryType::kCommand) &&
         type <= static_cast<uint32_t>(wal::EntryType::kConfiguration);
}

}  // namespace

RaftMessage ToWire(const raft::Message& message) {
  RaftMessage out;
  std::visit(Encoder{out}, message);
  return out;
}

std::optional<raft::Message> FromWire(RaftMessage& message) {
  switch (message.body_case()) {
    case RaftMessage::kAppendEntries: {
      auto& a = *message.mutable_append_entries();
      raft::AppendEntries m{Term(a.term()),
                            LogIndex(a.prev_index()),
                            Term(a.prev_term()),
                            LogIndex(a.leader_commit()),
                            {}};
      m.entries.reserve(static_cast<size_t>(a.entries_size()));
      for (RaftEntry& entry : *a.mutable_entries()) {
        if (!KnownType(entry.type())) return std::nullopt;
        const bool membership =
            entry.type() == static_cast<uint32_t>(wal::EntryType::kConfiguration);
        if (membership && !raft::Membership::IsEncoded(entry.payload())) return std::nullopt;
        m.entries.push_back(
            {Term(entry.term()), static_cast<wal::EntryType>(entry.type()),
             std::make_shared<const std::string>(std::move(*entry.mutable_payload()))});
      }
      return m;
    }
    case RaftMessage::kAppendEntriesResult: {
      const auto& a = message.append_entries_result();
      return raft::AppendEntriesResult{Term(a.term()), Term(a.request_term()),
                                       LogIndex(a.rejected()), LogIndex(a.last_index()),
                                       a.rejoining()};
    }
    case RaftMessage::kRequestVote: {
      const auto& a = message.request_vote();
      return raft::RequestVote{Term(a.term()), LogIndex(a.last_index()), Term(a.last_term()),
                               a.disrupt_leader(), a.pre_vote()};
    }
    case RaftMessage::kRequestVoteResult: {
      const auto& a = message.request_vote_result();
      return raft::RequestVoteResult{Term(a.term()), a.granted(), a.pre_vote()};
    }
    case RaftMessage::kTimeoutNow: {
      const auto& a = message.timeout_now();
      return raft::TimeoutNow{Term(a.term()), LogIndex(a.last_index()), Term(a.last_term())};
    }
    case RaftMessage::kInstallSnapshot: {
      const auto& a = message.install_snapshot();
      return raft::InstallSnapshot{Term(a.term()), LogIndex(a.last_index()), Term(a.last_term())};
    }
    case RaftMessage::kRejoinRequest:
      return raft::RejoinRequest{message.rejoin_request().knows_terms()};
    case RaftMessage::kRejoinAnswer: {
      const auto& a = message.rejoin_answer();
      return raft::RejoinAnswer{Term(a.term()), a.leads(), LogIndex(a.last_index()), a.settled()};
    }
    case RaftMessage::BODY_NOT_SET: break;
  }
  return std::nullopt;
}

ForwardWrite ToWire(uint64_t id, const LogRequest& request, uint64_t timeout_ms) {
  ForwardWrite forward;
  forward.set_id(id);
  forward.set_service(request.service());
  forward.set_method(request.method());
  forward.set_idempotency_key(request.idempotency_key());
  forward.set_principal(request.principal());
  forward.set_body(request.body());
  forward.set_timeout_ms(static_cast<uint32_t>(timeout_ms));
  return forward;
}

LogRequest FromWire(ForwardWrite& forward) {
  LogRequest request;
  request.set_service(forward.service());
  request.set_method(forward.method());
  request.set_idempotency_key(std::move(*forward.mutable_idempotency_key()));
  request.set_principal(std::move(*forward.mutable_principal()));
  request.set_body(std::move(*forward.mutable_body()));
  return request;
}

ForwardResult ToWire(uint64_t id, Reply reply) {
  ForwardResult result;
  result.set_id(id);
  if (reply.body) {
    result.set_reply(std::move(*reply.body));
  } else {
    *result.mutable_error() = ToWire(reply.body.error());
  }
  result.set_position(reply.position.value);
  result.set_replayed(reply.replayed);
  return result;
}

Reply FromWire(ForwardResult& result) {
  Reply reply;
  if (result.result_case() == ForwardResult::kReply) {
    reply.body = std::move(*result.mutable_reply());
  } else {
    reply.body = Fail(FromWire(result.error()));
  }
  reply.position = LogIndex(result.position());
  reply.replayed = result.replayed();
  return reply;
}

}  // namespace holdfast::node

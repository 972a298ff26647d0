// The sessions in the plainest words; slow and obvious.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/sessions/moment.h"
#include "services/sessions/sessions.pb.h"

namespace holdfast::sessions {

class Model {
 public:
  // Time goes on; what is due happens.
  void Pass(const Moment& at) {
    Now(at);
    for (const auto& [due_us, id] : TakeDue()) LookAt(id);
  }
  // The same in steps, for whoever has more to do at the end of a session: alarms that are due,
  // which lie by log time and so may be early; each is looked at once.
  void Now(const Moment& at) { now_ = at; }
  std::vector<std::pair<int64_t, uint64_t>> TakeDue() {
    std::vector<std::pair<int64_t, uint64_t>> due;
    while (!alarms_.empty() && alarms_.begin()->first <= now_.log_us) {
      due.push_back(*alarms_.begin());
      alarms_.erase(alarms_.begin());
    }
    return due;
  }
  // True: its time was over, and it has ended.
  bool LookAt(uint64_t id) {
    const auto at = sessions_.find(id);
    if (at == sessions_.end()) return false;
    if (at->second.expires_us > now_.lease_us()) {
      alarms_.emplace(now_.LogTimeOf(at->second.expires_us), id);
      return false;
    }
    sessions_.erase(at);
    return true;
  }

  SessionReply Open(const OpenRequest& request) {
    SessionReply reply;
    reply.set_outcome(SessionOutcome::opened);
    reply.set_id(++last_id_);
    reply.set_ttl_ms(request.ttl_ms());
    const int64_t expires_us = now_.lease_us() + int64_t{request.ttl_ms()} * 1'000;
    sessions_[last_id_] = {request.name(), now_.log_us, request.ttl_ms(), expires_us};
    alarms_.emplace(now_.LogTimeOf(expires_us), last_id_);
    return reply;
  }
  SessionReply KeepAlive(const KeepAliveRequest& request) {
    SessionReply reply;
    reply.set_id(request.id());
    reply.set_outcome(SessionOutcome::session_not_found);
    if (auto at = sessions_.find(request.id()); at != sessions_.end()) {
      at->second.expires_us = now_.lease_us() + int64_t{at->second.ttl_ms} * 1'000;
      reply.set_outcome(SessionOutcome::kept);
      reply.set_ttl_ms(at->second.ttl_ms);
    }
    return reply;
  }
  SessionReply Close(const CloseRequest& request) {
    SessionReply reply;
    reply.set_id(request.id());
    reply.set_outcome(sessions_.erase(request.id()) == 1 ? SessionOutcome::closed
                                                         : SessionOutcome::session_not_found);
    return reply;
  }

  std::optional<Session> Get(const GetRequest& request) const {
    const auto at = sessions_.find(request.id());
    if (at == sessions_.end()) return std::nullopt;
    return Describe(at->first, at->second);
  }
  ListReply List(const ListRequest& request) const {
    ListReply reply;
    const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
    for (auto at = sessions_.upper_bound(request.after()); at != sessions_.end(); ++at) {
      if (reply.sessions_size() == limit) {
        reply.set_cursor(reply.sessions(limit - 1).id());
        break;
      }
      *reply.add_sessions() = Describe(at->first, at->second);
    }
    return reply;
  }
  // Whose time is over is not, though it was not looked at yet.
  bool Alive(uint64_t id) const {
    const auto at = sessions_.find(id);
    return at != sessions_.end() && at->second.expires_us > now_.lease_us();
  }
  size_t alive() const { return sessions_.size(); }

 private:
  struct State {
    std::string name;
    int64_t opened_us = 0;
    uint32_t ttl_ms = 0;
    int64_t expires_us = 0;  // Lease time.
  };
  Session Describe(uint64_t id, const State& state) const {
    Session session;
    session.set_id(id);
    session.set_name(state.name);
    session.set_ttl_ms(state.ttl_ms);
    session.set_left_ms(static_cast<uint32_t>((state.expires_us - now_.lease_us()) / 1'000));
    session.mutable_opened()->set_seconds(state.opened_us / 1'000'000);
    session.mutable_opened()->set_nanos(static_cast<int32_t>(state.opened_us % 1'000'000) * 1'000);
    return session;
  }

  Moment now_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, State> sessions_;
  std::set<std::pair<int64_t, uint64_t>> alarms_;  // (log time, session)
};

}  // namespace holdfast::sessions

// The sessions in the plainest words; slow and obvious.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "services/sessions/sessions.pb.h"

namespace holdfast::sessions {

class Model {
 public:
  // Lease time goes on.
  void Now(int64_t lease_us) {
    now_us_ = lease_us;
    std::erase_if(sessions_, [&](const auto& s) { return s.second.expires_us <= now_us_; });
  }
  SessionReply Open(const OpenRequest& request) {
    SessionReply reply;
    reply.set_outcome(SessionOutcome::opened);
    reply.set_id(++last_id_);
    reply.set_ttl_ms(request.ttl_ms());
    sessions_[last_id_] = {request.ttl_ms(), now_us_ + int64_t{request.ttl_ms()} * 1'000};
    return reply;
  }
  SessionReply KeepAlive(const KeepAliveRequest& request) {
    SessionReply reply;
    reply.set_id(request.id());
    reply.set_outcome(SessionOutcome::session_not_found);
    if (auto at = sessions_.find(request.id()); at != sessions_.end()) {
      at->second.expires_us = now_us_ + int64_t{at->second.ttl_ms} * 1'000;
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
  size_t alive() const { return sessions_.size(); }

 private:
  struct Session {
    uint32_t ttl_ms = 0;
    int64_t expires_us = 0;
  };
  int64_t now_us_ = 0;
  uint64_t last_id_ = 0;
  std::map<uint64_t, Session> sessions_;
};

}  // namespace holdfast::sessions

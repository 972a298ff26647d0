#include "services/sessions/sessions.h"

#include <algorithm>
#include <limits>

#include "src/base/bounds.h"
#include "src/base/text.h"
#include "src/base/timestamp.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/sessions.h"

namespace holdfast::sessions {
namespace {

using Row = state_machine::Sessions::Row;

void Describe(uint64_t id, const Row& row, const ReadContext& context, Session* session) {
  session->set_id(id);
  session->set_name(row.name);
  session->set_ttl_ms(static_cast<uint32_t>(row.ttl_us / 1'000));
  const int64_t left_us = std::max<int64_t>(row.expires_us - context.lease_now.us, 0);
  session->set_left_ms(static_cast<uint32_t>(left_us / 1'000));
  FillTime(row.opened_us, session->mutable_opened());
}

}  // namespace

Result<void> ValidateOpen(const OpenRequest& request) {
  if (request.ttl_ms() < bounds::kSessionTtlMsMin) {
    return Fail(InvalidArgument("ttl_ms", "must be at least " +
                                              std::to_string(bounds::kSessionTtlMsMin) + ", is " +
                                              std::to_string(request.ttl_ms())));
  }
  if (HasControlCharacter(request.name())) {
    return Fail(InvalidArgument("name", "must not have control characters"));
  }
  return {};
}

Result<void> Sessions::Open(const OpenRequest& request, WriteContext& context,
                            SessionReply* reply) {
  const auto id =
      context.sessions().Open(request.name(), int64_t{request.ttl_ms()} * 1'000, context);
  if (!id) {
    reply->set_outcome(SessionOutcome::too_many_sessions);
    return {};
  }
  reply->set_outcome(SessionOutcome::opened);
  reply->set_id(*id);
  reply->set_ttl_ms(request.ttl_ms());
  return {};
}

Result<void> Sessions::KeepAlive(const KeepAliveRequest& request, WriteContext& context,
                                 SessionReply* reply) {
  reply->set_id(request.id());
  if (!context.sessions().KeepAlive(request.id(), context)) {
    reply->set_outcome(SessionOutcome::session_not_found);
    return {};
  }
  reply->set_outcome(SessionOutcome::kept);
  reply->set_ttl_ms(static_cast<uint32_t>(context.sessions().Get(request.id())->ttl_us / 1'000));
  return {};
}

Result<void> Sessions::Close(const CloseRequest& request, WriteContext& context,
                             SessionReply* reply) {
  reply->set_id(request.id());
  if (!context.sessions().Alive(request.id(), context.lease_now())) {
    reply->set_outcome(SessionOutcome::session_not_found);
    return {};
  }
  context.sessions().End(request.id(), true, context);
  reply->set_outcome(SessionOutcome::closed);
  return {};
}

Result<void> Sessions::Get(const GetRequest& request, const ReadContext& context,
                           Session* reply) const {
  const auto row = context.sessions->Get(request.id());
  if (!row || row->expires_us <= context.lease_now.us) {
    return Fail(NotFound("there is no session " + std::to_string(request.id())));
  }
  Describe(request.id(), *row, context, reply);
  return {};
}

Result<void> Sessions::List(const ListRequest& request, const ReadContext& context,
                            ListReply* reply) const {
  const size_t limit = request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
  if (request.after() == std::numeric_limits<uint64_t>::max()) return {};
  // One whose time is over takes its place on the page, and is not shown: looking on for others
  // could go past any number of them.
  size_t looked_at = 0;
  uint64_t last = 0;
  context.sessions->Scan(request.after() + 1, [&](uint64_t id, const Row& row) {
    if (looked_at++ == limit) {
      reply->set_cursor(last);
      return false;
    }
    last = id;
    if (row.expires_us <= context.lease_now.us) return true;
    Describe(id, row, context, reply->add_sessions());
    return true;
  });
  return {};
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.sessions.Sessions", std::make_unique<Sessions>())
      .Write("Open", &Sessions::Open, &ValidateOpen)
      .Write("KeepAlive", &Sessions::KeepAlive)
      .Write("Close", &Sessions::Close)
      .Read("Get", &Sessions::Get)
      .Read("List", &Sessions::List);
}

}  // namespace holdfast::sessions

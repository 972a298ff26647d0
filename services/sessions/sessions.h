// The service that clients see of the sessions which the machine keeps
// (src/state_machine/sessions.h). It has no rows of its own. README.md is the reference page.
#pragma once

#include "services/sessions/sessions.pb.h"
#include "src/state_machine/service.h"

namespace holdfast::sessions {

using state_machine::ReadContext;
using state_machine::WriteContext;

Result<void> ValidateOpen(const OpenRequest& request);

class Sessions : public state_machine::Service {
 public:
  Result<void> Open(const OpenRequest& request, WriteContext& context, SessionReply* reply);
  Result<void> KeepAlive(const KeepAliveRequest& request, WriteContext& context,
                         SessionReply* reply);
  Result<void> Close(const CloseRequest& request, WriteContext& context, SessionReply* reply);
  Result<void> Get(const GetRequest& request, const ReadContext& context, Session* reply) const;
  Result<void> List(const ListRequest& request, const ReadContext& context, ListReply* reply) const;
};

}  // namespace holdfast::sessions

#include "src/state_machine/requests_service.h"

#include "holdfast/requests.pb.h"
#include "src/state_machine/outcome_field.h"

namespace holdfast::state_machine {
namespace {

using requests::GetOutcomeReply;
using requests::GetOutcomeRequest;

class RequestsService : public Service {
 public:
  RequestsService(const Registry& registry, StoredReply stored)
      : registry_(registry), stored_(std::move(stored)) {}

  Result<void> GetOutcome(const GetOutcomeRequest& request, const ReadContext& /*context*/,
                          GetOutcomeReply* reply) const {
    if (!request.method().empty()) {
      const Method* method = registry_.Find(request.method());
      if (method == nullptr || method->kind() != WRITE) {
        Error error = InvalidArgument("method", "there is no write " + request.method());
        error.hint = "a method is named as gRPC does: /package.Service/Method";
        return Fail(error);
      }
      if (auto stored = stored_(*method, request.key())) {
        Fill(*method, std::move(*stored), reply);
        return {};
      }
    } else {
      for (const auto& method : registry_.methods()) {
        if (method->kind() != WRITE) continue;
        auto stored = stored_(*method, request.key());
        if (!stored) continue;
        if (!reply->method().empty()) {
          return Fail(InvalidArgument("method", "the key was used with several methods, " +
                                                    reply->method() + " and " + method->full_name +
                                                    " among them: name one"));
        }
        Fill(*method, std::move(*stored), reply);
      }
      if (!reply->method().empty()) return {};
    }
    reply->set_state(GetOutcomeReply::never_seen);
    return {};
  }

 private:
  static void Fill(const Method& method, std::string stored, GetOutcomeReply* reply) {
    reply->set_method(method.full_name);
    reply->set_state(GetOutcomeReply::committed);
    const std::unique_ptr<Message> message(method.reply->New());
    HOLDFAST_CHECK(message->ParseFromString(stored),
                   "the stored reply of a " + method.full_name + " does not parse");
    if (const auto* outcome = OutcomeOf(*message)) {
      reply->set_outcome(outcome->name());
      const OutcomeOptions& meaning = outcome->options().GetExtension(holdfast::outcome);
      if (meaning.pending()) {
        reply->set_state(GetOutcomeReply::pending);
      } else if (meaning.http_status() >= 400) {
        reply->set_state(GetOutcomeReply::rejected);
      }
    }
    reply->set_reply(std::move(stored));
  }

  const Registry& registry_;
  const StoredReply stored_;
};

}  // namespace

void RegisterRequestsService(Registry& registry, StoredReply stored) {
  registry
      .Add("holdfast.requests.Requests",
           std::make_unique<RequestsService>(registry, std::move(stored)))
      .Read("GetOutcome", &RequestsService::GetOutcome);
}

}  // namespace holdfast::state_machine

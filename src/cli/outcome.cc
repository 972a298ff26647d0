#include "src/cli/outcome.h"

#include <ostream>

#include "holdfast/requests.pb.h"
#include "src/api/json.h"

namespace holdfast::cli {
namespace {

using requests::GetOutcomeReply;
using requests::GetOutcomeRequest;
using state_machine::Method;

// "ledger.Pay", "/holdfast.ledger.Ledger/Pay" and that without its slash are the same.
Result<std::string> FullName(const state_machine::Registry& registry, const std::string& name) {
  if (name.starts_with('/')) return name;  // A newer node may know it.
  for (const auto& method : registry.methods()) {
    const std::string& word = method->descriptor->name();
    if (name == method->service_name + "." + word || "/" + name == method->full_name) {
      return method->full_name;
    }
  }
  const auto known = std::find_if(registry.methods().begin(), registry.methods().end(),
                                  [](const auto& method) { return method->kind() == WRITE; });
  Error error = InvalidArgument("method", "there is no method '" + name.substr(0, 64) + "'");
  if (known != registry.methods().end()) {
    error.hint = "written as " + (*known)->service_name + "." + (*known)->descriptor->name() +
                 " or " + (*known)->full_name;
  }
  return Fail(error);
}

int AskByKey(const state_machine::Registry& registry, Context& context, const std::string& key,
             const std::string& method_name) {
  GetOutcomeRequest request;
  request.set_key(key);
  if (!method_name.empty()) {
    const auto full_name = FullName(registry, method_name);
    if (!full_name) return context.Tell(full_name.error());
    request.set_method(*full_name);
  }
  const auto options = OutcomeOptions(context);
  if (!options) return context.Tell(options.error());
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());
  const auto reply =
      (*client)->Call<GetOutcomeReply>("/holdfast.requests.Requests/GetOutcome", request, *options);
  if (!reply) return context.Tell(reply.error());
  const GetOutcomeReply& outcome = reply->message;
  const std::string state = GetOutcomeReply::State_Name(outcome.state());
  const Method* method = registry.Find(outcome.method());
  if (method == nullptr) return ShowOutcome(context, state, nullptr);
  const std::unique_ptr<google::protobuf::Message> message(method->reply->New());
  if (!message->ParseFromString(outcome.reply())) {
    return context.Tell(Error{ErrorCode::kInternal, "the reply could not be read", "",
                              "is the node of another version?", 0});
  }
  return ShowOutcome(context, state, message.get());
}

}  // namespace

Result<client::CallOptions> OutcomeOptions(const Context& context) {
  auto options = context.CallOptions();
  if (options && options->consistency == client::Consistency::kSession) {
    options->consistency = client::Consistency::kLinearizable;
  }
  return options;
}

int ShowOutcome(Context& context, const std::string& state,
                const google::protobuf::Message* message) {
  context.out() << state << "\n";
  if (message != nullptr) {
    const auto style = context.flags().compact ? api::JsonStyle::kCompact : api::JsonStyle::kPretty;
    context.out() << api::ToJson(*message, style) << "\n";
  }
  return state == "never_seen" || state == "pending" ? kExitRefused : kExitOk;
}

void AddOutcomeByKey(const state_machine::Registry& registry, Commands& commands) {
  auto method = std::make_shared<std::string>();
  CLI::App* command =
      commands.AddOutcome("--key", "KEY", "The idempotency key that it was sent under",
                          [&registry, method](Context& context, const std::string& key) {
                            return AskByKey(registry, context, key, *method);
                          });
  command
      ->add_option(
          "--method", *method,
          "With --key: of which method, such as ledger.Pay or /holdfast.ledger.Ledger/Pay; "
          "default: any")
      ->type_name("NAME");
}

}  // namespace holdfast::cli

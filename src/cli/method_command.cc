#include "src/cli/method_command.h"

#include <algorithm>
#include <chrono>
#include <ostream>

#include "src/api/json.h"
#include "src/base/bounds.h"
#include "src/cli/arguments.h"
#include "src/cli/help.h"
#include "src/client/client.h"
#include "src/state_machine/canonical.h"

namespace holdfast::cli {
namespace {

using google::protobuf::Message;
using state_machine::Method;
using std::chrono::milliseconds;

// One method on the command line: its flags and what was given for them.
struct MethodCommand {
  const Method& method;
  const std::string command;  // "holdfast ledger pay"
  const std::vector<Flag> flags;
  std::vector<CLI::Option*> options;  // Of each flag.
  CLI::Option* json = nullptr;

  Result<std::unique_ptr<Message>> Request(std::istream& in) const {
    std::unique_ptr<Message> request(method.request->New());
    if (json != nullptr && json->count() > 0) {
      if (auto set = ApplyJson(json->results().back(), in, request.get()); !set) {
        return Fail(set.error());
      }
    }
    std::vector<Given> given;
    for (size_t i = 0; i < flags.size(); ++i) {
      if (options[i]->count() == 0) continue;
      std::vector<std::string> texts = options[i]->results();
      if (flags[i].is_switch) {
        for (std::string& text : texts) {
          if (text.empty()) text = "true";  // It stands without a value.
        }
      }
      given.emplace_back(&flags[i], std::move(texts));
    }
    if (auto set = ApplyFlags(given, request.get()); !set) return Fail(set.error());
    if (auto valid = method.validate(*request); !valid) return Fail(valid.error());
    return request;
  }

  int Run(Context& context) const {
    auto request = Request(context.in());
    if (!request) {
      if (request.error().hint.empty()) request.error().hint = "see " + command + " --help";
      return context.Tell(request.error());
    }
    auto options = context.CallOptions();
    if (!options) return context.Tell(options.error());
    const auto reply = Call(**request, *options, context);
    if (!reply) return context.Tell(reply.error());
    return Show(*reply, context);
  }

  // What waits is given its time beside that of a call, also by the node that is asked first.
  Result<client::Reply> Call(const Message& request, client::CallOptions options,
                             Context& context) const {
    const std::string bytes = state_machine::Canonical(request);
    const milliseconds wait(method.wait_ms == nullptr
                                ? 0
                                : request.GetReflection()->GetUInt32(request, method.wait_ms));
    if (wait.count() == 0) {
      const auto client = context.Client();
      if (!client) return Fail(client.error());
      return (*client)->Call(method.full_name, bytes, options);
    }
    auto endpoints = client::ParseEndpoints(context.flags().endpoints);
    if (!endpoints) return Fail(std::move(endpoints.error()));
    client::Options of_client;
    of_client.attempt_timeout += wait;
    options.timeout = std::min(options.timeout + wait, milliseconds(bounds::kDeadlineMsMax));
    return client::Client(*std::move(endpoints), of_client).Call(method.full_name, bytes, options);
  }

  int Show(const client::Reply& reply, Context& context) const {
    std::unique_ptr<Message> message(method.reply->New());
    if (!message->ParseFromString(reply.body)) {
      return context.Tell(Error{ErrorCode::kInternal, "the reply could not be read", "",
                                "is the node of another version?", 0});
    }
    const bool compact = context.flags().compact;
    context.out() << api::ToJson(*message,
                                 compact ? api::JsonStyle::kCompact : api::JsonStyle::kPretty)
                  << "\n";
    if (context.flags().verbose) {
      context.err() << "position " << reply.position.value;
      if (reply.replayed) context.err() << ", replayed";
      if (context.flags().consistency == "stale") {
        context.err() << ", " << reply.age.count() << " ms old";
      }
      context.err() << "\n";
    }
    const Outcome outcome = OutcomeOf(*message);
    if (outcome.refused()) return Refused(context, "refused", outcome);
    if (method.OutcomeOf(reply.body).pending()) return Refused(context, "not yet", outcome);
    if (const ItemOutcomes items = ItemOutcomesOf(*message); items.refused > 0) {
      return Refused(context,
                     std::to_string(items.refused) + " of " + std::to_string(items.items) +
                         " refused, " + (items.refused > 1 ? "the first is " : "") + items.place,
                     items.first);
    }
    return kExitOk;
  }

  static int Refused(Context& context, const std::string& what, const Outcome& outcome) {
    context.err() << "holdfast: " << what << ": " << outcome.name;
    if (!outcome.help.empty()) context.err() << " (" << outcome.help << ")";
    context.err() << "\n";
    return kExitRefused;
  }
};

void AddMethod(const Method& method, Commands& commands) {
  const std::string word = ToWord(method.descriptor->name());
  const std::string path = "holdfast " + CommandWords(method);
  const auto& type = *method.request->GetDescriptor();
  auto command = std::make_shared<MethodCommand>(MethodCommand{method, path, FlagsOf(type), {}});
  CLI::App* app = commands.Add(method.service_name, word, method.options.help());
  app->footer(MethodFooter(method, path));
  const auto add = [&](const std::string& names, const std::string& type_name,
                       const std::string& help) {
    // The texts are taken as they are, and judged with the field at hand: see arguments.h.
    return app
        ->add_option(
            names, [](const CLI::results_t&) { return true; }, help)
        ->type_name(type_name)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false)
        ->group("Request");
  };
  for (const Flag& flag : command->flags) {
    CLI::Option* option = add(flag.names, flag.type, flag.help);
    if (flag.is_switch) option->expected(0, 1);
    command->options.push_back(option);
  }
  const bool taken = type.FindFieldByName("json") != nullptr;
  if (type.field_count() > 0 && !taken) {
    command->json = add("--json", "JSON|@FILE|-",
                        "The whole request as JSON, from a file or the standard input; other flags "
                        "go over it");
  }
  commands.OnRun(app, [command](Context& context) { return command->Run(context); });
}

}  // namespace

void AddMethodCommands(const state_machine::Registry& registry, Commands& commands) {
  for (const auto& method : registry.methods()) {
    if (method->kind() != STREAM)
      AddMethod(*method, commands);  // A command ends; a stream goes on.
  }
}

}  // namespace holdfast::cli

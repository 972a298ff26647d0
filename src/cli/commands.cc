#include "src/cli/commands.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <ostream>

#include "src/base/bounds.h"

namespace holdfast::cli {

using std::chrono::milliseconds;

namespace {

constexpr char kOutcomeUsage[] = "name one request: see holdfast outcome --help";

constexpr char kOutcomeFooter[] = R"(Examples:
  holdfast outcome --key order-4711
  holdfast outcome --transfer t1

The state is committed, rejected (by the state, for good), pending or never_seen, and below it is the
reply that the request got. The answer is linearizable, unless --consistency says otherwise. A request
that was never seen may still be on its way, and one that is pending (empty, held, waiting) may still
be done while its call waits: send it again under the same key or id, it is done once only.
Exit code 0: committed or rejected, 1: pending or never seen.)";

}  // namespace

Result<milliseconds> ParseTimeout(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const int64_t factor = unit == "ms" ? 1 : unit == "s" || unit.empty() ? 1'000 : 0;
  if (error != std::errc() || factor == 0 || number < 1 ||
      number > bounds::kDeadlineMsMax / factor) {
    return Fail(InvalidArgument("timeout", "must be a time such as 500ms or 10s, at most " +
                                               std::to_string(bounds::kDeadlineMsMax / 1'000) +
                                               "s"));
  }
  return milliseconds(number * factor);
}

Result<client::Client*> Context::Client() {
  if (client_ == nullptr) {
    auto endpoints = client::ParseEndpoints(flags_.endpoints);
    if (!endpoints) return Fail(std::move(endpoints.error()));
    client_ = std::make_unique<client::Client>(*std::move(endpoints));
  }
  return client_.get();
}

Result<client::CallOptions> Context::CallOptions() const {
  client::CallOptions options;
  if (flags_.consistency == "session") {
    options.consistency = client::Consistency::kSession;
  } else if (flags_.consistency == "linearizable") {
    options.consistency = client::Consistency::kLinearizable;
  } else if (flags_.consistency == "stale") {
    options.consistency = client::Consistency::kStale;
  } else {
    return Fail(InvalidArgument("consistency", "must be session, linearizable or stale"));
  }
  const auto timeout = ParseTimeout(flags_.timeout);
  if (!timeout) return Fail(timeout.error());
  options.timeout = *timeout;
  options.after = LogIndex(flags_.after);
  options.idempotency_key = flags_.idempotency_key;
  return options;
}

int Context::Tell(const Error& error) {
  Error told = error;
  // Whoever could not be reached last is rarely the only one.
  if (told.message.starts_with("cannot connect to ") &&
      flags_.endpoints.find(',') != std::string::npos) {
    told.message += "; the nodes asked are " + flags_.endpoints;
  }
  err() << "holdfast: " << OneLine(told) << "\n";
  return ExitCodeOf(error);
}

int Context::End(int code) {
  if (out().flush()) return code;
  const int error = streams_.out_file == nullptr ? 0 : streams_.out_file->error();
  if (error == EPIPE) return code;
  err() << "holdfast: the output could not be written"
        << (error == 0 ? "" : std::string(": ") + std::strerror(error)) << "\n";
  return code == kExitOk ? kExitFault : code;
}

CLI::App* Commands::Add(const std::string& service, const std::string& name,
                        const std::string& help) {
  CLI::App* of_service = root_.get_subcommand(service);
  if (name == service) {
    of_service->require_subcommand(0);
    return of_service;
  }
  CLI::App* command = of_service->add_subcommand(name, help);
  command->group("Commands");
  return command;
}

void Commands::AddGroup(const std::string& name, const std::string& help) {
  root_.add_subcommand(name, help)->group("Services")->require_subcommand(1);
}

void Commands::OnRun(CLI::App* command, std::function<int(Context&)> run) {
  command->callback(
      [run = std::move(run), &context = context_, &code = exit_code_] { code = run(context); });
}

CLI::App* Commands::AddOutcome(const std::string& names, const std::string& type,
                               const std::string& help,
                               std::function<int(Context&, const std::string& value)> ask) {
  if (outcome_ == nullptr) {
    outcome_ = root_.add_subcommand("outcome", "What became of a request: by its key, or its id");
    outcome_->footer(kOutcomeFooter);
    OnRun(outcome_, [asks = asks_](Context& context) {
      const OutcomeAsk* given = nullptr;
      for (const OutcomeAsk& one : *asks) {
        if (one.option->count() == 0) continue;
        if (given != nullptr) return context.Tell(InvalidArgument("", kOutcomeUsage));
        given = &one;
      }
      if (given == nullptr) return context.Tell(InvalidArgument("", kOutcomeUsage));
      return given->ask(context, given->option->results().back());
    });
  }
  CLI::Option* option = outcome_
                            ->add_option(
                                names, [](const CLI::results_t&) { return true; }, help)
                            ->type_name(type)
                            ->expected(1);
  asks_->push_back({option, std::move(ask)});
  return outcome_;
}

void Commands::AddExample(const std::string& service, const std::string& line) {
  CLI::App* app = root_.get_subcommand(service);
  const std::string footer = app->get_footer();
  app->footer((footer.empty() ? "Examples:" : footer) + "\n  " + line);
}

}  // namespace holdfast::cli

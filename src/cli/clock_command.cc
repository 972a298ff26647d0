// `holdfast clock`: what each node knows about the time, and from whom.
#include <algorithm>
#include <ostream>

#include "holdfast/cluster.pb.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/status_command.h"
#include "src/cli/text.h"

namespace holdfast::cli {
namespace {

using cluster::ClockReply;
using Answers = std::vector<Asked<ClockReply>>;

constexpr char kClockMethod[] = "/holdfast.cluster.Cluster/Clock";

// "+1.3 ms", "-40 us"
std::string OffsetText(int64_t us) {
  return (us < 0 ? "-" : "+") + MicrosText(static_cast<double>(us < 0 ? -us : us));
}
std::string BoundText(int64_t us) { return MicrosText(static_cast<double>(us)); }

std::vector<std::string> Row(const Asked<ClockReply>& asked) {
  if (!asked.reply) return {"-", asked.endpoint, "unreachable"};
  const ClockReply& clock = *asked.reply;
  const bool known = clock.status() != ClockReply::unsynchronised;
  return {std::to_string(clock.node()),
          asked.endpoint,
          ClockReply::Status_Name(clock.status()),
          known ? clock.now() : "-",
          known ? BoundText(clock.error_us()) : "-",
          known ? OffsetText(clock.offset_us()) : "-",
          std::to_string(clock.heard()) + " of " +
              std::to_string(std::count_if(
                  clock.sources().begin(), clock.sources().end(),
                  [](const auto& source) { return source.kind() != ClockReply::server; })),
          std::to_string(clock.falsetickers()),
          known && clock.log_ahead_us() != 0 ? OffsetText(clock.log_ahead_us()) : "-",
          Grouped(static_cast<int64_t>(clock.sent() + clock.received())),
          BoundText(static_cast<int64_t>(clock.work_us()))};
}

std::string NameOf(const ClockReply::Source& source) {
  switch (source.kind()) {
    case ClockReply::own: return "itself";
    case ClockReply::peer: return "node " + std::to_string(source.node());
    default: return source.server();
  }
}

std::vector<std::string> SourceRow(uint64_t node, const ClockReply::Source& source) {
  const std::string state = source.falseticker() ? "FALSE" : source.heard() ? "good" : "not heard";
  std::vector<std::string> row = {std::to_string(node), NameOf(source), state};
  if (source.heard()) {
    row.push_back(OffsetText(source.offset_us()));
    row.push_back(BoundText(source.error_us()));
  } else {
    row.insert(row.end(), {"-", "-"});
  }
  const bool asked = source.kind() != ClockReply::own;
  row.push_back(asked && source.heard() ? BoundText(source.delay_us()) : "-");
  row.push_back(asked ? Grouped(static_cast<int64_t>(source.samples())) : "-");
  row.push_back(asked ? Grouped(static_cast<int64_t>(source.refused())) : "-");
  row.push_back(source.problem());
  return row;
}

int Clock(Context& context, const Nodes& nodes, std::chrono::milliseconds timeout) {
  const Answers answers = nodes.Ask<ClockReply>(kClockMethod, cluster::ClockRequest(), timeout);
  std::vector<std::vector<std::string>> rows;
  std::vector<std::vector<std::string>> sources;
  size_t reached = 0;
  size_t know = 0;
  for (const auto& asked : answers) {
    rows.push_back(Row(asked));
    if (!asked.reply) continue;
    ++reached;
    know += asked.reply->status() == ClockReply::synchronised ? 1 : 0;
    for (const auto& source : asked.reply->sources()) {
      sources.push_back(SourceRow(asked.reply->node(), source));
    }
  }
  std::ostream& out = context.out();
  out << Columns({"NODE", "ENDPOINT", "STATUS", "TIME", "BOUND", "OFFSET", "HEARD", "FALSE",
                  "LOG AHEAD", "MESSAGES", "WORK"},
                 rows)
      << "\n";
  if (!sources.empty()) {
    out << Columns({"NODE", "ASKS", "STATE", "OFFSET", "BOUND", "DELAY", "SAMPLES", "REFUSED",
                    "PROBLEM"},
                   sources)
        << "\n";
  }
  for (const auto& asked : answers) {
    if (!asked.reply) {
      out << asked.endpoint << ": " << OneLine(asked.reply.error()) << "\n";
    } else if (!asked.reply->reason().empty()) {
      out << "node " << asked.reply->node() << " is not synchronised: " << asked.reply->reason()
          << "\n";
    }
  }
  if (reached == 0) {
    out << "no node answered\n";
  } else {
    out << know << " of " << reached << " nodes that answered are synchronised\n";
  }
  return know > 0 ? kExitOk : kExitUnavailable;
}

}  // namespace

void AddClockCommand(CLI::App& root, Commands& commands) {
  CLI::App* clock =
      root.add_subcommand("clock", "Show what all nodes know about the time, and from whom");
  struct Flags {
    bool watch = false;
    uint64_t count = 0;
    std::string interval = "1s";
  };
  auto flags = std::make_shared<Flags>();
  clock->add_flag("--watch", flags->watch, "Show it again and again, until Ctrl-C");
  clock->add_option("--interval", flags->interval, "Time between two tables, such as 500ms or 2s")
      ->type_name("TIME")
      ->capture_default_str();
  clock->add_option("--count", flags->count, "End after so many tables")->type_name("NUMBER");
  clock->footer(
      "Examples:\n"
      "  holdfast clock\n"
      "  holdfast clock --watch --interval 500ms\n"
      "BOUND is by how much the time may be off, OFFSET how far it is ahead of the machine's own\n"
      "clock, LOG AHEAD how far the last timestamp of the log is ahead of it. A source that is\n"
      "FALSE contradicts what a majority agrees on.\n"
      "Exit code 0: a node is synchronised. 3: none is, or nobody answered.");
  commands.OnRun(clock, [flags](Context& context) {
    const auto nodes = NodesOf(context);
    if (!nodes) return context.Tell(nodes.error());
    const auto timeout = AskTimeoutOf(context);
    if (!timeout) return context.Tell(timeout.error());
    const auto interval = ParseTimeout(flags->interval);
    if (!interval) return context.Tell(InvalidArgument("interval", interval.error().message));
    const uint64_t count = flags->count == 0 && !flags->watch ? 1 : flags->count;
    return Repeat(context, count, *interval, [&] { return Clock(context, *nodes, *timeout); });
  });
}

}  // namespace holdfast::cli

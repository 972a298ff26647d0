// `holdfast top`: what the nodes do now, from the difference of two looks at their counters.
#include <ostream>
#include <thread>

#include "holdfast/cluster.pb.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/status_command.h"
#include "src/cli/text.h"
#include "src/metrics/instruments.h"

namespace holdfast::cli {
namespace {

using cluster::LoadReply;
using cluster::StatusReply;

struct Look {
  std::vector<Asked<LoadReply>> load;
  std::vector<Asked<StatusReply>> status;
};

Look LookAt(const Nodes& nodes, std::chrono::milliseconds timeout) {
  return {nodes.Ask<LoadReply>("/holdfast.cluster.Cluster/Load", cluster::LoadRequest(), timeout),
          nodes.Ask<StatusReply>("/holdfast.cluster.Cluster/Status", cluster::StatusRequest(),
                                 timeout)};
}

// What came in between; all of it when the node was restarted meanwhile.
uint64_t Between(uint64_t before, uint64_t now) { return now >= before ? now - before : now; }

// "1.2 ms" below which the share lies of what happened in between; "-" when nothing did.
std::string QuantileText(const LoadReply::Latencies& before, const LoadReply::Latencies& now,
                         double quantile) {
  std::vector<uint64_t> counts;
  uint64_t total = 0;
  for (int i = 0; i < now.count_size(); ++i) {
    counts.push_back(Between(i < before.count_size() ? before.count(i) : 0, now.count(i)));
    total += counts.back();
  }
  if (total == 0) return "-";
  const std::vector<uint64_t> bounds(now.upper_us().begin(), now.upper_us().end());
  return MicrosText(metrics::QuantileOf(bounds, counts, quantile));
}

std::vector<std::string> Row(const LoadReply& before, const LoadReply& now,
                             const Asked<StatusReply>& status) {
  const uint64_t us = std::max<uint64_t>(Between(before.uptime_us(), now.uptime_us()), 1);
  const auto rate = [us](uint64_t from, uint64_t to) {
    return Grouped(static_cast<Wide>(Between(from, to)) * 1'000'000 / static_cast<Wide>(us));
  };
  std::vector<std::string> row = {std::to_string(now.node()),
                                  status.reply ? StatusReply::Role_Name(status.reply->role()) : "?",
                                  rate(before.writes(), now.writes()),
                                  rate(before.reads(), now.reads()),
                                  rate(before.errors(), now.errors()),
                                  rate(before.applied_requests(), now.applied_requests())};
  for (const auto latencies : {&LoadReply::write, &LoadReply::read, &LoadReply::log_sync}) {
    for (const double quantile : {0.5, 0.99}) {
      row.push_back(QuantileText((before.*latencies)(), (now.*latencies)(), quantile));
    }
  }
  if (status.reply) {
    row.push_back(Grouped(status.reply->waiting_writes()));
    row.push_back(Grouped(status.reply->apply_backlog()));
    row.push_back(BytesText(status.reply->memory_bytes()));
  }
  return row;
}

int Show(Context& context, const Look& before, const Look& now) {
  std::vector<std::vector<std::string>> rows;
  size_t reached = 0;
  for (size_t i = 0; i < now.load.size(); ++i) {
    if (!now.load[i].reply) {
      rows.push_back({"-", "unreachable: " + now.load[i].endpoint});
      continue;
    }
    ++reached;
    const LoadReply none;
    rows.push_back(Row(before.load[i].reply ? *before.load[i].reply : none, *now.load[i].reply,
                       now.status[i]));
  }
  context.out() << Columns(
      {"NODE", "ROLE", "WRITES/S", "READS/S", "ERRORS/S", "APPLIED/S", "WRITE P50", "P99",
       "READ P50", "P99", "FSYNC P50", "P99", "WAITING", "BACKLOG", "MEMORY"},
      rows);
  return reached > 0 ? kExitOk : kExitUnavailable;
}

}  // namespace

void AddTopCommand(CLI::App& root, Commands& commands) {
  CLI::App* top = root.add_subcommand("top", "Show what the nodes do now: rates and latencies");
  struct Flags {
    uint64_t count = 0;
    std::string interval = "1s";
  };
  auto flags = std::make_shared<Flags>();
  top->add_option("--interval", flags->interval, "Over which rates are taken, such as 500ms or 5s")
      ->type_name("TIME")
      ->capture_default_str();
  top->add_option("--count", flags->count, "End after so many tables; otherwise with Ctrl-C")
      ->type_name("NUMBER");
  top->footer(
      "Examples:\n"
      "  holdfast top\n"
      "  holdfast top --interval 10s --count 1    one table, for a script\n"
      "WRITES and READS are those that came in at the node; APPLIED is what the log brought, the\n"
      "same on every node that keeps up. Latencies are from the decoded request to its reply.");
  commands.OnRun(top, [flags](Context& context) {
    const auto nodes = NodesOf(context);
    if (!nodes) return context.Tell(nodes.error());
    const auto timeout = AskTimeoutOf(context);
    if (!timeout) return context.Tell(timeout.error());
    const auto interval = ParseTimeout(flags->interval);
    if (!interval) return context.Tell(InvalidArgument("interval", interval.error().message));
    Look before = LookAt(*nodes, *timeout);
    std::this_thread::sleep_for(*interval);
    return Repeat(context, flags->count, *interval, [&] {
      Look now = LookAt(*nodes, *timeout);
      const int code = Show(context, before, now);
      before = std::move(now);
      return code;
    });
  });
}

}  // namespace holdfast::cli

#include "src/cli/status_command.h"

#include <ostream>

#include "holdfast/cluster.pb.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/text.h"

namespace holdfast::cli {
namespace {

using cluster::StatusReply;
using Answers = std::vector<Asked<StatusReply>>;

constexpr char kStatusMethod[] = "/holdfast.cluster.Cluster/Status";

std::string RoleText(const StatusReply& status) {
  if (status.stopping()) return "stopping";
  return StatusReply::Role_Name(status.role()) + (status.disk_full() ? ", disk full" : "");
}

// In force, and the newest that the node can do when that is another.
std::string BehaviourText(const StatusReply& status) {
  const std::string in_force = std::to_string(status.behaviour());
  if (status.behaviour() == status.behaviour_newest()) return in_force;
  return in_force + " of " + std::to_string(status.behaviour_newest());
}

uint64_t CommittedOf(const Answers& answers) {
  uint64_t committed = 0;
  for (const auto& asked : answers) {
    if (asked.reply) committed = std::max<uint64_t>(committed, asked.reply->committed());
  }
  return committed;
}

std::vector<std::string> Row(const Asked<StatusReply>& asked, uint64_t committed) {
  if (!asked.reply) return {"-", asked.endpoint, "unreachable"};
  const StatusReply& status = *asked.reply;
  const uint64_t lag = committed - std::min<uint64_t>(committed, status.applied());
  return {std::to_string(status.node()),
          asked.endpoint,
          RoleText(status),
          status.ready() ? "yes" : "NO",
          std::to_string(status.term()),
          Grouped(status.applied()),
          Grouped(status.committed()),
          Grouped(lag),
          Grouped(status.checkpoint()),
          BytesText(status.log_bytes()),
          BytesText(status.store_bytes()),
          BytesText(status.disk_free_bytes()),
          BytesText(status.memory_bytes()),
          AgeText(status.uptime_ms()),
          status.version(),
          BehaviourText(status)};
}

// Which members keep the cluster from going by what others can do.
void TellOfUpgrade(const StatusReply& leader, std::ostream& out) {
  uint32_t newest = leader.behaviour_newest();
  for (const auto& peer : leader.peers()) newest = std::max(newest, peer.release_behaviour());
  if (leader.behaviour() == 0 || newest <= leader.behaviour()) return;
  std::string behind;
  const auto look = [&](uint64_t node, uint32_t can, const std::string& version) {
    if (can >= newest) return;
    behind += (behind.empty() ? "node " : ", node ") + std::to_string(node) +
              (can == 0 ? " (not heard of)" : " (" + version + ")");
  };
  look(leader.node(), leader.behaviour_newest(), leader.version());
  for (const auto& peer : leader.peers()) {
    look(peer.node(), peer.release_behaviour(), peer.release());
  }
  out << "version " << leader.behaviour() << " of the behaviour is in force, " << newest
      << " waits "
      << (behind.empty() ? "until all nodes have been there for a while" : "for " + behind) << "\n";
}

// Two nodes at one position with different states: the worst that there is.
std::string Divergence(const Answers& answers) {
  std::map<uint64_t, std::pair<uint64_t, std::string>> seen;  // Applied -> node, digest.
  for (const auto& asked : answers) {
    if (!asked.reply) continue;
    const auto [place, first] =
        seen.emplace(asked.reply->applied(), std::pair(asked.reply->node(), asked.reply->digest()));
    if (!first && place->second.second != asked.reply->digest()) {
      return "nodes " + std::to_string(place->second.first) + " and " +
             std::to_string(asked.reply->node()) + " hold different states at position " +
             std::to_string(asked.reply->applied()) +
             ". Stop writing, keep both data folders, and report it";
    }
  }
  return "";
}

// One line that says how the cluster is, and the exit code that goes with it.
int Verdict(const Answers& answers, std::ostream& out) {
  size_t reached = 0;
  size_t ready = 0;
  size_t members = 0;
  const StatusReply* leader = nullptr;
  for (const auto& asked : answers) {
    if (!asked.reply) continue;
    const StatusReply& status = *asked.reply;
    ++reached;
    ready += status.ready() ? 1 : 0;
    members = std::max(members, static_cast<size_t>(status.peers_size()) + 1);
    const bool leads = status.role() == StatusReply::leader && status.ready();
    if (leads && (leader == nullptr || status.term() > leader->term())) leader = &status;
  }
  for (const auto& asked : answers) {
    if (!asked.reply) {
      out << asked.endpoint << ": " << OneLine(asked.reply.error()) << "\n";
    } else if (!asked.reply->ready()) {
      out << "node " << asked.reply->node() << " is not ready: " << asked.reply->reason() << "\n";
    }
  }
  if (const std::string divergence = Divergence(answers); !divergence.empty()) {
    out << "STATES DIFFER: " << divergence << "\n";
    return kExitFault;
  }
  if (leader != nullptr) {
    out << "node " << leader->node() << " leads term " << leader->term() << "; " << ready << " of "
        << members << " nodes ready\n";
    TellOfUpgrade(*leader, out);
    return kExitOk;
  }
  // A leader that was not asked still shows: those that follow it are ready.
  if (ready > 0) {
    out << "a leader that was not asked leads; " << ready << " of " << members << " nodes ready\n";
    return kExitOk;
  }
  out << (reached == 0 ? "no node answered" : "NO LEADER: writes and linearizable reads wait")
      << "\n";
  return kExitUnavailable;
}

int Status(Context& context, const Nodes& nodes, std::chrono::milliseconds timeout) {
  const Answers answers = nodes.Ask<StatusReply>(kStatusMethod, cluster::StatusRequest(), timeout);
  const uint64_t committed = CommittedOf(answers);
  std::vector<std::vector<std::string>> rows;
  for (const auto& asked : answers) rows.push_back(Row(asked, committed));
  context.out() << Columns({"NODE", "ENDPOINT", "ROLE", "READY", "TERM", "APPLIED", "COMMITTED",
                            "LAG", "CHECKPOINT", "LOG", "STORE", "FREE", "MEMORY", "UPTIME",
                            "VERSION", "BEHAVIOUR"},
                           rows)
                << "\n";
  return Verdict(answers, context.out());
}

struct Flags {
  bool watch = false;
  uint64_t count = 0;
  std::string interval = "1s";
};

std::shared_ptr<Flags> AddRepeatFlags(CLI::App* command) {
  auto flags = std::make_shared<Flags>();
  command->add_option("--interval", flags->interval, "Time between two tables, such as 500ms or 2s")
      ->type_name("TIME")
      ->capture_default_str();
  command->add_option("--count", flags->count, "End after so many tables")->type_name("NUMBER");
  return flags;
}

int SetLevels(Context& context, const std::string& level) {
  const auto nodes = NodesOf(context);
  if (!nodes) return context.Tell(nodes.error());
  const auto timeout = AskTimeoutOf(context);
  if (!timeout) return context.Tell(timeout.error());
  cluster::LogLevelsRequest request;
  request.set_level(level);
  const auto answers =
      nodes->Ask<cluster::LogLevelsReply>("/holdfast.cluster.Cluster/LogLevels", request, *timeout);
  int code = kExitOk;
  std::vector<std::string> header = {"ENDPOINT"};
  std::vector<std::vector<std::string>> rows;
  for (const auto& asked : answers) {
    if (!asked.reply) {
      context.err() << asked.endpoint << ": " << OneLine(asked.reply.error()) << "\n";
      code = std::max(code, static_cast<int>(ExitCodeOf(asked.reply.error())));
      continue;
    }
    const std::map<std::string, std::string> levels(asked.reply->levels().begin(),
                                                    asked.reply->levels().end());
    rows.push_back({asked.endpoint});
    header.resize(1);
    for (const auto& [component, word] : levels) {
      header.push_back(component);
      rows.back().push_back(word);
    }
  }
  if (!rows.empty()) context.out() << Columns(header, rows);
  return code;
}

}  // namespace

void AddStatusCommand(CLI::App& root, Commands& commands) {
  CLI::App* status = root.add_subcommand("status", "Show how all nodes are");
  auto flags = AddRepeatFlags(status);
  status->add_flag("--watch", flags->watch, "Show it again and again, until Ctrl-C");
  status->footer(
      "Examples:\n"
      "  holdfast status --endpoints 10.0.0.1:9001,10.0.0.2:9002,10.0.0.3:9003\n"
      "  holdfast status --watch --interval 2s\n"
      "BEHAVIOUR is the version that is in force, and the newest that the node can do.\n"
      "LAG is how many entries a node still has to apply of what any node knows to be committed.\n"
      "Exit code 0: there is a leader. 3: there is none, or nobody answered. 5: states differ.");
  commands.OnRun(status, [flags](Context& context) {
    const auto nodes = NodesOf(context);
    if (!nodes) return context.Tell(nodes.error());
    const auto timeout = AskTimeoutOf(context);
    if (!timeout) return context.Tell(timeout.error());
    const auto interval = ParseTimeout(flags->interval);
    if (!interval) return context.Tell(InvalidArgument("interval", interval.error().message));
    const uint64_t count = flags->count == 0 && !flags->watch ? 1 : flags->count;
    return Repeat(context, count, *interval, [&] { return Status(context, *nodes, *timeout); });
  });
}

void AddLogCommand(CLI::App& root, Commands& commands) {
  CLI::App* log = root.add_subcommand("log", "Show or change what nodes write into their logs");
  auto level = std::make_shared<std::string>();
  log->add_option("--level", *level,
                  "trace, debug, info, warn, error or off; for one component: raft=debug (server, "
                  "api, node, raft, wal, store, peer); several with commas")
      ->type_name("LEVELS");
  log->footer(
      "Examples:\n"
      "  holdfast log --endpoints 10.0.0.2:9002                     what node 2 logs now\n"
      "  holdfast log --endpoints 10.0.0.2:9002 --level raft=debug  more about consensus\n"
      "  holdfast log --level info                                  all nodes as usual\n"
      "It lasts until the node restarts, or reads its file again on SIGHUP.");
  commands.OnRun(log, [level](Context& context) { return SetLevels(context, *level); });
}

}  // namespace holdfast::cli

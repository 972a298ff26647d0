#include <ctime>
#include <filesystem>
#include <ostream>

#include "holdfast/cluster.pb.h"
#include "src/base/file_system.h"
#include "src/base/node_list.h"
#include "src/cli/exit_codes.h"
#include "src/cli/inspect_command.h"
#include "src/cli/nodes.h"
#include "src/cli/settings_flags.h"
#include "src/server/inspect.h"

namespace holdfast::cli {
namespace {

using cluster::StatusReply;

constexpr char kStatusMethod[] = "/holdfast.cluster.Cluster/Status";

Error Refused(std::string why, std::string hint) {
  return Error{ErrorCode::kUnavailable, std::move(why) + "; nothing was moved", "", std::move(hint),
               0};
}

// Whether the others hold all that was ever acknowledged without this node: a majority of the
// members, led by one of them. Fills in those that did not answer.
Result<void> CheckOthers(Context& context, const ServerConfig& config,
                         std::vector<NodeId>* silent) {
  const auto nodes = NodesOf(context);
  const auto timeout = AskTimeoutOf(context);
  if (!nodes || !timeout) return Fail(!nodes ? nodes.error() : timeout.error());
  const auto answers = nodes->Ask<StatusReply>(kStatusMethod, cluster::StatusRequest(), *timeout);
  std::set<NodeId> good;
  std::set<uint64_t> leaders;
  std::set<NodeId> voters;  // As the leader knows them.
  std::string told;
  for (const auto& asked : answers) {
    if (!asked.reply) {
      told += "; " + asked.endpoint + ": " + asked.reply.error().message;
      continue;
    }
    const StatusReply& status = *asked.reply;
    const NodeId id(status.node());
    if (id == config.id) {
      return Fail(Refused("node " + id.ToString() + " runs, at " + asked.endpoint,
                          "Stop it first; and check --endpoints, if that is another node."));
    }
    if (status.role() == StatusReply::leader && status.ready()) {
      voters = {id};
      for (const StatusReply::Peer& peer : status.peers()) {
        if (!peer.learner()) voters.insert(NodeId(peer.node()));
      }
    }
    if (!status.ready() || status.rejoining() || status.leader_node() == config.id.value) {
      told += "; node " + id.ToString() + " is not healthy: " + status.reason();
      continue;
    }
    good.insert(id);
    leaders.insert(status.leader_node());
  }
  std::erase_if(good, [&](NodeId id) { return !voters.empty() && !voters.contains(id); });
  for (const NodeId id : voters) {
    if (id != config.id && !good.contains(id)) silent->push_back(id);
  }
  if (!voters.empty() && !voters.contains(config.id)) {
    return Fail(Refused("node " + config.id.ToString() + " has no vote in the cluster that " +
                            "--endpoints names, nodes " + NodeList(voters),
                        "holdfast members list says who has."));
  }
  if (voters.empty() || 2 * good.size() <= voters.size() || leaders.size() != 1 ||
      !good.contains(NodeId(*leaders.begin()))) {
    return Fail(Refused(
        "no majority of the members is healthy without this node: " + std::to_string(good.size()) +
            " of " + std::to_string(std::max(voters.size(), config.members.size())) + told,
        "This folder may hold the only copy of something. Bring the others up "
        "first, or go back to a backup (holdfast restore)."));
  }
  return {};
}

std::string NewName(const std::string& folder) {
  const time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &parts);
  return folder + ".damaged-" + text;
}

int Repair(Context& context, const SettingsFlags& flags, bool force) {
  Problems problems;
  const Settings settings = flags.Read(&problems);
  const ServerConfig config = ToServerConfig(settings, &problems);
  if (!problems.empty()) {
    TellProblems("holdfast repair", flags.file(), problems, context.err());
    return kExitUsage;
  }
  InspectOptions options;
  options.tables = false;
  const auto found = Inspect(config.data, options);
  if (!found) return context.Tell(found.error());
  if (found->node() != 0 && found->node() != config.id.value) {
    return context.Tell(
        InvalidArgument("", config.data + " belongs to node " + std::to_string(found->node()) +
                                ", the configuration is that of node " + config.id.ToString()));
  }
  for (const Damage& damage : found->damages()) {
    context.out() << "damaged " << damage.part() << ": " << damage.what() << "\n";
  }
  if (found->damages().empty() && !force) {
    context.out() << config.data << ": nothing is damaged, so nothing is to be repaired\n"
                  << "If the node does not start all the same, its last line says why. --force "
                     "moves the folder aside anyway.\n";
    return kExitRefused;
  }
  std::vector<NodeId> silent;
  if (auto others = CheckOthers(context, config, &silent); !others) {
    return context.Tell(others.error());
  }
  const std::string folder = std::filesystem::path(config.data).lexically_normal().string();
  const std::string plain = folder.ends_with('/') ? folder.substr(0, folder.size() - 1) : folder;
  const std::string aside = NewName(plain);
  PosixFileSystem files;
  auto moved = files.MoveFolder(plain, aside);
  if (moved) {
    moved = files.SyncFolder(std::filesystem::absolute(plain).parent_path());
  }
  if (!moved) return context.Tell(moved.error());
  context.out() << "moved " << plain << " to " << aside << "; nothing was deleted\n"
                << "Start node " << config.id.value
                << " as ever (systemctl start holdfast, or holdfast serve). It gets a new folder, "
                   "fetches what it lacks\nfrom the others while they go on serving, and votes "
                   "again when it has all. holdfast status shows how far it is.\n"
                << "Remove " << aside << " once it is ready. Never start a node on it again.\n";
  if (!silent.empty()) {
    context.out() << "It waits until nodes " << NodeList(silent)
                  << " run as well: all others are asked what it may have promised them.\n";
  }
  return kExitOk;
}

}  // namespace

void AddRepairCommand(CLI::App& root, Commands& commands) {
  CLI::App* repair = root.add_subcommand(
      "repair", "Move a damaged data folder aside, so that its node comes back from the others");
  auto force = std::make_shared<bool>(false);
  auto flags = SettingsFlags::Add(repair);
  repair->add_flag("--force", *force, "Also when nothing in the folder is damaged");
  repair->footer(
      "Examples:\n"
      "  holdfast repair --config holdfast.toml --endpoints 10.0.0.2:9002,10.0.0.3:9003\n"
      "Run it on the machine of the damaged node, which must be stopped; --endpoints are the "
      "others.\n"
      "It reads the whole folder and names what is damaged. When a majority of the members is\n"
      "healthy without this node, the folder is moved aside, never deleted: at its next start the\n"
      "node takes its place back with a new one. Else nothing is moved, because this folder may "
      "hold\n"
      "the only copy of something.\n"
      "Exit code 0: moved. 1: nothing is damaged. 3: the others are not healthy.");
  commands.OnRun(repair,
                 [flags, force](Context& context) { return Repair(context, *flags, *force); });
}

}  // namespace holdfast::cli

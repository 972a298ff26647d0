#include "src/cli/members_command.h"

#include <ostream>
#include <thread>

#include "holdfast/cluster.pb.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/progress.h"
#include "src/cli/text.h"

namespace holdfast::cli {
namespace {

using cluster::ChangeMembersReply;
using cluster::ChangeMembersRequest;
using cluster::StatusReply;
using Clock = std::chrono::steady_clock;

constexpr char kStatusMethod[] = "/holdfast.cluster.Cluster/Status";
constexpr char kChangeMethod[] = "/holdfast.cluster.Cluster/ChangeMembers";
constexpr std::chrono::milliseconds kAskAgain{200};

// The leader, as far as --endpoints name it.
struct Leader {
  std::string endpoint;
  StatusReply status;
};

Result<Leader> FindLeader(const Nodes& nodes, std::chrono::milliseconds timeout) {
  std::optional<Leader> leader;
  for (const auto& asked :
       nodes.Ask<StatusReply>(kStatusMethod, cluster::StatusRequest(), timeout)) {
    if (!asked.reply || asked.reply->role() != StatusReply::leader) continue;
    if (!leader || asked.reply->term() > leader->status.term()) {
      leader = Leader{asked.endpoint, *asked.reply};
    }
  }
  if (leader) return *leader;
  return Fail(Error{ErrorCode::kUnavailable, "none of the nodes asked leads", "",
                    "Name all nodes with --endpoints; holdfast status says how they are.", 500});
}

std::vector<std::string> Row(const StatusReply::Peer& peer, const StatusReply& leader) {
  const uint64_t lag = leader.last() - std::min<uint64_t>(leader.last(), peer.match());
  return {std::to_string(peer.node()), peer.learner() ? "learner" : "voter",
          !peer.heard()      ? "SILENT"
          : peer.rejoining() ? "catches up"
                             : "follows",
          Grouped(lag), peer.address()};
}

void Show(const StatusReply& leader, std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({std::to_string(leader.node()), "voter", "leads", "0", ""});
  for (const StatusReply::Peer& peer : leader.peers()) rows.push_back(Row(peer, leader));
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::stoull(a.front()) < std::stoull(b.front());
  });
  out << Columns({"NODE", "ROLE", "STATE", "LAG", "ADDRESS"}, rows) << "\nmembers since position "
      << Grouped(leader.membership()) << "\n";
}

int List(Context& context) {
  const auto nodes = NodesOf(context);
  if (!nodes) return context.Tell(nodes.error());
  const auto timeout = AskTimeoutOf(context);
  if (!timeout) return context.Tell(timeout.error());
  const auto leader = FindLeader(*nodes, *timeout);
  if (!leader) return context.Tell(leader.error());
  Show(leader->status, context.out());
  return kExitOk;
}

bool MayHelpToWait(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kResourceExhausted ||
         error.code == ErrorCode::kDeadlineExceeded || error.code == ErrorCode::kOutcomeUnknown;
}

// Another's change may have come in between.
bool IsSo(const StatusReply& leader, const ChangeMembersRequest& request) {
  const StatusReply::Peer* found = nullptr;
  for (const StatusReply::Peer& peer : leader.peers()) {
    if (peer.node() == request.node()) found = &peer;
  }
  const bool leads = leader.node() == request.node();
  switch (request.change()) {
    case ChangeMembersRequest::add: return leads || found != nullptr;
    case ChangeMembersRequest::promote: return leads || (found != nullptr && !found->learner());
    default: return !leads && found == nullptr;
  }
}

// Asks the leader, whoever that is by then, until it has agreed and the members are in force:
// asking twice does no harm, what is so already is not changed again.
int Change(Context& context, const ChangeMembersRequest& request, std::chrono::seconds patience) {
  const auto nodes = NodesOf(context);
  if (!nodes) return context.Tell(nodes.error());
  const auto timeout = AskTimeoutOf(context);
  if (!timeout) return context.Tell(timeout.error());
  const auto end = Clock::now() + patience;
  uint64_t wanted = 0;
  std::string said;
  Error last;
  for (bool again = false;; again = true) {
    if (again) {
      if (last.message != said) {
        said = last.message;
        context.err() << "waits: " << OneLine(last) << "\n";
      }
      if (Clock::now() > end) return context.Tell(last);
      std::this_thread::sleep_for(kAskAgain);
    }
    const auto leader = FindLeader(*nodes, *timeout);
    if (!leader) {
      last = leader.error();
      continue;
    }
    if (wanted != 0 && leader->status.membership() >= wanted && IsSo(leader->status, request)) {
      Show(leader->status, context.out());
      return kExitOk;
    }
    client::Client client(std::vector{leader->endpoint});
    client::CallOptions options;
    options.timeout = *timeout;
    const auto reply = client.Call<ChangeMembersReply>(kChangeMethod, request, options);
    if (reply) {
      wanted = reply->message.membership();
      last = Error{ErrorCode::kUnavailable,
                   "entry " + std::to_string(wanted) + " is not in force yet", "", "", 0};
    } else if (MayHelpToWait(reply.error())) {
      last = reply.error();
    } else {
      return context.Tell(reply.error());
    }
  }
}

struct Flags {
  uint64_t node = 0;
  std::string address;
  uint64_t wait_seconds = 60;
};

CLI::App* AddChange(CLI::App* members, Commands& commands, const std::string& name,
                    const std::string& help, ChangeMembersRequest::Change change) {
  CLI::App* command = members->add_subcommand(name, help);
  auto flags = std::make_shared<Flags>();
  command->add_option("node", flags->node, "The node's id")->required()->type_name("ID");
  if (change == ChangeMembersRequest::add) {
    command
        ->add_option("address", flags->address,
                     "Where the others reach it: its own address in cluster.members")
        ->required()
        ->type_name("HOST:PORT");
  }
  command->add_option("--wait", flags->wait_seconds, "Seconds to go on trying")
      ->type_name("SECONDS")
      ->capture_default_str();
  commands.OnRun(command, [flags, change](Context& context) {
    ChangeMembersRequest request;
    request.set_change(change);
    request.set_node(flags->node);
    request.set_address(flags->address);
    return Change(context, request, std::chrono::seconds(flags->wait_seconds));
  });
  return command;
}

}  // namespace

void AddMembersCommand(CLI::App& root, Commands& commands) {
  CLI::App* members =
      root.add_subcommand("members", "Show or change who the members of the cluster are");
  members->require_subcommand(1);
  members->footer(
      "To replace a dead node 3 by node 4:\n"
      "  holdfast members add 4 10.0.0.4:7004      it gets the log, and has no vote yet\n"
      "  holdfast serve --id 4 --members 1=...,2=...,3=...,4=10.0.0.4:7004    on its machine\n"
      "  holdfast members promote 4                waits until it has caught up\n"
      "  holdfast members remove 3\n"
      "One change at a time; writes go on. docs/operations.md says more.");
  CLI::App* list = members->add_subcommand("list", "The members, as the leader sees them");
  commands.OnRun(list, [](Context& context) { return List(context); });
  AddChange(members, commands, "add", "Add a node as a learner: it stores the log, without a vote",
            ChangeMembersRequest::add);
  AddChange(members, commands, "promote", "Give a learner that has caught up its vote",
            ChangeMembersRequest::promote);
  AddChange(members, commands, "remove", "Remove a node, dead or alive",
            ChangeMembersRequest::remove);
}

}  // namespace holdfast::cli

#include "src/cli/verify_command.h"

#include <filesystem>
#include <map>
#include <ostream>
#include <thread>

#include "holdfast/cluster.pb.h"
#include "src/base/bounds.h"
#include "src/cli/backup_read.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/progress.h"
#include "src/cli/text.h"
#include "src/server/offline_state.h"

namespace holdfast::cli {
namespace {

using cluster::StatusReply;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kStatusMethod[] = "/holdfast.cluster.Cluster/Status";
constexpr milliseconds kAskAgain{5};
constexpr milliseconds kPatience{15'000};  // Under load two nodes stand at one position by chance.

int VerifyBackup(Context& context, const std::string& folder) {
  PosixFileSystem files;
  auto manifest = node::ReadManifest(files, folder);
  if (!manifest) return context.Tell(manifest.error());
  uint64_t total = 0;
  for (const BackupFile& file : manifest->files()) total += file.bytes();
  {
    Progress progress(context.err(), context.err_is_terminal(), "verify (KiB)", total >> 10);
    auto read = node::ReadFiles(files, folder, *manifest, "",
                                [&](uint64_t done) { progress.Update(done >> 10); });
    if (!read) {
      context.Tell(read.error());
      return kExitRefused;
    }
  }
  const std::string database = folder + "/" + node::kBackupDatabase;
  if (auto checked = CheckDatabase(database, &*manifest); !checked) {
    context.Tell(checked.error());
    return kExitRefused;
  }
  context.out() << folder << ": backup " << node::BackupName(manifest->backup()) << " of node "
                << manifest->node() << ", position " << Grouped(manifest->index()) << ", "
                << manifest->files_size() << " files, " << BytesText(total)
                << ": checksums, position, state and invariants are as they should be\n";
  return kExitOk;
}

// What a node has said of itself, and what was found out about it.
struct Checked {
  std::string endpoint;
  uint64_t node = 0;
  std::map<uint64_t, std::string> digests;   // By position.
  std::map<uint64_t, std::string> contents;  // Of all rows that it has stored, by position.
  std::string state = "not compared";
  std::string store = "-";
  bool bad = false;
};

class Verification {
 public:
  Verification(Context& context, const Nodes& nodes, milliseconds timeout)
      : context_(context), nodes_(nodes), timeout_(timeout) {}

  int Run(const std::string& scratch);

 private:
  // Everyone's status, once more.
  void Ask();
  // True: each node was compared with another, or differs.
  bool Compare();
  // Of what was read of the stores, where two were at one position.
  void CompareContents();
  void CheckStores(const std::string& scratch);

  Context& context_;
  const Nodes& nodes_;
  const milliseconds timeout_;
  std::vector<Checked> checked_;
};

void Verification::Ask() {
  const auto answers = nodes_.Ask<StatusReply>(kStatusMethod, cluster::StatusRequest(), timeout_);
  checked_.resize(answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    Checked& node = checked_[i];
    node.endpoint = answers[i].endpoint;
    if (!answers[i].reply) {
      if (node.node == 0) node.state = "unreachable: " + OneLine(answers[i].reply.error());
      continue;
    }
    node.node = answers[i].reply->node();
    node.digests[answers[i].reply->applied()] = answers[i].reply->digest();
  }
}

bool Verification::Compare() {
  std::map<uint64_t, std::map<std::string, std::vector<size_t>>> at;  // Position, digest: nodes.
  size_t reached = 0;
  for (size_t i = 0; i < checked_.size(); ++i) {
    reached += checked_[i].node == 0 ? 0 : 1;
    for (const auto& [position, digest] : checked_[i].digests) at[position][digest].push_back(i);
  }
  std::set<size_t> compared;
  for (const auto& [position, by_digest] : at) {
    if (by_digest.size() > 1) {
      // Whom most agree with is right, as far as one can know; of two both may be wrong.
      size_t most = 0;
      for (const auto& [digest, nodes] : by_digest) most = std::max(most, nodes.size());
      for (const auto& [digest, nodes] : by_digest) {
        for (size_t i : nodes) {
          compared.insert(i);
          if (nodes.size() == most && most > 1) continue;
          checked_[i].bad = true;
          checked_[i].state = "DIFFERS at position " + Grouped(position);
        }
      }
      continue;
    }
    const std::vector<size_t>& same = by_digest.begin()->second;
    if (same.size() < 2) continue;
    for (size_t i : same) {
      compared.insert(i);
      if (!checked_[i].bad) checked_[i].state = "equal at position " + Grouped(position);
    }
  }
  if (reached == 1) {
    for (Checked& node : checked_) {
      if (node.node != 0) node.state = "nobody to compare with";
    }
    return true;
  }
  return compared.size() >= reached;
}

// Reads a backup of each node and throws it away: what a node stores is read from its disk, down to
// the last block, and what its services promise of their rows is checked.
void Verification::CheckStores(const std::string& scratch) {
  PosixFileSystem files;
  for (Checked& node : checked_) {
    if (node.node == 0) continue;
    const std::string folder = scratch + "/verify-" + std::to_string(node.node);
    if (auto made = files.CreateFolders(scratch); !made) {
      node.store = made.error().message;
      node.bad = true;
      continue;
    }
    Progress progress(context_.err(), context_.err_is_terminal(),
                      "verify node " + std::to_string(node.node) + " (KiB)", 0);
    client::Client client({node.endpoint});
    BackupReadOptions options;
    options.folder = folder;
    options.bytes_per_second = bounds::kCheckpointBytesPerSecond;
    options.timeout = timeout_;
    options.tell = [](const std::string&) {};
    options.progress = [&](uint64_t done, uint64_t) { progress.Update(done >> 10); };
    const auto read = ReadBackupFrom(client, files, options);
    auto state = read ? OfflineState::Open(folder + "/" + node::kBackupDatabase)
                      : Result<std::unique_ptr<OfflineState>>(Fail(read.error()));
    if (state) {
      node.store = "whole at position " + Grouped(read->index());
      node.digests[read->index()] = node::BackupName(read->digest());
      node.contents[read->index()] = node::BackupName((*state)->ContentHash());
      state->reset();
    } else {
      node.store = "BAD: " + state.error().message;
      node.bad = true;
    }
    (void)files.RemoveAll(folder);
  }
}

void Verification::CompareContents() {
  std::map<std::pair<uint64_t, std::string>, size_t> votes;
  std::map<uint64_t, size_t> read;
  for (const Checked& node : checked_) {
    for (const auto& [position, content] : node.contents) {
      ++votes[{position, content}];
      ++read[position];
    }
  }
  for (Checked& node : checked_) {
    for (const auto& [position, content] : node.contents) {
      const size_t same = votes[{position, content}];
      if (same == read[position]) {
        if (same > 1) node.store += ", all rows as on the others";
      } else if (2 * same <= read[position]) {  // Of two both may be wrong.
        node.store =
            "BAD: its rows differ from those of the others at position " + Grouped(position);
        node.bad = true;
      }
    }
  }
}

int Verification::Run(const std::string& scratch) {
  const auto end = steady_clock::now() + kPatience;
  do {
    Ask();
    if (Compare()) break;
    std::this_thread::sleep_for(kAskAgain);
  } while (steady_clock::now() < end);
  if (!scratch.empty()) {
    CheckStores(scratch);
    Compare();
    CompareContents();
  }
  std::vector<std::vector<std::string>> rows;
  bool bad = false;
  bool open = false;
  for (const Checked& node : checked_) {
    rows.push_back(
        {node.node == 0 ? "-" : std::to_string(node.node), node.endpoint, node.state, node.store});
    bad |= node.bad;
    open |= node.node == 0 || node.state == "not compared";
  }
  context_.out() << Columns({"NODE", "ENDPOINT", "STATE", "STORE"}, rows) << "\n";
  if (bad) {
    context_.out() << "NOT EQUAL: stop writing, keep the data folders, and report it\n";
    return kExitRefused;
  }
  if (open) {
    context_.out() << "not all nodes could be compared\n";
    return kExitUnavailable;
  }
  context_.out() << "all nodes hold the same\n";
  return kExitOk;
}

}  // namespace

void AddVerifyCommand(CLI::App& root, Commands& commands) {
  CLI::App* verify = root.add_subcommand("verify", "Check a running cluster, or a backup");
  auto backup = std::make_shared<std::string>();
  auto scratch = std::make_shared<std::string>();
  verify->add_option("BACKUP", *backup, "A folder that holdfast backup has written");
  verify
      ->add_option("--stores", *scratch,
                   "Also read each node's store, through this folder; room for one store")
      ->type_name("FOLDER");
  verify->footer(
      "Examples:\n"
      "  holdfast verify                       do all nodes hold the same?\n"
      "  holdfast verify --stores /var/tmp/hf  and is every block on their disks as it was "
      "written?\n"
      "  holdfast verify /backup/2024-05-01    is a backup whole?\n"
      "Nodes are compared by the digest of every change ever made, at equal positions of the log,\n"
      "also while writes go on. --stores reads a backup of each node in turn: checksums of all "
      "files\n"
      "and blocks, the position, and what the services promise of their rows (no money made or "
      "lost);\n"
      "and every row is compared with those of the other nodes, where they were read at one "
      "position,\n"
      "as in a cluster without writes.\n"
      "For the ledger's whole history: holdfast ledger verify.\n"
      "Exit code 0: all is well. 1: something differs or is damaged, and it is told where. 3: a "
      "node\n"
      "did not answer, or could not be compared.");
  commands.OnRun(verify, [backup, scratch](Context& context) {
    if (!backup->empty()) return VerifyBackup(context, *backup);
    const auto nodes = NodesOf(context);
    if (!nodes) return context.Tell(nodes.error());
    const auto timeout = AskTimeoutOf(context);
    if (!timeout) return context.Tell(timeout.error());
    return Verification(context, *nodes, *timeout).Run(*scratch);
  });
}

}  // namespace holdfast::cli

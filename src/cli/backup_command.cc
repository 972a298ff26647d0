#include "src/cli/backup_command.h"

#include <ostream>
#include <random>

#include "holdfast/cluster.pb.h"
#include "src/base/bounds.h"
#include "src/base/utc_text.h"
#include "src/cli/backup_read.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/progress.h"
#include "src/cli/settings_flags.h"
#include "src/cli/text.h"
#include "src/node/restore.h"
#include "src/server/settings.h"
#include "src/store/rocksdb/folder.h"
#include "src/store/rocksdb/rocksdb_base.h"

namespace holdfast::cli {
namespace {

using cluster::StatusReply;
using std::chrono::milliseconds;

constexpr char kStatusMethod[] = "/holdfast.cluster.Cluster/Status";
constexpr uint64_t kMebibyte = 1 << 20;

struct Source {
  std::string endpoint;
  uint64_t node = 0;
  uint64_t committed = 0;  // As far as any node that answered knows.
};

// The follower that is furthest: it has time. Or the leader, when it is alone.
Result<Source> ChooseNode(Context& context, milliseconds timeout) {
  const auto nodes = NodesOf(context);
  if (!nodes) return Fail(nodes.error());
  const auto answers = nodes->Ask<StatusReply>(kStatusMethod, cluster::StatusRequest(), timeout);
  Source source;
  const StatusReply* best = nullptr;
  Error last{ErrorCode::kUnavailable, "no node answered", "", "", 0};
  const auto rank = [](const StatusReply& status) {
    return std::pair(status.role() != StatusReply::leader, status.applied());
  };
  for (const auto& asked : answers) {
    if (!asked.reply) {
      last = asked.reply.error();
      continue;
    }
    const StatusReply& status = *asked.reply;
    source.committed = std::max<uint64_t>(source.committed, status.committed());
    if (!status.ready()) {
      last = Error{ErrorCode::kUnavailable,
                   "node " + std::to_string(status.node()) + " is not ready: " + status.reason(),
                   "", "", 0};
    } else if (best == nullptr || rank(status) > rank(*best)) {
      best = &status;
      source.endpoint = asked.endpoint;
      source.node = status.node();
    }
  }
  if (best == nullptr) return Fail(last);
  return source;
}

uint64_t BytesOf(const BackupManifest& manifest) {
  uint64_t bytes = 0;
  for (const BackupFile& file : manifest.files()) bytes += file.bytes();
  return bytes;
}

// A progress whose total is known later than its beginning.
class ByteProgress {
 public:
  ByteProgress(Context& context, std::string what) : context_(context), what_(std::move(what)) {}
  void Update(uint64_t done, uint64_t total) {
    if (!progress_) {
      progress_.emplace(context_.err(), context_.err_is_terminal(), what_ + " (KiB)", total >> 10);
    }
    progress_->Update(done >> 10);
  }
  void End() { progress_.reset(); }

 private:
  Context& context_;
  const std::string what_;
  std::optional<Progress> progress_;
};

int Backup(Context& context, const std::string& folder, uint64_t rate_mib) {
  const auto ask = AskTimeoutOf(context);
  const auto call = context.CallOptions();
  if (!ask || !call) return context.Tell(!ask ? ask.error() : call.error());
  const auto source = ChooseNode(context, *ask);
  if (!source) return context.Tell(source.error());
  client::Client node({source->endpoint});
  PosixFileSystem files;
  ByteProgress progress(context, "backup");
  BackupReadOptions options;
  options.folder = folder;
  options.after = source->committed;
  options.bytes_per_second = rate_mib * kMebibyte;
  options.timeout = call->timeout;
  options.tell = [&](const std::string& what) {
    progress.End();
    context.err() << "backup: " << what << std::endl;
  };
  options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  const auto began = std::chrono::steady_clock::now();
  auto manifest = ReadBackupFrom(node, files, options);
  progress.End();
  if (!manifest) {
    Error error = manifest.error();
    if (error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadlineExceeded) {
      error.message = "reading from node " + std::to_string(source->node) + " (" +
                      source->endpoint + "): " + error.message;
      if (error.hint.empty())
        error.hint = "Nothing was left behind. Begin anew: another node is asked.";
    }
    return context.Tell(error);
  }
  const auto took =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  const uint64_t bytes = BytesOf(*manifest);
  context.out() << "backup " << node::BackupName(manifest->backup()) << " of node "
                << manifest->node() << " in " << folder << ": position "
                << Grouped(manifest->index()) << " of " << UtcText(manifest->log_time_us(), 0)
                << ", " << manifest->files_size() << " files, " << BytesText(bytes) << " in "
                << ToText(took) << " (" << BytesText(RateOf(bytes, took)) << "/s); verified\n";
  return kExitOk;
}

int RestoreFolder(Context& context, const std::string& backup, const SettingsFlags& flags) {
  Problems problems;
  const Settings settings = flags.Read(&problems);
  const ServerConfig config = ToServerConfig(settings, &problems);
  if (!problems.empty()) {
    TellProblems("holdfast restore", flags.file(), problems, context.err());
    return kExitUsage;
  }
  PosixFileSystem files;
  auto manifest = node::ReadManifest(files, backup);
  if (!manifest) return context.Tell(manifest.error());
  if (manifest->store_format() != store::kStoreFormat) {
    return context.Tell(InvalidArgument(
        "", "the backup's store has format " + std::to_string(manifest->store_format()) +
                ", this version restores format " + std::to_string(store::kStoreFormat)));
  }
  std::random_device device;
  const uint64_t total = BytesOf(*manifest);
  ByteProgress progress(context, "restore");
  node::RestoreOptions options;
  options.backup = backup;
  options.data = config.data;
  options.node = config.id;
  options.incarnation = static_cast<uint64_t>(device()) << 32 | device();
  options.log_segment_bytes = config.log_segment_bytes;
  options.progress = [&](uint64_t done) { progress.Update(done, total); };
  options.check_store = [&](const std::string& store, const BackupManifest& says) -> Result<void> {
    progress.End();
    context.err() << "restore: verifying" << std::endl;
    if (auto prepared = store::AdoptDatabase(store); !prepared) return prepared;
    BackupManifest copy = says;
    return CheckDatabase(store + "/" + store::kDatabaseFolder, &copy);
  };
  const auto restored = node::Restore(files, options, *manifest);
  progress.End();
  if (!restored) return context.Tell(restored.error());
  std::string others;
  for (const auto& [id, address] : config.members) {
    if (id != config.id) others += (others.empty() ? "" : ", ") + id.ToString();
  }
  context.out() << config.data << ": node " << config.id.value << " of a new cluster that begins "
                << "with backup " << node::BackupName(manifest->backup()) << ", position "
                << Grouped(manifest->index()) << " of " << UtcText(manifest->log_time_us(), 0)
                << "\n";
  if (!others.empty()) {
    context.out() << "Restore the same backup for nodes " << others
                  << " as well, then start them all.\n";
  }
  return kExitOk;
}

}  // namespace

void AddBackupCommand(CLI::App& root, Commands& commands) {
  CLI::App* backup = root.add_subcommand("backup", "Take a backup of all data from a running node");
  auto folder = std::make_shared<std::string>();
  auto rate = std::make_shared<uint64_t>(bounds::kCheckpointBytesPerSecond / kMebibyte);
  backup->add_option("DIR", *folder, "The folder to make; it must not exist")->required();
  backup->add_option("--rate", *rate, "Read at most so much a second; 0: as fast as it goes")
      ->type_name("MIB")
      ->capture_default_str();
  backup->footer(
      "Examples:\n"
      "  holdfast backup /backup/2024-05-01                                 from a follower\n"
      "  holdfast backup /backup/today --endpoints 10.0.0.2:9002 --rate 20  from node 2, slowly\n"
      "The cluster goes on serving. The backup holds everything that was committed when the "
      "command\n"
      "began. It is verified before the folder gets its name; a backup that failed leaves "
      "nothing.\n"
      "To go back: holdfast restore.");
  commands.OnRun(backup,
                 [folder, rate](Context& context) { return Backup(context, *folder, *rate); });
}

void AddRestoreCommand(CLI::App& root, Commands& commands) {
  CLI::App* restore = root.add_subcommand(
      "restore", "Make the data folder of a member of a new cluster from a backup");
  auto backup = std::make_shared<std::string>();
  restore->add_option("BACKUP", *backup, "A folder that holdfast backup has written")->required();
  auto flags = SettingsFlags::Add(restore);
  restore->footer(
      "Examples:\n"
      "  holdfast restore /backup/2024-05-01 --config holdfast.toml    on every machine\n"
      "  holdfast restore /backup/2024-05-01 --data data/1             a cluster of one\n"
      "Run it for every member of the new cluster, with the same backup and while no node runs, "
      "as\n"
      "the user that runs the node. Then start all nodes: they found a cluster that goes on "
      "behind\n"
      "the backup's position. Members that begin with different backups, or without one, refuse "
      "one\n"
      "another. The folder must not exist, or be empty: nothing is ever overwritten.");
  commands.OnRun(restore, [backup, flags](Context& context) {
    return RestoreFolder(context, *backup, *flags);
  });
}

}  // namespace holdfast::cli

#include "src/cli/backup_read.h"

#include <xxhash.h>

#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "holdfast/cluster.pb.h"
#include "src/base/bounds.h"
#include "src/clock/clock.h"
#include "src/server/offline_state.h"

namespace holdfast::cli {
namespace {

using cluster::BeginBackupReply;
using cluster::ReadBackupReply;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kBegin[] = "/holdfast.cluster.Cluster/BeginBackup";
constexpr char kRead[] = "/holdfast.cluster.Cluster/ReadBackup";
constexpr char kEnd[] = "/holdfast.cluster.Cluster/EndBackup";
constexpr milliseconds kAskAgain{50};
constexpr milliseconds kPatience{300'000};  // For a node that lags, or writes a great checkpoint.

uint64_t RandomNumber() {
  std::random_device device;
  return std::max<uint64_t>(static_cast<uint64_t>(device()) << 32 | device(), 1);
}

// Sleeps so long that no more than so many bytes a second are read.
class Pace {
 public:
  explicit Pace(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}
  void Add(uint64_t bytes) {
    bytes_ += bytes;
    if (bytes_per_second_ == 0) return;
    std::this_thread::sleep_until(begun_ + milliseconds(bytes_ * 1'000 / bytes_per_second_));
  }

 private:
  const uint64_t bytes_per_second_;
  const steady_clock::time_point begun_ = steady_clock::now();
  uint64_t bytes_ = 0;
};

class Reader {
 public:
  Reader(client::Client& node, FileSystem& files, const BackupReadOptions& options)
      : node_(node),
        files_(files),
        options_(options),
        partial_(options.folder + ".partial"),
        pace_(options.bytes_per_second) {}

  Result<BackupManifest> Run();

 private:
  template <class Reply>
  Result<Reply> Ask(const char* method, const google::protobuf::Message& request) {
    client::CallOptions call;
    call.timeout = options_.timeout;
    auto reply = node_.Call<Reply>(method, request, call);
    if (!reply) return Fail(reply.error());
    return std::move(reply->message);
  }
  Result<BeginBackupReply> Begin();
  Result<void> PreparePartial();
  Result<BackupManifest> Read(const BeginBackupReply& begun);
  Result<uint64_t> ReadFile(uint32_t number, const BeginBackupReply::File& file);
  Result<void> Finish(BackupManifest* manifest);

  client::Client& node_;
  FileSystem& files_;
  const BackupReadOptions& options_;
  const std::string partial_;
  Pace pace_;
  uint64_t session_ = 0;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

Result<BeginBackupReply> Reader::Begin() {
  const auto begun = steady_clock::now();
  bool told = false;
  cluster::BeginBackupRequest request;
  request.set_after(options_.after);
  for (;;) {
    auto reply = Ask<BeginBackupReply>(kBegin, request);
    if (!reply || reply->ready()) return reply;
    session_ = reply->session();
    request.set_session(session_);
    const auto waited = steady_clock::now() - begun;
    if (waited > kPatience) {
      return Fail(Error{ErrorCode::kUnavailable,
                        "node " + std::to_string(reply->node()) +
                            " does not get a backup ready: it has come to position " +
                            std::to_string(reply->applied()) + ", wanted is " +
                            std::to_string(options_.after),
                        "", "Take it from a node that does not lag (holdfast status).", 0});
    }
    if (!std::exchange(told, true)) {
      options_.tell("node " + std::to_string(reply->node()) + " makes a checkpoint");
    }
    std::this_thread::sleep_for(kAskAgain);
  }
}

// What an earlier attempt left is ours to remove; anything else is not.
Result<void> Reader::PreparePartial() {
  const auto exists = files_.Exists(partial_);
  if (!exists) return Fail(exists.error());
  if (*exists) {
    const auto names = files_.List(partial_);
    if (!names) return Fail(names.error());
    for (const std::string& name : *names) {
      if (name == node::kBackupDatabase || name.starts_with(node::kBackupManifest)) continue;
      return Fail(InvalidArgument("", partial_ + " is in the way: it holds " + name));
    }
    if (auto removed = files_.RemoveAll(partial_); !removed) return removed;
  }
  return files_.CreateFolders(partial_ + "/" + node::kBackupDatabase);
}

Result<uint64_t> Reader::ReadFile(uint32_t number, const BeginBackupReply::File& file) {
  auto out =
      files_.Open(partial_ + "/" + node::kBackupDatabase + "/" + file.name(), OpenMode::kCreate);
  if (!out) return Fail(out.error());
  node::Checksum checksum;
  for (uint64_t offset = 0; offset < file.bytes();) {
    cluster::ReadBackupRequest request;
    request.set_session(session_);
    request.set_file(number);
    request.set_offset(offset);
    request.set_bytes(static_cast<uint32_t>(
        std::min<uint64_t>(bounds::kCheckpointPieceBytes, file.bytes() - offset)));
    auto piece = Ask<ReadBackupReply>(kRead, request);
    if (!piece) return Fail(piece.error());
    const std::string& data = piece->data();
    if (data.size() != request.bytes() ||
        XXH3_64bits(data.data(), data.size()) != piece->checksum()) {
      return Fail(Error{ErrorCode::kInternal,
                        "a piece of " + file.name() +
                            " is not what was asked for, or its checksum "
                            "does not match",
                        "", "Take the backup from another node.", 0});
    }
    if (auto written = (*out)->Write(offset, data); !written) return Fail(written.error());
    checksum.Add(data);
    offset += data.size();
    done_ += data.size();
    options_.progress(done_, total_);
    pace_.Add(data.size());
  }
  if (auto synced = (*out)->Sync(); !synced) return Fail(synced.error());
  return checksum.value();
}

Result<BackupManifest> Reader::Read(const BeginBackupReply& begun) {
  BackupManifest manifest;
  manifest.set_format(node::kBackupFormat);
  manifest.set_backup(RandomNumber());
  manifest.set_index(begun.position());
  manifest.set_index_term(begun.position_term());
  manifest.set_term(begun.term());
  manifest.set_node(begun.node());
  *manifest.mutable_members() = begun.members();
  manifest.set_cluster(begun.cluster());
  manifest.set_store_format(begun.store_format());
  manifest.set_version(begun.version());
  manifest.set_taken_us(SystemClock().WallUs());
  std::set<std::string> names;
  for (const auto& file : begun.files()) {
    if (!node::IsPlainFileName(file.name()) || !names.insert(file.name()).second) {
      return Fail(Error{ErrorCode::kInternal, "the node names a file that is none", "", "", 0});
    }
    total_ += file.bytes();
  }
  for (int i = 0; i < begun.files_size(); ++i) {
    const auto checksum = ReadFile(static_cast<uint32_t>(i), begun.files(i));
    if (!checksum) return Fail(checksum.error());
    BackupFile* entry = manifest.add_files();
    entry->set_name(begun.files(i).name());
    entry->set_bytes(begun.files(i).bytes());
    entry->set_checksum(*checksum);
  }
  return manifest;
}

Result<void> Reader::Finish(BackupManifest* manifest) {
  const std::string database = partial_ + "/" + node::kBackupDatabase;
  if (auto synced = files_.SyncFolder(database); !synced) return synced;
  options_.tell("verifying");
  if (auto read = node::ReadFiles(files_, partial_, *manifest, "", nullptr); !read) return read;
  if (auto checked = CheckDatabase(database, manifest); !checked) return checked;
  auto written =
      ReplaceFile(files_, partial_ + "/" + node::kBackupManifest, node::EncodeManifest(*manifest));
  if (!written) return written;
  if (auto synced = files_.SyncFolder(partial_); !synced) return synced;
  if (auto moved = files_.MoveFolder(partial_, options_.folder); !moved) return moved;
  return files_.SyncFolder(
      std::filesystem::absolute(options_.folder).lexically_normal().parent_path());
}

Result<BackupManifest> Reader::Run() {
  const auto exists = files_.Exists(options_.folder);
  if (!exists) return Fail(exists.error());
  if (*exists) {
    return Fail(InvalidArgument("", options_.folder + " is there already; name a new folder"));
  }
  if (auto prepared = PreparePartial(); !prepared) return Fail(prepared.error());
  auto begun = Begin();
  Result<BackupManifest> manifest =
      begun ? BackupManifest() : Result<BackupManifest>(Fail(begun.error()));
  if (begun) {
    session_ = begun->session();
    manifest = Read(*begun);
  }
  if (session_ != 0) {  // Whether it hears that or not: it lets go of an idle one.
    cluster::EndBackupRequest end;
    end.set_session(session_);
    (void)Ask<cluster::EndBackupReply>(kEnd, end);
  }
  if (manifest) {
    if (auto finished = Finish(&*manifest); !finished) manifest = Fail(finished.error());
  }
  if (!manifest) (void)files_.RemoveAll(partial_);
  return manifest;
}

}  // namespace

Result<BackupManifest> ReadBackupFrom(client::Client& node, FileSystem& files,
                                      const BackupReadOptions& options) {
  return Reader(node, files, options).Run();
}

Result<void> CheckDatabase(const std::string& database, BackupManifest* manifest) {
  auto state = OfflineState::Open(database);
  if (!state) return Fail(state.error());
  const state_machine::Position position = (*state)->position();
  const auto differs = [&](const std::string& what) {
    return Fail(Error{ErrorCode::kInternal, "the database in " + database + " " + what, "",
                      "Do not use this backup; take another, from another node.", 0});
  };
  if (position.applied.value != manifest->index()) {
    return differs("stands at position " + position.applied.ToString() + ", the manifest says " +
                   std::to_string(manifest->index()));
  }
  if (manifest->digest() == 0 && manifest->log_time_us() == 0) {
    manifest->set_digest(position.digest);
    manifest->set_log_time_us(position.now.us);
  } else if (position.digest != manifest->digest() || position.now.us != manifest->log_time_us()) {
    return differs("holds another state than the manifest says");
  }
  if (const std::string broken = (*state)->BrokenInvariant(); !broken.empty()) {
    return differs("breaks an invariant: " + broken);
  }
  return {};
}

}  // namespace holdfast::cli

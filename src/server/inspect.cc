#include "src/server/inspect.h"

#include <filesystem>
#include <map>

#include "holdfast/log.pb.h"
#include "src/api/json.h"
#include "src/base/file_system.h"
#include "src/base/utc_text.h"
#include "src/node/backup_folder.h"
#include "src/node/checkpoint_install.h"
#include "src/node/identity.h"
#include "src/server/offline_state.h"
#include "src/store/rocksdb/folder.h"
#include "src/wal/inspect.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

const char* KindText(wal::EntryType type) {
  switch (type) {
    case wal::EntryType::kCommand: return "command";
    case wal::EntryType::kBarrier: return "barrier";
    case wal::EntryType::kConfiguration: return "configuration";
  }
  return "unknown";
}

class Inspector {
 public:
  Inspector(const std::string& folder, const InspectOptions& options)
      : folder_(folder), options_(options) {
    out_.set_folder(folder);
  }

  Result<Inspection> Run();

 private:
  void LookAtIdentity();
  void LookAtLog();
  Result<void> LookAtStore();
  void LookAtCheckpoint();
  void AddSegments(const wal::LogInspection& log);
  void AddTerms(const wal::EntryIndex& entries);
  void AddTables();
  void AddEntries();
  void AddRequest(const LogRequest& request, InspectedEntry* entry);
  bool Has(const std::string& name) const { return fs::exists(folder_ + "/" + name); }
  void AddDamage(const char* part, const Error& error) {
    Damage* damage = out_.add_damages();
    damage->set_part(part);
    damage->set_what(error.message);
  }

  const std::string folder_;
  const InspectOptions options_;
  PosixFileSystem files_;
  Inspection out_;
  bool founded_ = false;
  std::unique_ptr<wal::LogInspection> log_;
  std::unique_ptr<OfflineState> state_;
};

void Inspector::LookAtIdentity() {
  if (!Has("identity")) {
    AddDamage("identity", Error{ErrorCode::kInternal, folder_ + "/identity is missing", "", "", 0});
    return;
  }
  const auto identity = node::Founding::Read(files_, folder_);
  if (!identity) {
    AddDamage("identity", identity.error());
    return;
  }
  out_.set_node(identity->node());
  out_.set_incarnation(node::BackupName(identity->incarnation()));
  if (identity->cluster() != 0) out_.set_cluster(node::BackupName(identity->cluster()));
  for (const Member& member : identity->founders()) out_.add_members(member.node());
  founded_ = identity->founders_size() > 0 && !identity->founding();
  out_.set_standing(identity->rejoining()           ? "rejoining"
                    : founded_                      ? "founded"
                    : identity->founders_size() > 0 ? "founding"
                                                    : "new");
  if (identity->has_origin()) {
    out_.set_origin("backup " + node::BackupName(identity->origin().backup()) + ", position " +
                    std::to_string(identity->origin().index()));
  }
}

void Inspector::LookAtLog() {
  const auto missing = [&](const std::string& what) {
    AddDamage("log", Error{ErrorCode::kInternal, folder_ + "/log " + what, "", "", 0});
  };
  if (!Has("log/state")) {
    if (founded_) missing("is not there, or has no state file");
    return;
  }
  std::optional<wal::LogState> state;
  auto log = wal::LogInspection::Open(files_, folder_ + "/log", &state);
  if (state) {
    out_.mutable_log()->set_term(state->hard.term.value);
    out_.mutable_log()->set_vote(state->hard.vote.value);
    out_.mutable_log()->set_first(state->first.value);
  }
  if (!log) {
    AddDamage("log", log.error());
    return;
  }
  log_ = *std::move(log);
  out_.mutable_log()->set_first(log_->entries().first().value);
  out_.mutable_log()->set_last(log_->entries().last().value);
  if (founded_ && log_->entries().last().value == 0) missing("is empty");
  AddSegments(*log_);
  AddTerms(log_->entries());
}

void Inspector::AddSegments(const wal::LogInspection& log) {
  std::map<uint32_t, InspectedSegment*> by_number;
  for (const wal::Segment& segment : log.segments()) {
    InspectedSegment* out = out_.mutable_log()->add_segments();
    out->set_name(fs::path(segment.path).filename());
    out->set_bytes(segment.bytes);
    by_number[segment.sequence] = out;
  }
  const wal::EntryIndex& entries = log.entries();
  for (LogIndex index = entries.first(); index <= entries.last(); index = index.Next()) {
    InspectedSegment* segment = by_number[entries.at(index).segment];
    if (segment == nullptr) continue;
    if (segment->first() == 0) segment->set_first(index.value);
    segment->set_last(index.value);
  }
}

void Inspector::AddTerms(const wal::EntryIndex& entries) {
  InspectedTerm* range = nullptr;
  for (LogIndex index = entries.first(); index <= entries.last(); index = index.Next()) {
    const uint64_t term = entries.at(index).term.value;
    if (range == nullptr || range->term() != term) {
      range = out_.mutable_log()->add_terms();
      range->set_term(term);
      range->set_first(index.value);
    }
    range->set_last(index.value);
  }
}

// A state of a newer program is not damaged: the Error says what to look at it with.
Result<void> Inspector::LookAtStore() {
  const std::string database = folder_ + "/store/" + store::kDatabaseFolder;
  if (!Has("store/FORMAT")) return {};  // A node that never got so far.
  if (!fs::exists(database + "/CURRENT")) {
    // RocksDB would begin a new one there, and the log would not reach back far enough.
    const bool needed = log_ != nullptr && log_->entries().first().value > 1;
    if (needed) {
      AddDamage("store", Error{ErrorCode::kInternal, database + "/CURRENT is missing", "", "", 0});
    }
    return {};
  }
  auto state = OfflineState::Open(database);
  if (!state) {
    if (state.error().code == ErrorCode::kUnimplemented) return Fail(state.error());
    AddDamage("store", state.error());
    return {};
  }
  state_ = *std::move(state);
  const state_machine::Position position = state_->position();
  InspectedStore* out = out_.mutable_store();
  out->set_position(position.applied.value);
  out->set_time(UtcText(position.now.us, 6));
  out->set_digest(node::BackupName(position.digest));
  out->set_behaviour(position.behaviour);
  for (const auto& file : fs::directory_iterator(database)) {
    if (file.path().extension() != ".sst") continue;
    out->set_files(out->files() + 1);
    out->set_file_bytes(out->file_bytes() + file.file_size());
  }
  if (log_ != nullptr && position.applied.Next() < log_->entries().first()) {
    AddDamage("store", Error{ErrorCode::kInternal,
                             "the store ends at entry " + position.applied.ToString() +
                                 ", the log begins at " + log_->entries().first().ToString(),
                             "", "", 0});
  }
  if (log_ != nullptr && position.applied > log_->entries().last()) {
    AddDamage("log", Error{ErrorCode::kInternal,
                           "the store holds entry " + position.applied.ToString() +
                               ", the log ends at " + log_->entries().last().ToString(),
                           "", "", 0});
  }
  if (options_.tables) AddTables();
  return {};
}

void Inspector::AddTables() {
  std::map<uint8_t, std::string> services = {{0, "machine"}};
  for (const auto& method : state_->registry().methods()) {
    services[method->service_id] = method->service_name;
  }
  std::map<store::TableNumber, InspectedTable> tables;
  {
    absl::ReaderMutexLock lock(&state_->store().mutex());
    state_->store().ForEach(
        [&](store::TableNumber number, std::string_view key, std::string_view row) {
          InspectedTable& table = tables[number];
          table.set_rows(table.rows() + 1);
          table.set_bytes(table.bytes() + key.size() + row.size());
        });
  }
  for (auto& [number, table] : tables) {
    const auto service = services.find(number.service);
    table.set_table((service == services.end() ? std::to_string(number.service) : service->second) +
                    "/" + std::to_string(number.table));
    *out_.mutable_store()->add_tables() = table;
  }
}

void Inspector::LookAtCheckpoint() {
  const std::string path = folder_ + "/" + node::kCheckpointFolder;
  if (!fs::exists(path)) return;
  const auto manifest = node::ReadPending(files_, path);
  if (!manifest) {
    AddDamage("checkpoint", manifest.error());
    return;
  }
  out_.set_checkpoint("position " + std::to_string(manifest->index()) + " waits to be installed");
  const std::string database = path + "/" + node::kCheckpointStoreFolder;
  if (!fs::exists(database)) return;  // Its files are in the store already.
  const auto base = store::RocksDbBase::OpenReadOnly(database);
  const auto verified = base ? (*base)->VerifyChecksums() : Fail(base.error());
  if (!verified) AddDamage("checkpoint", verified.error());
}

void Inspector::AddRequest(const LogRequest& request, InspectedEntry* entry) {
  InspectedRequest* out = entry->add_requests();
  out->set_idempotency_key(request.idempotency_key());
  out->set_bytes(request.body().size());
  const state_machine::Method* method =
      state_ == nullptr ? nullptr
                        : state_->registry().Find(static_cast<uint8_t>(request.service()),
                                                  static_cast<uint8_t>(request.method()));
  if (method == nullptr) {
    out->set_method(std::to_string(request.service()) + "/" + std::to_string(request.method()));
    return;
  }
  out->set_method(method->full_name.substr(1));
  if (!options_.decode) return;
  const std::unique_ptr<google::protobuf::Message> body(method->request->New());
  out->set_body(body->ParseFromString(request.body()) ? api::ToJson(*body) : "does not parse");
}

void Inspector::AddEntries() {
  if (log_ == nullptr) return;
  const wal::EntryIndex& entries = log_->entries();
  const LogIndex last = std::min(entries.last(), LogIndex(options_.entries_to));
  for (LogIndex index = std::max(entries.first(), LogIndex(options_.entries_from)); index <= last;
       index = index.Next()) {
    const wal::Slot& slot = entries.at(index);
    InspectedEntry* entry = out_.add_entries();
    entry->set_index(index.value);
    entry->set_term(slot.term.value);
    entry->set_kind(KindText(slot.type));
    entry->set_bytes(slot.length);
    const auto payload = log_->Payload(index);
    if (!payload) {
      AddDamage("log", payload.error());
      return;
    }
    LogEntry parsed;
    if (slot.type != wal::EntryType::kCommand || !parsed.ParseFromString(*payload)) continue;
    entry->set_time(UtcText(parsed.time_us(), 6));
    entry->set_behaviour(parsed.step().version());
    for (const LogRequest& request : parsed.requests()) AddRequest(request, entry);
  }
}

Result<Inspection> Inspector::Run() {
  if (!Has("identity") && !Has("log") && !Has("store")) {
    return Fail(InvalidArgument("", folder_ + " is no node's data folder"));
  }
  std::unique_ptr<FolderLock> lock;
  if (Has("log")) {
    auto locked = files_.Lock(folder_ + "/log");
    if (!locked) return Fail(locked.error());
    lock = *std::move(locked);
  }
  LookAtIdentity();
  LookAtLog();
  if (auto looked = LookAtStore(); !looked) return Fail(looked.error());
  LookAtCheckpoint();
  AddEntries();
  return std::move(out_);
}

}  // namespace

Result<Inspection> Inspect(const std::string& folder, const InspectOptions& options) {
  return Inspector(folder, options).Run();
}

}  // namespace holdfast

#include "src/node/checkpoint_exports.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>

#include "src/base/bounds.h"

namespace holdfast::node {
CheckpointExports::CheckpointExports(FileSystem& files, std::string folder, Executor& background,
                                     Export export_store)
    : files_(files),
      folder_(std::move(folder)),
      background_(background),
      export_(std::move(export_store)) {
  Remove(folder_);
}

CheckpointExports::~CheckpointExports() { Remove(folder_); }

void CheckpointExports::Remove(const std::string& folder) {
  if (auto removed = files_.RemoveAll(folder); !removed) {
    spdlog::warn("{}", removed.error().message);
  }
}

Result<CheckpointManifest> CheckpointExports::Open(NodeId peer, uint64_t now_ms) {
  Session session;
  std::map<NodeId, Session>::node_type before;
  {
    std::lock_guard lock(mutex_);
    before = sessions_.extract(peer);
    session.number = ++last_session_;
  }
  if (before) Remove(before.mapped().folder);
  if (auto made = files_.CreateFolders(folder_); !made) return Fail(made.error());
  session.folder = folder_ + "/" + std::to_string(session.number);
  if (auto filled = Fill(&session); !filled) {
    Remove(session.folder);  // Its links would keep files on the disk that nobody needs.
    return Fail(filled.error());
  }
  session.used_ms = now_ms;
  CheckpointManifest manifest = session.manifest;
  std::lock_guard lock(mutex_);
  sessions_[peer] = std::move(session);
  return manifest;
}

Result<void> CheckpointExports::Fill(Session* session) {
  if (auto done = export_(session->folder); !done) return done;
  session->manifest.set_session(session->number);
  auto names = files_.List(session->folder);
  if (!names) return Fail(names.error());
  for (const std::string& name : *names) {
    auto file = files_.Open(session->folder + "/" + name, OpenMode::kRead);
    if (!file) return Fail(file.error());
    auto bytes = (*file)->Size();
    if (!bytes) return Fail(bytes.error());
    CheckpointFile* entry = session->manifest.add_files();
    entry->set_name(name);
    entry->set_bytes(*bytes);
  }
  return {};
}

Result<CheckpointPiece> CheckpointExports::Read(NodeId peer, const CheckpointRequest& request,
                                                uint64_t now_ms) {
  std::shared_ptr<File> file;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(peer);
    if (found == sessions_.end() || found->second.number != request.session()) {
      return Fail(Error{ErrorCode::kNotFound, "this checkpoint is no longer offered", "", "", 0});
    }
    Session& session = found->second;
    session.used_ms = now_ms;
    const auto count = static_cast<uint32_t>(session.manifest.files_size());
    if (request.file() >= count || request.bytes() > bounds::kCheckpointPieceBytes ||
        request.offset() > session.manifest.files(static_cast<int>(request.file())).bytes()) {
      return Fail(InvalidArgument("", "there is no such piece of a checkpoint"));
    }
    if (session.file == nullptr || session.open_file != request.file()) {
      const std::string& name = session.manifest.files(static_cast<int>(request.file())).name();
      auto opened = files_.Open(session.folder + "/" + name, OpenMode::kRead);
      if (!opened) return Fail(opened.error());
      session.file = std::move(*opened);
      session.open_file = request.file();
    }
    file = session.file;
  }
  CheckpointPiece piece;
  std::string& data = *piece.mutable_data();
  data.resize(request.bytes());
  auto read = file->Read(request.offset(), data.size(), data.data());
  if (!read) return Fail(read.error());
  data.resize(*read);
  piece.set_session(request.session());
  piece.set_file(request.file());
  piece.set_offset(request.offset());
  piece.set_checksum(XXH3_64bits(data.data(), data.size()));
  return piece;
}

void CheckpointExports::Close(NodeId peer, uint64_t session) {
  std::lock_guard lock(mutex_);
  const auto found = sessions_.find(peer);
  if (found == sessions_.end() || found->second.number != session) return;
  background_.Post([this, folder = found->second.folder] { Remove(folder); });
  sessions_.erase(found);
}

std::vector<NodeId> CheckpointExports::CloseIdle(uint64_t now_ms, uint64_t idle_ms) {
  std::vector<NodeId> closed;
  std::lock_guard lock(mutex_);
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    if (now_ms < it->second.used_ms + idle_ms) {
      ++it;
      continue;
    }
    closed.push_back(it->first);
    background_.Post([this, folder = it->second.folder] { Remove(folder); });
    it = sessions_.erase(it);
  }
  return closed;
}

}  // namespace holdfast::node

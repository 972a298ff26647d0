#include "src/node/checkpoint_fetch.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <deque>
#include <set>

#include "src/base/check.h"
#include "src/node/backup_folder.h"
#include "src/node/checkpoint_install.h"

namespace holdfast::node {
namespace {

constexpr uint64_t kSilenceMsMax = 30'000;  // The leader may be writing a checkpoint of its own.
constexpr uint64_t kPauseMs = 1'000;        // After a failure.
constexpr uint64_t kProgressMs = 2'000;
constexpr uint64_t kSyncBytes = 8 << 20;  // Often: one great sync would stall the log's.

std::string WhyBad(const CheckpointManifest& manifest) {
  if (!NamesPosition(manifest)) return "it names no position";
  if (manifest.files_size() == 0) return "it has no files";
  if (static_cast<size_t>(manifest.files_size()) > bounds::kCheckpointFilesMax) {
    return "it has too many files";
  }
  std::set<std::string> names;
  for (const CheckpointFile& file : manifest.files()) {
    if (!IsPlainFileName(file.name())) return "a file's name is no plain name";
    if (!names.insert(file.name()).second) return "it names a file twice";
  }
  return "";
}

}  // namespace

struct CheckpointFetch::State {
  NodeId leader;
  CheckpointManifest manifest;
  uint64_t bytes_total = 0;
  uint64_t begun_ms = 0;
  uint64_t heard_ms = 0;
  uint64_t told_ms = 0;
  // What to ask for next.
  uint32_t file = 0;
  uint64_t offset = 0;
  uint64_t asked_bytes = 0;
  std::deque<Piece> asked;  // Not answered yet; the link keeps the order.
  size_t writing = 0;       // Pieces on their way to the disk.
  uint64_t written_bytes = 0;
  bool completing = false;
  // The background's.
  bool failed = false;  // What comes after a failure is not written.
  std::unique_ptr<File> output;
  uint64_t unsynced = 0;
};

CheckpointFetch::CheckpointFetch(Parts parts) : parts_(std::move(parts)) {}

void CheckpointFetch::Begin(uint64_t now_ms, NodeId leader) {
  HOLDFAST_CHECK(!active(), "two checkpoints at a time");
  spdlog::info("checkpoint: what this node lacks is no longer in the log; fetching node {}'s",
               leader.value);
  leader_ = leader;
  state_ = std::make_shared<State>();
  state_->leader = leader;
  state_->begun_ms = state_->heard_ms = state_->told_ms = now_ms;
  Send(now_ms, CheckpointRequest());
}

bool CheckpointFetch::Send(uint64_t now_ms, CheckpointRequest request) {
  if (parts_.send(leader_, std::move(request))) return true;
  GiveUp(now_ms, "there is no link to it");
  return false;
}

void CheckpointFetch::Receive(uint64_t now_ms, NodeId from, CheckpointReply reply) {
  if (!active() || from != leader_) return;
  state_->heard_ms = now_ms;
  switch (reply.reply_case()) {
    case CheckpointReply::kManifest: Accept(now_ms, reply.manifest()); break;
    case CheckpointReply::kPiece: Accept(now_ms, std::move(*reply.mutable_piece())); break;
    case CheckpointReply::kError: GiveUp(now_ms, reply.error().message()); break;
    case CheckpointReply::REPLY_NOT_SET: break;
  }
}

void CheckpointFetch::LinkDown(uint64_t now_ms, NodeId to) {
  if (!active() || to != leader_ || HasAll()) return;
  GiveUp(now_ms, "the link to node " + to.ToString() + " broke");
}

void CheckpointFetch::Accept(uint64_t now_ms, const CheckpointManifest& manifest) {
  if (state_->manifest.session() != 0) return;  // Of an earlier attempt.
  if (const std::string why = WhyBad(manifest); !why.empty()) {
    GiveUp(now_ms, "the checkpoint makes no sense: " + why);
    return;
  }
  state_->manifest = manifest;
  for (const CheckpointFile& file : manifest.files()) state_->bytes_total += file.bytes();
  ++state_->writing;  // The folder.
  parts_.background.Post([this, state = state_] {
    Result<void> done = PrepareIncoming(parts_.files, parts_.incoming, state->bytes_total);
    state->failed = !done;
    parts_.on_loop([this, state, done] { Written(state->heard_ms, state, 0, done); });
  });
}

void CheckpointFetch::Ask(uint64_t now_ms) {
  State& state = *state_;
  if (state.manifest.session() == 0) return;
  const uint64_t allowed =
      (now_ms - state.begun_ms + 100) * parts_.bytes_per_second / 1'000;  // 100 ms ahead.
  while (state.file < static_cast<uint32_t>(state.manifest.files_size()) &&
         state.asked.size() + state.writing < bounds::kCheckpointPiecesInFlight &&
         state.asked_bytes < allowed) {
    const uint64_t left = state.manifest.files(static_cast<int>(state.file)).bytes() - state.offset;
    Piece piece{state.file, state.offset,
                static_cast<uint32_t>(std::min<uint64_t>(left, bounds::kCheckpointPieceBytes))};
    CheckpointRequest request;
    request.set_session(state.manifest.session());
    request.set_file(piece.file);
    request.set_offset(piece.offset);
    request.set_bytes(piece.bytes);
    state.offset += piece.bytes;
    state.asked_bytes += piece.bytes;
    if (piece.bytes == left) {
      ++state.file;
      state.offset = 0;
    }
    state.asked.push_back(piece);
    if (!Send(now_ms, std::move(request))) return;
  }
  if (HasAll() && state.writing == 0 && !state.completing) Complete();
}

// Every piece has come: the leader is not needed any more.
bool CheckpointFetch::HasAll() const {
  return state_->manifest.session() != 0 && state_->asked.empty() &&
         state_->file == static_cast<uint32_t>(state_->manifest.files_size());
}

void CheckpointFetch::Accept(uint64_t now_ms, CheckpointPiece piece) {
  State& state = *state_;
  if (piece.session() != state.manifest.session() || state.asked.empty()) return;
  const Piece asked = state.asked.front();
  if (piece.file() != asked.file || piece.offset() != asked.offset ||
      piece.data().size() != asked.bytes ||
      piece.checksum() != XXH3_64bits(piece.data().data(), piece.data().size())) {
    GiveUp(now_ms, "a piece is not what was asked for, or its checksum does not match");
    return;
  }
  state.asked.pop_front();
  ++state.writing;
  const std::string& name = state.manifest.files(static_cast<int>(asked.file)).name();
  parts_.background.Post([this, state = state_, piece = std::move(piece),
                          path = parts_.incoming + "/" + kCheckpointStoreFolder + "/" + name] {
    if (state->failed) return;
    Result<void> done;
    if (piece.offset() == 0) {
      if (state->output) done = state->output->Sync();
      auto opened = parts_.files.Open(path, OpenMode::kCreate);
      if (!opened) done = Fail(opened.error());
      if (opened) state->output = std::move(*opened);
      state->unsynced = 0;
    }
    if (done) done = state->output->Write(piece.offset(), piece.data());
    state->unsynced += piece.data().size();
    if (done && state->unsynced >= kSyncBytes) {
      done = state->output->Sync();
      state->unsynced = 0;
    }
    state->failed = !done;
    const size_t bytes = piece.data().size();
    parts_.on_loop([this, state, bytes, done] { Written(state->heard_ms, state, bytes, done); });
  });
}

void CheckpointFetch::Written(uint64_t now_ms, const std::shared_ptr<State>& state, size_t bytes,
                              const Result<void>& result) {
  if (state != state_) return;  // Given up meanwhile.
  if (!result) {
    GiveUp(now_ms, result.error().message);
    return;
  }
  --state->writing;
  state->written_bytes += bytes;
  Ask(std::max(now_ms, state->heard_ms));
}

void CheckpointFetch::Complete() {
  state_->completing = true;
  ++state_->writing;
  parts_.background.Post([this, state = state_] {
    Result<void> done = state->output ? state->output->Sync() : Result<void>();
    state->output.reset();
    if (done) {
      done = CompleteIncoming(parts_.files, parts_.incoming, parts_.complete, state->manifest);
    }
    parts_.on_loop([this, state, done] {
      if (state != state_) return;
      if (!done) {
        GiveUp(state->heard_ms, done.error().message);
        return;
      }
      spdlog::info("checkpoint: complete, {} MiB up to entry {}", state->bytes_total >> 20,
                   state->manifest.index());
      state_.reset();
      parts_.done(state->manifest);
    });
  });
}

void CheckpointFetch::Step(uint64_t now_ms) {
  if (!active()) return;
  if (!state_->completing && state_->writing == 0 && now_ms > state_->heard_ms + kSilenceMsMax) {
    GiveUp(now_ms, "node " + leader_.ToString() + " does not answer");
    return;
  }
  if (now_ms >= state_->told_ms + kProgressMs) {
    state_->told_ms = now_ms;
    spdlog::info("checkpoint: {} of {} MiB", state_->written_bytes >> 20,
                 state_->bytes_total >> 20);
  }
  Ask(now_ms);
}

void CheckpointFetch::GiveUp(uint64_t now_ms, const std::string& why) {
  spdlog::warn("checkpoint: fetching node {}'s failed: {}; trying again", leader_.value, why);
  state_.reset();
  earliest_ms_ = now_ms + kPauseMs;
  parts_.background.Post([this] {  // It may be most of a disk.
    if (auto removed = parts_.files.RemoveAll(parts_.incoming); !removed) {
      spdlog::warn("{}", removed.error().message);
    }
  });
}

}  // namespace holdfast::node

#include "tests/faults/disk_faults.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;

constexpr int kDiskFailed = 5;
// Checkpoints come every 2 s, the log is written all the time.
constexpr milliseconds kEndMax{20'000};
constexpr milliseconds kCompareMax{5'000};    // Under load nodes stand at one position by chance.
constexpr uint64_t kReserveBytes = 64 << 20;  // As the nodes are told.

void CheckEndedByDisk(Arena& arena, int node, std::optional<int> status) {
  sim::Require(status.has_value(), Name(arena, node) + " goes on, and its disk fails");
  const std::string words = arena.LastWords(node);
  sim::Require(*status == kDiskFailed && words.find("disk failed") != std::string::npos,
               Name(arena, node) + " met a disk that fails, and ended with status " +
                   std::to_string(*status) + ":\n" + words);
}

// --- Flipped bits

struct Place {
  std::filesystem::path file;
  uint64_t offset = 0;
};

// Where what is stored means something: RocksDB's notes to people and locks do not.
bool Means(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return !name.starts_with("LOG") && !name.starts_with("OPTIONS") && name != "LOCK" &&
         name != "lock" && name != "IDENTITY" && !name.ends_with(".tmp");
}

std::string Read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A segment with records, not one that was only made ready.
bool HoldsRecords(const std::filesystem::path& file) {
  constexpr size_t kHeaderBytesMax = 512;
  const size_t last = Read(file).find_last_not_of('\0');
  return file.filename().string().starts_with("segment-") && last != std::string::npos &&
         last > kHeaderBytesMax;
}

// What the log has taken since the last checkpoint, or somewhat more: it is applied at the next
// start.
constexpr uint64_t kNewestBytes = 32 << 10;

// A byte that is not 0: zeros are mostly room that waits to be written, of no meaning. `newest`:
// among the last that were written to the log.
std::optional<Place> DrawPlace(const std::string& folder, bool newest, sim::Random& random) {
  std::vector<std::filesystem::path> log;
  std::vector<std::filesystem::path> rest;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.file_size() == 0 || !Means(entry.path())) continue;
    const bool in_log = entry.path().parent_path().filename() == "log";
    (in_log ? log : rest).push_back(entry.path());
  }
  std::vector<std::filesystem::path>& files =
      rest.empty() || newest || (random.OneIn(2) && !log.empty()) ? log : rest;
  if (newest) std::erase_if(files, [](const auto& path) { return !HoldsRecords(path); });
  if (files.empty()) return std::nullopt;
  std::sort(files.begin(), files.end());
  const std::filesystem::path file =
      newest ? files.back() : files[random.Between(0, files.size() - 1)];
  const std::string bytes = Read(file);
  const uint64_t end = newest ? bytes.find_last_not_of('\0') : bytes.size() - 1;
  const uint64_t begin = newest && end > kNewestBytes ? end - kNewestBytes : 0;
  for (int i = 0; i < 1'000; ++i) {
    const uint64_t offset = random.Between(begin, end);
    if (bytes[offset] != 0) return Place{file, offset};
  }
  return std::nullopt;
}

void Flip(const Place& place, uint64_t bit) {
  std::fstream file(place.file, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(place.offset));
  const char byte = static_cast<char>(file.get() ^ (1 << bit));
  file.seekp(static_cast<std::streamoff>(place.offset));
  file.put(byte);
}

}  // namespace

int SomeNode(Arena& arena, sim::Random& random) {
  const int node = arena.members()[random.Between(0, arena.members().size() - 1)];
  const int leader = arena.Leader();
  return leader != 0 && random.OneIn(2) ? leader : node;
}

std::string Name(Arena& arena, int node) {
  return "node " + std::to_string(node) + (arena.Leader() == node ? ", the leader," : "");
}

Fault DiskError(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  const int what = static_cast<int>(random.Between(kFailWrites, kFailWrites | kFailSyncs));
  const std::string calls = what == kFailWrites  ? "writes"
                            : what == kFailSyncs ? "fsyncs"
                                                 : "writes and fsyncs";
  return {Name(arena, node) + " has a disk that fails " + calls,
          [&arena, node, what] {
            arena.ExpectEnd(node);
            arena.control(node).fail = what;
            CheckEndedByDisk(arena, node, arena.WaitEnd(node, kEndMax));
          },
          milliseconds(random.Between(100, 2'000)),
          [&arena, node] {
            arena.control(node).fail = 0;
            arena.Start(node);
          }};
}

Fault DiskStall(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  return {Name(arena, node) + " has a disk that hangs",
          [&arena, node] { arena.control(node).stall_sync = 1; },
          milliseconds(random.Between(kElectionTimeoutMs, 5'000)),
          [&arena, node] { arena.control(node).stall_sync = 0; }};
}

Fault FullDisk(Arena& arena, sim::Random& random) {
  const int node = arena.small_disk();
  if (!arena.IsMember(node)) return {};
  // Below the reserve, below half of it, or nothing at all.
  const uint64_t left =
      std::vector<uint64_t>{kReserveBytes * 3 / 4, kReserveBytes / 4, 0}[random.Between(0, 2)];
  // Without any room a checkpoint or the log itself may fail.
  const bool may_end = left == 0;
  return {Name(arena, node) + " has a disk with " + std::to_string(left >> 20) + " MiB left",
          [&arena, node, left, may_end] {
            if (may_end) arena.ExpectEnd(node);
            arena.FillDisk(left);  // Takes its time.
            cluster::StatusReply status;
            const auto until = std::chrono::steady_clock::now() + kEndMax;
            while (!status.disk_full()) {
              arena.FillDisk(left);  // Once more: the node lets go of logs and runs meanwhile.
              if (may_end) {
                const auto ended = arena.WaitEnd(node, milliseconds(0));
                if (ended) return CheckEndedByDisk(arena, node, ended);
              }
              sim::Require(std::chrono::steady_clock::now() < until,
                           Name(arena, node) + " does not say that its disk is full");
              arena.watch().Ask(node, &status);
              Wait(milliseconds(20));
            }
          },
          milliseconds(random.Between(1'000, 5'000)),
          [&arena, node, may_end] {
            if (may_end && arena.cluster().Running(node)) {
              const auto ended = arena.WaitEnd(node, milliseconds(0));
              if (ended) CheckEndedByDisk(arena, node, ended);
            }
            arena.FreeDisk();
            if (!arena.cluster().Running(node)) {
              arena.Saw("full, the node ended with status 5");
              return arena.Start(node);
            }
            arena.Saw("full, the node lived on");
            arena.ExpectLife(node);
          }};
}

Fault FlippedBit(Arena& arena, sim::Random& random) {
  const int node = SomeNode(arena, random);
  const uint64_t seed = random.Next();
  const bool newest = random.OneIn(2);
  auto place = std::make_shared<std::optional<Place>>();
  return {Name(arena, node) + " finds a bit of its files flipped",
          [&arena, node, seed, newest, place] {
            arena.Kill(node);
            sim::Random draw(seed);
            *place = DrawPlace(arena.cluster().data(node), newest, draw);
            if (*place) Flip(**place, draw.Between(0, 7));
            arena.Start(node);
            arena.ExpectEnd(node);
          },
          milliseconds(random.Between(3'000, 5'000)),
          [&arena, node, place] {
            if (const auto ended = arena.WaitEnd(node, milliseconds(0))) {
              const std::string words = arena.LastWords(node);
              sim::Require(
                  *place && *ended > 0 &&
                      words.find((*place)->file.filename().string()) != std::string::npos,
                  "node " + std::to_string(node) + " ended with status " + std::to_string(*ended) +
                      " and did not name what is damaged, " +
                      (*place ? (*place)->file.string() + " at " + std::to_string((*place)->offset)
                              : "nothing") +
                      ":\n" + words);
              arena.Saw("flipped bit named, the node ended");
            } else {
              // It may have read what is damaged all the same.
              arena.Saw(arena.watch().Compare(node, kCompareMax)
                            ? "flipped bit not met, the node's state is that of the others"
                            : "flipped bit not met");
              arena.CheckAlive();
              arena.ExpectLife(node);  // What its log holds is judged, too.
              arena.Kill(node);
            }
            arena.Wipe(node);
            arena.Start(node);
          }};
}

}  // namespace holdfast::faults

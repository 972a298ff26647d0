// A file system in memory that fails the way disks do, for tests and the simulator. It keeps two
// pictures: what the running process sees and what is on the disk. Crash() throws the first away.
//
// Everything is decided by the seed and the order of calls, so a failure replays. Thread-safe, but
// then the order is the threads'.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "src/base/file_system.h"

namespace holdfast {

struct FaultyOptions {
  uint64_t seed = 1;
  // What a disk writes as a whole. Of an unsynced write each sector survives a crash or not, by
  // itself and so in any order.
  size_t sector_bytes = 512;
  // The chance that it does; nullopt draws one from 0, 25, ... 100 at each crash, for each file.
  std::optional<uint32_t> survive_percent;
};

class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(FaultyOptions options = {});

  // --- Faults
  // Power fails and comes back: unsynced bytes survive by chance, of a folder's unsynced changes
  // of names the first few (a journal keeps their order). Files opened before refuse every call,
  // locks are gone, planned faults are forgotten.
  void Crash();
  // The power fails within the n-th change from here (1: the next): that call and every later one
  // fail until Crash(). A write cut short counts as unsynced.
  void CutPower(uint64_t nth);
  // The n-th write, or sync of a file, from here fails with this errno value. After a failed sync
  // the unsynced bytes are on the disk by chance only, and a later sync does not write them again.
  void FailWrite(uint64_t nth, int errno_value);
  void FailSync(uint64_t nth, int errno_value);
  // What was planned with the three above does not happen.
  void ForgetFaults();
  // What FreeBytes says. Writes succeed all the same.
  void SetFreeBytes(uint64_t bytes);
  // Bit rot: changes what the process sees as well as what is on the disk.
  void FlipBit(const std::string& path, uint64_t offset, uint32_t bit);

  // --- What a test looks at
  std::optional<std::string> Contents(const std::string& path) const;
  std::vector<std::string> Files() const;  // Their paths, in order.
  // Whether a power cut now would keep these bytes of a file as they are seen, and its name.
  bool IsDurable(const std::string& path, uint64_t offset, uint64_t bytes) const;
  uint64_t changes() const;  // Calls so far that changed or synced something.
  uint64_t syncs() const;    // Of them, syncs of a file.
  uint64_t faults() const;   // Calls that failed because it was planned.

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::vector<std::string>> List(const std::string& folder) override;
  Result<void> Rename(const std::string& from, const std::string& to) override;
  Result<void> Remove(const std::string& path) override;
  Result<void> SyncFolder(const std::string& folder) override;
  Result<void> CreateFolders(const std::string& folder) override;
  Result<std::unique_ptr<FolderLock>> Lock(const std::string& folder) override;
  Result<bool> Exists(const std::string& path) override;
  Result<void> RemoveAll(const std::string& folder) override;
  Result<void> MoveFolder(const std::string& from, const std::string& to) override;
  Result<uint64_t> FreeBytes(const std::string& folder) override;

 private:
  class OpenFile;
  class Held;

  struct Change {
    uint64_t offset = 0;
    std::string bytes;
    bool truncate = false;  // To `offset`; no bytes.
  };
  struct Contained {
    bool is_folder = false;
    std::string seen;
    std::string on_disk;
    std::vector<Change> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<Contained>>;  // By path.
  // `removed` is gone, `added` stands for the file; either may be empty.
  struct NameStep {
    std::string removed;
    std::string added;
    std::shared_ptr<Contained> file;
  };
  // What becomes durable as one, with a sync of `folder`.
  struct NameChange {
    std::string folder;
    std::vector<NameStep> steps;
  };

  // All below: mutex_ held.
  // nullopt when the change may go ahead, else why it fails.
  std::optional<Error> Refuse(const std::string& path, const std::string& what);
  void ForgetPlanned();
  void Tear(Contained& file);
  static void ApplyTo(const Change& change, std::string& bytes);
  static void ApplyTo(const NameChange& change, Names& names);
  Result<void> ChangeNames(NameChange change);
  void MakeNamesDurable(const std::string& folder);
  void SettleWithin(const std::string& folder);
  bool IsFolder(const std::string& path) const;
  // Of everything in the folder and of the folder itself, what lies deepest first.
  std::vector<std::string> PathsWithin(const std::string& folder) const;
  bool Chance(uint32_t percent) { return random_() % 100 < percent; }

  const FaultyOptions options_;
  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  Names seen_;
  Names on_disk_;
  std::vector<NameChange> unsynced_names_;
  std::set<std::string> locked_;
  uint64_t epoch_ = 1;  // Grows with each crash.
  uint64_t changes_ = 0;
  uint64_t writes_ = 0;
  uint64_t syncs_ = 0;
  uint64_t faults_ = 0;
  uint64_t free_bytes_ = uint64_t{1} << 40;
  std::optional<uint64_t> power_fails_at_;
  struct Planned {
    uint64_t at;
    int errno_value;
  };
  std::optional<Planned> fail_write_;
  std::optional<Planned> fail_sync_;
};

}  // namespace holdfast

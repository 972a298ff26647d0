// A consumer's own record of the messages that it has processed, in an SQLite file. What comes a
// second time is recognised and discarded before it is processed. For effects that are not writes
// of Holdfast: those are done exactly once without a file, together with the ack (consumer.h).
//
//   auto seen = ProcessedIds::Open("/var/lib/shop/processed.db");
//   auto claim = (*seen)->Begin(message.message_id());
//   switch (claim->seen()) {
//     case Seen::kNever:   ship(message); claim->Commit(); break;
//     case Seen::kUnknown: if (!shipped(message)) ship(message); claim->Commit(); break;
//     case Seen::kDone:    break;                        // Discard it, and ack.
//     case Seen::kBusy:    break;                        // Somebody is at it: let it come again.
//   }
//
// What it promises, and what no local record can:
//   * An effect inside the file (RunOnce) happens exactly once: the effect and the id are one
//     transaction, there together or not at all, whenever the process or the machine dies.
//   * An effect elsewhere (Begin, the effect, Commit) cannot be one step with the record of it.
//     Who dies between Begin and Commit leaves an id of which nobody can say from here whether its
//     effect happened. Such an id is never taken for new, nor for done: it is kUnknown, and what to
//     do is for the effect to say. Ask whether it happened, or do it again if twice is as once, or
//     give it up to a person.
//   * Only consumers that use this one file know of one another. A consumer on another machine, or
//     one whose file was deleted, takes every id for new.
//   * The file forgets: ids beyond `ids_max`, oldest first, and those older than `age_max`. Both
//     must be longer than a message may take to come again, which is until it is acked.
//
// The file is in WAL mode with synchronous=FULL: what was answered is on the disk. Beside it lie
// SQLite's own -wal and -shm, and -claims, whose locks say which claims belong to somebody who
// lives: the system drops them with the process, however it ends. All of it must lie on a disk of
// this machine, not on a network's. docs/formats/processed_ids.md has the tables.
//
// Thread-safe, and safe for any number of processes that use one file; not across fork.
// Failure: every call returns an Error that names the file. kUnavailable: another process kept the
// file busy for kProcessedIdsBusyMsMax, nothing was done. After an error of the disk every further
// call fails: what is in the file is then for SQLite's recovery to say, at the next Open.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "src/base/bounds.h"
#include "src/base/error.h"

struct sqlite3;  // An effect in the file includes <sqlite3.h> by itself.

namespace holdfast::client {

// What the file knew of an id.
enum class Seen {
  kNever,    // New.
  kUnknown,  // It was begun, and whoever began it is gone: its effect may have happened.
  kDone,     // Processed. Discard it.
  kBusy,     // Somebody who lives has begun it.
};

class ProcessedIds;

// The right to process an id, held by at most one at a time. Letting go of it, or dying, without
// Commit or Abandon leaves the id kUnknown.
class Claim {
 public:
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  ~Claim();

  Seen seen() const { return seen_; }
  // Whether it is for the caller to process: kNever or kUnknown.
  bool mine() const { return ids_ != nullptr; }
  // The effect has happened: from now on the id is kDone. Once, and only if it is mine.
  Result<void> Commit();
  // The effect certainly has not happened, and the id is as if it had never been begun.
  Result<void> Abandon();

 private:
  friend class ProcessedIds;
  Claim(ProcessedIds* ids, Seen seen, std::string id, int64_t number)
      : ids_(ids), seen_(seen), id_(std::move(id)), number_(number) {}

  ProcessedIds* ids_;  // Null: not mine, or not any more. Outlives the claim.
  Seen seen_;
  std::string id_;
  int64_t number_;  // Of its row, and of its lock.
};

class ProcessedIds {
 public:
  struct Options {
    uint64_t ids_max = bounds::kProcessedIdsDefault;
    int64_t age_max_seconds = bounds::kProcessedIdsSecondsDefault;
    // Seconds since 1970, of this machine; only for forgetting by age.
    std::function<int64_t()> now;
  };

  // Creates the file if there is none. Its folder exists.
  static Result<std::unique_ptr<ProcessedIds>> Open(const std::string& path, Options options);
  static Result<std::unique_ptr<ProcessedIds>> Open(const std::string& path);
  ~ProcessedIds();
  ProcessedIds(const ProcessedIds&) = delete;

  // Claims an id: 1 to kProcessedIdBytesMax bytes. One file may serve several queues if ids begin
  // with the queue. Never waits for the holder of another claim.
  Result<Claim> Begin(std::string_view id);

  // Runs `effect` and records the id in one transaction of the file, unless the id is known: kNever
  // says that it ran now and is on the disk. All who use the file wait meanwhile, so it is short,
  // writes to tables of its own by the connection that it is given, and neither ends the
  // transaction nor uses this object. When it returns an error, or the error is of the file,
  // nothing of it remains.
  Result<Seen> RunOnce(std::string_view id, absl::FunctionRef<Result<void>(sqlite3*)> effect);

 private:
  friend class Claim;
  class Impl;

  explicit ProcessedIds(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::client

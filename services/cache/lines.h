// Who holds which line, and who stands in line for it.
//
// A line is a session's right to answer for a key without asking: shared, together with others, to
// read it; exclusive, alone, to write it. Nobody takes a line away from a session that lives: it is
// recalled, and what conflicts with it waits until the session has given it up or has ended.
//
//   fetch ----> in line ----> holds it ----> recalled ----> released
//                 |              ^  |                          ^
//                 | first, and   |  +-- by itself, or written back, or its session ends
//                 +-- nobody is in the way
//
// Writes stand in the same line as fetches, so that neither starves, but they hold nothing: a
// writer that is first and finds no holder keeps those behind it out for kCachePlaceMs, comes back
// (docs/waiting.md) and writes.
//
// A client numbers the lines that it asks for, upwards: what arrives late names a number that is
// not the session's any more, and does nothing. Changes on the apply thread; what is const also
// under the store's shared lock.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "services/cache/tables.h"
#include "src/state_machine/lease.h"
#include "src/state_machine/service.h"
#include "src/state_machine/sessions.h"

namespace holdfast::cache {

using state_machine::LeaseTime;
using state_machine::WriteContext;

class Lines {
 public:
  // Of a service that ties it to sessions.
  struct At {
    const state_machine::Sessions& sessions;
    LeaseTime now;
  };
  struct Asker {
    uint64_t session = 0;  // 0: nobody who could hold a line.
    uint64_t line = 0;
  };

  explicit Lines(store::Store& store) : t_(store) {}

  // --- Writes
  // Whether the asker has used a higher number for this key since: it wants no more of this one.
  bool IsLate(const std::string& key, const Asker& asker) const;
  // Whether somebody's line is in the way of a write: any but the asker's own, which it gives up.
  bool InTheWayOfWrite(const std::string& key, const Asker& asker, const At& at) const;
  // Whether a writer that was in line still is: if not, it has to ask again.
  bool WriterHasPlace(const std::string& key, const Asker& asker) const {
    return t_.places.Get({key, asker.session}) || t_.places.Get({key, 0});
  }
  // Gives up the own line of the asker, who is not late, and says whether others are in the way. If
  // so, they are recalled, and the writer has a place in line for `wait_ms`, or a moment at least.
  bool Blocked(const std::string& key, const Asker& asker, uint32_t wait_ms, WriteContext& context);
  // Of a key that did not block a write which another one of its keys blocks. If the writer has a
  // place in line here, it keeps it for another kCachePlaceMs; else whoever waits is served.
  void NotYet(const std::string& key, const Asker& asker, WriteContext& context);
  // What the writer came for is done, or cannot be: it leaves its place. With `hold` it then holds
  // the line, shared, if it can and nobody waits; returns whether it does.
  bool Done(const std::string& key, const Asker& asker, bool hold, WriteContext& context);

  // --- Fetching
  enum class Fetched { kSuperseded, kTooMany, kHeld, kWaiting, kGranted };
  Fetched Fetch(const std::string& key, const Asker& asker, Want want, uint32_t wait_ms,
                WriteContext& context);
  // Whether the asker stands in line under this number.
  bool Waits(const std::string& key, const Asker& asker) const;
  // What the asker holds under this number, if anything.
  std::optional<HolderRow> Held(const std::string& key, const Asker& asker) const;
  bool HeldExclusively(const std::string& key, const At& at) const;
  uint32_t HoldersOf(const std::string& key) const { return CrowdOf(key).holders; }

  // --- Giving up
  bool Release(const std::string& key, const Asker& asker, WriteContext& context);
  // An exclusive line was written back under the number `write`; it stays as `keep`.
  void WrittenBack(const std::string& key, const Asker& asker, uint64_t write, Mode keep,
                   WriteContext& context);
  void SessionEnded(uint64_t session, WriteContext& context);
  void OnTimer(std::string_view key, WriteContext& context);

  // The session's recalls after `cursor`, in order, until visit returns false.
  void ScanRecalls(
      uint64_t session, uint64_t cursor,
      absl::FunctionRef<bool(uint64_t recall, const RecallRow&, const HolderRow&)> visit) const;

  static std::string TopicOf(const std::string& key);
  static std::string TopicOfRecalls(uint64_t session);

  LinesMeta meta() const { return t_.meta.Get(kOnlyRow).value_or(LinesMeta{}); }
  const LineTables& tables() const { return t_; }

 private:
  using Visit = absl::FunctionRef<bool(uint64_t session, const HolderRow&)>;
  void VisitHolders(const std::string& key, Visit visit) const;
  // Rows of sessions whose time is over, and the asker's own with a lower number.
  void DropSpent(const std::string& key, const Asker& asker, WriteContext& context);
  void Drop(const std::string& key, uint64_t session, WriteContext& context);
  void Hold(const std::string& key, const Asker& asker, Mode mode, WriteContext& context);
  void Recall(const std::string& key, Want want, uint64_t but, WriteContext& context);
  bool InTheWay(const std::string& key, Want want, uint64_t but) const;
  // False: there are too many.
  bool Enqueue(WaiterRow waiter, WriteContext& context);
  void Leave(uint64_t ticket, WriteContext& context);
  // Serves the line: grants what can be granted, and recalls what is in the way of the first.
  void Advance(const std::string& key, WriteContext& context);
  bool HasRoom(uint64_t session) const;
  CrowdRow CrowdOf(const std::string& key) const { return t_.crowds.Get(key).value_or(CrowdRow{}); }
  void CountCrowd(const std::string& key, int holders, int waiters);
  void Count(uint64_t session, int by);

  LineTables t_;
};

}  // namespace holdfast::cache

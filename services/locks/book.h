// Who holds which lock and who stands in line, and the rules by which one becomes the other:
//
//   * A waiter is granted all of its locks at once, when in each of them no other holder and nobody
//     who came earlier is in its way. Shared locks are in the way of exclusive ones only.
//   * Who holds a lock shared and wants it exclusive comes before all who do not.
//   * Before it is granted its own lease is looked at again: who has gone gets nothing.
//   * A wait for a lock that its owner held when it asked ends with that hold: in the line it stood
//     where only a holder may, and nobody has looked whether waiting as anyone else does would end.
//   * Whoever waits for somebody who waits for ... for the first one is told so instead of waiting
//     (cycle.h).
//
// Apply thread, but for what is const.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "services/locks/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::locks {

using state_machine::LeaseTime;
using state_machine::WriteContext;

class Book {
 public:
  explicit Book(store::Store& store) : t_(store) {}

  // --- Acquiring: `want` with its names in order, without ticket and deadline
  // Which of its names the owner holds already in a mode that is not enough.
  uint64_t UpgradesOf(const WaiterRow& want) const;
  // Whether the session, the locks and all of them have room for what `want` does not hold yet.
  bool HasRoom(const WaiterRow& want) const;
  // Somebody in the way of `want` if it came last, or was in line under `ticket`; nullopt: nobody.
  std::optional<std::string> Blocker(const WaiterRow& want, uint64_t ticket, LeaseTime now) const;
  // Takes all of its locks, once more those it holds. Nobody is in the way. What it holds under
  // another lease moves to the one it names and begins anew, with a new token: whoever took it
  // under the old one may be another process.
  void Grant(const WaiterRow& want, WriteContext& context);
  void Enqueue(WaiterRow want, WriteContext& context);
  // Waits until then at least.
  void WaitLonger(uint64_t ticket, int64_t deadline_us, WriteContext& context);
  // A lease of the holder's own ends then; the caller puts the row.
  void SetLease(const HolderKey& key, HolderRow* row, int64_t expires_us, WriteContext& context);

  // --- Giving up
  void Drop(const HolderKey& key, WriteContext& context);
  void LeaveLine(uint64_t ticket, WriteContext& context);
  // A lease that is over is over, though its timer may not have fired yet. To be called before a
  // hold is judged; what hangs on the same session ends with it.
  void EndIfOver(const std::string& name, const std::string& owner, WriteContext& context);
  // All that hangs on a session that has ended.
  void SessionEnded(uint64_t session, bool closed, WriteContext& context);
  // Grants what can be granted now in the lines of `names`, in order of name.
  void Advance(std::set<std::string> names, WriteContext& context);

  // --- Timers, by what is due; too early is harmless
  void HolderDue(const std::string& name, const std::string& owner, uint64_t token,
                 WriteContext& context);
  void WaiterDue(uint64_t ticket, WriteContext& context);
  void DelayDue(const std::string& name, WriteContext& context);

  static std::string HolderTimer(const std::string& name, const std::string& owner, uint64_t token);
  static std::string WaiterTimer(uint64_t ticket);
  static std::string DelayTimer(const std::string& name);
  // What an owner waits for.
  static std::string TopicOf(std::string_view owner);

  bool Delayed(const std::string& name, LeaseTime now) const;
  Tables& tables() { return t_; }
  const Tables& tables() const { return t_; }

 private:
  bool StillThere(const WaiterRow& waiter, WriteContext& context) const;
  // Without the count of all holders.
  void Remove(const HolderKey& key, const HolderRow& row, WriteContext& context);
  // The hold ends without a release, and what its owner waits for because of it. `ran_out`: the
  // delay counts. Adds the locks whose lines may go on.
  void Lose(const HolderKey& key, bool ran_out, std::set<std::string>* freed,
            WriteContext& context);
  void Count(const std::string& name, int holders, int waiting);
  void CountOfSession(uint64_t session, int by);
  void AdvanceLine(const std::string& name, std::set<std::string>* more, WriteContext& context);

  Tables t_;
};

// Whether its lease is.
bool IsOver(const HolderRow& row, const state_machine::Sessions& sessions, LeaseTime now);

}  // namespace holdfast::locks

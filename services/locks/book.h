// Who holds which lock and who stands in line, and the rules by which one becomes the other:
//
//   * A waiter is granted all of its locks at once, when in each of them no other holder and nobody
//     who came earlier is in its way. Shared locks are in the way of exclusive ones only.
//   * Who holds a lock shared and wants it exclusive comes before all who do not.
//   * Before it is granted its own lease is looked at again: who has gone gets nothing.
//   * Whoever waits for somebody who waits for ... for the first one is told so instead of waiting.
//
// Apply thread, but for what is const.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
  // Somebody in the way of `want` if it came last, or was in line under `ticket`; nullopt: nobody.
  std::optional<std::string> Blocker(const WaiterRow& want, uint64_t ticket, LeaseTime now) const;
  // The owners from `want`'s back to it, if it waited; empty: no cycle, as far as
  // kLockCycleOwnersMax owners show.
  std::vector<std::string> CycleOf(const WaiterRow& want) const;
  // What the owner holds of a lock.
  std::optional<HolderRow> Held(const std::string& name, const std::string& owner) const;
  uint32_t Waiting(const std::string& name) const { return Counts(name).waiting; }
  // Takes all of its locks, once more those it holds. Nobody is in the way.
  void Grant(const WaiterRow& want, WriteContext& context);
  void Enqueue(WaiterRow want, WriteContext& context);
  // A lease of the holder's own ends then; the caller puts the row.
  void SetLease(const HolderKey& key, HolderRow* row, int64_t expires_us, WriteContext& context);

  // --- Giving up
  // The holder goes, or holds it once less. `ran_out`: its lease did, and the delay counts.
  void Drop(const HolderKey& key, bool ran_out, WriteContext& context);
  void LeaveLine(uint64_t ticket, WriteContext& context);
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
  using Visit = absl::FunctionRef<bool(const std::string& owner)>;
  using Place = std::pair<uint64_t, uint64_t>;  // In a line: rank, ticket.
  // What a search has seen so far. Of two who want a lock in the same mode, whoever comes later has
  // all those in its way that the earlier one has: a line of n is walked through once, not n times.
  struct Looked {
    struct Lock {
      bool holders = false;
      Place line;  // All before it.
    };
    std::map<std::pair<std::string, Mode>, Lock> locks;
  };
  // Calls `visit` with each owner in the way of `want`, until it returns false; but for those that
  // `looked` has, unless it is null.
  void VisitBlockers(const WaiterRow& want, uint64_t ticket, Looked* looked, Visit visit) const;
  bool StillThere(const WaiterRow& waiter, WriteContext& context) const;
  LockRow Counts(const std::string& name) const { return t_.locks.Get(name).value_or(LockRow{}); }
  void CancelLease(const HolderKey& key, const HolderRow& row, WriteContext& context);
  void Count(const std::string& name, int holders, int waiting);
  void CountHold(uint64_t session, int by);
  void AdvanceLine(const std::string& name, std::set<std::string>* more, WriteContext& context);

  Tables t_;
};

}  // namespace holdfast::locks

// What a near cache does with one line: a pure table of states and events. MESI (modified,
// exclusive, shared, invalid), and the states in which an answer is awaited.
// services/cache/README.md draws it; line_state_test.cc tries every order of events with two and
// three clients.
//
// Two rules make it coherent: rights are given up here before the cluster is told, and taken only
// when the cluster has said so. A third keeps it going: a recall that overtakes the answer to a
// question is postponed until that is there and whoever asked has read or written once. Without it
// two who want the same line can take it from one another for ever.
//
// Thread-compatible; depends on nothing.
#pragma once

#include <cstdint>

namespace holdfast::client {

enum class LineState : uint8_t {
  kInvalid,            // Nothing is held. Nothing is kept of such a line.
  kShared,             // Others may hold it, too: it may be read.
  kExclusive,          // Nobody else holds it: it may be read and written.
  kModified,           // Exclusive, and written to: the cluster does not have the value yet.
  kFetching,           // Asked for, to read.
  kFetchingExclusive,  // Asked for, to write locally.
  kStoring,            // A write is on its way to the cluster.
  kAbandoned,          // As the last three, and the lease has ended: the answer gives no right.
  kDowngrading,        // On its way back to the cluster, to stay shared.
  kDowngradeRecalled,  // The same, and recalled since: to be given up.
  kLeaving,            // On its way back to the cluster, and given up with it.
};
inline constexpr int kLineStates = 11;

enum class LineEvent : uint8_t {
  // Of the program
  kRead,
  kWriteThrough,  // To be acknowledged by the cluster.
  kWriteLocal,    // To be acknowledged here.
  // Of the cluster: how a fetch or a store has ended
  kGrantedShared,
  kGrantedExclusive,
  kNotGranted,  // Refused, failed, or done without taking the line.
  // How a write back has ended that carried the newest value
  kWrittenBack,
  kNotWrittenBack,
  // Others want it
  kRecallToShared,
  kRecall,
  // Of the near cache itself
  kFlush,     // It is time to write back.
  kEvict,     // Room is needed.
  kLeaseEnd,  // The session may have ended.
};
inline constexpr int kLineEvents = 13;

enum class LineAction : uint8_t {
  kNone,
  kServe,  // Answer the read.
  kWrite,  // Take the write.
  kWait,   // Try again when the state has changed.
  kFetch,  // Ask for the line under a new number.
  kFetchExclusive,
  kStore,             // Send the write, asking for the line under a new number.
  kPostpone,          // The event counts once the answer is there.
  kRelease,           // Say that it is given up.
  kDowngrade,         // Say that it is shared from now on; there is nothing to write.
  kWriteBack,         // Write back and stay exclusive.
  kWriteBackShared,   // Write back and stay shared.
  kWriteBackRelease,  // Write back and give up.
  kRescue,            // The right is gone: store it if surely nobody has written since.
  kLose,              // What was written here may be lost: tell the program.
  kNever,             // Cannot happen.
};

struct LineTransition {
  LineState next;
  LineAction action;
  constexpr bool operator==(const LineTransition&) const = default;
};

LineTransition NextOf(LineState state, LineEvent event);

// May a read be answered, or a write be taken, in this state?
constexpr bool MayRead(LineState state) {
  return state == LineState::kShared || state == LineState::kExclusive ||
         state == LineState::kModified;
}
constexpr bool MayWrite(LineState state) {
  return state == LineState::kExclusive || state == LineState::kModified;
}
// Is an answer awaited?
constexpr bool IsBusy(LineState state) { return state != LineState::kInvalid && !MayRead(state); }

const char* NameOf(LineState state);
const char* NameOf(LineEvent event);
const char* NameOf(LineAction action);

}  // namespace holdfast::client

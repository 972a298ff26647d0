// The replicated log on disk, as consensus sees it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/base/ids.h"

namespace holdfast::wal {

// Numbers are stored: never reuse one.
enum class EntryType : uint8_t {
  kCommand = 1,        // Requests: a serialised LogEntry.
  kBarrier = 2,        // Consensus' own: a new leader's first entry. Empty.
  kConfiguration = 3,  // Who the members are.
};

struct Entry {
  Term term;
  EntryType type = EntryType::kCommand;
  // Shared between the log's tail in memory, the disk writer, the peer links and apply.
  std::shared_ptr<const std::string> payload;
};

// What a server must not forget between two elections (Raft, figure 2).
struct HardState {
  Term term;
  NodeId vote;  // 0: none in this term.
  bool operator==(const HardState&) const = default;
};

// Names one Append; grows by one with each.
using Ticket = uint64_t;

// One thread (the consensus loop) calls everything here. A failed write or fsync is never retried
// and never survived: the node stops (HOLDFAST_CHECK), because what the page cache then holds is
// unknown (fsyncgate).
class Log {
 public:
  virtual ~Log() = default;

  virtual HardState hard_state() const = 0;
  // Durable on return.
  virtual void SaveHardState(const HardState& state) = 0;

  virtual LogIndex first() const = 0;  // Of the oldest entry kept; last() + 1 when empty.
  virtual LogIndex last() const = 0;   // first() - 1 when empty.
  // 0 outside [first, last]; but from a Reset to the next TruncatePrefix that of the entry before
  // first is known, too.
  virtual Term TermAt(LogIndex index) const = 0;
  virtual EntryType TypeAt(LogIndex index) const = 0;  // Of an entry in [first, last].
  virtual Entry Read(LogIndex index) const = 0;  // From the tail in memory, else from the file.

  // Drops entries from `first` on (if any), then appends. Visible to Read at once; durable when
  // `durable` has been called with a ticket at or above the returned one. Appends become durable in
  // order.
  virtual Ticket Append(LogIndex first, std::vector<Entry> entries) = 0;

  // The oldest entry from which on the rest takes at most `bytes`; last() + 1 when none does.
  virtual LogIndex OldestWithin(uint64_t bytes) const = 0;

  // Forgets all entries; the log goes on at `next`, not below first(), after an entry of
  // `previous_term`. For a server whose state now comes from a checkpoint up to `next` - 1. Durable
  // as an Append is.
  virtual Ticket Reset(LogIndex next, Term previous_term) = 0;

  // Lets go of whole files whose entries all lie below `index`. Later first() may be lower than
  // asked for.
  virtual void TruncatePrefix(LogIndex index) = 0;
};

}  // namespace holdfast::wal

// The order of a room. A message gets the next number once everything that it follows has one, and
// is held back until then:
//
//   Post --- all of it is there ---------------------------------> numbered, and shown
//     |                                                             ^
//     +-- something is missing --> held back -- the last of it comes -+
//                                     |
//                                     +-- its time is over --> gone, as if it had never been posted
//
// Its time is lease time (docs/decisions/0020-leases.md): who was told `held` could not send the
// rest while nobody led.
//
// So a number is greater than those of all that its message follows. What is held back is looked at
// again as it gets its number: an edit whose text has been deleted meanwhile is gone as well.
//
// Apply thread, but for what is const.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "services/chat/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::chat {

using state_machine::WriteContext;

class Sequence {
 public:
  explicit Sequence(Tables& tables) : tables_(tables) {}

  // What the message follows and has no number: its ids, each once.
  std::vector<std::string> Missing(const std::string& room, const HeldRow& message) const;
  // Why an edit or a delete cannot be, as far as its target is there; unspecified: it can.
  PostOutcome::Code Objection(const std::string& room, const HeldRow& message) const;

  // Gives a message of which nothing is missing the next number, and one to each that has waited
  // for it. Returns its own.
  uint64_t Append(const std::string& room, const HeldRow& message, WriteContext& context);
  void Hold(const std::string& room, HeldRow message, const std::vector<std::string>& missing,
            WriteContext& context);
  // Rows of something held back: everything but the room's count of them.
  void Forget(const std::string& room, uint64_t ticket, const HeldRow& held, WriteContext& context);
  // What is held back under this ticket goes, unnumbered.
  void Drop(const std::string& room, uint64_t ticket, WriteContext& context);

  static std::string HeldTimer(const std::string& room, uint64_t ticket);
  // A timer of this key is due.
  void Due(std::string_view key, WriteContext& context);

 private:
  bool HasNumber(const std::string& room, const std::string& id) const;
  void Place(const std::string& room, const HeldRow& message, WriteContext& context, RoomRow* row,
             std::set<uint64_t>* ready);

  Tables& tables_;
};

}  // namespace holdfast::chat

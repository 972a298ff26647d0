// How a game goes on: its round ends, the next one begins, the game is over. One game, for the time
// of one write; apply thread.
#pragma once

#include <string>

#include "services/rounds/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::rounds {

using state_machine::LeaseTime;
using state_machine::WriteContext;

// What reads of a game wait for.
inline std::string TopicOf(const std::string& game) { return game; }

class Play {
 public:
  // The game is there. What is done with it is stored by Store(), but for rows of its own.
  Play(Tables& tables, WriteContext& context, std::string name);

  const GameRow& game() const { return game_; }

  // The time of the round is over, though its timer may not have fired yet.
  void EndIfOver();
  // A timer of the game has fired.
  void OnTimer();
  // In a place that is free.
  void Join(const std::string& participant);
  // As if it had never moved in this round.
  void Leave(const std::string& participant);
  // Of a participant that has not moved in the round under way.
  void Move(const std::string& participant, ParticipantRow row, Payload move);
  void Close();
  // The game is not there any more. Returns what is left of it.
  TrashRow Delete();
  void Store();

 private:
  uint32_t TakePlace();  // The smallest that nobody has.
  void GoOn();           // After a change: the round may end, its time begin, or stop.
  struct Ending {
    bool timed_out = false;
    bool aborted = false;
  };
  void EndRound(Ending ending);
  void Finish(End::Code end);
  void Forget();  // What is more than is kept.

  Tables& t_;
  WriteContext& context_;
  const std::string name_;
  const RulesRow rules_;
  GameRow game_;
};

}  // namespace holdfast::rounds

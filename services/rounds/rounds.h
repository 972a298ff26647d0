// The rounds service: its methods, as rounds.proto declares them. README.md is the reference page.
// Writes run on the apply thread; reads on any thread under the store's shared lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/rounds/play.h"
#include "services/rounds/rounds.pb.h"
#include "services/rounds/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::rounds {

using state_machine::ReadContext;

class Rounds : public state_machine::Service {
 public:
  explicit Rounds(store::Store& store) : tables_(store) {}

  Result<void> Create(const CreateRequest& request, WriteContext& context, CreateReply* reply);
  Result<void> Join(const JoinRequest& request, WriteContext& context, JoinReply* reply);
  Result<void> Leave(const LeaveRequest& request, WriteContext& context, LeaveReply* reply);
  Result<void> Move(const MoveRequest& request, WriteContext& context, MoveReply* reply);
  Result<void> Close(const CloseRequest& request, WriteContext& context, CloseReply* reply);
  Result<void> Delete(const DeleteRequest& request, WriteContext& context, DeleteReply* reply);

  // --- Reads (reads.cc)
  Result<void> AwaitMove(const MoveRequest& request, const ReadContext& context,
                         MoveReply* reply) const;
  Result<void> Get(const GetRequest& request, const ReadContext& context, Game* reply) const;
  Result<void> Results(const ResultsRequest& request, const ReadContext& context,
                       ResultsReply* reply) const;
  Result<void> List(const ListRequest& request, const ReadContext& context, ListReply* reply) const;

  void OnTimer(WriteContext& context, std::string_view key) override;
  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

 private:
  // How a move stands: not_moved (it may be made), waiting (it is made), round_over (it is in the
  // result), or why it cannot be.
  struct Standing {
    MoveOutcome::Code outcome = MoveOutcome::forgotten;
    int64_t made_us = 0;  // Of waiting and round_over.
  };
  // reads.cc. `round`: the one that is asked for, if it has ended and is kept; a pointer, as it may
  // have a megabyte. `own`: the participant, if it takes part.
  static Standing StandingOf(const MoveRequest& request, const GameRow& game, const RoundRow* round,
                             const ParticipantRow* own);

  // Whether there is the game, of this id where one is given.
  bool HasGame(const std::string& game, uint64_t id) const;
  void Sweep(WriteContext& context);  // What games had that were deleted.

  Tables tables_;
};

}  // namespace holdfast::rounds

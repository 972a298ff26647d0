// Requests as rows, and rows as the messages that callers see.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "services/rounds/rounds.pb.h"
#include "services/rounds/tables.h"

namespace holdfast::rounds {

inline Payload PayloadOf(const MoveRequest& request) {
  if (!request.data().empty()) return {request.data(), true};
  return {request.move(), false};
}

RulesRow RulesOf(const CreateRequest& request);
NamedRow NamedOf(const CreateRequest& request);
// The first field in which a request would make another game; empty: none.
std::string FirstDifference(const CreateRequest& request, const RulesRow& rules,
                            const NamedRow& named);

void FillRound(uint64_t number, const RoundRow& row, const RulesRow& rules, Round* round);
// All but the participants.
void FillGame(const std::string& name, const RulesRow& rules, const GameRow& row,
              int64_t lease_now_us, Game* game);

}  // namespace holdfast::rounds

// `holdfast outcome`: what became of a request whose answer was lost.
#pragma once

#include "src/cli/commands.h"
#include "src/state_machine/registry.h"

namespace holdfast::cli {

// Adds `holdfast outcome --key KEY [--method NAME]`. The registry outlives the command.
void AddOutcomeByKey(const state_machine::Registry& registry, Commands& commands);

// The options of a question of this kind: linearizable, unless the user asks for a stale answer.
Result<client::CallOptions> OutcomeOptions(const Context& context);

// Shows how it ended: "committed", "rejected", "pending" or "never_seen", then the message, if
// there is one. Returns the exit code.
int ShowOutcome(Context& context, const std::string& state,
                const google::protobuf::Message* message);

}  // namespace holdfast::cli

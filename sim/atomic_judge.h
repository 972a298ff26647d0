// What `Execute` must answer: its writes one after another on the models of their services, and
// nothing of them when one is refused (docs/atomic.md).
#pragma once

#include <map>
#include <memory>

#include "holdfast/atomic.pb.h"
#include "sim/judge.h"

namespace holdfast::sim {

// Of each judge that a list of writes has to do with, what it knew before.
using Before = std::map<Judge*, Judge::Saved>;
void Restore(const Before& before);

// All of the list, or nothing of it; `before` it.
atomic::ExecuteReply ExecuteList(const Judges& judges, const atomic::ExecuteRequest& list,
                                 Before* before);

// Over the judges of the other services.
std::shared_ptr<Judge> MakeAtomicJudge(Judges others);

}  // namespace holdfast::sim

// What a read may miss.
#pragma once

namespace holdfast {

enum class Consistency {
  kSession,       // At least as new as `after`; without a token, linearizable.
  kLinearizable,  // At least as new as anything acknowledged anywhere before the call.
  kStale,         // Whatever this node has, at once, also without a quorum.
};

}  // namespace holdfast

#include "src/base/behaviour.h"

#include <iterator>

#include "src/base/check.h"
#include "src/base/version.h"

namespace holdfast {
namespace {

// A new one goes to the end, and none is ever changed once it was released.
constexpr BehaviourVersion kVersions[] = {
    {1, "0.1.0-alpha", "logs that do not name a version"},
    {2, "0.1.0", "counters can be removed; what a list of writes may change is bounded"},
};
constexpr uint32_t kOldest = 1;

#ifdef HOLDFAST_BEHAVIOUR_NEWEST
// The program of an older release, for tests of upgrades.
constexpr uint32_t kNewest = HOLDFAST_BEHAVIOUR_NEWEST;
#else
constexpr uint32_t kNewest = std::size(kVersions);
#endif

std::string RangeText(const Behaviour& program) {
  const std::string newest = std::to_string(program.newest);
  if (program.oldest == program.newest) return "version " + newest + " of the behaviour only";
  return "versions " + std::to_string(program.oldest) + " to " + newest + " of the behaviour";
}

}  // namespace

const Behaviour& ThisProgram() {
  static const Behaviour program{
      kOldest, kNewest, kNewest == std::size(kVersions) ? kVersion : BehaviourOf(kNewest).release};
  return program;
}

const BehaviourVersion& BehaviourOf(uint32_t version) {
  HOLDFAST_CHECK(version >= 1 && version <= std::size(kVersions),
                 "no behaviour has the version " + std::to_string(version));
  return kVersions[version - 1];
}

std::string WhyUnfit(const Behaviour& program, uint32_t version, const std::string& release,
                     const std::string& where) {
  if (version == 0 || program.Carries(version)) return "";
  std::string why = where + " runs Holdfast " + program.release + ", which can do " +
                    RangeText(program) + ", and the cluster goes by version " +
                    std::to_string(version) + ", which came with Holdfast " + release + ".\n";
  if (version > program.newest) {
    return why + "Install Holdfast " + release +
           " or newer there, and start it again on the same " +
           "data folder: it goes on where it stopped.";
  }
  return why + "Install a Holdfast between " + release + " and " + program.release +
         " on all nodes first, wait until the cluster goes by a version that both can do, then "
         "this one.";
}

}  // namespace holdfast

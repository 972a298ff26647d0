#include "services/rounds/validate.h"

#include <set>
#include <string>
#include <string_view>

#include "src/base/bounds.h"
#include "src/base/text.h"

namespace holdfast::rounds {
namespace {

constexpr char kControl[] = "must not have control characters";

Result<void> Refuse(const std::string& field, const std::string& reason) {
  return Fail(InvalidArgument(field, reason));
}

Result<void> CheckParticipants(const CreateRequest& request) {
  std::set<std::string_view> names;
  for (int i = 0; i < request.participants_size(); ++i) {
    const std::string& name = request.participants(i);
    const std::string field = "participants[" + std::to_string(i) + "]";
    if (name.empty() || name.size() > bounds::kRoundsNameBytesMax) {
      return Refuse(field, "must have 1 to " + std::to_string(bounds::kRoundsNameBytesMax) +
                               " bytes, has " + std::to_string(name.size()));
    }
    if (HasControlCharacter(name)) return Refuse(field, kControl);
    if (!names.insert(name).second) return Refuse(field, "is named twice");
  }
  return {};
}

}  // namespace

Result<void> ValidateNames(const std::string& game, const std::string& participant) {
  if (HasControlCharacter(game)) return Refuse("game", kControl);
  if (HasControlCharacter(participant)) return Refuse("participant", kControl);
  return {};
}

Result<void> Validate(const CreateRequest& request) {
  if (auto checked = ValidateNames(request); !checked) return checked;
  if (auto checked = CheckParticipants(request); !checked) return checked;
  const auto named = static_cast<uint32_t>(request.participants_size());
  if (named == 0 && request.places() == 0) return Refuse("places", "is required, or participants");
  if (request.places() != 0 && request.places() < named) {
    return Refuse("places",
                  "must be at least as many as participants, which are " + std::to_string(named));
  }
  if (!Clock::Code_IsValid(request.clock())) {
    return Refuse("clock", "must be first_move or round");
  }
  if (!Absent::Code_IsValid(request.absent())) {
    return Refuse("absent", "must be stays, goes, default_move or abort");
  }
  const bool stays = request.absent() == Absent::stays || request.absent() == Absent::unspecified;
  if (!stays && request.round_ms() == 0) return Refuse("absent", "goes only with round_ms");
  if (!request.default_move().empty() && !request.default_data().empty()) {
    return Refuse("default_data", "goes not with default_move");
  }
  if (request.absent() != Absent::default_move) {
    constexpr char kReason[] = "goes only with absent: default_move";
    if (!request.default_move().empty()) return Refuse("default_move", kReason);
    if (!request.default_data().empty()) return Refuse("default_data", kReason);
  }
  return {};
}

Result<void> Validate(const MoveRequest& request) {
  if (auto checked = ValidateNames(request); !checked) return checked;
  if (!request.move().empty() && !request.data().empty()) {
    return Refuse("data", "goes not with move");
  }
  return {};
}

Result<void> Validate(const ListRequest& request) {
  if (HasControlCharacter(request.after())) return Refuse("after", kControl);
  return {};
}

}  // namespace holdfast::rounds

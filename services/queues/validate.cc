#include "services/queues/validate.h"

#include <charconv>
#include <optional>
#include <set>
#include <string>

#include "services/queues/describe.h"
#include "src/base/bounds.h"

namespace holdfast::queues {
namespace {

Result<void> Refuse(std::string field, std::string reason) {
  return Fail(InvalidArgument(std::move(field), std::move(reason)));
}

std::string Element(const char* field, int index) {
  std::string path = field;
  path += '[';
  path += std::to_string(index);
  path += ']';
  return path;
}

bool IsName(const std::string& name) {
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '-' || c == '_';
    if (!good) return false;
  }
  return !name.empty() && name.size() <= bounds::kQueueNameBytesMax;
}

constexpr char kNameRule[] = "must be letters, digits, dots, dashes and underscores";

// Of text that parsing has found to be UTF-8: C0 and DEL.
bool HasControlCharacter(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

Result<void> CheckText(const char* field, const std::string& text) {
  if (HasControlCharacter(text)) return Refuse(field, "must not have control characters");
  return {};
}

template <class Request>
Result<void> CheckContent(const Request& request, const std::string& path) {
  if (HasControlCharacter(request.key())) {
    return Refuse(path + "key", "must not have control characters");
  }
  if (HasControlCharacter(request.message_id())) {
    return Refuse(path + "message_id", "must not have control characters");
  }
  if constexpr (requires { request.data(); }) {
    if (!request.payload().empty() && !request.data().empty()) {
      return Refuse(path + "data", "goes not with payload");
    }
    // Of several faults the one with the least key is named, so that every node names the same.
    const Headers headers(request.headers().begin(), request.headers().end());
    for (const auto& [name, value] : headers) {
      if (name.empty() || name.size() > bounds::kMetadataKeyBytesMax || HasControlCharacter(name)) {
        return Refuse(path + "headers", "keys must be 1 to 64 bytes without control characters");
      }
      if (value.size() > bounds::kMetadataValueBytesMax) {
        return Refuse(path + "headers", "the value of '" + name + "' is " +
                                            std::to_string(value.size()) +
                                            " bytes, at most 256 are allowed");
      }
    }
  }
  return {};
}

template <class Request>
Result<void> CheckDeliveries(const Request& request) {
  for (int i = 0; i < request.deliveries_size(); ++i) {
    if (!DeliveryId::Parse(request.deliveries(i))) {
      return Refuse(Element("deliveries", i),
                    "is no delivery; take `delivery` of a pulled message as it is");
    }
  }
  return {};
}

}  // namespace

Result<void> Validate(const CreateRequest& request) {
  if (!IsName(request.name())) return Refuse("name", kNameRule);
  if (request.dead_letter() == request.name())
    return Refuse("dead_letter", "must be another queue");
  if (request.max_deliveries() != 0 && request.dead_letter().empty()) {
    return Refuse("max_deliveries", "goes only with dead_letter");
  }
  std::set<std::string> groups;
  for (int i = 0; i < request.groups_size(); ++i) {
    const std::string path = Element("groups", i);
    if (!IsName(request.groups(i)) || request.groups(i).size() > 64) {
      return Refuse(path, "must be 1 to 64 letters, digits, dots, dashes and underscores");
    }
    if (!groups.insert(request.groups(i)).second) return Refuse(path, "appears twice");
  }
  return {};
}

Result<void> Validate(const UpdateRequest& request) {
  if (request.has_dead_letter() && request.dead_letter() == request.name()) {
    return Refuse("dead_letter", "must be another queue");
  }
  if (request.max_deliveries() != 0 && request.has_dead_letter() && request.dead_letter().empty()) {
    return Refuse("max_deliveries", "goes only with dead_letter");
  }
  return {};
}

Result<void> Validate(const CreateGroupRequest& request) {
  if (!IsName(request.group())) return Refuse("group", kNameRule);
  return {};
}

Result<void> Validate(const PublishRequest& request) { return CheckContent(request, ""); }

Result<void> Validate(const PublishBatchRequest& request) {
  for (int i = 0; i < request.messages_size(); ++i) {
    auto checked = CheckContent(request.messages(i), Element("messages", i) + ".");
    if (!checked) return checked;
  }
  return {};
}

Result<void> Validate(const PushRequest& request) { return CheckContent(request, ""); }

Result<void> Validate(const PullRequest& request) {
  return CheckText("consumer", request.consumer());
}

Result<void> Validate(const AckRequest& request) { return CheckDeliveries(request); }

Result<void> Validate(const NackRequest& request) { return CheckDeliveries(request); }

Result<void> Validate(const ExtendRequest& request) { return CheckDeliveries(request); }

Result<void> Validate(const PeekRequest& request) {
  if (request.cursor().empty()) return {};
  Sequence sequence = 0;
  const char* end = request.cursor().data() + request.cursor().size();
  const auto parsed = std::from_chars(request.cursor().data(), end, sequence);
  if (parsed.ec != std::errc() || parsed.ptr != end || sequence == 0) {
    return Refuse("cursor", "is no cursor of this list; take next_cursor as it is");
  }
  return {};
}

}  // namespace holdfast::queues

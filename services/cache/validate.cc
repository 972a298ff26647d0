#include "services/cache/validate.h"

#include <set>
#include <string>

#include "src/base/bounds.h"

namespace holdfast::cache {
namespace {

std::string Element(const char* field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

template <class Request>
Result<void> CheckValue(const Request& request, const std::string& path = "") {
  if (request.value().empty() || request.data().empty()) return {};
  return Fail(InvalidArgument(path + "data", "goes not with value"));
}

// A line has a number, and the number a session.
template <class Request>
Result<void> CheckLine(const Request& request) {
  if ((request.session() == 0) == (request.line() == 0)) return {};
  return Fail(InvalidArgument(
      request.session() == 0 ? "session" : "line",
      std::string("is required, as there is a ") + (request.session() == 0 ? "line" : "session")));
}

template <class Request>
Result<void> CheckWrite(const Request& request) {
  if (auto checked = CheckValue(request); !checked) return checked;
  return CheckLine(request);
}

template <class Keys>
Result<void> CheckKeys(const Keys& keys) {
  for (int i = 0; i < keys.size(); ++i) {
    const size_t size = keys.Get(i).size();
    if (size >= 1 && size <= bounds::kCacheKeyBytesMax) continue;
    return Fail(InvalidArgument(Element("keys", i), "must have 1 to " +
                                                        std::to_string(bounds::kCacheKeyBytesMax) +
                                                        " bytes, has " + std::to_string(size)));
  }
  return {};
}

}  // namespace

Result<void> Validate(const SetRequest& request) { return CheckWrite(request); }
Result<void> Validate(const CompareAndSetRequest& request) { return CheckWrite(request); }
Result<void> Validate(const DeleteRequest& request) { return CheckLine(request); }
Result<void> Validate(const IncrementRequest& request) { return CheckLine(request); }

Result<void> Validate(const SetManyRequest& request) {
  std::set<std::string> keys;
  for (int i = 0; i < request.entries_size(); ++i) {
    const NewEntry& entry = request.entries(i);
    if (auto checked = CheckValue(entry, Element("entries", i) + "."); !checked) return checked;
    if (!keys.insert(entry.key()).second) {
      return Fail(InvalidArgument(Element("entries", i) + ".key", "appears twice"));
    }
  }
  return {};
}

Result<void> Validate(const TouchRequest& request) { return CheckKeys(request.keys()); }
Result<void> Validate(const GetManyRequest& request) { return CheckKeys(request.keys()); }

Result<void> Validate(const ConfigureRequest& request) {
  if (request.max_bytes() >= bounds::kCacheBytesMin) return {};
  return Fail(InvalidArgument("max_bytes", "must be at least " +
                                               std::to_string(bounds::kCacheBytesMin) + ", is " +
                                               std::to_string(request.max_bytes())));
}

Result<void> Validate(const GetRequest& request) {
  if (request.key().empty() != request.k().empty()) return {};
  return Fail(InvalidArgument(
      request.key().empty() ? "key" : "k",
      request.key().empty() ? "is required, or k" : "must not be given together with key"));
}

Result<void> Validate(const WriteBackRequest& request) {
  if (auto checked = CheckValue(request); !checked) return checked;
  if (request.change() != put && !(request.value().empty() && request.data().empty())) {
    return Fail(InvalidArgument(request.value().empty() ? "data" : "value",
                                "goes only with a change of `put`"));
  }
  if (request.keep() == any)
    return Fail(InvalidArgument("keep", "is exclusive, shared or nothing"));
  return {};
}

}  // namespace holdfast::cache

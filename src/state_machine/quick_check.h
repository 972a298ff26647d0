// Whether a request meets what the options of its fields demand (required, max_size, max_value,
// positive), told from its bytes: one pass over them instead of one over the descriptors of the
// message.
//
// "Yes" is certain; "unsure" is left to CompileValidator, which also says what is wrong. Sure is
// only what needs no knowledge of how protobuf merges: a field with a rule that stands once (or is
// repeated), in the type that it is declared with, with a value that is good. Well-formed requests
// of callers are of that kind.
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

namespace holdfast::state_machine {

// Immutable: any thread.
class QuickCheck {
 public:
  explicit QuickCheck(const google::protobuf::Descriptor& type);
  ~QuickCheck();
  QuickCheck(QuickCheck&&) noexcept;

  // True: a message of the type that was parsed from `bytes` meets its options. Of bytes that do
  // not parse, the answer has no meaning.
  bool SurelyMeets(std::string_view bytes) const;

 private:
  struct Type;
  using Types = std::map<const google::protobuf::Descriptor*, std::unique_ptr<Type>>;
  static const Type* Compile(const google::protobuf::Descriptor& descriptor, Types& types);
  static bool Scan(const Type& type, const uint8_t* at, const uint8_t* end, int depth);

  Types types_;  // Types may refer to themselves, so all of a tree are owned together.
  const Type* root_;
};

}  // namespace holdfast::state_machine

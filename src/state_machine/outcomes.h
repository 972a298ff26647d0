// How replies of one type say that their request ended, and each item of a batch's: the fields that
// the .proto marks as `outcome`. Found once, as descriptors are slow to ask.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <optional>
#include <vector>

namespace holdfast::state_machine {

// Immutable; any thread.
class Outcomes {
 public:
  explicit Outcomes(const google::protobuf::Message& prototype);

  // What the reply as a whole says; nullptr: it has no outcome, or leaves it to its items.
  const google::protobuf::EnumValueDescriptor* Of(const google::protobuf::Message& reply) const {
    return whole_.Of(reply);
  }
  // The outcome that says that the reply, or its first such item, is a refusal, or has yet to come;
  // nullptr: it was done.
  const google::protobuf::EnumValueDescriptor* RefusalIn(
      const google::protobuf::Message& reply) const;

 private:
  // The outcome in messages of one type.
  struct Place {
    explicit Place(const google::protobuf::Message& prototype);
    const google::protobuf::EnumValueDescriptor* Of(const google::protobuf::Message& message) const;

    const google::protobuf::Reflection* reflection;
    const google::protobuf::FieldDescriptor* field;  // Null: they have none.
  };
  struct Items {
    const google::protobuf::FieldDescriptor* field;  // Repeated.
    std::optional<Place> place;                      // None: the items are outcomes themselves.
  };
  Place whole_;
  std::vector<Items> items_;
};

}  // namespace holdfast::state_machine

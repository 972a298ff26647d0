// How a reply says that its request ended: the field that its .proto marks as `outcome`.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <string_view>

namespace holdfast::state_machine {

// nullptr: replies of this type have none.
const google::protobuf::FieldDescriptor* OutcomeField(const google::protobuf::Descriptor& reply);
// What it says in `reply`; nullptr: it has none, or says nothing because its items have their own.
const google::protobuf::EnumValueDescriptor* OutcomeOf(const google::protobuf::Message& reply);

// The value of a number or enum in the bytes of a message, without parsing the rest: fields lie in
// order of their numbers, so one with a low number is found soon. 0 when it is not there.
uint64_t PeekNumber(std::string_view bytes, int field);

}  // namespace holdfast::state_machine

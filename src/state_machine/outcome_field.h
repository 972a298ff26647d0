// How a reply says that its request ended: the field that its .proto marks as `outcome`.
#pragma once

#include <google/protobuf/descriptor.h>

namespace holdfast::state_machine {

// nullptr: replies of this type have none.
const google::protobuf::FieldDescriptor* OutcomeField(const google::protobuf::Descriptor& reply);

}  // namespace holdfast::state_machine

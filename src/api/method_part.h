// Fields of bytes that hold a message of the method that another field names
// (FieldOptions.of_method). Internal to the JSON code.
#pragma once

#include <google/protobuf/arena.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

namespace holdfast::api {

bool IsMethodPart(const google::protobuf::FieldDescriptor* field);

// The value of the field `method` beside `field`; empty: not set.
std::string MethodBeside(const google::protobuf::Message& message);

// An empty message of the kind that `field` holds when it is the method `name` that is meant:
// "ledger.CreateTransfer", of the service holdfast.ledger.Ledger, or "/package.Service/Method".
// nullptr: no such method.
google::protobuf::Message* NewMethodPart(const google::protobuf::FieldDescriptor* field,
                                         std::string_view name, google::protobuf::Arena* arena);

}  // namespace holdfast::api

// The methods of the services that the simulator knows, by the names that people write:
// "ledger.CreateTransfer".
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <string>

namespace holdfast::sim {

// Throws Violation for a method that is none.
const google::protobuf::MethodDescriptor& DescriptorOf(const std::string& method);
// By the numbers that stand in the log.
const std::string& NameOf(uint32_t service, uint32_t method);
// The read that goes on with a write whose caller waits; empty: none, or it does not wait.
std::string AwaitsOf(const std::string& method, const google::protobuf::Message& request);
// How long the caller waits for what is not there yet.
uint64_t WaitMsOf(const google::protobuf::Message& request);

// Replies in bytes. Maps have no order there, so they are compared as messages.
bool SameReply(const std::string& method, const std::string& a, const std::string& b);
std::string ShowReply(const std::string& method, const std::string& bytes);
std::string ShowRequest(const std::string& method, const std::string& bytes);

}  // namespace holdfast::sim

#include "src/state_machine/reused_message.h"

#include <gtest/gtest.h>

#include <vector>

#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using testing::PutRequest;

TEST(ReusedMessageTest, NothingOfOneRequestIsSeenInTheNext) {
  ReusedMessage reused;
  PutRequest full;
  full.set_name("a name that is allocated");
  full.add_parts()->set_name("p");
  (*full.mutable_labels())["k"] = "v";
  full.mutable_whole()->set_weight(5);
  const PutRequest empty;
  for (const PutRequest& sent : std::vector<PutRequest>{full, empty, full}) {
    const auto* got = reused.Parse(PutRequest::default_instance(), sent.SerializeAsString());
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->ShortDebugString(), sent.ShortDebugString());
  }
  EXPECT_EQ(reused.Parse(PutRequest::default_instance(), "\xff"), nullptr);
  const auto* got = reused.Parse(PutRequest::default_instance(), "");
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->ShortDebugString(), "");
}

// Each request makes another of the parts large; what the message keeps would be the sum.
TEST(ReusedMessageTest, WhatIsKeptIsBounded) {
  ReusedMessage reused;
  size_t most = 0;
  for (int i = 0; i < 100; ++i) {
    PutRequest request;
    for (int part = 0; part <= i; ++part) request.add_parts();
    request.mutable_parts(i)->set_name(std::string(size_t{1} << 20, 'x'));
    const auto* got = reused.Parse(PutRequest::default_instance(), request.SerializeAsString());
    ASSERT_NE(got, nullptr);
    most = std::max(most, static_cast<size_t>(got->SpaceUsedLong()));
  }
  EXPECT_LE(most, 2 * bounds::kReusedMessageBytes);
}

}  // namespace
}  // namespace holdfast::state_machine

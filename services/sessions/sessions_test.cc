// Sessions through the machine that keeps them: what ends them, what prolongs them, and that a
// failover does neither.
#include "services/sessions/sessions.h"

#include <gtest/gtest.h>

#include <random>

#include "services/sessions/model.h"
#include "src/base/bounds.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::sessions {

void Register(state_machine::Registry& registry);

namespace {

class SessionsTest : public state_machine::testing::ServiceFixture {
 protected:
  SessionsTest() : ServiceFixture({&Register}) {}

  SessionReply Open(uint32_t ttl_ms, const std::string& name = "") {
    OpenRequest request;
    request.set_ttl_ms(ttl_ms);
    request.set_name(name);
    return Write<SessionReply>("sessions.Open", request);
  }
  SessionOutcome::Code KeepAlive(uint64_t id) {
    KeepAliveRequest request;
    request.set_id(id);
    return Write<SessionReply>("sessions.KeepAlive", request).outcome();
  }
  SessionOutcome::Code Close(uint64_t id) {
    CloseRequest request;
    request.set_id(id);
    return Write<SessionReply>("sessions.Close", request).outcome();
  }
  // After the last entry.
  Moment moment() {
    const int64_t log_us = machine().position().now.us;
    return {log_us, log_us - lease_now_us()};
  }
  ListReply List(uint64_t after = 0, uint32_t limit = 0) {
    ListRequest request;
    request.set_after(after);
    request.set_limit(limit);
    return *Read<ListReply>("sessions.List", request);
  }
};

TEST_F(SessionsTest, LastsForItsTtlFromTheLastSignOfLife) {
  const SessionReply opened = Open(10'000, "till 3");
  EXPECT_EQ(opened.outcome(), SessionOutcome::opened);
  PassMs(9'000);
  EXPECT_EQ(KeepAlive(opened.id()), SessionOutcome::kept);
  PassMs(9'990);
  EXPECT_EQ(List().sessions_size(), 1);
  PassMs(10);
  EXPECT_EQ(KeepAlive(opened.id()), SessionOutcome::session_not_found);
  EXPECT_EQ(List().sessions_size(), 0);
  EXPECT_NE(Open(10'000).id(), opened.id()) << "numbers are never given twice";
}

TEST_F(SessionsTest, EndsWhenItsClientSaysSo) {
  const uint64_t id = Open(10'000).id();
  EXPECT_EQ(Close(id), SessionOutcome::closed);
  EXPECT_EQ(Close(id), SessionOutcome::session_not_found);
  EXPECT_EQ(KeepAlive(id), SessionOutcome::session_not_found);
}

TEST_F(SessionsTest, AFailoverNeverShortensIt) {
  const uint64_t id = Open(10'000).id();
  PassMs(4'000);
  NewLeader();
  PassMs(60'000);  // Nobody led for a minute, or the new leader's clock is ahead.
  GetRequest get;
  get.set_id(id);
  const auto session = Read<Session>("sessions.Get", get);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->left_ms(), 6'000u);
  PassMs(5'999);
  EXPECT_TRUE(Read<Session>("sessions.Get", get)) << "what was left then";
  PassMs(2);
  EXPECT_EQ(Read<Session>("sessions.Get", get).error().code, ErrorCode::kNotFound);
}

TEST_F(SessionsTest, SurvivesARestart) {
  const uint64_t id = Open(10'000).id();
  NewLeader();
  Checkpoint();
  PassMs(30'000);
  Restart();
  PassMs(9'000);
  EXPECT_EQ(KeepAlive(id), SessionOutcome::kept);
  Restart();
  PassMs(9'999);
  EXPECT_EQ(KeepAlive(id), SessionOutcome::kept);
}

TEST_F(SessionsTest, PagesAreInOrderAndComplete) {
  for (int i = 0; i < 5; ++i) Open(60'000, std::to_string(i));
  const ListReply first = List(0, 2);
  ASSERT_EQ(first.sessions_size(), 2);
  EXPECT_EQ(first.sessions(1).name(), "1");
  const ListReply last = List(first.cursor(), 3);
  ASSERT_EQ(last.sessions_size(), 3);
  EXPECT_EQ(last.sessions(2).name(), "4");
  EXPECT_EQ(last.cursor(), 0u);
  EXPECT_EQ(List(UINT64_MAX).sessions_size(), 0);
}

// They were listed with nothing left of their time.
TEST_F(SessionsTest, WhatIsOverIsNotListedThoughItsTimerHasNotFired) {
  const int count = static_cast<int>(bounds::kTimersPerEntryMax) + 10;
  for (int i = 0; i < count; ++i) Open(5'000);
  const uint64_t living = Open(60'000).id();
  PassMs(5'000);
  ListReply page = List(0, 2);
  EXPECT_EQ(page.sessions_size(), 0) << "those that wait for the next entry";
  while (page.cursor() != 0 && page.sessions().empty()) page = List(page.cursor(), 2);
  ASSERT_EQ(page.sessions_size(), 1);
  EXPECT_EQ(page.sessions(0).id(), living);
  PassMs(1);
  EXPECT_EQ(List().sessions(0).id(), living);
}

// A day's session that was closed left its timer for a day.
TEST_F(SessionsTest, NoTimerIsLeftOfAClosedSession) {
  const uint64_t id = Open(86'400'000).id();
  NewLeader();
  PassMs(10'000);
  KeepAlive(id);
  Close(id);
  Checkpoint();
  Restart();  // Finds the earliest timer.
  EXPECT_FALSE(machine().NextTimer());
}

TEST_F(SessionsTest, MalformedRequestsNameTheField) {
  const auto field_of = [&](uint32_t ttl_ms, const std::string& name) {
    OpenRequest request;
    request.set_ttl_ms(ttl_ms);
    request.set_name(name);
    return FieldOf("sessions.Open", request);
  };
  EXPECT_EQ(field_of(0, ""), "ttl_ms");
  EXPECT_EQ(field_of(bounds::kSessionTtlMsMin - 1, ""), "ttl_ms");
  EXPECT_EQ(field_of(86'400'001, ""), "ttl_ms");
  EXPECT_EQ(field_of(1'000, std::string(129, 'x')), "name");
  EXPECT_EQ(field_of(1'000, std::string(128, 'x')), "fine");
  EXPECT_EQ(field_of(1'000, "till\n3"), "name");
  EXPECT_EQ(FieldOf("sessions.KeepAlive", KeepAliveRequest()), "id");
  EXPECT_EQ(FieldOf("sessions.Close", CloseRequest()), "id");
}

TEST_F(SessionsTest, DoesWhatTheModelDoes) {
  std::mt19937_64 random(1);
  Model model;
  for (int i = 0; i < 3'000; ++i) {
    // The model knows lease time, which stands still from one leader to the next.
    const bool failover = random() % 20 == 0;
    if (failover) NewLeader();
    PassMs(static_cast<int64_t>(random() % 400));
    model.Pass(moment());
    ASSERT_FALSE(HasFailure()) << "step " << i;
    const uint64_t id = 1 + random() % 200;
    const auto compare = [&](const char* method, const auto& request, auto ask) {
      const auto reply = Write<SessionReply>(method, request);
      model.Pass(moment());
      EXPECT_EQ(reply.ShortDebugString(), (model.*ask)(request).ShortDebugString());
    };
    switch (random() % 4) {
      case 0: {
        OpenRequest request;
        request.set_ttl_ms(1'000 + random() % 9'000);
        request.set_name(std::to_string(i));
        compare("sessions.Open", request, &Model::Open);
        break;
      }
      case 1: {
        CloseRequest request;
        request.set_id(id);
        compare("sessions.Close", request, &Model::Close);
        break;
      }
      default: {
        KeepAliveRequest request;
        request.set_id(id);
        compare("sessions.KeepAlive", request, &Model::KeepAlive);
      }
    }
    if (i % 100 == 0) Restart();
    ListRequest list;
    list.set_limit(1'000);
    ASSERT_EQ(List(0, 1'000).ShortDebugString(), model.List(list).ShortDebugString());
  }
}

}  // namespace
}  // namespace holdfast::sessions

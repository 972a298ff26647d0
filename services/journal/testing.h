// For the tests of the journals: the service in the machine that runs it, and short ways to call
// it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/journal/describe.h"
#include "services/journal/journal.h"
#include "src/base/timestamp.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::journal {

void Register(state_machine::Registry& registry);

namespace testing {

inline constexpr uint8_t kJournal = 12;
inline constexpr int64_t kMs = 1'000;
inline constexpr int64_t kSecond = 1'000'000;

class JournalFixture : public state_machine::testing::ServiceFixture {
 protected:
  JournalFixture() : ServiceFixture({&journal::Register}) {}

  // Every write is followed by a look at what must hold.
  template <class Reply>
  Reply Do(const std::string& method, const google::protobuf::Message& request) {
    const Reply reply = Write<Reply>("journal." + method, request);
    EXPECT_EQ(Broken(kJournal), "") << method << " " << request.ShortDebugString();
    return reply;
  }
  // Time passes in steps, so that every sweep comes when it is due.
  void PassStepsMs(int64_t ms, int64_t step_ms = 5) {
    for (int64_t passed = 0; passed < ms; passed += step_ms) PassMs(step_ms);
    EXPECT_EQ(Broken(kJournal), "");
  }

  static CreateRequest JournalOf(const std::string& name, uint32_t window_ms = 1'000) {
    CreateRequest request;
    request.set_name(name);
    request.set_window_ms(window_ms);
    return request;
  }
  JournalReply Create(const std::string& name, uint32_t window_ms = 1'000) {
    return Do<JournalReply>("Create", JournalOf(name, window_ms));
  }

  struct Told {
    int64_t time_us;
    std::string body;
  };
  static AppendRequest AppendOf(const std::string& source, const std::vector<Told>& records,
                                uint64_t first = 0, const std::string& journal = "j") {
    AppendRequest request;
    request.set_journal(journal);
    request.set_source(source);
    request.set_first_sequence(first);
    for (const Told& told : records) {
      NewRecord* record = request.add_records();
      FillTime(told.time_us, record->mutable_time());
      record->set_body(told.body);
    }
    return request;
  }
  AppendReply Append(const AppendRequest& request) { return Do<AppendReply>("Append", request); }
  AppendReply Append(const std::string& source, const std::vector<Told>& records,
                     uint64_t first = 0) {
    return Append(AppendOf(source, records, first));
  }
  // An exchange of times: sent by the source's clock at `sent_us`, and what it saw of the last one.
  static AppendRequest ExchangeOf(const std::string& source, int64_t sent_us, uint64_t batch = 0,
                                  int64_t received_us = 0) {
    AppendRequest request = AppendOf(source, {});
    FillTime(sent_us, request.mutable_sent_time());
    if (batch != 0) {
      request.mutable_previous()->set_batch(batch);
      FillTime(received_us, request.mutable_previous()->mutable_received_time());
    }
    return request;
  }

  FollowReply Follow(uint64_t after = 0, uint32_t limit = 0) {
    FollowRequest request;
    request.set_journal("j");
    request.set_after(after);
    request.set_limit(limit);
    return *Read<FollowReply>("journal.Follow", request);
  }
  // "body body* ...": a star for what is late.
  template <class Reply>
  static std::string Bodies(const Reply& reply) {
    std::string all;
    for (const Record& record : reply.records()) {
      all += (all.empty() ? "" : " ") + record.body() + (record.late() ? "*" : "");
    }
    return all;
  }
  std::string Released(uint64_t after = 0) { return Bodies(Follow(after, 1'000)); }
  static QueryRequest QueryOf(const std::string& text = "", const std::string& source = "") {
    QueryRequest request;
    request.set_journal("j");
    request.set_text(text);
    request.set_source(source);
    return request;
  }
  QueryReply Query(const QueryRequest& request) {
    return *Read<QueryReply>("journal.Query", request);
  }
  Source SourceNamed(const std::string& name) {
    GetSourceRequest request;
    request.set_journal("j");
    request.set_source(name);
    return *Read<Source>("journal.GetSource", request);
  }
  JournalState State(const std::string& name = "j") {
    GetRequest request;
    request.set_name(name);
    return *Read<JournalState>("journal.Get", request);
  }
  // Of all tables of the service.
  size_t Rows() {
    size_t rows = 0;
    absl::ReaderMutexLock lock(&registry().store().mutex());
    registry().store().ForEach([&](store::TableNumber table, std::string_view, std::string_view) {
      rows += table.service == kJournal ? 1 : 0;
    });
    return rows;
  }
  static std::string Name(const AppendReply& reply) {
    return AppendOutcome::Code_Name(reply.outcome());
  }
  static std::string Name(const JournalReply& reply) {
    return JournalOutcome::Code_Name(reply.outcome());
  }
};

}  // namespace testing
}  // namespace holdfast::journal

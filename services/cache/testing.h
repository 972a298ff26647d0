// For the tests of the cache: the service in the machine that runs it, and short ways to call it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/cache/cache.h"
#include "services/sessions/sessions.pb.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::sessions {
void Register(state_machine::Registry& registry);
}

namespace holdfast::cache {

void Register(state_machine::Registry& registry);

namespace testing {

inline constexpr uint8_t kCache = 6;

class CacheFixture : public state_machine::testing::ServiceFixture {
 protected:
  CacheFixture() : ServiceFixture({&sessions::Register, &cache::Register}) {}

  // Every write is followed by a look at what must hold.
  template <class Reply>
  Reply Do(const std::string& method, const google::protobuf::Message& request) {
    const Reply reply = Write<Reply>("cache." + method, request);
    EXPECT_EQ(Broken(kCache), "") << method << " " << request.ShortDebugString();
    return reply;
  }

  static SetRequest SetOf(const std::string& key, const std::string& value, uint64_t ttl_ms = 0,
                          uint64_t session = 0, uint64_t line = 0) {
    SetRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_ttl_ms(ttl_ms);
    request.set_session(session);
    request.set_line(line);
    return request;
  }
  WriteReply Set(const std::string& key, const std::string& value, uint64_t ttl_ms = 0,
                 uint64_t session = 0, uint64_t line = 0) {
    return Do<WriteReply>("Set", SetOf(key, value, ttl_ms, session, line));
  }
  WriteReply Cas(const std::string& key, const std::string& value, uint64_t version) {
    CompareAndSetRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_version(version);
    return Do<WriteReply>("CompareAndSet", request);
  }
  WriteReply Delete(const std::string& key, uint64_t session = 0, uint64_t line = 0) {
    DeleteRequest request;
    request.set_key(key);
    request.set_session(session);
    request.set_line(line);
    return Do<WriteReply>("Delete", request);
  }
  WriteReply Increment(const std::string& key, int64_t by = 0, uint64_t ttl_ms = 0) {
    IncrementRequest request;
    request.set_key(key);
    request.set_by(by);
    request.set_ttl_ms(ttl_ms);
    return Do<WriteReply>("Increment", request);
  }
  WriteReply DeletePrefix(const std::string& prefix) {
    DeletePrefixRequest request;
    request.set_prefix(prefix);
    return Do<WriteReply>("DeletePrefix", request);
  }
  uint32_t Touch(const std::vector<std::string>& keys) {
    TouchRequest request;
    for (const std::string& key : keys) request.add_keys(key);
    return Do<TouchReply>("Touch", request).touched();
  }
  void Limit(uint64_t bytes) {
    ConfigureRequest request;
    request.set_max_bytes(bytes);
    Do<StatsReply>("Configure", request);
  }
  Result<Entry> Get(const std::string& key) {
    GetRequest request;
    request.set_key(key);
    return Read<Entry>("cache.Get", request);
  }
  // Or "absent".
  std::string ValueOf(const std::string& key) {
    const auto entry = Get(key);
    return entry ? entry->value() + entry->data() : "absent";
  }
  StatsReply Stats() { return *Read<StatsReply>("cache.Stats", StatsRequest()); }

  uint64_t OpenSession(uint32_t ttl_ms = 10'000) {
    sessions::OpenRequest request;
    request.set_ttl_ms(ttl_ms);
    return Write<sessions::SessionReply>("sessions.Open", request).id();
  }
  static FetchRequest FetchOf(const std::string& key, uint64_t session, uint64_t line, Mode mode,
                              uint32_t wait_ms = 5'000) {
    FetchRequest request;
    request.set_key(key);
    request.set_session(session);
    request.set_line(line);
    request.set_mode(mode);
    request.set_wait_ms(wait_ms);
    return request;
  }
  FetchOutcome::Code Fetch(const std::string& key, uint64_t session, uint64_t line,
                           Mode mode = shared, uint32_t wait_ms = 5'000) {
    return Do<FetchReply>("Fetch", FetchOf(key, session, line, mode, wait_ms)).outcome();
  }
  FetchReply AwaitFetch(const std::string& key, uint64_t session, uint64_t line,
                        std::optional<state_machine::Topic>* topic = nullptr) {
    return *Read<FetchReply>("cache.AwaitFetch", FetchOf(key, session, line, shared), topic);
  }
  WriteOutcome::Code AwaitSet(const SetRequest& request,
                              std::optional<state_machine::Topic>* topic = nullptr) {
    return Read<WriteReply>("cache.AwaitSet", request, topic)->outcome();
  }
  RecallsReply Recalls(uint64_t session, uint64_t after = 0,
                       std::optional<state_machine::Topic>* topic = nullptr) {
    RecallsRequest request;
    request.set_session(session);
    request.set_after(after);
    return *Read<RecallsReply>("cache.Recalls", request, topic);
  }
  // "key/line" of each, with "+" where it may stay shared.
  std::string Recalled(uint64_t session, uint64_t after = 0) {
    std::string all;
    const RecallsReply reply = Recalls(session, after);
    for (const Recall& recall : reply.recalls()) {
      if (!all.empty()) all += " ";
      all += recall.key() + "/" + std::to_string(recall.line());
      if (recall.keep() == shared) all += "+";
    }
    return all;
  }
  uint32_t Release(uint64_t session, const std::string& key, uint64_t line) {
    ReleaseRequest request;
    request.set_session(session);
    Line* added = request.add_lines();
    added->set_key(key);
    added->set_line(line);
    return Do<ReleaseReply>("Release", request).released();
  }
  static WriteBackRequest WriteBackOf(const std::string& key, uint64_t session, uint64_t line,
                                      uint64_t write, const std::string& value,
                                      Mode keep = unspecified) {
    WriteBackRequest request;
    request.set_key(key);
    request.set_session(session);
    request.set_line(line);
    request.set_write(write);
    request.set_change(put);
    request.set_value(value);
    request.set_keep(keep);
    return request;
  }
  WriteBackOutcome::Code WriteBack(const WriteBackRequest& request) {
    return Do<WriteBackReply>("WriteBack", request).outcome();
  }
  bool WasTouched(const std::optional<state_machine::Topic>& topic) {
    return topic && std::any_of(touched().begin(), touched().end(),
                                [&](const auto& t) { return t.topic == *topic; });
  }
};

}  // namespace testing
}  // namespace holdfast::cache

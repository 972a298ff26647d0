// Random requests: the service must answer as the model does, word for word, and hold its
// invariants.
#include "services/cache/model.h"

#include <random>
#include <set>
#include <type_traits>

#include "services/cache/testing.h"

namespace holdfast::cache {
namespace {

// Few keys and sessions, so that everything meets everything; messages that come late; leases,
// places in line and values that end; leaders that come and go.
class CacheModelTest : public testing::CacheFixture {
 protected:
  CacheModelTest() { Configure(2 << 20); }

  void Step() {
    if (Below(12) == 0) NewLeader();
    if (Below(4) == 0) PassMs(static_cast<int64_t>(Below(Below(8) == 0 ? 3'000 : 200)));
    model_.Pass(moment());
    switch (Below(20)) {
      case 0: Sessions(); break;
      case 1:
      case 2:
      case 3: Compare("Set", ASet(), &Model::Set, &Model::Await<SetRequest>); break;
      case 4: {
        CompareAndSetRequest request;
        GetRequest get;
        get.set_key(AKey());
        const auto entry = model_.Get(get);
        request.set_key(get.key());
        if (entry && Below(4) != 0) request.set_version(entry->version());
        Fill(&request);
        Ask(&request);
        Compare("CompareAndSet", request, &Model::CompareAndSet,
                &Model::Await<CompareAndSetRequest>);
        break;
      }
      case 5: {
        DeleteRequest request;
        request.set_key(AKey());
        Ask(&request);
        Compare("Delete", request, &Model::Delete, &Model::Await<DeleteRequest>);
        break;
      }
      case 6: {
        IncrementRequest request;
        request.set_key(AKey());
        if (Below(3) == 0) request.set_by(static_cast<int64_t>(INT64_MAX - Below(2)));
        if (Below(4) == 0) request.set_ttl_ms(1 + Below(500));
        Ask(&request);
        Compare("Increment", request, &Model::Increment, &Model::Await<IncrementRequest>);
        break;
      }
      case 7: {
        SetManyRequest request;
        for (const char* key : {"a", "b"}) {
          request.add_entries()->set_key(key);
          request.mutable_entries(request.entries_size() - 1)->set_value(std::to_string(Below(9)));
        }
        if (Below(2) == 0) request.set_wait_ms(static_cast<uint32_t>(Below(900)));
        Compare("SetMany", request, &Model::SetMany, &Model::Await<SetManyRequest>);
        break;
      }
      case 8: {
        DeletePrefixRequest request;
        request.set_prefix("a");
        if (Below(2) == 0) request.set_wait_ms(static_cast<uint32_t>(Below(900)));
        if (Below(3) != 0) break;
        Compare("DeletePrefix", request, &Model::DeletePrefix, &Model::Await<DeletePrefixRequest>);
        break;
      }
      case 9: {
        TouchRequest request;
        request.add_keys(AKey());
        Compare("Touch", request, &Model::Touch);
        if (Below(10) == 0) Configure((2 << 20) + Below(1 << 16));
        if (HasFatalFailure() || Below(2) == 0) break;
        SetRequest large;  // So that others have to go.
        large.set_key("large" + std::to_string(Below(4)));
        large.set_value(std::string(700'000, 'x'));
        Compare("Set", large, &Model::Set);
        break;
      }
      case 10:
      case 11: {
        ReleaseRequest request;
        request.set_session(ASession());
        request.add_lines()->set_key(AKey());
        request.mutable_lines(0)->set_line(NumberOf(request.session(), request.lines(0).key()));
        Compare("Release", request, &Model::Release);
        break;
      }
      case 12:
      case 13:
      case 14: {
        WriteBackRequest request;
        request.set_session(ASession());
        request.set_key(AKey());
        request.set_line(NumberOf(request.session(), request.key()));
        request.set_write(Below(3) == 0 ? 1 : ++number_);
        request.set_change(Pick<Change>({put, put, erase, no_change}));
        if (request.change() == put) Fill(&request);
        request.set_keep(Pick<Mode>({unspecified, shared, exclusive}));
        Compare("WriteBack", request, &Model::WriteBack);
        break;
      }
      default: {
        FetchRequest request =
            FetchOf(AKey(), ASession(), Number(), Pick<Mode>({unspecified, shared, exclusive, any}),
                    static_cast<uint32_t>(Below(3) == 0 ? 0 : Below(1'500)));
        lines_[{request.session(), request.key()}] = request.line();
        Compare("Fetch", request, &Model::Fetch, &Model::AwaitFetch);
      }
    }
    CompareReads();
  }

  std::set<std::string> seen_;  // Outcomes.

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  template <class T>
  T Pick(std::initializer_list<T> list) {
    return *(list.begin() + Below(list.size()));
  }
  std::string AKey() { return Pick<std::string>({"a", "ab", "b"}); }
  uint64_t ASession() { return sessions_ - std::min<uint64_t>(Below(3), sessions_ - 1); }
  // Mostly a new number, at times one that comes late.
  uint64_t Number() { return Below(8) == 0 ? number_ - Below(6) : ++number_; }
  // That of the line as it was asked for, mostly.
  uint64_t NumberOf(uint64_t session, const std::string& key) {
    const uint64_t last = lines_[{session, key}];
    return last == 0 || Below(8) == 0 ? Number() : last;
  }
  sessions::Moment moment() {
    const int64_t log_us = machine().position().now.us;
    return {log_us, log_us - lease_now_us()};
  }

  template <class Request>
  void Fill(Request* request) {
    const std::string value = (Below(4) == 0 ? "v" : "") + std::to_string(Below(1'000));
    (Below(4) == 0 ? *request->mutable_data() : *request->mutable_value()) = value;
    if (Below(5) == 0) request->set_ttl_ms(1 + Below(400));
  }
  template <class Request>
  void Ask(Request* request) {
    if (Below(2) == 0) request->set_wait_ms(static_cast<uint32_t>(Below(2'000)));
    if (Below(2) == 0) return;
    request->set_session(ASession());
    request->set_line(Number());
    lines_[{request->session(), request->key()}] = request->line();
  }
  SetRequest ASet() {
    SetRequest request;
    request.set_key(AKey());
    Fill(&request);
    Ask(&request);
    return request;
  }

  template <class Reply, class Request>
  void Compare(const std::string& method, const Request& request,
               Reply (Model::*ask)(const Request&)) {
    const Reply reply = Do<Reply>(method, request);
    model_.Pass(moment());
    const Reply expected = (model_.*ask)(request);
    ASSERT_EQ(reply.ShortDebugString(), expected.ShortDebugString())
        << method << " " << request.ShortDebugString().substr(0, 300);
    if constexpr (std::is_same_v<Reply, WriteReply>) {
      seen_.insert(WriteOutcome::Code_Name(reply.outcome()));
    } else if constexpr (std::is_same_v<Reply, FetchReply>) {
      seen_.insert("fetch " + FetchOutcome::Code_Name(reply.outcome()));
    } else if constexpr (std::is_same_v<Reply, WriteBackReply>) {
      seen_.insert("write back " + WriteBackOutcome::Code_Name(reply.outcome()));
    }
  }
  // The same, and the read that the write awaits.
  template <class Reply, class Request>
  void Compare(const std::string& method, const Request& request,
               Reply (Model::*ask)(const Request&), Reply (Model::*await)(const Request&) const) {
    Compare(method, request, ask);
    if (HasFatalFailure()) return;
    ASSERT_EQ(Read<Reply>("cache.Await" + method, request)->ShortDebugString(),
              (model_.*await)(request).ShortDebugString())
        << method << " " << request.ShortDebugString().substr(0, 300);
  }
  void Configure(uint64_t bytes) {
    ConfigureRequest request;
    request.set_max_bytes(bytes);
    Compare("Configure", request, &Model::Configure);
  }

  void Sessions() {
    if (Below(2) == 0) {
      sessions::OpenRequest request;
      request.set_ttl_ms(1'000 + static_cast<uint32_t>(Below(4'000)));
      const auto reply = Write<sessions::SessionReply>("sessions.Open", request);
      model_.Pass(moment());
      ASSERT_EQ(reply.ShortDebugString(), model_.sessions().Open(request).ShortDebugString());
      sessions_ = reply.id();
    } else if (Below(3) != 0) {
      sessions::KeepAliveRequest request;
      request.set_id(ASession());
      const auto reply = Write<sessions::SessionReply>("sessions.KeepAlive", request);
      model_.Pass(moment());
      ASSERT_EQ(reply.ShortDebugString(), model_.sessions().KeepAlive(request).ShortDebugString());
    } else {
      sessions::CloseRequest request;
      request.set_id(ASession());
      const auto reply = Write<sessions::SessionReply>("sessions.Close", request);
      model_.Pass(moment());
      ASSERT_EQ(reply.ShortDebugString(), model_.Close(request).ShortDebugString());
    }
  }

  void CompareReads() {
    if (HasFatalFailure()) return;
    ASSERT_EQ(model_.Forgotten(), "");
    ASSERT_EQ(Stats().ShortDebugString(), model_.Stats(StatsRequest()).ShortDebugString());
    GetManyRequest many;
    for (const char* key : {"a", "ab", "b"}) many.add_keys(key);
    ASSERT_EQ(Read<GetManyReply>("cache.GetMany", many)->SerializeAsString(),
              model_.GetMany(many).SerializeAsString());
    RecallsRequest recalls;
    recalls.set_session(ASession());
    ASSERT_EQ(Read<RecallsReply>("cache.Recalls", recalls)->ShortDebugString(),
              model_.Recalls(recalls).ShortDebugString());
    FetchRequest fetch = FetchOf(AKey(), ASession(), 0, shared);
    fetch.set_line(NumberOf(fetch.session(), fetch.key()));
    ASSERT_EQ(Read<FetchReply>("cache.AwaitFetch", fetch)->ShortDebugString(),
              model_.AwaitFetch(fetch).ShortDebugString());
  }

  std::mt19937_64 random_{7};
  Model model_;
  uint64_t sessions_ = 1;
  uint64_t number_ = 10;
  std::map<std::pair<uint64_t, std::string>, uint64_t> lines_;  // The last number of each.
};

TEST_F(CacheModelTest, DoesWhatTheModelDoes) {
  for (int step = 0; step < 8'000; ++step) {
    Step();
    ASSERT_FALSE(HasFailure()) << "step " << step;
    if (step % 1'000 == 999) Restart();
  }
  for (const char* outcome :
       {"session_not_found", "superseded", "held", "not_found", "version_mismatch", "not_a_number",
        "overflow", "stored", "deleted", "fetch session_not_found", "fetch superseded",
        "fetch held", "fetch waiting", "fetch granted", "write back session_not_found",
        "write back not_held", "write back superseded", "write back written"}) {
    EXPECT_TRUE(seen_.contains(outcome)) << outcome << " was never reached";
  }
  EXPECT_GT(Stats().evicted(), 10u);
  EXPECT_GT(Stats().expired(), 10u);
  EXPECT_GT(Stats().recalls(), 100u);
}

}  // namespace
}  // namespace holdfast::cache

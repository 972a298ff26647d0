// Random requests: the service must answer as the model does, word for word, and hold its
// invariants.
#include "services/locks/model.h"

#include <random>
#include <set>
#include <type_traits>

#include "services/locks/testing.h"

namespace holdfast::locks {
namespace {

using testing::kLocks;

// Few locks, owners and sessions, so that everything meets everything; leases that end, alone and
// several in one entry, and leaders that come and go.
class LocksModelTest : public testing::LocksFixture {
 protected:
  template <class Request, class Ask>
  std::invoke_result_t<Ask> Compare(const std::string& method, const Request& request, Ask ask) {
    using Reply = std::invoke_result_t<Ask>;
    const Reply reply = Write<Reply>(method, request);
    model_.Pass(moment());
    EXPECT_EQ(reply.ShortDebugString(), ask().ShortDebugString())
        << method << " " << request.ShortDebugString();
    return reply;
  }

  void Step() {
    if (Below(8) == 0) NewLeader();
    if (Below(3) == 0) PassMs(static_cast<int64_t>(Below(Below(8) == 0 ? 4'000 : 300)));
    model_.Pass(moment());
    switch (Below(16)) {
      case 0: {
        sessions::OpenRequest request;
        request.set_ttl_ms(1'000 + static_cast<uint32_t>(Below(1'000)));
        Compare("sessions.Open", request, [&] { return model_.sessions().Open(request); });
        ++sessions_;
        break;
      }
      case 1: {
        sessions::KeepAliveRequest request;
        request.set_id(ASession());
        Compare("sessions.KeepAlive", request,
                [&] { return model_.sessions().KeepAlive(request); });
        break;
      }
      case 2: {
        sessions::CloseRequest request;
        request.set_id(ASession());
        if (Below(3) == 0) {
          Compare("sessions.Close", request, [&] { return model_.Close(request); });
        }
        break;
      }
      case 3:
      case 4:
      case 5: {
        ReleaseRequest request;
        request.set_owner(AnOwner());
        request.set_name(AName());
        if (Below(4) == 0) request.set_token(1 + Below(9));
        Compare("locks.Release", request, [&] { return model_.Release(request); });
        break;
      }
      case 6: {
        ExtendRequest request;
        request.set_owner(AnOwner());
        request.set_name(AName());
        if (Below(2) == 0) request.set_ttl_ms(static_cast<uint32_t>(1 + Below(900)));
        Compare("locks.Extend", request, [&] { return model_.Extend(request); });
        break;
      }
      default: {
        const AcquireRequest request = AnAcquire();
        const AcquireReply reply =
            Compare("locks.Acquire", request, [&] { return model_.Acquire(request); });
        seen_.insert(AcquireOutcome::Code_Name(reply.outcome()));
        EXPECT_EQ(Read<AcquireReply>("locks.AwaitAcquire", request)->ShortDebugString(),
                  model_.Await(request).ShortDebugString());
      }
    }
    EXPECT_EQ(Broken(kLocks), "");
    EXPECT_EQ(Read<ListReply>("locks.List", ListRequest())->ShortDebugString(),
              model_.List(ListRequest()).ShortDebugString());
    GetRequest get;
    get.set_name(AName());
    EXPECT_EQ(Read<Lock>("locks.Get", get)->ShortDebugString(), model_.Get(get).ShortDebugString());
    EXPECT_EQ(model_.Forgotten(), "");
    EXPECT_EQ(model_.Deadlocked(), "");
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }

  std::set<std::string> seen_;  // Outcomes of Acquire.

 private:
  sessions::Moment moment() {
    const int64_t log_us = machine().position().now.us;
    return {log_us, log_us - lease_now_us()};
  }
  std::string AnOwner() { return std::string(1, static_cast<char>('p' + Below(5))); }
  std::string AName() { return std::string(1, static_cast<char>('a' + Below(4))); }
  uint64_t ASession() { return sessions_ - std::min<uint64_t>(Below(4), sessions_ - 1); }

  AcquireRequest AnAcquire() {
    AcquireRequest request;
    request.set_owner(AnOwner());
    request.set_mode(Below(2) == 0 ? exclusive : shared);
    if (Below(2) == 0) request.set_wait_ms(static_cast<uint32_t>(1 + Below(2'000)));
    if (Below(3) == 0) request.set_lock_delay_ms(static_cast<uint32_t>(Below(500)));
    switch (Below(4)) {
      case 0: request.set_session(ASession()); break;
      case 1: request.set_ttl_ms(static_cast<uint32_t>(1 + Below(500))); break;
      default: request.set_ttl_ms(static_cast<uint32_t>(1 + Below(5'000))); break;
    }
    if (Below(4) == 0) {
      request.add_names(AName());
      request.add_names(AName());
    } else {
      request.set_name(AName());
    }
    return request;
  }

  std::mt19937_64 random_{1};
  Model model_;
  uint64_t sessions_ = 1;
};

TEST_F(LocksModelTest, DoesWhatTheModelDoes) {
  for (int step = 0; step < 20'000; ++step) {
    Step();
    ASSERT_FALSE(HasFailure()) << "step " << step;
    if (step % 500 == 0) Restart();
  }
  for (const char* outcome :
       {"session_not_found", "owner_is_waiting", "granted", "deadlock", "lock_held", "waiting"}) {
    EXPECT_TRUE(seen_.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::locks

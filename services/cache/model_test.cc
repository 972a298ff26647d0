// Random requests on which the service and the model must agree; few keys and sessions, so that
// everything meets everything.
#include "services/cache/model.h"

#include <random>

#include "services/cache/testing.h"

namespace holdfast::cache {
namespace {

class ModelTest : public testing::CacheFixture {
 protected:
  // What the service holds, in the words of the model.
  std::string Described() {
    std::string all;
    const auto& service = *static_cast<const Cache*>(registry().FindService(testing::kCache));
    service.lines().tables().holders.Scan({"", 0}, [&](const HolderKey& at, const HolderRow& row) {
      all += std::get<0>(at) + ":" + std::to_string(std::get<1>(at)) + "/" +
             std::to_string(row.line) + (row.mode == exclusive ? "E" : "S");
      if (row.recall != 0) {
        const auto recall = service.lines().tables().recalls.Get({std::get<1>(at), row.recall});
        all += recall->keep == shared ? "r+" : "r";
      }
      all += " ";
      return true;
    });
    service.entries().tables().uses.Scan(0, [&](uint64_t, const KeyRow& use) {
      const auto row = service.entries().tables().entries.Get(use.key);
      all += use.key + "=" + service.entries().ValueOf(use.key).substr(0, 8) + "#" +
             std::to_string(row->version) + " ";
      return true;
    });
    return all;
  }
  static std::string Described(Model& model, const std::vector<std::string>& keys) {
    std::string all;
    for (const std::string& key : keys) {
      std::vector<Model::Holder> holders = model.HoldersOf(key);
      std::sort(holders.begin(), holders.end(),
                [](const auto& a, const auto& b) { return a.session < b.session; });
      for (const auto& holder : holders) {
        all += key + ":" + std::to_string(holder.session) + "/" + std::to_string(holder.line) +
               (holder.mode == exclusive ? "E" : "S");
        if (holder.recalled) all += holder.may_share ? "r+" : "r";
        all += " ";
      }
    }
    for (const auto& entry : model.entries()) {
      all += entry.key + "=" + entry.value.substr(0, 8) + "#" + std::to_string(entry.version) + " ";
    }
    return all;
  }
};

TEST_F(ModelTest, TheyAgree) {
  constexpr uint64_t kLimit = 2 << 20;
  Limit(kLimit);
  Model model(kLimit);
  // Sessions that outlive the test, and no place in line whose time runs out.
  std::vector<uint64_t> sessions;
  for (int i = 0; i < 3; ++i) sessions.push_back(OpenSession(86'400'000));
  const std::vector<std::string> keys{"a", "ab", "b"};
  std::mt19937_64 random(7);
  const auto pick = [&](const auto& list) { return list[random() % list.size()]; };
  uint64_t line = 10;
  for (int step = 0; step < 6'000; ++step) {
    const std::string key = pick(keys);
    const uint64_t session = pick(sessions);
    // Mostly a new number, at times one that comes late.
    const uint64_t number = random() % 8 == 0 ? line - random() % 6 : ++line;
    const bool by_session = random() % 2 == 0;
    // Some of the values are so large that others have to go.
    std::string value = std::to_string(step);
    if (random() % 2 == 0) value.append((1 << 20) - 100'000, 'x');
    const Mode mode = pick(std::vector<Mode>{shared, exclusive, any});
    std::string did, wanted;
    model.PassTo(now_us() + 1);
    switch (random() % 10) {
      case 0:
      case 1: {
        SetRequest request = SetOf(key, value, random() % 5 == 0 ? 1 + random() % 5 : 0,
                                   by_session ? session : 0, by_session ? number : 0);
        request.set_wait_ms(60'000);
        did = WriteOutcome::Code_Name(Do<WriteReply>("Set", request).outcome());
        wanted = WriteOutcome::Code_Name(
            model.Set(key, value, request.ttl_ms(), request.session(), request.line()));
        break;
      }
      case 2: {
        const auto* entry = model.Find(key);
        const uint64_t version = entry == nullptr || random() % 3 == 0 ? 0 : entry->version;
        CompareAndSetRequest request;
        request.set_key(key);
        request.set_value(value);
        request.set_version(version);
        request.set_wait_ms(60'000);
        did = WriteOutcome::Code_Name(Do<WriteReply>("CompareAndSet", request).outcome());
        wanted = WriteOutcome::Code_Name(model.CompareAndSet(key, value, version));
        break;
      }
      case 3: {
        DeleteRequest request;
        request.set_key(key);
        request.set_session(by_session ? session : 0);
        request.set_line(by_session ? number : 0);
        request.set_wait_ms(60'000);
        did = WriteOutcome::Code_Name(Do<WriteReply>("Delete", request).outcome());
        wanted = WriteOutcome::Code_Name(model.Delete(key, request.session(), request.line()));
        break;
      }
      case 4: {
        IncrementRequest request;
        request.set_key(key);
        request.set_by(3);
        request.set_wait_ms(60'000);
        did = WriteOutcome::Code_Name(Do<WriteReply>("Increment", request).outcome());
        wanted = WriteOutcome::Code_Name(model.Increment(key, 3));
        break;
      }
      case 5: {
        DeletePrefixRequest request;
        request.set_prefix("a");
        request.set_wait_ms(60'000);
        if (random() % 4 != 0) break;
        did = WriteOutcome::Code_Name(Do<WriteReply>("DeletePrefix", request).outcome());
        wanted = WriteOutcome::Code_Name(model.DeletePrefix("a"));
        break;
      }
      case 6:
      case 7:
        did = FetchOutcome::Code_Name(Fetch(key, session, number, mode, 60'000));
        wanted = FetchOutcome::Code_Name(model.Fetch(key, session, number, mode));
        break;
      case 8: {
        // What a holder does, or one that is late.
        for (const auto& holder : std::vector<Model::Holder>(model.HoldersOf(key))) {
          if (random() % 3 == 0) continue;
          const uint64_t its = random() % 6 == 0 ? holder.line - 1 : holder.line;
          WriteBackRequest request = WriteBackOf(key, holder.session, its, ++line, value);
          if (holder.mode == exclusive) {
            request.set_keep(pick(std::vector<Mode>{unspecified, shared, exclusive}));
            if (random() % 3 == 0) {
              request.set_change(random() % 2 == 0 ? erase : no_change);
              request.clear_value();
            }
            did += WriteBackOutcome::Code_Name(WriteBack(request));
            wanted += WriteBackOutcome::Code_Name(model.WriteBack(request));
          } else {
            did += std::to_string(Release(holder.session, key, its));
            wanted += std::to_string(model.Release(key, holder.session, its) ? 1 : 0);
          }
          model.PassTo(now_us() + 1);
        }
        break;
      }
      default:
        did = std::to_string(Touch({key}));
        wanted = std::to_string(model.Touch(key) ? 1 : 0);
    }
    ASSERT_EQ(did, wanted) << "step " << step;
    model.PassTo(now_us());
    ASSERT_EQ(Described(), Described(model, keys)) << "step " << step;
    // A moment that all the timers of the values see, and no place in line.
    if (random() % 50 == 0) PassMs(2);
    if (step % 1'000 == 999) Restart();
  }
  EXPECT_GT(Stats().evicted(), 10u);
  EXPECT_GT(Stats().expired(), 10u);
  EXPECT_GT(Stats().recalls(), 100u);
}

}  // namespace
}  // namespace holdfast::cache

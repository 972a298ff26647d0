// What QuickCheck calls sure must be what CompileValidator calls fine; and of plain requests it has
// to be sure, or it is of no use.
#include "src/state_machine/quick_check.h"

#include <gtest/gtest.h>

#include <random>

#include "src/state_machine/registry.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.

template <class Request>
bool Sure(const std::string& bytes) {
  return QuickCheck(*Request::descriptor()).SurelyMeets(bytes);
}

PutRequest Plain() {
  PutRequest request;
  request.set_name("12345678");
  request.set_amount(-1);
  (*request.mutable_labels())["k"] = "v";
  for (int i = 0; i < 3; ++i) {
    Part* part = request.add_parts();
    part->set_name("1234");
    part->set_weight(int64_t{1} << 40);
    part->mutable_inner()->set_name("i");
    part->mutable_inner()->set_weight(1);
  }
  return request;
}

TEST(QuickCheckTest, IsSureOfWhatPeopleSend) {
  EXPECT_TRUE(Sure<PutRequest>(Plain().SerializeAsString()));
  GetRequest request;
  request.set_name("a");
  EXPECT_TRUE(Sure<GetRequest>(request.SerializeAsString()));
  EXPECT_TRUE(Sure<CancelRequest>(""));  // Demands nothing.
  TakeRequest take;
  take.set_name("a");
  take.set_amount(INT64_MAX);
  take.set_wait_ms(60'000);
  EXPECT_TRUE(Sure<TakeRequest>(take.SerializeAsString()));
  take.set_wait_ms(60'001);
  EXPECT_FALSE(Sure<TakeRequest>(take.SerializeAsString()));
}

TEST(QuickCheckTest, IsNeverSureOfWhatIsRefused) {
  const auto sure_after = [](void (*spoil)(PutRequest*)) {
    PutRequest request = Plain();
    spoil(&request);
    return Sure<PutRequest>(request.SerializeAsString());
  };
  EXPECT_FALSE(sure_after([](PutRequest* r) { r->clear_name(); }));
  EXPECT_FALSE(sure_after([](PutRequest* r) { r->set_name("123456789"); }));
  EXPECT_FALSE(sure_after([](PutRequest* r) { *r->add_parts() = r->parts(0); }));
  EXPECT_FALSE(sure_after([](PutRequest* r) { r->mutable_parts(2)->set_weight(-1); }));
  EXPECT_FALSE(
      sure_after([](PutRequest* r) { r->mutable_parts(1)->mutable_inner()->clear_name(); }));
  EXPECT_FALSE(sure_after([](PutRequest* r) { r->mutable_whole(); }));
  EXPECT_FALSE(sure_after([](PutRequest* r) {
    for (int i = 0; i < 41; ++i) (*r->mutable_labels())[std::to_string(i)] = "";
  }));
}

TEST(QuickCheckTest, LeavesMergingToProtobuf) {
  const std::string once = Plain().SerializeAsString();
  EXPECT_FALSE(Sure<PutRequest>(once + std::string("\x0a\x00", 2))) << "the last name is empty";
  EXPECT_FALSE(Sure<GetRequest>(std::string("\x08\x01", 2))) << "a name that is a number is none";
  EXPECT_FALSE(Sure<GetRequest>(std::string("\x0a\x7f", 2))) << "the name goes on after the end";
  EXPECT_TRUE(Sure<GetRequest>(std::string("\x0a\x01x\x88\x7d\x01", 6))) << "an unknown field";
}

// Requests of random shapes, put together and damaged at random.
template <class Request>
void Compare(const std::vector<std::string>& seeds) {
  const auto slow = CompileValidator(*Request::descriptor());
  const QuickCheck quick(*Request::descriptor());
  std::mt19937_64 random(1);
  int sure = 0;
  int fine = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string bytes = seeds[random() % seeds.size()];
    if (random() % 4 == 0) bytes += seeds[random() % seeds.size()];
    for (uint64_t damages = random() % 3; damages > 0 && !bytes.empty(); --damages) {
      const size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8)); break;
        default: bytes.erase(at, 1 + random() % 3);
      }
    }
    Request request;
    if (!request.ParseFromString(bytes)) continue;
    const bool is_fine = slow(request).has_value();
    const bool is_sure = quick.SurelyMeets(bytes);
    ASSERT_TRUE(is_fine || !is_sure) << round << ": " << request.ShortDebugString();
    sure += is_sure;
    fine += is_fine;
  }
  EXPECT_GT(sure, fine / 4);
}

TEST(QuickCheckTest, AgreesOnRandomBytes) {
  PutRequest small;
  small.set_name("a");
  PutRequest whole = small;
  whole.mutable_whole()->set_name("w");
  whole.mutable_whole()->set_weight(300);
  PutRequest part;
  part.mutable_whole()->set_weight(-3);
  PutRequest more = small;
  *more.add_parts() = whole.whole();
  Compare<PutRequest>({Plain().SerializeAsString(), small.SerializeAsString(),
                       whole.SerializeAsString(), part.SerializeAsString(),
                       more.SerializeAsString(), ""});
}

}  // namespace
}  // namespace holdfast::state_machine

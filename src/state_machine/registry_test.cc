// What the method table refuses at start-up, and what it demands of the fields of a request.
#include "src/state_machine/registry.h"

#include <gtest/gtest.h>

#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.

constexpr char kPackage[] = "holdfast.state_machine.testing.";

class Plain : public Service {
 public:
  Result<void> Change(const GetRequest&, WriteContext&, GetReply*) { return {}; }
  Result<void> Show(const GetRequest&, const ReadContext&, GetReply*) const { return {}; }
  Result<void> OtherRequest(const PutRequest&, WriteContext&, GetReply*) { return {}; }
  Result<void> OtherReply(const GetRequest&, WriteContext&, PutReply*) { return {}; }
};

class RegistryTest : public ::testing::Test {
 protected:
  Binder<Plain> Add(const std::string& service) {
    return registry_.Add(kPackage + service, std::make_unique<Plain>());
  }
  // A start-up that must be refused, and why.
  template <class Action>
  void Refuses(const std::string& why, Action action) {
    EXPECT_NE(StopOf(action).find(why), std::string::npos) << why << ", not: " << StopOf(action);
  }

  store::Store store_{std::make_unique<store::MemoryBase>()};
  Registry registry_{store_};
};

TEST_F(RegistryTest, FindsMethodsByNameAndNumber) {
  RegisterSample(registry_);
  const Method* put = registry_.Find("/holdfast.state_machine.testing.Sample/Put");
  ASSERT_NE(put, nullptr);
  EXPECT_EQ(put, registry_.Find(kSample, kPut));
  EXPECT_EQ(put->kind(), WRITE);
  EXPECT_EQ(put->service_name, "sample");
  EXPECT_TRUE(put->write && !put->read && !put->stateless);
  EXPECT_EQ(registry_.Find("/holdfast.state_machine.testing.Sample/Nothing"), nullptr);
  EXPECT_EQ(registry_.Find(kSample, 99), nullptr);
  EXPECT_EQ(registry_.FindService(99), nullptr);
  EXPECT_EQ(registry_.Find("sample.Put"), put) << "as people write it";
  EXPECT_EQ(registry_.Find("sample."), nullptr);
  EXPECT_EQ(registry_.Find("sample.Take")->awaits, registry_.Find("sample.AwaitTake"));
  std::vector<int> numbers;
  for (const auto& method : registry_.methods()) numbers.push_back(method->method_id);
  EXPECT_EQ(numbers, (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 1}));
}

TEST_F(RegistryTest, RefusesServicesWithoutANumberOfTheirOwn) {
  Refuses("no .proto of this build declares", [&] { Add("Nowhere"); });
  Refuses("has no id from 1 to 255", [&] { Add("NoNumber"); });
  Refuses("has no id from 1 to 255", [&] { Add("NumberTooHigh"); });
  Add("Sample");
  Refuses("service id 240 of holdfast.state_machine.testing.NumberTaken is taken",
          [&] { Add("NumberTaken"); });
}

TEST_F(RegistryTest, RefusesMethodsThatAreNotAsDeclared) {
  Binder<Plain> wrong = Add("Wrong");
  Refuses("Wrong.Absent is not declared", [&] { wrong.Write("Absent", &Plain::Change); });
  Refuses("Wrong.Unnumbered has no id", [&] { wrong.Write("Unnumbered", &Plain::Change); });
  Refuses("Wrong.NumberedTooHigh has no id",
          [&] { wrong.Write("NumberedTooHigh", &Plain::Change); });
  Refuses("Wrong.One is declared with another kind", [&] { wrong.Read("One", &Plain::Show); });
  Refuses("another request type", [&] { wrong.Write("One", &Plain::OtherRequest); });
  Refuses("another reply type", [&] { wrong.Write("One", &Plain::OtherReply); });
  wrong.Write("One", &Plain::Change);
  Refuses("the id of holdfast.state_machine.testing.Wrong.AlsoOne is taken",
          [&] { wrong.Write("AlsoOne", &Plain::Change); });
  Refuses("Wrong.One", [&] { wrong.Write("One", &Plain::Change); });
}

TEST_F(RegistryTest, RefusesToFinishWithAMethodUnbound) {
  Add("Wrong").Write("One", &Plain::Change);
  Refuses("Wrong/Unnumbered is declared but bound to no function", [&] { registry_.Finish(); });
}

// --- What the options of the fields demand

// The field that is at fault, or "fine".
std::string FaultOf(const Message& request) {
  const auto checked = CompileValidator(*request.GetDescriptor())(request);
  if (checked) return "fine";
  EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(checked.error().message.empty());
  return checked.error().field;
}

Part PartOf(const std::string& name, int64_t weight) {
  Part part;
  part.set_name(name);
  part.set_weight(weight);
  return part;
}

CheckedRequest Complete() {
  CheckedRequest request;
  request.add_numbers(0);
  *request.mutable_part() = PartOf("a", 1);
  request.set_small(1);
  request.set_natural(1);
  request.set_ending(refused);
  request.set_blob("12");
  request.set_low(10);
  request.set_few(10);
  return request;
}

TEST(ValidatorTest, EachKindOfFieldIsRequired) {
  EXPECT_EQ(FaultOf(Complete()), "fine");
  struct Row {
    const char* field;
    void (*spoil)(CheckedRequest*);
  };
  const Row rows[] = {
      {"numbers", [](CheckedRequest* r) { r->clear_numbers(); }},
      {"part", [](CheckedRequest* r) { r->clear_part(); }},
      {"part.name", [](CheckedRequest* r) { r->mutable_part()->clear_name(); }},
      {"small", [](CheckedRequest* r) { r->set_small(-1); }},
      {"natural", [](CheckedRequest* r) { r->clear_natural(); }},
      {"ending", [](CheckedRequest* r) { r->clear_ending(); }},
      {"blob", [](CheckedRequest* r) { r->set_blob("123"); }},
      {"low", [](CheckedRequest* r) { r->set_low(11); }},
      {"few", [](CheckedRequest* r) { r->set_few(UINT64_MAX); }},
      {"fine", [](CheckedRequest* r) { r->set_low(-11); }},
  };
  for (const Row& row : rows) {
    CheckedRequest request = Complete();
    row.spoil(&request);
    EXPECT_EQ(FaultOf(request), row.field);
  }
}

TEST(ValidatorTest, SizesHaveABound) {
  PutRequest request = PutOf("12345678");
  EXPECT_EQ(FaultOf(request), "fine");
  request.set_name("123456789");
  EXPECT_EQ(FaultOf(request), "name");
  request.set_name("1");
  for (int i = 0; i < 3; ++i) *request.add_parts() = PartOf("p", 1);
  for (int i = 0; i < 40; ++i) (*request.mutable_labels())[std::to_string(i)] = "";
  EXPECT_EQ(FaultOf(request), "fine");
  *request.add_parts() = PartOf("p", 1);
  EXPECT_EQ(FaultOf(request), "parts");
  request.clear_parts();
  (*request.mutable_labels())["one too many"] = "";
  EXPECT_EQ(FaultOf(request), "labels");
}

TEST(ValidatorTest, NamesTheFieldWithItsPath) {
  PutRequest request = PutOf("a");
  *request.add_parts() = PartOf("p", 1);
  *request.add_parts() = PartOf("p", 0);
  EXPECT_EQ(FaultOf(request), "parts[1].weight");
  *request.mutable_parts(1) = PartOf("12345", 1);
  EXPECT_EQ(FaultOf(request), "parts[1].name");
  // A type may refer to itself.
  *request.mutable_parts(1) = PartOf("p", 1);
  *request.mutable_parts(1)->mutable_inner() = PartOf("p", 1);
  *request.mutable_parts(1)->mutable_inner()->mutable_inner() = PartOf("p", -5);
  EXPECT_EQ(FaultOf(request), "parts[1].inner.inner.weight");
  request.clear_parts();
  *request.mutable_whole() = PartOf("p", 0);
  EXPECT_EQ(FaultOf(request), "whole.weight");
}

TEST(ValidatorTest, SaysWhatIsWrong) {
  const auto fault = [](const Message& request) {
    return CompileValidator(*request.GetDescriptor())(request).error().message;
  };
  EXPECT_EQ(fault(PutOf("")), "is required");
  EXPECT_NE(fault(PutOf("123456789")).find("9 bytes, at most 8"), std::string::npos);
  PutRequest request = PutOf("a");
  *request.add_parts() = PartOf("p", -2);
  EXPECT_EQ(fault(request), "must be at least 1, is -2");
}

TEST(ValidatorTest, TheServicesOwnRuleComesAfterTheOptions) {
  struct Strict : Plain {
    static Result<void> Rule(const GetRequest& request) {
      if (request.name() == "no") return Fail(InvalidArgument("name", "is no"));
      return {};
    }
  };
  store::Store store(std::make_unique<store::MemoryBase>());
  Registry registry(store);
  registry.Add("holdfast.state_machine.testing.Wrong", std::make_unique<Plain>())
      .Write("One", &Plain::Change, &Strict::Rule);
  const auto& validate = registry.Find(241, 1)->validate;
  GetRequest request;
  EXPECT_EQ(validate(request).error().message, "is required");
  request.set_name("no");
  EXPECT_EQ(validate(request).error().message, "is no");
  request.set_name("yes");
  EXPECT_TRUE(validate(request));
}

}  // namespace
}  // namespace holdfast::state_machine

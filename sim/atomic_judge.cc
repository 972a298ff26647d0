#include "sim/atomic_judge.h"

#include "holdfast/options.pb.h"
#include "sim/checkouts.h"
#include "sim/methods.h"

namespace holdfast::sim {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The outcome in a reply of its own, or null.
const EnumValueDescriptor* OutcomeOf(const Message& message) {
  const auto* field = message.GetDescriptor()->FindFieldByName("outcome");
  if (field == nullptr || field->type() != FieldDescriptor::TYPE_ENUM) return nullptr;
  const auto& reflection = *message.GetReflection();
  if (field->has_optional_keyword() && !reflection.HasField(message, field)) return nullptr;
  return reflection.GetEnum(message, field);
}

bool IsRefusal(const EnumValueDescriptor* outcome) {
  if (outcome == nullptr) return false;
  const auto& means = outcome->options().GetExtension(holdfast::outcome);
  return means.pending() || means.http_status() >= 400;
}

// Of a reply, or of the first item of a batch's that was refused.
const EnumValueDescriptor* RefusalIn(const Message& reply) {
  if (const auto* own = OutcomeOf(reply); IsRefusal(own)) return own;
  std::vector<const FieldDescriptor*> fields;
  reply.GetReflection()->ListFields(reply, &fields);
  for (const FieldDescriptor* field : fields) {
    if (!field->is_repeated() || field->is_map()) continue;
    for (int i = 0; i < reply.GetReflection()->FieldSize(reply, field); ++i) {
      const EnumValueDescriptor* item = nullptr;
      if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
        item = OutcomeOf(reply.GetReflection()->GetRepeatedMessage(reply, field, i));
      } else if (field->type() == FieldDescriptor::TYPE_ENUM) {
        item = reply.GetReflection()->GetRepeatedEnum(reply, field, i);
      }
      if (IsRefusal(item)) return item;
    }
  }
  return nullptr;
}

Judge& Of(const Judges& judges, const std::string& method) {
  const auto found = judges.find(method.substr(0, method.find('.')));
  Require(found != judges.end(), "there is no method " + method);
  return *found->second;
}

std::unique_ptr<Message> MessageOf(const google::protobuf::Descriptor& type,
                                   const std::string& bytes) {
  std::unique_ptr<Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type)->New());
  Require(message->ParseFromString(bytes), "a part of a list does not parse");
  return message;
}

// A part of a list does not wait.
std::string WithoutWait(const std::string& method, const std::string& body) {
  const auto request = MessageOf(*DescriptorOf(method).input_type(), body);
  const auto* field = request->GetDescriptor()->FindFieldByName("wait_ms");
  if (field != nullptr) request->GetReflection()->ClearField(request.get(), field);
  return request->SerializeAsString();
}

class AtomicJudge : public Judge {
 public:
  explicit AtomicJudge(Judges others) : others_(std::move(others)) {}

  void Begin(const Moment& /*at*/) override {}

  std::string Execute(const std::string& method, const std::string& body) override {
    Require(method == "atomic.Execute", "the model does not know the method " + method);
    Before before;
    return state_machine::Canonical(
        ExecuteList(others_, Parsed<atomic::ExecuteRequest>(body), &before));
  }

  std::string Difference(const ReadRecord& read) const override {
    throw Violation("the model does not know the read " + read.method);
  }
  Saved Save() const override { return nullptr; }
  void Restore(const Saved& /*saved*/) override {}
  std::vector<Asked> Everything() const override { return {}; }

 private:
  const Judges others_;
};

}  // namespace

void Restore(const Before& before) {
  for (const auto& [judge, saved] : before) judge->Restore(saved);
}

atomic::ExecuteReply ExecuteList(const Judges& judges, const atomic::ExecuteRequest& list,
                                 Before* before) {
  const auto save = [&](const std::string& method) {
    Judge& judge = Of(judges, method);
    if (!before->contains(&judge)) before->emplace(&judge, judge.Save());
  };
  for (const atomic::Write& write : list.writes()) {
    save(write.method());
    if (write.method() != "orders.Checkout") continue;
    for (const auto& step : StepsOf(Parsed<orders::CheckoutRequest>(write.request()))) {
      save(step.method);
    }
  }
  atomic::ExecuteReply reply;
  reply.set_outcome(atomic::ExecuteOutcome::done);
  for (int i = 0; i < list.writes_size(); ++i) {
    const atomic::Write& write = list.writes(i);
    atomic::WriteResult result;
    result.set_method(write.method());
    result.set_reply(Of(judges, write.method())
                         .Execute(write.method(), WithoutWait(write.method(), write.request())));
    const auto message = MessageOf(*DescriptorOf(write.method()).output_type(), result.reply());
    const EnumValueDescriptor* refusal = RefusalIn(*message);
    const EnumValueDescriptor* outcome = refusal != nullptr ? refusal : OutcomeOf(*message);
    if (outcome != nullptr) result.set_outcome(outcome->name());
    if (refusal != nullptr) {
      Restore(*before);
      reply.set_outcome(atomic::ExecuteOutcome::rejected);
      reply.set_failed(static_cast<uint32_t>(i));
      reply.clear_results();
    }
    *reply.add_results() = result;
    if (refusal != nullptr) break;
  }
  return reply;
}

std::shared_ptr<Judge> MakeAtomicJudge(Judges others) {
  return std::make_shared<AtomicJudge>(std::move(others));
}

}  // namespace holdfast::sim

#include "sim/atomic_judge.h"

#include <set>

#include "holdfast/atomic.pb.h"
#include "holdfast/options.pb.h"
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

class AtomicJudge : public Judge {
 public:
  explicit AtomicJudge(Judges others) : others_(std::move(others)) {}

  void Begin(const Moment& /*at*/) override {}

  std::string Execute(const std::string& method, const std::string& body) override {
    Require(method == "atomic.Execute", "the model does not know the method " + method);
    const auto request = Parsed<atomic::ExecuteRequest>(body);
    std::set<Judge*> asked;
    for (const atomic::Write& write : request.writes()) asked.insert(&Of(write.method()));
    for (Judge* judge : asked) judge->Mark();
    atomic::ExecuteReply reply;
    reply.set_outcome(atomic::ExecuteOutcome::done);
    for (int i = 0; i < request.writes_size(); ++i) {
      const atomic::Write& write = request.writes(i);
      atomic::WriteResult result;
      result.set_method(write.method());
      result.set_reply(
          Of(write.method()).Execute(write.method(), WithoutWait(write.method(), write.request())));
      const auto message = MessageOf(*DescriptorOf(write.method()).output_type(), result.reply());
      const EnumValueDescriptor* refusal = RefusalIn(*message);
      const EnumValueDescriptor* outcome = refusal != nullptr ? refusal : OutcomeOf(*message);
      if (outcome != nullptr) result.set_outcome(outcome->name());
      if (refusal != nullptr) {
        for (Judge* judge : asked) judge->RollBack();
        reply.set_outcome(atomic::ExecuteOutcome::rejected);
        reply.set_failed(static_cast<uint32_t>(i));
        reply.clear_results();
      }
      *reply.add_results() = result;
      if (refusal != nullptr) break;
    }
    return state_machine::Canonical(reply);
  }

  std::string Difference(const ReadRecord& read) const override {
    throw Violation("the model does not know the read " + read.method);
  }
  void Mark() override {}
  void RollBack() override {}
  std::vector<Asked> Everything() const override { return {}; }

 private:
  Judge& Of(const std::string& method) const {
    const auto found = others_.find(method.substr(0, method.find('.')));
    Require(found != others_.end(), "there is no method " + method);
    return *found->second;
  }
  static std::unique_ptr<Message> MessageOf(const google::protobuf::Descriptor& type,
                                            const std::string& bytes) {
    std::unique_ptr<Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type)->New());
    Require(message->ParseFromString(bytes), "a part of a list does not parse");
    return message;
  }
  // A part of a list does not wait.
  static std::string WithoutWait(const std::string& method, const std::string& body) {
    const auto request = MessageOf(*DescriptorOf(method).input_type(), body);
    const auto* field = request->GetDescriptor()->FindFieldByName("wait_ms");
    if (field != nullptr) request->GetReflection()->ClearField(request.get(), field);
    return request->SerializeAsString();
  }

  const Judges others_;
};

}  // namespace

std::shared_ptr<Judge> MakeAtomicJudge(Judges others) {
  return std::make_shared<AtomicJudge>(std::move(others));
}

}  // namespace holdfast::sim

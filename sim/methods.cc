#include "sim/methods.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>

#include <map>
#include <memory>
#include <utility>

#include "holdfast/options.pb.h"
#include "sim/world.h"

namespace holdfast::sim {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;

struct Known {
  std::map<std::string, const MethodDescriptor*> by_name;
  std::map<std::pair<uint32_t, uint32_t>, std::string> by_number;

  Known() {
    for (const char* service :
         {"holdfast.ledger.Ledger", "holdfast.sessions.Sessions", "holdfast.locks.Locks",
          "holdfast.queues.Queues", "holdfast.cache.Cache", "holdfast.orders.Orders",
          "holdfast.todo.Todo", "holdfast.rounds.Rounds", "holdfast.journal.Journal",
          "holdfast.chat.Chat", "holdfast.atomic.Atomic"}) {
      const auto* found =
          google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
      Require(found != nullptr, std::string("there is no service ") + service);
      const ServiceOptions& options = found->options().GetExtension(holdfast::service);
      for (int i = 0; i < found->method_count(); ++i) {
        const MethodDescriptor* method = found->method(i);
        const std::string name = options.name() + "." + method->name();
        by_name[name] = method;
        by_number[{options.id(), method->options().GetExtension(holdfast::method).id()}] = name;
      }
    }
  }
};

const Known& All() {
  static const Known kAll;
  return kAll;
}

std::unique_ptr<Message> Parsed(const Descriptor& type, const std::string& bytes) {
  std::unique_ptr<Message> message(MessageFactory::generated_factory()->GetPrototype(&type)->New());
  if (!message->ParseFromString(bytes)) return nullptr;
  return message;
}

std::string Show(const Descriptor& type, const std::string& bytes) {
  const auto message = Parsed(type, bytes);
  return message ? message->ShortDebugString() : "(does not parse)";
}

}  // namespace

const MethodDescriptor& DescriptorOf(const std::string& method) {
  const auto found = All().by_name.find(method);
  Require(found != All().by_name.end(), "there is no method " + method);
  return *found->second;
}

const std::string& NameOf(uint32_t service, uint32_t method) {
  const auto found = All().by_number.find({service, method});
  Require(found != All().by_number.end(), "the log holds a method that nobody asked for");
  return found->second;
}

uint64_t WaitMsOf(const Message& request) {
  const Descriptor& type = *request.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (!field->options().GetExtension(holdfast::field).wait_ms()) continue;
    return request.GetReflection()->GetUInt32(request, field);
  }
  return 0;
}

std::string AwaitsOf(const std::string& method, const Message& request) {
  const std::string& read = DescriptorOf(method).options().GetExtension(holdfast::method).awaits();
  if (read.empty() || WaitMsOf(request) == 0) return "";
  return method.substr(0, method.find('.') + 1) + read;
}

bool SameReply(const std::string& method, const std::string& a, const std::string& b) {
  if (a == b) return true;
  const Descriptor& type = *DescriptorOf(method).output_type();
  const auto first = Parsed(type, a);
  const auto second = Parsed(type, b);
  return first && second && google::protobuf::util::MessageDifferencer::Equals(*first, *second);
}

std::string ShowReply(const std::string& method, const std::string& bytes) {
  return Show(*DescriptorOf(method).output_type(), bytes);
}

std::string ShowRequest(const std::string& method, const std::string& bytes) {
  return Show(*DescriptorOf(method).input_type(), bytes);
}

}  // namespace holdfast::sim

#include "src/state_machine/atomic_service.h"

#include "holdfast/atomic.pb.h"
#include "src/base/bounds.h"
#include "src/state_machine/canonical.h"

namespace holdfast::state_machine {
namespace {

using atomic::ExecuteOutcome;
using atomic::ExecuteReply;
using atomic::ExecuteRequest;
using google::protobuf::EnumValueDescriptor;

constexpr uint32_t kListsAreBounded = 2;  // Behaviour from which on they are.
constexpr size_t kEnvelopeBytes = 8;      // Tag and length of a result in the reply, and its share.

std::string PathOf(size_t write, const std::string& rest) {
  return "writes[" + std::to_string(write) + "]." + rest;
}

// Refuses a write that could not be carried out alone; the field is "method", or begins with
// "request.".
Result<void> ValidateWrite(const atomic::Write& write, const Method* method) {
  if (method == nullptr || method->kind() != WRITE) {
    Error error = InvalidArgument("method", "there is no write " + write.method());
    error.hint = "a method is named like ledger.CreateTransfer";
    return Fail(std::move(error));
  }
  google::protobuf::Arena arena;
  Message* body = method->request->New(&arena);
  if (!body->ParseFromString(write.request())) {
    return Fail(
        InvalidArgument("request", "does not parse as " + body->GetDescriptor()->full_name()));
  }
  if (Result<void> valid = method->validate_parsed(*body, write.request()); !valid) {
    valid.error().field = "request." + valid.error().field;
    return valid;
  }
  return {};
}

class AtomicService : public Service {
 public:
  explicit AtomicService(const Registry& registry) : registry_(registry) {}

  // Refuses what none of the writes could be carried out with, as each of them would alone.
  Result<void> Validate(const ExecuteRequest& request) const {
    for (int i = 0; i < request.writes_size(); ++i) {
      const atomic::Write& write = request.writes(i);
      const Method* method = registry_.Find(write.method());
      if (method != nullptr && registry_.FindService(method->service_id) == this) {
        return Fail(InvalidArgument(PathOf(i, "method"), "must not be another list of writes"));
      }
      if (Result<void> valid = ValidateWrite(write, method); !valid) {
        valid.error().field = PathOf(i, valid.error().field);
        return valid;
      }
    }
    return {};
  }

  Result<void> Execute(const ExecuteRequest& request, WriteContext& context, ExecuteReply* reply) {
    google::protobuf::Arena arena;
    std::vector<ListedWrite> writes;
    for (const atomic::Write& write : request.writes()) {
      const Method* method = registry_.Find(write.method());  // As ValidateWrite has seen.
      Message* body = method->request->New(&arena);
      HOLDFAST_CHECK(body->ParseFromString(write.request()), "it parsed before");
      // Nobody would go on with it: a lock that is not free is refused instead of waited for.
      if (method->wait_ms != nullptr) body->GetReflection()->ClearField(body, method->wait_ms);
      writes.push_back({write.method(), method, body});
    }
    std::vector<const Message*> replies;
    return ExecuteWrites(writes, context, arena, reply, &replies);
  }

 private:
  const Registry& registry_;
};

}  // namespace

Result<void> ExecuteWrites(std::span<const ListedWrite> writes, WriteContext& context,
                           google::protobuf::Arena& arena, ExecuteReply* reply,
                           std::vector<const Message*>* replies) {
  // An older program refuses the whole as well, as it does not know the method.
  for (size_t i = 0; i < writes.size(); ++i) {
    if (auto not_yet = writes[i].method->NotYet(context.behaviour())) {
      not_yet->field = PathOf(i, "method");
      return Fail(*std::move(not_yet));
    }
  }
  const store::Savepoint before = context.Mark();
  const bool bounded = context.behaviour() >= kListsAreBounded;
  size_t bytes = 0;
  for (size_t i = 0; i < writes.size(); ++i) {
    const Method& method = *writes[i].method;
    Message* result = method.reply->New(&arena);
    WriteContext of_service = context.For(method.service_id);
    if (Result<void> done = method.write(*writes[i].request, of_service, result); !done) {
      done.error().field = PathOf(i, "request." + done.error().field);
      return done;  // Whoever called drops what was done.
    }
    if (bounded && context.Mark().position - before.position > bounds::kListChangesMax) {
      return Fail(Error{ErrorCode::kTooLarge,
                        "the writes up to this one make more than " +
                            std::to_string(bounds::kListChangesMax) + " changes of rows",
                        PathOf(i, "request"), "split the list", 0});
    }
    const EnumValueDescriptor* refusal = method.outcomes->RefusalIn(*result);
    if (refusal != nullptr) {
      context.RollbackTo(before);
      reply->clear_results();
      replies->clear();
      reply->set_failed(static_cast<uint32_t>(i));
    }
    replies->push_back(result);
    atomic::WriteResult* added = reply->add_results();
    added->set_method(std::string(writes[i].name));
    const EnumValueDescriptor* outcome =
        refusal != nullptr ? refusal : method.outcomes->Of(*result);
    if (outcome != nullptr) added->set_outcome(outcome->name());
    added->set_reply(Canonical(*result));
    bytes += added->ByteSizeLong() + kEnvelopeBytes;
    if (bytes > bounds::kReplyBytesMax) {
      Error error{ErrorCode::kTooLarge,
                  "the replies up to this one have more than " +
                      std::to_string(bounds::kReplyBytesMax) + " bytes",
                  PathOf(i, "request"), "ask for less in it, or in a list of its own", 0};
      return Fail(std::move(error));
    }
    if (refusal != nullptr) {
      reply->set_outcome(ExecuteOutcome::rejected);
      return {};
    }
  }
  reply->set_outcome(ExecuteOutcome::done);
  return {};
}

void RegisterAtomicService(Registry& registry) {
  auto service = std::make_unique<AtomicService>(registry);
  const AtomicService* validator = service.get();
  registry.Add("holdfast.atomic.Atomic", std::move(service))
      .Write("Execute", &AtomicService::Execute,
             [validator](const ExecuteRequest& request) { return validator->Validate(request); });
}

}  // namespace holdfast::state_machine

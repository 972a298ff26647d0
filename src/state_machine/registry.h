// The method table: every method of every service, declared once in a .proto and bound once to a
// function. gRPC, HTTP, the command line, OpenAPI and the machine all work from this table.
//
//   void Register(state_machine::Registry& registry) {
//     registry.Add("holdfast.counter.Counter", std::make_unique<Counter>(registry.store()))
//         .Write("Add", &Counter::Add)
//         .Read("Get", &Counter::Get);
//   }
#pragma once

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/options.pb.h"
#include "src/base/check.h"
#include "src/base/error.h"
#include "src/state_machine/outcomes.h"
#include "src/state_machine/quick_check.h"
#include "src/state_machine/service.h"

namespace holdfast::state_machine {

class Registry;
using google::protobuf::Message;

// One method. Owned by the registry; lives as long as it does.
struct Method {
  const google::protobuf::MethodDescriptor* descriptor = nullptr;
  MethodOptions options;  // Kind, number, routes, help.
  uint8_t service_id = 0;
  uint8_t method_id = 0;
  std::string service_name;          // The word on the command line: "ledger".
  std::string full_name;             // "/holdfast.ledger.Ledger/CreateTransfer", as gRPC's :path.
  const Message* request = nullptr;  // Default instances: New(arena) makes one.
  const Message* reply = nullptr;
  const google::protobuf::FieldDescriptor* outcome = nullptr;  // Of the reply, where it has one.
  std::unique_ptr<const Outcomes> outcomes;                    // Of a reply and of its items.
  // Of the request: how long the caller waits. Null: there is nothing to wait for.
  const google::protobuf::FieldDescriptor* wait_ms = nullptr;
  const Method* awaits = nullptr;  // Of a write: see MethodOptions.awaits.
  // Refuses what no state could make acceptable, naming the field: the options of the fields
  // (required, max_size, positive), then the service's own rule. Stateless; any thread.
  std::function<Result<void>(const Message& request)> validate;
  // The same verdict, quicker, of a request that was parsed from `bytes`.
  std::function<Result<void>(const Message& request, std::string_view bytes)> validate_parsed;

  Kind kind() const { return options.kind(); }
  // Why it cannot be called while this version of the behaviour is in force, if so.
  std::optional<Error> NotYet(uint32_t behaviour) const;
  // What a reply's outcome means; the default for one without.
  const OutcomeOptions& OutcomeOf(std::string_view reply) const;

  // Exactly one is set, by kind.
  std::function<Result<void>(const Message&, WriteContext&, Message*)> write;
  std::function<Result<void>(const Message&, const ReadContext&, Message*)> read;
  std::function<Result<void>(const Message&, Message*)> stateless;
};

// A service's own rule for a request, beside the options of its fields: any function, one of
// several of the same name among them. Stateless; any thread.
template <class Request>
class Rule : public std::function<Result<void>(const Request&)> {
 public:
  using Function = std::function<Result<void>(const Request&)>;
  using Function::Function;
  Rule(Result<void> (*function)(const Request&)) : Function(function) {}  // NOLINT: converts.
};

// Binds functions to the methods of one service; see the example above. A write returns an Error
// only when the request is unacceptable as such (everything it did is dropped, and nothing is kept
// under its idempotency key); how a well-formed request ended is an outcome in its reply.
template <class S>
class Binder {
 public:
  template <class Request>
  using Validate = std::type_identity_t<Rule<Request>>;

  Binder(Registry& registry, uint8_t service, S* object)
      : registry_(registry), service_(service), object_(object) {}

  template <class Request, class Reply>
  Binder& Write(std::string_view method,
                Result<void> (S::*handler)(const Request&, WriteContext&, Reply*),
                Validate<Request> validate = nullptr);
  template <class Request, class Reply>
  Binder& Read(std::string_view method,
               Result<void> (S::*handler)(const Request&, const ReadContext&, Reply*) const,
               Validate<Request> validate = nullptr);
  template <class Request, class Reply>
  Binder& Stateless(std::string_view method,
                    Result<void> (S::*handler)(const Request&, Reply*) const,
                    Validate<Request> validate = nullptr);

 private:
  template <class Request, class Reply>
  Method& Bind(std::string_view method, Kind kind, Validate<Request> validate);

  Registry& registry_;
  uint8_t service_;
  S* object_;
};

// Not thread-safe while services are added; immutable and shared by all threads afterwards.
class Registry {
 public:
  explicit Registry(store::Store& store) : store_(store) {}
  Registry(const Registry&) = delete;

  store::Store& store() { return store_; }

  // Adds a service by the full name in its .proto. Wrong, missing or repeated numbers are bugs that
  // stop the program here, at start-up.
  template <class S>
  Binder<S> Add(std::string_view full_name, std::unique_ptr<S> service) {
    S* object = service.get();
    const uint8_t id = AddService(full_name, std::move(service));
    return Binder<S>(*this, id, object);
  }

  // Call once when all services are added: every declared method must be bound.
  void Finish();

  const std::vector<std::unique_ptr<Method>>& methods() const { return methods_; }  // By number.
  // By its full name, or as people write it: "ledger.CreateTransfer". nullptr when unknown.
  const Method* Find(std::string_view name) const;
  const Method* Find(uint8_t service, uint8_t method) const;
  Service* FindService(uint8_t id) const;
  const std::vector<std::pair<uint8_t, std::unique_ptr<Service>>>& services() const {
    return services_;
  }

 private:
  template <class S>
  friend class Binder;
  uint8_t AddService(std::string_view full_name, std::unique_ptr<Service> service);
  Method& AddMethod(uint8_t service, std::string_view name, Kind kind, const Message& request,
                    const Message& reply);

  store::Store& store_;
  std::vector<std::pair<uint8_t, std::unique_ptr<Service>>> services_;
  std::vector<const google::protobuf::ServiceDescriptor*> descriptors_;
  std::vector<std::unique_ptr<Method>> methods_;
  absl::flat_hash_map<std::string, const Method*> by_name_;
  absl::flat_hash_map<uint16_t, const Method*> by_number_;
};

// What the options of a message's fields demand, compiled once per type and checked with the path
// of the offending field ("transfers[3].amount").
std::function<Result<void>(const Message&)> CompileValidator(
    const google::protobuf::Descriptor& type);

// --- Templates

template <class S>
template <class Request, class Reply>
Method& Binder<S>::Bind(std::string_view name, Kind kind, Validate<Request> validate) {
  Method& method = registry_.AddMethod(service_, name, kind, Request::default_instance(),
                                       Reply::default_instance());
  auto options = CompileValidator(*Request::descriptor());
  method.validate = [options, validate](const Message& request) {
    Result<void> checked = options(request);
    if (checked && validate != nullptr) {
      checked = validate(static_cast<const Request&>(request));
    }
    return checked;
  };
  method.validate_parsed = [options = std::move(options), validate,
                            quick = std::make_shared<QuickCheck>(*Request::descriptor())](
                               const Message& request, std::string_view bytes) -> Result<void> {
    if (!quick->SurelyMeets(bytes)) {
      if (Result<void> checked = options(request); !checked) return checked;
    }
    if (validate == nullptr) return {};
    return validate(static_cast<const Request&>(request));
  };
  return method;
}

template <class S>
template <class Request, class Reply>
Binder<S>& Binder<S>::Write(std::string_view name,
                            Result<void> (S::*handler)(const Request&, WriteContext&, Reply*),
                            Validate<Request> validate) {
  Bind<Request, Reply>(name, WRITE, validate).write =
      [object = object_, handler](const Message& request, WriteContext& context, Message* reply) {
        return (object->*handler)(static_cast<const Request&>(request), context,
                                  static_cast<Reply*>(reply));
      };
  return *this;
}

template <class S>
template <class Request, class Reply>
Binder<S>& Binder<S>::Read(std::string_view name,
                           Result<void> (S::*handler)(const Request&, const ReadContext&, Reply*)
                               const,
                           Validate<Request> validate) {
  Bind<Request, Reply>(name, READ, validate).read =
      [object = object_, handler](const Message& request, const ReadContext& context,
                                  Message* reply) {
        return (object->*handler)(static_cast<const Request&>(request), context,
                                  static_cast<Reply*>(reply));
      };
  return *this;
}

template <class S>
template <class Request, class Reply>
Binder<S>& Binder<S>::Stateless(std::string_view name,
                                Result<void> (S::*handler)(const Request&, Reply*) const,
                                Validate<Request> validate) {
  Bind<Request, Reply>(name, STATELESS, validate).stateless =
      [object = object_, handler](const Message& request, Message* reply) {
        return (object->*handler)(static_cast<const Request&>(request), static_cast<Reply*>(reply));
      };
  return *this;
}

}  // namespace holdfast::state_machine

namespace holdfast {
// All services of the build, generated from the folders under services/, and what carries out
// writes of several of them.
void RegisterServices(state_machine::Registry& registry);
}  // namespace holdfast

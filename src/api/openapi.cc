#include "src/api/openapi.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <map>

#include "holdfast/options.pb.h"
#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/method_part.h"
#include "src/api/route.h"
#include "src/api/scalar.h"
#include "src/api/text.h"
#include "src/base/bounds.h"

namespace holdfast::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using state_machine::Method;

constexpr const char* kProblemSchema = "Problem";

// Thin words over RapidJSON, so that the document below reads like the document it makes.
class Json {
 public:
  Json() : writer_(out_) {}

  void Key(std::string_view name) { writer_.Key(name.data(), Size(name)); }
  void Value(std::string_view text) { writer_.String(text.data(), Size(text)); }
  void Value(const char* text) { Value(std::string_view(text)); }
  void Value(bool value) { writer_.Bool(value); }
  void Value(int64_t value) { writer_.Int64(value); }
  template <class T>
  void Member(std::string_view name, T value) {
    Key(name);
    Value(value);
  }
  // Leaves an empty text out.
  void Note(std::string_view name, std::string_view text) {
    if (!text.empty()) Member(name, text);
  }
  template <class Body>
  void Object(Body body) {
    writer_.StartObject();
    body();
    writer_.EndObject();
  }
  template <class Body>
  void Object(std::string_view name, Body body) {
    Key(name);
    Object(body);
  }
  template <class Body>
  void Array(std::string_view name, Body body) {
    Key(name);
    writer_.StartArray();
    body();
    writer_.EndArray();
  }
  void Reference(std::string_view schema) { Member("$ref", Cat("#/components/schemas/", schema)); }
  std::string Text() const { return {out_.GetString(), out_.GetSize()}; }

 private:
  void Value(const std::string& text) { Value(std::string_view(text)); }
  static rapidjson::SizeType Size(std::string_view text) {
    return static_cast<rapidjson::SizeType>(text.size());
  }

  rapidjson::StringBuffer out_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_;
};

class Builder {
 public:
  Builder(const state_machine::Registry& registry, std::string_view version)
      : registry_(registry), version_(version) {}

  std::string Build() {
    json_.Object([&] {
      json_.Member("openapi", "3.0.3");
      json_.Object("info", [&] {
        json_.Member("title", "Holdfast");
        json_.Member("version", version_);
      });
      Tags();
      json_.Object("paths", [&] { Paths(); });
      json_.Object("components", [&] {
        json_.Object("schemas", [&] { Schemas(); });
        json_.Object("parameters", [&] { HeaderParameters(); });
        json_.Object("headers", [&] { ReplyHeaders(); });
        json_.Object("responses", [&] { ProblemResponse(); });
      });
    });
    return json_.Text();
  }

 private:
  void Tags() {
    std::map<std::string, std::string> services;
    for (const auto& method : registry_.methods()) {
      services[method->service_name] =
          method->descriptor->service()->options().GetExtension(holdfast::service).help();
    }
    json_.Array("tags", [&] {
      for (const auto& [name, help] : services) {
        // Named again: Debian 12's clang does not capture structured bindings.
        json_.Object([&, &name = name, &help = help] {
          json_.Member("name", name);
          json_.Note("description", help);
        });
      }
    });
  }

  void Paths() {
    std::map<std::string, std::map<std::string, const Method*>> paths;
    for (const auto& method : registry_.methods()) {
      for (const Route& route : method->options.http()) {
        const RouteParts parts = PartsOf(route);
        std::string verb(parts.verb);
        for (char& c : verb) c = static_cast<char>(c - 'A' + 'a');
        paths[parts.path][verb] = method.get();
      }
    }
    for (const auto& [path, verbs] : paths) {
      json_.Object(path, [&, &path = path, &verbs = verbs] {
        for (const auto& [verb, method] : verbs) {
          json_.Object(verb,
                       [&, &verb = verb, &method = method] { Operation(path, verb, *method); });
        }
      });
    }
  }

  void Operation(const std::string& path, const std::string& verb, const Method& method) {
    // One method may have several routes, and an id must be unique.
    std::string id = Cat(method.service_name, ".", method.descriptor->name());
    if (const int nth = ++operations_[id]; nth > 1) Append(&id, "_", nth);
    json_.Member("operationId", id);
    json_.Array("tags", [&] { json_.Value(std::string_view(method.service_name)); });
    json_.Note("summary", method.options.help());
    json_.Array("parameters", [&] { Parameters(path, verb, method); });
    if (verb == "post" || verb == "put") {
      json_.Object("requestBody", [&] {
        json_.Object("content", [&] { JsonContent(method.request->GetDescriptor()); });
      });
    }
    json_.Object("responses", [&] { Responses(method); });
  }

  void Parameters(const std::string& path, const std::string& verb, const Method& method) {
    const Descriptor* type = method.request->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      const bool in_path = path.find("{" + field->name() + "}") != std::string::npos;
      // A message in a query is set by dotted names, which OpenAPI has no word for.
      const bool takes_query = verb == "get" || verb == "delete";
      const bool in_query = !in_path && takes_query && !field->is_map() && IsScalar(field);
      if (!in_path && !in_query) continue;
      json_.Object([&] {
        json_.Member("name", std::string_view(field->name()));
        json_.Member("in", in_path ? "path" : "query");
        if (in_path || Options(field).required()) json_.Member("required", true);
        json_.Note("description", Options(field).help());
        json_.Object("schema", [&] { FieldSchema(field); });
      });
    }
    const auto header = [&](std::string_view name) {
      json_.Object([&] { json_.Member("$ref", Cat("#/components/parameters/", name)); });
    };
    if (method.kind() == WRITE) header(kIdempotencyKeyName);
    if (method.kind() == READ) {
      header(kAfterName);
      header(kConsistencyName);
    }
    header(kTimeoutMsName);
  }

  void HeaderParameters() {
    const auto parameter = [&](std::string_view name, std::string_view help, auto schema) {
      json_.Object(name, [&] {
        json_.Member("name", name);
        json_.Member("in", "header");
        json_.Member("description", help);
        json_.Object("schema", schema);
      });
    };
    parameter(kIdempotencyKeyName,
              "Makes a repeat of this write safe: it gets the first one's answer.", [&] {
                json_.Member("type", "string");
                json_.Member("maxLength", int64_t{bounds::kIdempotencyKeyBytesMax});
              });
    parameter(kAfterName, "A holdfast-position: the read reflects at least that.", [&] {
      json_.Member("type", "integer");
      json_.Member("format", "int64");
    });
    parameter(kConsistencyName,
              "What the read must have seen; also the query parameter `consistency`.", [&] {
                json_.Member("type", "string");
                json_.Array("enum", [&] {
                  for (const char* word : {"session", "linearizable", "stale"}) json_.Value(word);
                });
                json_.Member("default", "session");
              });
    parameter(kTimeoutMsName, "How long to wait for the answer.", [&] {
      json_.Member("type", "integer");
      json_.Member("minimum", int64_t{1});
      json_.Member("maximum", bounds::kDeadlineMsMax);
      json_.Member("default", bounds::kDeadlineMsDefault);
    });
  }

  void ReplyHeaders() {
    const auto header = [&](std::string_view name, std::string_view help, std::string_view type) {
      json_.Object(name, [&] {
        json_.Member("description", help);
        json_.Object("schema", [&] { json_.Member("type", type); });
      });
    };
    header(kPositionName, "The position of the log that the reply reflects.", "integer");
    header(kReplayedName, "The reply is that of an earlier request with this key.", "boolean");
    header(kAgeMsName, "How far behind a stale read may be.", "integer");
    header("Retry-After", "Seconds after which to try again.", "integer");
  }

  void Responses(const Method& method) {
    // One response a status, described by the outcomes that have it.
    std::map<uint32_t, std::string> statuses;
    const Descriptor* type = method.reply->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM ||
          !Options(field).outcome()) {
        continue;
      }
      for (int v = 0; v < field->enum_type()->value_count(); ++v) {
        const auto* value = field->enum_type()->value(v);
        if (value->number() == 0) continue;  // Stands for nothing.
        const uint32_t status = value->options().GetExtension(holdfast::outcome).http_status();
        std::string& names = statuses[status == 0 ? 200 : status];
        Append(&names, names.empty() ? "" : ", ", value->name());
      }
    }
    if (statuses.empty()) statuses[200] = "Done.";
    for (const auto& [status, names] : statuses) {
      json_.Object(std::to_string(status), [&, &names = names] {
        json_.Member("description", std::string_view(names));
        json_.Object("headers", [&] {
          const auto header = [&](std::string_view name) {
            json_.Object(name, [&] { json_.Member("$ref", Cat("#/components/headers/", name)); });
          };
          header(kPositionName);
          if (method.kind() == WRITE) header(kReplayedName);
          if (method.kind() == READ) header(kAgeMsName);
        });
        json_.Object("content", [&] { JsonContent(type); });
      });
    }
    json_.Object("default",
                 [&] { json_.Member("$ref", Cat("#/components/responses/", kProblemSchema)); });
  }

  void ProblemResponse() {
    json_.Object(kProblemSchema, [&] {
      json_.Member("description", "The request was not carried out as asked.");
      json_.Object("headers", [&] {
        json_.Object("Retry-After",
                     [&] { json_.Member("$ref", "#/components/headers/Retry-After"); });
      });
      json_.Object("content", [&] {
        json_.Object("application/problem+json",
                     [&] { json_.Object("schema", [&] { json_.Reference(kProblemSchema); }); });
      });
    });
  }

  void JsonContent(const Descriptor* type) {
    json_.Object("application/json",
                 [&] { json_.Object("schema", [&] { json_.Reference(Wanted(type)); }); });
  }

  // --- Schemas

  void Schemas() {
    json_.Object(kProblemSchema, [&] {
      json_.Member("type", "object");
      json_.Object("properties", [&] {
        const auto property = [&](const char* name, const char* kind, const char* help) {
          json_.Object(name, [&] {
            json_.Member("type", kind);
            json_.Member("description", help);
          });
        };
        property("type", "string", "Says more about the code: a path on this server.");
        property("title", "string", "The code, for a person.");
        property("status", "integer", "The HTTP status.");
        json_.Object("code", [&] {
          json_.Member("type", "string");
          json_.Array("enum", [&] {
            for (const ErrorInfo& info : AllErrors()) json_.Value(ToString(info.code));
          });
        });
        property("detail", "string", "What is wrong.");
        property("field", "string", "The JSON path of the offending field.");
        property("hint", "string", "What to do next.");
        property("retry_after_ms", "integer", "When to try again.");
      });
    });
    // Writing a schema may ask for others. They are written in order of name as far as is known,
    // which depends on the table alone.
    while (!wanted_.empty()) {
      const auto [name, type] = *wanted_.begin();
      wanted_.erase(wanted_.begin());
      written_.insert(name);
      json_.Object(name, [&, &type = type] { MessageSchema(type); });
    }
  }

  // The name of the type's schema, which is thereby asked for.
  const std::string& Wanted(const Descriptor* type) {
    if (!written_.contains(type->full_name())) wanted_[type->full_name()] = type;
    return type->full_name();
  }

  void MessageSchema(const Descriptor* type) {
    json_.Member("type", "object");
    std::vector<const FieldDescriptor*> required;
    json_.Object("properties", [&] {
      for (int i = 0; i < type->field_count(); ++i) {
        const FieldDescriptor* field = type->field(i);
        if (Options(field).required()) required.push_back(field);
        json_.Object(field->name(), [&] { FieldSchema(field); });
      }
    });
    if (!required.empty()) {
      json_.Array("required", [&] {
        for (const FieldDescriptor* field : required) {
          json_.Value(std::string_view(field->name()));
        }
      });
    }
    json_.Member("additionalProperties", false);
  }

  void FieldSchema(const FieldDescriptor* field) {
    const auto& options = Options(field);
    if (field->is_map()) {
      json_.Member("type", "object");
      json_.Note("description", options.help());
      if (options.max_size() > 0) json_.Member("maxProperties", int64_t{options.max_size()});
      json_.Object("additionalProperties",
                   [&] { ValueSchema(field->message_type()->map_value()); });
    } else if (field->is_repeated()) {
      json_.Member("type", "array");
      json_.Note("description", options.help());
      if (options.max_size() > 0) json_.Member("maxItems", int64_t{options.max_size()});
      json_.Object("items", [&] { ValueSchema(field); });
    } else if (!IsScalar(field) && !options.help().empty()) {
      // Beside a $ref nothing else counts.
      json_.Member("description", std::string_view(options.help()));
      json_.Array("allOf", [&] { json_.Object([&] { ValueSchema(field); }); });
    } else {
      json_.Note("description", options.help());
      ValueSchema(field);
    }
  }

  void ValueSchema(const FieldDescriptor* field) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_UINT32: return IntegerSchema(field, "int32");
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64: return IntegerSchema(field, "int64");
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT: return json_.Member("type", "number");
      case FieldDescriptor::CPPTYPE_BOOL: return json_.Member("type", "boolean");
      case FieldDescriptor::CPPTYPE_ENUM:
        json_.Member("type", "string");
        return json_.Array("enum", [&] {
          const EnumDescriptor* type = field->enum_type();
          for (int i = 0; i < type->value_count(); ++i) {
            json_.Value(std::string_view(type->value(i)->name()));
          }
        });
      case FieldDescriptor::CPPTYPE_STRING:
        if (IsMethodPart(field)) return json_.Member("type", "object");
        json_.Member("type", "string");
        if (field->type() == FieldDescriptor::TYPE_BYTES) {
          json_.Member("format", "byte");
        } else if (!field->is_repeated() && Options(field).max_size() > 0) {
          json_.Member("maxLength", int64_t{Options(field).max_size()});
        }
        return;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (!IsTimestamp(field)) return json_.Reference(Wanted(field->message_type()));
        json_.Member("type", "string");
        return json_.Member("format", "date-time");
    }
  }

  void IntegerSchema(const FieldDescriptor* field, const char* format) {
    const auto integer = [&] {
      json_.Member("type", "integer");
      json_.Member("format", format);
      if (Options(field).positive()) {
        json_.Member("minimum", int64_t{1});
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ||
                 field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
        json_.Member("minimum", int64_t{0});
      }
      if (Options(field).max_value() > 0) {
        json_.Member("maximum", static_cast<int64_t>(Options(field).max_value()));
      }
    };
    if (Options(field).json_true() == 0) return integer();
    json_.Array("oneOf", [&] {
      json_.Object(integer);
      json_.Object([&] { json_.Member("type", "boolean"); });
    });
  }

  static const FieldOptions& Options(const FieldDescriptor* field) {
    return field->options().GetExtension(holdfast::field);
  }

  const state_machine::Registry& registry_;
  std::string_view version_;
  Json json_;
  std::map<std::string, int> operations_;
  std::map<std::string, const Descriptor*> wanted_;
  std::set<std::string> written_;
};

}  // namespace

std::string OpenApiJson(const state_machine::Registry& registry, std::string_view version) {
  return Builder(registry, version).Build();
}

}  // namespace holdfast::api

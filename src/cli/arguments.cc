#include "src/cli/arguments.h"

#include <fstream>
#include <istream>

#include "holdfast/options.pb.h"
#include "src/api/json.h"
#include "src/api/scalar.h"
#include "src/base/bounds.h"

namespace holdfast::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldOptions& OptionsOf(const FieldDescriptor* field) {
  return field->options().GetExtension(holdfast::field);
}

std::string Kebab(std::string text) {
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

bool Contains(const Descriptor* type, const Descriptor* wanted, std::set<const Descriptor*>* seen) {
  if (!seen->insert(type).second) return false;
  for (int i = 0; i < type->field_count(); ++i) {
    const Descriptor* nested = type->field(i)->message_type();
    if (nested == nullptr) continue;
    if (nested == wanted || Contains(nested, wanted, seen)) return true;
  }
  return false;
}

bool ContainsItself(const Descriptor* type) {
  std::set<const Descriptor*> seen;
  return Contains(type, type, &seen);
}

std::string TypeOf(const FieldDescriptor* field) {
  if (field->is_map()) return "KEY=VALUE";
  if (api::IsTimestamp(field)) return "TIME";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return OptionsOf(field).json_true() != 0 ? "INTEGER|true" : "INTEGER";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT: return "NUMBER";
    case FieldDescriptor::CPPTYPE_BOOL: return "";
    case FieldDescriptor::CPPTYPE_ENUM: return "WORD";
    case FieldDescriptor::CPPTYPE_STRING:
      return field->type() == FieldDescriptor::TYPE_BYTES ? "BASE64" : "TEXT";
    case FieldDescriptor::CPPTYPE_MESSAGE: return "JSON";
  }
  return "TEXT";
}

bool IsRequired(const FieldDescriptor* field) {
  return OptionsOf(field).required() || OptionsOf(field).positive();
}

std::string HelpOf(const FieldDescriptor* field) {
  std::string help = OptionsOf(field).help();
  const auto add = [&help](const std::string& more) { help += (help.empty() ? "" : "; ") + more; };
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM && !field->is_map()) {
    std::string words;
    for (int i = 0; i < field->enum_type()->value_count(); ++i) {
      const auto* value = field->enum_type()->value(i);
      if (value->number() != 0) words += (words.empty() ? "" : ", ") + value->name();
    }
    add("one of " + words);
  }
  if (field->is_repeated()) add("may be repeated");
  if (IsRequired(field)) add("required");
  return help;
}

void AddFlags(const Descriptor& type, const std::string& prefix, std::vector<Flag>* flags) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    Flag flag;
    flag.field = field;
    flag.path = prefix + field->name();
    flag.names = "--" + Kebab(flag.path);
    if (const std::string plain = "--" + flag.path; plain != flag.names) flag.names += "," + plain;
    flag.type = TypeOf(field);
    flag.help = HelpOf(field);
    flag.is_switch = field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL && !field->is_repeated();
    const bool nested =
        !field->is_repeated() && !api::IsScalar(field) && !ContainsItself(field->message_type());
    const std::string path = flag.path + ".";
    flags->push_back(std::move(flag));
    if (nested) AddFlags(*field->message_type(), path, flags);
  }
}

// The value as one JSON text of the whole request: {"price": {"tags": VALUE}}.
std::string Wrap(const std::string& path, const std::string& value) {
  std::string open;
  std::string close;
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, '.');) {
    open += "{\"" + part + "\": ";
    close += '}';
  }
  return open + value + close;
}

Result<void> ApplyOne(const Flag& flag, const std::string& text, api::FieldWriter* writer,
                      Message* request) {
  if (flag.field->is_map()) {
    if (text.starts_with('{')) return writer->Set(flag.path, text);
    const size_t equals = text.find('=');
    if (equals == text.npos) {
      return Fail(InvalidArgument(flag.path, "must be KEY=VALUE or a JSON object"));
    }
    return writer->Set(flag.path + "." + text.substr(0, equals), text.substr(equals + 1));
  }
  if (flag.field->is_repeated() && api::IsScalar(flag.field) && text.starts_with('[') &&
      text.ends_with(']')) {
    std::unique_ptr<Message> list(request->New());
    if (Result<void> parsed = api::ParseJson(Wrap(flag.path, text), list.get()); !parsed) {
      return parsed;
    }
    request->MergeFrom(*list);
    return {};
  }
  return writer->Set(flag.path, text);
}

// All of the stream, unless it is longer than a request may be.
Result<std::string> ReadAll(std::istream& in, const std::string& name) {
  std::string text(bounds::kHttpBodyBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (in.bad()) return Fail(InvalidArgument("json", "cannot read " + name));
  if (text.size() > bounds::kHttpBodyBytesMax) {
    return Fail(
        Error{ErrorCode::kTooLarge,
              name + " is longer than " + std::to_string(bounds::kHttpBodyBytesMax) + " bytes",
              "json", "split it into several requests", 0});
  }
  return text;
}

std::string SampleValue(const FieldDescriptor* field, bool json) {
  const auto quote = [json](const std::string& text) { return json ? '"' + text + '"' : text; };
  if (api::IsTimestamp(field)) return quote("2030-12-31T23:59:59Z");
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = field->name();
      std::transform(text.begin(), text.end(), text.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      return quote(text);
    }
    case FieldDescriptor::CPPTYPE_BOOL: return "true";
    case FieldDescriptor::CPPTYPE_ENUM:
      return quote(field->enum_type()->value(field->enum_type()->value_count() - 1)->name());
    case FieldDescriptor::CPPTYPE_MESSAGE: return SampleJson(*field->message_type());
    default: return "100";
  }
}

}  // namespace

std::vector<Flag> FlagsOf(const Descriptor& type) {
  std::vector<Flag> flags;
  AddFlags(type, "", &flags);
  return flags;
}

Result<void> ApplyFlags(const std::vector<Given>& given, Message* request) {
  api::FieldWriter writer(request);
  for (const auto& [flag, texts] : given) {
    for (const std::string& text : texts) {
      if (Result<void> set = ApplyOne(*flag, text, &writer, request); !set) return set;
    }
  }
  return {};
}

Result<void> ApplyJson(const std::string& text, std::istream& in, Message* request) {
  if (text == "-") {
    const auto all = ReadAll(in, "the standard input");
    if (!all) return Fail(all.error());
    return api::ParseJson(*all, request);
  }
  if (text.starts_with('@')) {
    const std::string path = text.substr(1);
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      return Fail(InvalidArgument("json", "cannot open " + path + ": " + std::strerror(errno)));
    }
    const auto all = ReadAll(file, path);
    if (!all) return Fail(all.error());
    return api::ParseJson(*all, request);
  }
  return api::ParseJson(text, request);
}

std::string ToWord(std::string_view method) {
  std::string word;
  for (const char c : method) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !word.empty()) word += '-';
    word += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return word;
}

std::string SampleFlags(const Descriptor& type, const FieldNames& more) {
  std::string text;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (!IsRequired(field) && !more.contains(field->name())) continue;
    const std::string value = SampleValue(field, false);
    const bool quote = value.starts_with('{');
    text += " --" + Kebab(field->name()) + " " + (quote ? "'" + value + "'" : value);
  }
  return text;
}

std::string SampleJson(const Descriptor& type, const FieldNames& more) {
  return SampleHttp(type, "", more).body;
}

SampleCall SampleHttp(const Descriptor& type, const std::string& route, const FieldNames& more) {
  SampleCall call{route, "", ""};
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const std::string place = "{" + field->name() + "}";
    if (const size_t at = call.path.find(place); at != call.path.npos) {
      call.path.replace(at, place.size(), SampleValue(field, false));
      continue;
    }
    if (!IsRequired(field) && !more.contains(field->name())) continue;
    const std::string value = SampleValue(field, true);
    call.body += (call.body.empty() ? "\"" : ", \"") + field->name() +
                 "\": " + (field->is_repeated() ? "[" + value + "]" : value);
    call.query +=
        (call.query.empty() ? "?" : "&") + field->name() + "=" + SampleValue(field, false);
  }
  call.body = "{" + call.body + "}";
  return call;
}

}  // namespace holdfast::cli

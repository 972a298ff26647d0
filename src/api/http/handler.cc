#include "src/api/http/handler.h"

#include <google/protobuf/arena.h>

#include "holdfast/options.pb.h"
#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/json.h"
#include "src/api/openapi.h"
#include "src/api/scalar.h"
#include "src/api/text.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/outcome_field.h"

namespace holdfast::api::http {
namespace {

using google::protobuf::Message;
using state_machine::Method;

constexpr std::string_view kConsistencyParameter = "consistency";
constexpr std::string_view kMetricsPath = "/metrics";
constexpr std::string_view kProblemsPrefix = "/problems/";

Response TextResponse(int status, std::string text) {
  return Response{status, "text/plain; charset=utf-8", {}, std::move(text)};
}

struct Target {
  std::string_view path;
  std::string_view query;
};

Target SplitTarget(std::string_view target) {
  // A proxy may send the absolute form.
  if (const size_t scheme = target.find("://");
      scheme != std::string_view::npos && target[0] != '/') {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return {target, {}};
  return {target.substr(0, question), target.substr(question + 1)};
}

// `lower` is in lower case.
bool EqualsIgnoreCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

// Reads the headers that have a meaning here. Twice the same is refused, not guessed at.
Result<CallWords> ReadHeaders(const Request& request) {
  CallWords words;
  const std::pair<std::string_view, std::optional<std::string_view>*> known[] = {
      {kIdempotencyKeyName, &words.idempotency_key},
      {kAfterName, &words.after},
      {kConsistencyName, &words.consistency},
      {kTimeoutMsName, &words.timeout_ms}};
  for (const auto& [name, value] : request.headers) {
    for (const auto& [wanted, place] : known) {
      if (!EqualsIgnoreCase(name, wanted)) continue;
      if (place->has_value()) {
        return Fail(InvalidArgument(std::string(wanted), "appears more than once"));
      }
      *place = value;
    }
  }
  return words;
}

// One name=value of a query, decoded.
struct Parameter {
  std::string name;
  std::string value;
};

Result<std::vector<Parameter>> ParseQuery(std::string_view query) {
  std::vector<Parameter> parameters;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const size_t equals = std::min(part.find('='), part.size());
    Parameter parameter;
    const std::string_view value = equals < part.size() ? part.substr(equals + 1) : "";
    if (!PercentDecode(part.substr(0, equals), true, &parameter.name) ||
        !PercentDecode(value, true, &parameter.value)) {
      return Fail(InvalidArgument(std::string(IsValidUtf8(part) ? part.substr(0, equals) : ""),
                                  "has a % in the query that two hex digits must follow"));
    }
    if (!IsValidUtf8(parameter.name)) {
      return Fail(InvalidArgument("", "a name in the query is not valid UTF-8"));
    }
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

// Joins the fields of the path into what the body says. Both may name a field if they agree.
Result<void> SetPathFields(const RouteMatch& match, Message* message) {
  google::protobuf::Arena arena;
  Message* from_path = match.method->request->New(&arena);
  FieldWriter writer(from_path);
  const auto* reflection = message->GetReflection();
  for (const PathField& path : match.fields) {
    if (Result<void> set = writer.Set(path.field->name(), path.value); !set) return set;
    if (reflection->HasField(*message, path.field) &&
        FieldText(*message, path.field) != FieldText(*from_path, path.field)) {
      return Fail(
          InvalidArgument(path.field->name(), "must be the same in the path and in the body"));
    }
  }
  message->MergeFrom(*from_path);
  return {};
}

Result<void> BuildMessage(const Request& request, const RouteMatch& match,
                          const std::vector<Parameter>& parameters, Message* message) {
  if (request.verb == "POST") {
    if (!parameters.empty()) {
      return Fail(InvalidArgument(parameters.front().name,
                                  "is not taken from the query of a POST; put it into the body"));
    }
    if (!request.body.empty()) {
      if (Result<void> parsed = ParseJson(request.body, message); !parsed) return parsed;
    }
    return SetPathFields(match, message);
  }
  if (!request.body.empty()) {
    return Fail(InvalidArgument("", "a GET takes no body; put the fields into the query"));
  }
  FieldWriter writer(message);
  for (const PathField& path : match.fields) {
    if (Result<void> set = writer.Set(path.field->name(), path.value); !set) return set;
  }
  for (const Parameter& parameter : parameters) {
    Result<void> set = writer.Set(parameter.name, parameter.value);
    if (!set) {
      if (set.error().message == "unknown field") set.error().message = "unknown query parameter";
      if (set.error().hint.empty() && parameter.value.find(' ') != std::string::npos) {
        set.error().hint = "a + in a query stands for a space: write a plus sign as %2B";
      }
      return set;
    }
  }
  return {};
}

// What a call needs, built from a request and good enough to be sent.
struct Call {
  const Method* method = nullptr;
  std::string bytes;
  node::CallOptions options;
};

Result<Call> BuildCall(const Request& request, const RouteMatch& match, std::string_view query) {
  Result<CallWords> words = ReadHeaders(request);
  if (!words) return Fail(words.error());
  Result<std::vector<Parameter>> parameters = ParseQuery(query);
  if (!parameters) return Fail(parameters.error());
  std::optional<std::string> consistency;
  for (auto it = parameters->begin(); it != parameters->end();) {
    if (it->name != kConsistencyParameter) {
      ++it;
      continue;
    }
    const bool differs = words->consistency.has_value() && *words->consistency != it->value;
    if (consistency.has_value() || differs) {
      return Fail(InvalidArgument(it->name, "is given twice, differently"));
    }
    consistency = std::move(it->value);
    it = parameters->erase(it);
  }
  if (consistency) words->consistency = *consistency;

  Call call;
  call.method = match.method;
  Result<node::CallOptions> options =
      ParseCallWords(*match.method, *words, std::chrono::steady_clock::now());
  if (!options) return Fail(options.error());
  call.options = *std::move(options);

  google::protobuf::Arena arena;
  Message* message = match.method->request->New(&arena);
  if (Result<void> built = BuildMessage(request, match, *parameters, message); !built) {
    return Fail(built.error());
  }
  Result<std::string> bytes = EncodeRequest(*match.method, *message);
  if (!bytes) return Fail(bytes.error());
  call.bytes = *std::move(bytes);
  return call;
}

// From the field that says how the request ended, if the reply has one.
int StatusOf(const Method& method, std::string_view reply) {
  const uint32_t status = method.OutcomeOf(reply).http_status();
  return status == 0 ? 200 : static_cast<int>(status);
}

Response RenderReply(const Method& method, node::Consistency consistency,
                     const node::Reply& reply) {
  Response response;
  if (reply.body) {
    google::protobuf::Arena arena;
    Message* message = method.reply->New(&arena);
    if (message->ParseFromString(*reply.body)) {
      response =
          Response{StatusOf(method, *reply.body), "application/json", {}, ToJson(*message) + "\n"};
    } else {
      response =
          ProblemResponse(Error{ErrorCode::kInternal, "the reply could not be read", "", "", 0});
    }
  } else {
    response = ProblemResponse(reply.body.error());
  }
  if (reply.position != LogIndex()) {
    response.headers.emplace_back(kPositionName, reply.position.ToString());
  }
  if (reply.replayed) response.headers.emplace_back(kReplayedName, "true");
  if (method.kind() == READ && consistency == node::Consistency::kStale) {
    response.headers.emplace_back(kAgeMsName, std::to_string(reply.age.count()));
  }
  for (const Route& route : method.options.http()) {
    // Proxies may keep the answer to a GET, and give it to others.
    if (!route.get_writes()) continue;
    response.headers.emplace_back("Cache-Control", "no-store");
    break;
  }
  response.droppable = method.kind() == READ;
  return response;
}

std::string IndexText(const state_machine::Registry& registry) {
  std::string text =
      "Holdfast: a replicated log with building blocks for commerce.\n\n"
      "  GET /openapi.json   every route, its fields and its answers\n"
      "  GET /metrics        what this node does, for Prometheus\n";
  std::map<std::string, std::string> services;  // Name -> help, in order of name.
  for (const auto& method : registry.methods()) {
    services[method->service_name] =
        method->descriptor->service()->options().GetExtension(holdfast::service).help();
  }
  if (!services.empty()) text += "\nServices:\n";
  for (const auto& [name, help] : services) Append(&text, "  ", name, ": ", help, "\n");
  return text;
}

}  // namespace

Response ProblemResponse(const Error& error, int status) {
  Response response{status, "application/problem+json", {}, ToProblemJson(error, status) + "\n"};
  if (const uint32_t ms = RetryAfterMs(error); ms > 0) {
    response.headers.emplace_back("Retry-After", std::to_string((uint64_t{ms} + 999) / 1000));
  }
  return response;
}

Response ProblemResponse(const Error& error) {
  return ProblemResponse(error, InfoOf(error.code).http_status);
}

Handler::Handler(const state_machine::Registry& registry, node::Dispatcher& dispatcher,
                 const std::string& version, std::function<std::string()> metrics)
    : router_(registry),
      dispatcher_(dispatcher),
      metrics_(std::move(metrics)),
      openapi_(OpenApiJson(registry, version) + "\n"),
      index_(IndexText(registry)) {
  for (const auto& method : registry.methods()) {
    HOLDFAST_CHECK(
        method->options.http().empty() || method->request->GetDescriptor()->FindFieldByName(
                                              std::string(kConsistencyParameter)) == nullptr,
        method->full_name + ": the query parameter `consistency` has a meaning already");
  }
}

std::optional<Response> Handler::Refuse(const Request& request, const Error& error) const {
  Result<RouteMatch> match = router_.Match(request.verb, SplitTarget(request.target).path);
  if (!match || match->method->kind() == STATELESS) return std::nullopt;
  dispatcher_.NoteRefused(error.code);
  return ProblemResponse(error);
}

void Handler::Handle(const Request& request, Watch watch, Respond respond) const {
  const auto answer = [&respond](Response response) {
    respond([response = std::move(response)]() mutable { return std::move(response); });
  };
  const Target target = SplitTarget(request.target);
  Request routed = request;
  if (request.verb == "HEAD") routed.verb = "GET";  // The server leaves the body out.

  Result<RouteMatch> match = router_.Match(routed.verb, target.path);
  if (!match) {
    if (match.error().code == ErrorCode::kUnimplemented) {
      answer(Page(routed, target.path));
    } else {
      dispatcher_.NoteRefused(match.error().code);
      answer(ProblemResponse(match.error()));
    }
    return;
  }
  if (request.verb == "HEAD" && match->method->kind() == WRITE) {
    answer(Page(request, target.path));
    return;
  }
  if (std::optional<Error> refusal = dispatcher_.Refusal(*match->method)) {
    answer(ProblemResponse(*refusal));
    return;
  }
  Result<Call> call = BuildCall(routed, *match, target.query);
  if (!call) {
    dispatcher_.NoteRefused(call.error().code);
    answer(ProblemResponse(call.error()));
    return;
  }
  const Method* method = call->method;
  const node::Consistency consistency = call->options.consistency;
  if (method->wait_ms != nullptr &&
      state_machine::PeekNumber(call->bytes, method->wait_ms->number()) != 0) {
    call->options.gone = watch();
  }
  dispatcher_.Call(*method, std::move(call->bytes), std::move(call->options),
                   [method, consistency, respond = std::move(respond)](node::Reply reply) mutable {
                     respond([method, consistency, reply = std::move(reply)] {
                       return RenderReply(*method, consistency, reply);
                     });
                   });
}

// What is no method: the pages of the server itself, and why there is nothing else.
Response Handler::Page(const Request& request, std::string_view path) const {
  std::vector<std::string_view> verbs = router_.Verbs(path);
  Response page;
  if (path == "/") {
    page = TextResponse(200, index_);
  } else if (path == "/openapi.json") {
    page = Response{200, "application/json", {}, openapi_};
  } else if (path == kMetricsPath && metrics_ != nullptr) {
    // Made only when it is asked for: a glance at the path alone must stay cheap.
    page = Response{200, "text/plain; version=0.0.4; charset=utf-8", {}, " "};
    if (request.verb == "GET") page.body = metrics_();
  } else if (path.starts_with(kProblemsPrefix)) {
    for (const ErrorInfo& info : AllErrors()) {
      if (path.substr(kProblemsPrefix.size()) != ToString(info.code)) continue;
      page = TextResponse(200, Cat(ToString(info.code), ": ", info.title, ".\n",
                                   *info.advice == '\0' ? "" : Cat("To do: ", info.advice, ".\n")));
    }
  }
  if (!page.body.empty() && verbs.empty()) verbs = {"GET", "HEAD"};
  const bool exists = !verbs.empty() || path == "*";  // OPTIONS * asks about the server.
  if (!exists) {
    dispatcher_.NoteRefused(ErrorCode::kUnimplemented);
    return ProblemResponse(Error{ErrorCode::kUnimplemented, "no such route", "", "", 0});
  }
  if (request.verb == "GET" && !page.body.empty()) return page;

  if (path == "*") verbs = {"GET", "HEAD", "POST"};
  verbs.push_back("OPTIONS");
  std::string allow;
  for (const std::string_view verb : verbs) Append(&allow, allow.empty() ? "" : ", ", verb);
  Response response;
  if (request.verb == "OPTIONS") {
    response.status = 204;
  } else {
    response = ProblemResponse(
        Error{ErrorCode::kUnimplemented, "this path takes " + allow + " only", "", "", 0},
        InfoOf(ErrorCode::kUnimplemented).special_http_status);
  }
  response.headers.emplace_back("Allow", allow);
  return response;
}

}  // namespace holdfast::api::http

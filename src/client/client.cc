#include "src/client/client.h"

#include <absl/synchronization/notification.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <random>

#include "holdfast/options.pb.h"
#include "src/api/call.h"
#include "src/base/check.h"
#include "src/client/status.h"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// "/holdfast.ledger.Ledger/GetAccount" is the descriptor "holdfast.ledger.Ledger.GetAccount".
bool IsWrite(const std::string& method) {
  std::string name = method.empty() ? method : method.substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  const auto* found = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
  return found == nullptr || found->options().GetExtension(holdfast::method).kind() == WRITE;
}

const char* ToWord(Consistency consistency) {
  switch (consistency) {
    case Consistency::kSession: return "session";
    case Consistency::kLinearizable: return "linearizable";
    case Consistency::kStale: return "stale";
  }
  return "session";
}

std::string RandomPrefix() {
  std::random_device random;
  std::string prefix = "client-";
  for (int i = 0; i < 4; ++i) fmt::format_to(std::back_inserter(prefix), "{:08x}", random());
  return prefix;
}

bool IsValidKey(const std::string& key) {
  return key.size() <= bounds::kIdempotencyKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

milliseconds Left(steady_clock::time_point until) {
  return std::chrono::duration_cast<milliseconds>(until - steady_clock::now());
}

// Grows from round to round. The jitter keeps many clients of a dead node from coming back as one.
class Pause {
 public:
  explicit Pause(const Options& options) : next_(options.pause_min), max_(options.pause_max) {}

  milliseconds Next() {
    const milliseconds base = next_;
    next_ = std::min(next_ * 2, max_);
    std::uniform_int_distribution<int64_t> jitter(base.count() / 2, base.count());
    return milliseconds(jitter(random_));
  }

 private:
  milliseconds next_;
  const milliseconds max_;
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace

Result<std::vector<std::string>> ParseEndpoints(std::string_view text) {
  std::vector<std::string> endpoints;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    const size_t colon = one.rfind(':');
    const std::string_view port = colon == one.npos ? "" : one.substr(colon + 1);
    const bool number =
        !port.empty() && port.size() <= 5 && port[0] != '0' &&
        std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (colon == 0 || !number || std::stoi(std::string(port)) > 65'535) {
      return Fail(InvalidArgument(
          "endpoints", "'" + std::string(one.substr(0, 64)) + "' is not of the form host:port"));
    }
    endpoints.emplace_back(one);
    if (endpoints.size() > kEndpointsMax) {
      return Fail(InvalidArgument("endpoints",
                                  "are more than " + std::to_string(kEndpointsMax) + " addresses"));
    }
    if (comma == text.npos) return endpoints;
    text.remove_prefix(comma + 1);
  }
}

struct Client::Prepared {
  const std::string& method;
  grpc::ByteBuffer request;
  std::vector<std::pair<std::string, std::string>> metadata;
  bool repeatable = false;  // Doing it twice is doing it once.
  bool write = false;
  steady_clock::time_point deadline;
};

struct Client::Attempt {
  enum class End {
    kReply,
    kRefused,    // A definitive answer; no other node would say otherwise.
    kNotDone,    // Certainly nothing was done; may be tried again.
    kMaybeDone,  // Nobody knows.
  };
  End end = End::kRefused;
  Reply reply;
  Error error;
  LogIndex position;
};

// One node's connection, made when first needed and kept.
class Client::Endpoint {
 public:
  explicit Endpoint(std::string address) : address_(std::move(address)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(static_cast<int>(bounds::kReplyBytesMax));
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // The time to connect in.
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // Clients share no connection ...
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);             // ... and nobody else retries.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    channel_ = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
    stub_ = std::make_unique<grpc::GenericStub>(channel_);
  }

  const std::string& address() const { return address_; }
  grpc::GenericStub& stub() { return *stub_; }

  // Whether the node is connected. As long as it is not, certainly no request has gone out.
  bool Connect(steady_clock::time_point until) {
    const auto wall = system_clock::now() + (until - steady_clock::now());
    while (true) {
      const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
      if (state == GRPC_CHANNEL_READY) return true;
      // gRPC tries again by itself after its back-off; meanwhile there are other nodes.
      if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
      if (!channel_->WaitForStateChange(state, wall)) return false;
    }
  }

 private:
  const std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

Client::Client(std::vector<std::string> endpoints, Options options)
    : options_(options), key_prefix_(RandomPrefix()) {
  HOLDFAST_CHECK(!endpoints.empty(), "a client without endpoints");
  for (std::string& address : endpoints) {
    endpoints_.push_back(std::make_unique<Endpoint>(std::move(address)));
  }
}

Client::~Client() = default;

std::string Client::MakeKey() {
  return key_prefix_ + "-" + std::to_string(keys_made_.fetch_add(1, std::memory_order_relaxed));
}

void Client::NotePosition(LogIndex position) {
  uint64_t seen = position_.load(std::memory_order_relaxed);
  while (seen < position.value &&
         !position_.compare_exchange_weak(seen, position.value, std::memory_order_relaxed)) {
  }
}

Result<Reply> Client::Call(const std::string& method, const std::string& request,
                           const CallOptions& options) {
  if (!IsValidKey(options.idempotency_key)) {
    return Fail(InvalidArgument("idempotency-key",
                                "must be 1 to " + std::to_string(bounds::kIdempotencyKeyBytesMax) +
                                    " printable ASCII characters"));
  }
  const milliseconds timeout = options.timeout.count() > 0 ? options.timeout : options_.timeout;
  const grpc::Slice slice(request);
  Prepared call{method,          grpc::ByteBuffer(&slice, 1),  {}, false,
                IsWrite(method), steady_clock::now() + timeout};
  std::string key;
  if (call.write) {
    key = options.idempotency_key;
    if (key.empty() && options_.auto_key) key = MakeKey();
    call.repeatable = !key.empty();
    if (!key.empty()) call.metadata.emplace_back(api::kIdempotencyKeyName, key);
  } else {
    call.repeatable = true;
    call.metadata.emplace_back(api::kConsistencyName, ToWord(options.consistency));
    const LogIndex after = std::max(options.after, position());
    if (after != LogIndex() && options.consistency == Consistency::kSession) {
      call.metadata.emplace_back(api::kAfterName, after.ToString());
    }
  }

  bool maybe_done = false;
  Pause pause(options_);
  const size_t first = preferred_.load(std::memory_order_relaxed);
  for (size_t tried = 1;; ++tried) {
    const size_t index = (first + tried - 1) % endpoints_.size();
    Attempt attempt = TryOnce(*endpoints_[index], call);
    NotePosition(attempt.position);
    if (attempt.end == Attempt::End::kReply) {
      preferred_.store(index, std::memory_order_relaxed);
      return std::move(attempt.reply);
    }
    if (attempt.end == Attempt::End::kRefused) return Fail(std::move(attempt.error));
    maybe_done |= call.write && attempt.end == Attempt::End::kMaybeDone;

    const bool round_over = tried % endpoints_.size() == 0;
    milliseconds wait = round_over ? pause.Next() : milliseconds(0);
    // A full queue asks for patience; a missing leader is looked for elsewhere in the meantime.
    if (attempt.error.code == ErrorCode::kResourceExhausted) {
      wait = std::max(wait, milliseconds(attempt.error.retry_after_ms));
    }
    const bool may_repeat = call.repeatable || attempt.end == Attempt::End::kNotDone;
    if (may_repeat && wait < Left(call.deadline)) {
      std::this_thread::sleep_for(wait);
      continue;
    }
    if (!maybe_done) return Fail(std::move(attempt.error));
    return Fail(Error{
        ErrorCode::kOutcomeUnknown,
        "it is not known whether the request was carried out: " + attempt.error.message, "",
        key.empty() ? "without an idempotency key only the state tells: read it first"
                    : "send it again with the idempotency key " + key + ": it is done once only",
        0});
  }
}

Client::Attempt Client::TryOnce(Endpoint& endpoint, const Prepared& call) const {
  using End = Attempt::End;
  Attempt attempt;
  const auto now = steady_clock::now();
  if (!endpoint.Connect(std::min(call.deadline, now + options_.connect_timeout))) {
    attempt.end = End::kNotDone;
    attempt.error = Error{ErrorCode::kUnavailable, "cannot connect to " + endpoint.address(), "",
                          "is the cluster running, and is this the address of a node?", 0};
    return attempt;
  }

  grpc::ClientContext context;
  for (const auto& [name, value] : call.metadata) context.AddMetadata(name, value);
  milliseconds left = Left(call.deadline);
  // Only what can be repeated is cut short; with a single node there is nowhere else to go.
  if (call.repeatable && endpoints_.size() > 1) left = std::min(left, options_.attempt_timeout);
  context.set_deadline(system_clock::now() + left);
  grpc::ByteBuffer answer;
  grpc::Status status;
  absl::Notification done;
  endpoint.stub().UnaryCall(&context, call.method, grpc::StubOptions(), &call.request, &answer,
                            [&](grpc::Status ended) {
                              status = std::move(ended);
                              done.Notify();
                            });
  done.WaitForNotification();

  const Metadata& trailing = context.GetServerTrailingMetadata();
  attempt.position = LogIndex(FindNumber(trailing, api::kPositionName));
  if (status.ok()) {
    std::vector<grpc::Slice> slices;
    if (!answer.Dump(&slices).ok()) {
      attempt.end = End::kMaybeDone;
      attempt.error = Error{ErrorCode::kInternal, "the reply could not be unpacked", "", "", 0};
      return attempt;
    }
    attempt.end = End::kReply;
    for (const grpc::Slice& slice : slices) {
      attempt.reply.body.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    attempt.reply.position = attempt.position;
    attempt.reply.replayed = FindMetadata(trailing, api::kReplayedName) == "true";
    attempt.reply.age = milliseconds(static_cast<int64_t>(FindNumber(trailing, api::kAgeMsName)));
    return attempt;
  }

  Failure failure = ToFailure(status, trailing);
  attempt.error = std::move(failure.error);
  switch (attempt.error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      // Only the node can know that nothing was done.
      attempt.end = failure.from_node ? End::kNotDone : End::kMaybeDone;
      break;
    case ErrorCode::kResourceExhausted: attempt.end = End::kNotDone; break;
    case ErrorCode::kOutcomeUnknown: attempt.end = End::kMaybeDone; break;
    case ErrorCode::kInternal:
      attempt.end = failure.from_node ? End::kRefused : End::kMaybeDone;
      break;
    default: attempt.end = End::kRefused;
  }
  return attempt;
}

}  // namespace holdfast::client

#include "services/chat/cli/talk.h"

#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <deque>
#include <limits>
#include <optional>
#include <ostream>
#include <random>
#include <utility>
#include <vector>

#include "services/chat/cli/conversation.h"
#include "services/chat/cli/view.h"
#include "services/chat/validate.h"
#include "src/api/scalar.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/cli/exit_codes.h"
#include "src/cli/terminal_text.h"

namespace holdfast::chat {
namespace {

using client::CallOptions;
using client::TypedReply;
using std::chrono::milliseconds;

constexpr uint32_t kWaitMs = 2'000;  // Within the client's attempt, so that it stays with one node.
constexpr int64_t kPauseMs = 500;  // Before what has failed is tried again, and between two marks.
constexpr uint64_t kSinceDefault = 100;  // Messages of before.
constexpr int64_t kDurationMsMax = 86'400'000;
constexpr std::string_view kQuit = "/quit";

int64_t NowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<milliseconds>(now).count();
}

std::string TooLong() {
  return fmt::format("a message has at most {} bytes", bounds::kChatTextBytesMax);
}

// "500ms", "10s" or "10", of up to a day.
Result<int64_t> ParseDuration(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  const std::string_view unit(read.ptr, static_cast<size_t>(end - read.ptr));
  const int64_t factor = unit == "ms" ? 1 : unit == "s" || unit.empty() ? 1'000 : 0;
  if (read.ec != std::errc() || factor == 0 || number < 1 || number > kDurationMsMax / factor) {
    return Fail(InvalidArgument("duration", "must be a time such as 500ms or 10s, at most a day"));
  }
  return number * factor;
}

// What calls have brought, for the one thread that may look at it. They share it, as one may still
// be putting something in when nobody looks any more.
class Inbox {
 public:
  Inbox() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    HOLDFAST_CHECK(event_ >= 0, "no event descriptor");
  }
  ~Inbox() { close(event_); }
  Inbox(const Inbox&) = delete;

  int event() const { return event_; }  // Readable when there is something.
  void Push(absl::AnyInvocable<void()> what) {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(std::move(what));
    const uint64_t one = 1;
    HOLDFAST_CHECK(write(event_, &one, sizeof(one)) == sizeof(one), "an event is lost");
  }
  void Run() {
    std::vector<absl::AnyInvocable<void()>> all;
    {
      absl::MutexLock lock(&mutex_);
      uint64_t count;
      if (read(event_, &count, sizeof(count)) != sizeof(count)) return;
      all.swap(waiting_);
    }
    for (auto& one : all) one();
  }

 private:
  const int event_;
  absl::Mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
};

class Talker {
 public:
  Talker(const TalkFlags& flags, cli::Context& context, client::Client& client, CallOptions options,
         View& view, uint64_t after, client::CausalBounds bounds, std::optional<int64_t> end_ms)
      : flags_(flags),
        context_(context),
        client_(client),
        options_(std::move(options)),
        view_(view),
        conversation_(after, bounds),
        end_ms_(end_ms),
        shown_from_(after),
        after_(after),
        marked_(after) {
    std::random_device chance;
    prefix_ = fmt::format("{:08x}{:08x}-", chance(), chance());
    options_.idempotency_key.clear();
    options_.repeatable = true;  // Ids make every one of these writes the same when it is repeated.
  }
  ~Talker() {
    for (auto* call : {&receiving_, &posting_, &marking_}) {
      if (*call) (*call)->Cancel();
    }
  }

  // What was typed and not posted by the end of Run, in words; empty: nothing.
  const std::string& left() const { return left_; }
  int Run() {
    for (;;) {
      const int64_t now_ms = NowMs();
      for (const Line& line : conversation_.Pass(now_ms)) view_.Show(line);
      view_.Flush();
      if (end_ms_ && now_ms >= *end_ms_) return Leave(code_);
      Ask(now_ms);
      if (quit_) return Leave(cli::kExitOk);
      if (Finished()) return code_;
      const bool wants_more = lines_.size() < bounds::kChatScreenLinesMax;
      const View::Input input = view_.Wait(inbox_->event(), wants_more, TimeoutMs(now_ms));
      inbox_->Run();
      lines_.insert(lines_.end(), input.lines.begin(), input.lines.end());
      if (input.quit) return Leave(cli::kExitOk);
      if (input.ended) finishing_ = flags_.duration.empty();
      if (failed_) {
        Leave(code_);
        return context_.Tell(*failed_);
      }
    }
  }

 private:
  // Ends with this code, unless something that was typed is not posted.
  int Leave(int code) {
    const auto is_text = [](const std::string& line) { return !line.empty(); };
    const auto left =
        posts_.size() + static_cast<size_t>(std::count_if(lines_.begin(), lines_.end(), is_text));
    if (left == 0) return code;
    left_ = fmt::format("{} {} typed and not posted, as far as is known", left,
                        left == 1 ? "line was" : "lines were");
    return cli::kExitRefused;
  }

  // What is to be asked for and is not under way.
  void Ask(int64_t now_ms) {
    if (flags_.once) finishing_ = true;
    if (finishing_ && receiving_ && waits_) receiving_->Cancel();
    // One after the other, so that each follows those before it, and may name them.
    while (posts_.empty() && !lines_.empty() && !MustWait(lines_.front())) {
      Take(std::exchange(lines_.front(), ""));
      lines_.pop_front();
    }
    // What is typed has its turn; /quit does not wait for what may take long, or for ever. Lines
    // that a program has written before it are posted once a node answers again.
    const bool is_stuck = (is_typed_ && !said_.empty()) || (posts_.empty() && !lines_.empty());
    const auto quit = std::find(lines_.begin(), lines_.end(), kQuit);
    if (is_stuck && quit != lines_.end()) {
      lines_.erase(quit);
      quit_ = true;
    }
    if (now_ms < retry_ms_) return;
    if (!receiving_ && !(finishing_ && CaughtUp()) && conversation_.TakesPage()) Receive();
    if (!posting_ && !posts_.empty()) Post();
    const uint64_t shown_to = conversation_.shown_to();
    if (!marking_ && shown_to > marked_ && (finishing_ || now_ms >= mark_ms_)) Mark(shown_to);
  }

  bool CaughtUp() const { return caught_up_ == posted_; }
  bool Finished() const {
    return finishing_ && CaughtUp() && lines_.empty() && posts_.empty() && !receiving_ &&
           !posting_ && !marking_ && !conversation_.next_due_ms() &&
           conversation_.shown_to() <= marked_;
  }

  int TimeoutMs(int64_t now_ms) const {
    int64_t until_ms = std::numeric_limits<int64_t>::max();
    const auto at = [&](int64_t ms) { until_ms = std::min(until_ms, ms); };
    if (end_ms_) at(*end_ms_);
    if (const auto due_ms = conversation_.next_due_ms()) at(*due_ms);
    if (retry_ms_ > now_ms) at(retry_ms_);
    if (!marking_ && conversation_.shown_to() > marked_) at(mark_ms_);
    if (until_ms == std::numeric_limits<int64_t>::max()) return -1;
    return static_cast<int>(std::clamp<int64_t>(until_ms - now_ms, 0, 60'000));
  }

  template <class Reply, class Request>
  client::Pending Call(const char* method, const Request& request, const CallOptions& options,
                       void (Talker::*done)(Result<TypedReply<Reply>>)) {
    return client_.CallAsync<Reply>(std::string("/holdfast.chat.Chat/") + method, request, options,
                                    [this, inbox = inbox_, done](Result<TypedReply<Reply>> reply) {
                                      inbox->Push([this, done, reply = std::move(reply)]() mutable {
                                        (this->*done)(std::move(reply));
                                      });
                                    });
  }

  // Tells what went wrong, unless it was told just now; it is tried again.
  void Failed(const Error& error) {
    retry_ms_ = NowMs() + kPauseMs;
    std::string what = cli::OneLine(error);
    if (what == said_) return;
    view_.Say(cli::Harmless(what) + "; trying again");
    said_ = std::move(what);
  }
  static bool IsForGood(const Error& error) {
    return error.code == ErrorCode::kNotFound || error.code == ErrorCode::kInvalidArgument;
  }

  void Receive() {
    ReceiveRequest request;
    request.set_room(flags_.room);
    request.set_after(after_);
    request.set_limit(bounds::kPageRowsMax);
    request.set_delay_ms_max(flags_.delay_ms_max);
    request.set_shuffle(flags_.shuffle);
    request.set_duplicate_percent(flags_.duplicate_percent);
    request.set_lose_percent(flags_.lose_percent);
    request.set_seed(flags_.seed);
    waits_ = !finishing_;
    if (waits_) request.set_wait_ms(kWaitMs);
    asked_ = posted_;
    CallOptions options = options_;
    options.timeout = std::max(options.timeout, milliseconds(2 * kWaitMs));
    receiving_.emplace(Call<ReceiveReply>("Receive", request, options, &Talker::OnReceived));
  }
  void OnReceived(Result<TypedReply<ReceiveReply>> reply) {
    receiving_.reset();
    if (!reply) {
      if (IsForGood(reply.error())) {
        failed_ = reply.error();
      } else if (!(waits_ && finishing_)) {  // It was not ended from here.
        Failed(reply.error());
      }
      return;
    }
    if (!said_.empty()) view_.Say("the nodes answer again");
    said_.clear();
    const bool more = reply->message.next_after() != after_;
    after_ = reply->message.next_after();
    conversation_.Receive(reply->message, NowMs());
    if (!more) caught_up_ = asked_;
  }

  void Post() {
    PostRequest& request = posts_.front();
    if (request.id().empty()) {  // Not tried yet.
      request.set_id(prefix_ + std::to_string(++last_id_));
      for (const std::string& id : conversation_.Heads()) request.add_follows(id);
    }
    posting_.emplace(Call<PostReply>("Post", request, options_, &Talker::OnPosted));
  }
  void OnPosted(Result<TypedReply<PostReply>> reply) {
    posting_.reset();
    if (!reply && !IsForGood(reply.error())) return Failed(reply.error());
    ++posted_;
    if (!reply) {
      NotPosted(cli::Harmless(cli::OneLine(reply.error())));
    } else if (const cli::Outcome outcome = cli::OutcomeOf(reply->message); outcome.refused()) {
      NotPosted(outcome.name + " (" + outcome.help + ")");
    } else {
      const auto& follows = posts_.front().follows();
      conversation_.Posted(posts_.front().id(), reply->message.number(),
                           {follows.begin(), follows.end()});
      last_number_ = std::max(last_number_, reply->message.number());
    }
    posts_.pop_front();
  }

  void Mark(uint64_t up_to) {
    MarkReadRequest request;
    request.set_room(flags_.room);
    request.set_member(flags_.as);
    request.set_up_to(up_to);
    asked_to_mark_ = up_to;
    mark_ms_ = NowMs() + kPauseMs;
    marking_.emplace(Call<MarkReadReply>("MarkRead", request, options_, &Talker::OnMarked));
  }
  void OnMarked(Result<TypedReply<MarkReadReply>> reply) {
    marking_.reset();
    if (!reply && !IsForGood(reply.error())) return Failed(reply.error());
    marked_ = asked_to_mark_;  // Or there is nobody any more to whom it would matter.
  }

  void NotPosted(const std::string& why) {
    view_.Say("not posted: " + why);
    code_ = cli::kExitRefused;
  }

  // A line that was typed.
  void Take(const std::string& line) {
    if (line.empty()) return;
    if (line.size() >= kLineBytesMax) return NotPosted(TooLong());  // It may be cut, in a letter.
    if (!api::IsValidUtf8(line)) return NotPosted("it is no UTF-8");
    PostRequest request;
    request.set_room(flags_.room);
    request.set_author(flags_.as);
    request.set_text(line);
    if (line.starts_with("//")) {
      request.set_text(line.substr(1));
    } else if (line.front() == '/' && !Command(line, &request)) {
      return;
    }
    if (request.text().size() > bounds::kChatTextBytesMax) {
      return NotPosted(TooLong());
    }
    posts_.push_back(std::move(request));
  }
  // The number in "/edit 3 text", with its end; 0: there is none.
  static std::pair<uint64_t, size_t> NumberIn(const std::string& line) {
    const size_t word_end = std::min(line.find(' '), line.size());
    const size_t at = std::min(line.find_first_not_of(" #", word_end), line.size());
    uint64_t number = 0;
    const auto read = std::from_chars(line.data() + at, line.data() + line.size(), number);
    if (read.ec != std::errc()) return {0, line.size()};
    return {number, static_cast<size_t>(read.ptr - line.data())};
  }
  // Whether what is typed may speak of what was there when something was posted from here, and is
  // not shown yet. That ends: what never comes is given up.
  bool MustWait(const std::string& line) const {
    if (!line.starts_with('/') || conversation_.shown_to() >= last_number_) return false;
    const uint64_t number = NumberIn(line).first;
    return number > conversation_.shown_to() && number <= last_number_ &&
           !conversation_.IdOf(number);
  }
  // "/edit 3 text", "/delete 3", "/quit". False: there is nothing to post.
  bool Command(const std::string& line, PostRequest* request) {
    const std::string word = line.substr(0, line.find(' '));
    quit_ = quit_ || word == kQuit;
    if (word != "/edit" && word != "/delete") {
      if (!quit_) NotPosted("there are /edit NUMBER TEXT, /delete NUMBER and /quit; // is a /");
      return false;
    }
    const auto [number, text_at] = NumberIn(line);
    const auto id = conversation_.IdOf(number);
    if (!id && number != 0 && number > shown_from_ && number <= conversation_.shown_to()) {
      NotPosted(fmt::format("{}: #{} never came, or was long ago", word, number));
      return false;
    }
    if (!id) {
      NotPosted("which message? Its number must be one that is shown here");
      return false;
    }
    request->set_target(*id);
    if (word == "/delete") {
      request->set_kind(MessageKind::delete_);
      request->clear_text();
      return true;
    }
    request->set_kind(MessageKind::edit);
    request->set_text(text_at < line.size() ? line.substr(text_at + 1) : "");
    if (request->text().empty()) NotPosted("the new text is missing");
    return !request->text().empty();
  }

  const TalkFlags& flags_;
  cli::Context& context_;
  client::Client& client_;
  CallOptions options_;
  View& view_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  Conversation conversation_;
  const std::optional<int64_t> end_ms_;
  std::string prefix_;  // Of ids; nobody else has it.
  uint64_t last_id_ = 0;

  std::optional<client::Pending> receiving_, posting_, marking_;
  std::deque<std::string> lines_;  // As they were typed, whose turn is to come.
  std::deque<PostRequest> posts_;  // The first may be under way.
  uint64_t last_number_ = 0;       // Of what was posted from here.
  const bool is_typed_ = isatty(STDIN_FILENO) == 1;
  const uint64_t shown_from_;  // What comes behind this is shown.
  uint64_t after_;
  uint64_t marked_;
  uint64_t asked_to_mark_ = 0;
  uint64_t posted_ = 0;                // Posts that were answered; ...
  uint64_t asked_ = 0;                 // ... when the last Receive began; ...
  uint64_t caught_up_ = ~uint64_t{0};  // ... and one that has brought nothing.
  bool waits_ = false;                 // What is under way.
  bool finishing_ = false;             // It ends when all is shown.
  bool quit_ = false;
  int code_ = cli::kExitOk;  // Unless somebody quits.
  int64_t retry_ms_ = 0;
  int64_t mark_ms_ = 0;
  std::string said_;
  std::optional<Error> failed_;
  std::string left_;
};

int Refused(cli::Context& context, const cli::Outcome& outcome) {
  context.err() << "holdfast: refused: " << outcome.name << " (" << outcome.help << ")\n";
  return cli::kExitRefused;
}

// Makes the room if there is none, and joins it; what to end with otherwise.
std::optional<int> Enter(const TalkFlags& flags, client::Client& client, const CallOptions& options,
                         cli::Context& context) {
  JoinRequest join;
  join.set_room(flags.room);
  join.set_member(flags.as);
  if (auto valid = Validate(join); !valid) return context.Tell(valid.error());
  for (const bool made : {false, true}) {
    const auto joined = client.Call<MemberReply>("/holdfast.chat.Chat/Join", join, options);
    if (!joined) return context.Tell(joined.error());
    const cli::Outcome outcome = cli::OutcomeOf(joined->message);
    if (!outcome.refused()) return std::nullopt;
    if (made || joined->message.outcome() != MemberOutcome::room_not_found) {
      return Refused(context, outcome);
    }
    CreateRoomRequest create;
    create.set_room(flags.room);
    const auto created = client.Call<RoomReply>("/holdfast.chat.Chat/CreateRoom", create, options);
    if (!created) return context.Tell(created.error());
    // Somebody may have made it meanwhile, with a topic.
    if (created->message.outcome() == RoomOutcome::room_deleted ||
        created->message.outcome() == RoomOutcome::too_many_rooms) {
      return Refused(context, cli::OutcomeOf(created->message));
    }
  }
  return std::nullopt;
}

}  // namespace

int Talk(const TalkFlags& flags, cli::Context& context) {
  std::optional<int64_t> end_ms;
  if (!flags.duration.empty()) {
    const auto duration = ParseDuration(flags.duration);
    if (!duration) return context.Tell(duration.error());
    end_ms = NowMs() + *duration;
  }
  client::CausalBounds bounds;
  bounds.held_max = bounds::kChatInFlightMax;
  bounds.patience_ms += flags.delay_ms_max;
  if (!flags.patience.empty()) {
    const auto patience = cli::ParseTimeout(flags.patience);
    if (!patience) return context.Tell(InvalidArgument("patience", patience.error().message));
    bounds.patience_ms = patience->count();
  }
  const auto options = context.CallOptions();
  if (!options) return context.Tell(options.error());
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());
  CallOptions write = *options;
  write.idempotency_key.clear();
  write.repeatable = true;
  if (const auto code = Enter(flags, **client, write, context)) return *code;

  GetRoomRequest get;
  get.set_room(flags.room);
  const auto room = (*client)->Call<Room>("/holdfast.chat.Chat/GetRoom", get, *options);
  if (!room) return context.Tell(room.error());
  const uint64_t last = room->message.last();
  const uint64_t after = flags.since >= 0       ? static_cast<uint64_t>(flags.since)
                         : last > kSinceDefault ? last - kSinceDefault
                                                : 0;
  if (after > last) {
    return context.Tell(InvalidArgument(
        "since", "is past the last message of the room, which is " + std::to_string(last)));
  }
  std::unique_ptr<View> view;
  const bool is_terminal = context.out_is_terminal() && isatty(STDIN_FILENO) == 1;
  if (flags.plain || flags.once || !is_terminal) {
    view = MakePlainView(context);
  } else {
    auto terminal = MakeTerminalView(cli::Harmless(flags.room + " as " + flags.as));
    if (!terminal) return context.Tell(terminal.error());
    view = *std::move(terminal);
  }
  std::string left;
  int code = cli::kExitOk;
  {
    Talker talker(flags, context, **client, *options, *view, after, bounds, end_ms);
    code = talker.Run();
    left = talker.left();
  }
  view.reset();  // The terminal is given back: what is said now stays.
  if (!left.empty()) context.err() << "holdfast: " << left << "\n";
  return code;
}

}  // namespace holdfast::chat

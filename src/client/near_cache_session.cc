// The session that a near cache hangs on: opened and kept alive, its recalls followed, its end; and
// what goes by time. One thread decides what is due; nothing here blocks.
#include <algorithm>
#include <utility>

#include "services/sessions/sessions.pb.h"
#include "src/base/bounds.h"
#include "src/client/near_cache_core.h"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

constexpr char kOpen[] = "/holdfast.sessions.Sessions/Open";
constexpr char kKeepAlive[] = "/holdfast.sessions.Sessions/KeepAlive";
constexpr char kClose[] = "/holdfast.sessions.Sessions/Close";
constexpr char kRecalls[] = "/holdfast.cache.Cache/Recalls";

constexpr milliseconds kRecallsWait{2'000};
constexpr milliseconds kPause{100};  // Before what failed is tried again.

NearCacheOptions Bounded(NearCacheOptions options) {
  options.session_ttl = std::clamp(options.session_ttl, milliseconds(bounds::kSessionTtlMsMin),
                                   milliseconds(86'400'000));
  options.lines_max = std::clamp<size_t>(options.lines_max, 1, bounds::kCacheSessionLinesMax);
  return options;
}

// A tenth is left for clocks that run at different speeds.
milliseconds LeaseOf(milliseconds ttl) { return ttl - ttl / 10; }

}  // namespace

NearCacheCore::NearCacheCore(Client& client, NearCacheOptions options)
    : client_(client), options_(Bounded(std::move(options))) {
  thread_ = std::thread([this] { Run(); });
}

NearCacheCore::~NearCacheCore() { (void)Close(); }

void NearCacheCore::Run() {
  Turn turn(*this);
  while (!closed_) {
    const TimePoint now = Clock::now();
    if (session_ != 0 && now >= lease_until_) LoseLease(turn, session_);
    if (session_ == 0 && !opening_ && !closing_ && now >= open_at_) OpenSession(turn);
    if (session_ != 0 && now >= keep_alive_at_) KeepAlive(turn);
    if (session_ != 0 && following_ != session_ && now >= follow_at_) Follow(turn);
    FlushDue(turn, now);
    if (!again_.empty() && now >= again_at_) {
      for (Job& job : std::exchange(again_, {})) {
        // What belonged to a session that is gone has its answer.
        if (job.session == session_) {
          turn.Send(std::move(job));
        } else if (job.done) {
          job.done(*this, turn, Fail(Error{}));
        }
      }
    }
    turn.LetGo();
    turn.TakeAgain();
    if (closed_) return;
    TimePoint next = Clock::now() + milliseconds(1'000);
    if (session_ != 0) next = std::min({next, lease_until_, keep_alive_at_});
    if (session_ != 0 && following_ != session_) next = std::min(next, follow_at_);
    if (session_ == 0 && !opening_) next = std::min(next, open_at_);
    if (!again_.empty()) next = std::min(next, again_at_);
    if (!dirty_.empty()) next = std::min(next, dirty_.front().first);
    wake_.wait_until(turn.lock(), next);
  }
}

void NearCacheCore::OpenSession(Turn& turn) {
  opening_ = true;
  sessions::OpenRequest request;
  request.set_ttl_ms(static_cast<uint32_t>(options_.session_ttl.count()));
  request.set_name(options_.name);
  Job job;
  job.method = kOpen;
  job.request = request.SerializeAsString();
  job.repeatable = false;  // Under a key: two would be two sessions.
  job.once = true;
  job.done = [asked = Clock::now()](NearCacheCore& core, Turn&, const Result<Reply>& reply) {
    core.opening_ = false;
    sessions::SessionReply opened;
    if (!reply || !opened.ParseFromString(reply->body) ||
        opened.outcome() != sessions::SessionOutcome::opened) {
      core.open_at_ = Clock::now() + kPause;
    } else {
      core.session_ = opened.id();
      core.cursor_ = 0;
      core.lease_until_ = asked + LeaseOf(core.options_.session_ttl);
      core.keep_alive_at_ = asked + core.options_.session_ttl / 3;
      core.follow_at_ = Clock::now();
      core.changed_.notify_all();
    }
    core.wake_.notify_all();
  };
  turn.Send(std::move(job));
}

void NearCacheCore::KeepAlive(Turn& turn) {
  keep_alive_at_ = Clock::now() + options_.session_ttl / 3;
  sessions::KeepAliveRequest request;
  request.set_id(session_);
  Job job;
  job.method = kKeepAlive;
  job.request = request.SerializeAsString();
  job.once = true;
  job.timeout = options_.session_ttl / 3;
  job.done = [asked = Clock::now(), session = session_](NearCacheCore& core, Turn& its,
                                                        const Result<Reply>& reply) {
    if (session != core.session_) return;
    sessions::SessionReply kept;
    if (!reply || !kept.ParseFromString(reply->body)) {
      core.keep_alive_at_ = Clock::now() + kPause;
    } else if (kept.outcome() == sessions::SessionOutcome::kept) {
      // Counted from before it was sent: it was applied later than that.
      core.lease_until_ = std::max(core.lease_until_, asked + LeaseOf(core.options_.session_ttl));
    } else {
      core.LoseLease(its, session);
    }
    core.wake_.notify_all();
  };
  turn.Send(std::move(job));
}

void NearCacheCore::LoseLease(Turn& turn, uint64_t session) {
  if (session != session_) return;
  session_ = 0;
  open_at_ = Clock::now();
  std::vector<Line*> lines;
  for (const auto& [key, line] : lines_) lines.push_back(line.get());
  for (Line* line : lines) {
    React(turn, *line, LineEvent::kLeaseEnd);
    Settle(turn, *line);
  }
  changed_.notify_all();
  wake_.notify_all();
}

void NearCacheCore::Follow(Turn& turn) {
  following_ = session_;
  cache::RecallsRequest request;
  request.set_session(session_);
  request.set_after(cursor_);
  request.set_wait_ms(static_cast<uint32_t>(std::min(kRecallsWait, options_.timeout / 2).count()));
  Job job;
  job.method = kRecalls;
  job.request = request.SerializeAsString();
  job.once = true;
  job.done = [session = session_](NearCacheCore& core, Turn& its, const Result<Reply>& reply) {
    if (core.following_ == session) core.following_ = 0;
    core.Recalled(its, session, reply);
    core.wake_.notify_all();
  };
  turn.Send(std::move(job));
}

void NearCacheCore::Recalled(Turn& turn, uint64_t session, const Result<Reply>& reply) {
  if (session != session_) return;
  cache::RecallsReply answer;
  if (!reply || !answer.ParseFromString(reply->body)) {
    follow_at_ = Clock::now() + kPause;
    return;
  }
  if (!answer.session_found()) {
    LoseLease(turn, session);
    return;
  }
  cursor_ = answer.cursor();
  follow_at_ = Clock::now();
  stats_.recalls += static_cast<uint64_t>(answer.recalls_size());
  for (const cache::Recall& recall : answer.recalls()) {
    const auto found = lines_.find(recall.key());
    const bool ours = found != lines_.end() && found->second->session == session &&
                      found->second->number == recall.line();
    if (ours) {
      React(turn, *found->second,
            recall.keep() == cache::shared ? LineEvent::kRecallToShared : LineEvent::kRecall);
      Settle(turn, *found->second);
    } else {
      // Of a line that is not held any more, or never was known to be.
      turn.Release(session, recall.key(), recall.line());
    }
  }
}

void NearCacheCore::FlushDue(Turn& turn, TimePoint now) {
  // Of lines that come and go quickly it may name some twice; they are not let become many.
  while (!dirty_.empty() &&
         (dirty_.front().first <= now || dirty_.size() > 2 * options_.lines_max)) {
    const std::string key = std::move(dirty_.front().second);
    dirty_.pop_front();
    const auto found = lines_.find(key);
    if (found == lines_.end() || found->second->writing_back) continue;  // Its answer looks again.
    React(turn, *found->second, LineEvent::kFlush);
  }
}

void NearCacheCore::JobEnded(Turn& turn, Job job, const Result<Reply>& reply) {
  if (!reply && !job.once && job.session == session_ && !closed_) {
    if (again_.empty()) again_at_ = Clock::now() + kPause;
    again_.push_back(std::move(job));
    wake_.notify_all();
    return;
  }
  if (job.done) job.done(*this, turn, reply);
}

Result<void> NearCacheCore::Close() {
  const TimePoint deadline = Clock::now() + options_.timeout;
  Turn turn(*this);
  if (closing_) return {};
  closing_ = true;
  const uint64_t lost_before = stats_.lost;
  std::vector<Line*> lines;
  for (const auto& [key, line] : lines_) lines.push_back(line.get());
  for (Line* line : lines) {
    // The end of the session releases what is only read.
    React(turn, *line,
          line->state == LineState::kModified ? LineEvent::kEvict : LineEvent::kLeaseEnd);
    Settle(turn, *line);
  }
  wake_.notify_all();
  while (!lines_.empty() && WaitForChange(turn, deadline)) {
  }
  const uint64_t session = session_;
  const size_t left = lines_.size();
  turn.LetGo();
  if (session != 0) {
    sessions::CloseRequest request;
    request.set_id(session);
    CallOptions options;
    options.repeatable = true;
    options.timeout = milliseconds(1'000);  // Else it ends by itself.
    (void)client_.Call(kClose, request.SerializeAsString(), options);
  }
  turn.TakeAgain();
  closed_ = true;
  session_ = 0;
  wake_.notify_all();
  changed_.notify_all();
  std::vector<Pending> pending;
  for (auto& [number, call] : under_way_) {
    if (call) pending.push_back(*call);
  }
  turn.LetGo();
  for (Pending& call : pending) call.Cancel();
  turn.TakeAgain();
  changed_.wait(turn.lock(), [this] { return under_way_.empty(); });
  const bool lost = stats_.lost != lost_before || left != 0;
  turn.LetGo();
  thread_.join();
  if (!lost) return {};
  return Fail(Error{ErrorCode::kUnavailable, "not everything could be written back in time", "",
                    "What was written to these keys last may be lost.", 0});
}

}  // namespace holdfast::client

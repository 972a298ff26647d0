#include "sim/lease_promises.h"

#include <algorithm>

#include "services/sessions/sessions.pb.h"
#include "sim/judge.h"

namespace holdfast::sim {
namespace {

constexpr uint32_t kRowsMax = 1'000;
constexpr uint64_t kToleranceUs = 1'000;  // Times in replies are in milliseconds.

}  // namespace

void LeasePromises::Applied(const Entry& entry, const AskNode& ask) {
  Stretch(entry);
  if (!entry.is_command) return;
  LookAtSessions(entry, ask);
  LookAtHolders(entry, ask);
}

// From the last entry that one leader has stamped to the beginning of the next leader: longer in
// truth, as an entry is applied later than it is stamped.
void LeasePromises::Stretch(const Entry& entry) {
  if (!entry.is_command) {
    new_leader_ = true;
    return;
  }
  if (std::exchange(new_leader_, false) && entry.led_since_us > last_command_us_ &&
      last_command_us_ != 0) {
    stretches_.emplace_back(entry.index, entry.led_since_us - last_command_us_);
  }
  last_command_us_ = entry.true_us;
}

void LeasePromises::LookAtSessions(const Entry& entry, const AskNode& ask) {
  sessions::ListRequest request;
  request.set_limit(kRowsMax);
  std::set<uint64_t> now;
  const auto list = Parsed<sessions::ListReply>(ask("sessions.List", request));
  for (const sessions::Session& session : list.sessions()) {
    now.insert(session.id());
    Require(
        session.id() > last_session_ || sessions_.contains(session.id()),
        "session " + std::to_string(session.id()) + " is back at entry " + entry.index.ToString());
  }
  std::set<uint64_t> closed;
  for (const Logged& write : entry.writes) {
    if (write.method != "sessions.Close") continue;
    closed.insert(Parsed<sessions::CloseRequest>(write.body).id());
  }
  for (const uint64_t id : sessions_) {
    if (now.contains(id)) continue;
    session_ends_[id].push_back({entry.index, 0, entry.true_us, !closed.contains(id)});
  }
  if (!now.empty()) last_session_ = std::max(last_session_, *now.rbegin());
  sessions_ = std::move(now);
}

void LeasePromises::LookAtHolders(const Entry& entry, const AskNode& ask) {
  locks::ListRequest request;
  request.set_limit(kRowsMax);
  const std::string at = " at entry " + entry.index.ToString();
  std::map<Hold, locks::Holder> now;
  std::map<std::string, std::set<locks::Mode>> modes;
  uint64_t last_token = last_token_;
  const auto list = Parsed<locks::ListReply>(ask("locks.List", request));
  for (const locks::Holder& holder : list.holders()) {
    const Hold hold{holder.name(), holder.owner()};
    const bool alone = modes[holder.name()].empty();
    modes[holder.name()].insert(holder.mode());
    Require(alone || (modes[holder.name()].size() == 1 && holder.mode() == locks::shared),
            "mutual exclusion: " + holder.owner() + " and another hold " + holder.name() + at);
    const auto before = holders_.find(hold);
    if (before == holders_.end() || before->second.token() != holder.token()) {
      Require(holder.token() > last_token_, "the token " + std::to_string(holder.token()) + " of " +
                                                holder.name() + " is no new one" + at);
      last_token = std::max(last_token, holder.token());
    }
    Require(holder.session() == 0 || sessions_.contains(holder.session()),
            holder.owner() + " holds " + holder.name() + " with session " +
                std::to_string(holder.session()) + ", which has ended," + at);
    now[hold] = holder;
  }
  last_token_ = last_token;
  std::set<Hold> released;
  for (const Logged& write : entry.writes) {
    if (write.method == "locks.Release") {
      const auto release = Parsed<locks::ReleaseRequest>(write.body);
      released.emplace(release.name(), release.owner());
    } else if (write.method == "locks.Extend") {
      const auto extend = Parsed<locks::ExtendRequest>(write.body);
      extended_[{extend.name(), extend.owner()}].push_back(entry.index);
    }
  }
  for (const auto& [hold, holder] : holders_) {
    const auto still = now.find(hold);
    if (still != now.end() && still->second.token() == holder.token()) continue;
    const bool gone = still == now.end() && !released.contains(hold);
    Require(!gone || holder.session() == 0 || !sessions_.contains(holder.session()),
            hold.second + " has lost " + hold.first + at + ", and its session goes on");
    hold_ends_[hold].push_back(
        {entry.index, holder.token(), entry.true_us, gone && holder.session() == 0});
  }
  holders_ = std::move(now);
}

void LeasePromises::Hear(const Told& told) {
  if (!told.done_by) return;
  const auto promise = [&](const std::string& what, uint64_t ttl_ms, uint64_t token) {
    return Promise{what, *told.done_by, told.began_us, ttl_ms * 1'000, token};
  };
  if (told.method == "sessions.Open" || told.method == "sessions.KeepAlive") {
    const auto reply = Parsed<sessions::SessionReply>(told.reply);
    if (reply.ttl_ms() == 0) return;
    session_promises_[reply.id()].push_back(
        promise("session " + std::to_string(reply.id()), reply.ttl_ms(), 0));
  } else if (told.method == "locks.Acquire") {
    const auto request = Parsed<locks::AcquireRequest>(told.request);
    const auto reply = Parsed<locks::AcquireReply>(told.reply);
    if (request.session() != 0) return;
    for (const locks::Grant& grant : reply.locks()) {
      // Taken once more it has the lease that it had.
      if (grant.depth() != 1) continue;
      hold_promises_[{grant.name(), request.owner()}].push_back(
          promise(grant.name() + " of " + request.owner(),
                  request.ttl_ms() == 0 ? 30'000 : request.ttl_ms(), grant.token()));
    }
  } else if (told.method == "locks.Extend") {
    const auto request = Parsed<locks::ExtendRequest>(told.request);
    const auto reply = Parsed<locks::ExtendReply>(told.reply);
    if (reply.outcome() != locks::ExtendOutcome::extended) return;
    hold_promises_[{request.name(), request.owner()}].push_back(
        promise(request.name() + " of " + request.owner(), reply.ttl_ms(), 0));
  }
}

uint64_t LeasePromises::LeaderlessUs(LogIndex after, LogIndex to) const {
  uint64_t us = 0;
  for (const auto& [index, length_us] : stretches_) {
    if (index > after && index <= to) us += length_us;
  }
  return us;
}

void LeasePromises::CheckPromise(const Promise& promise, const std::vector<End>& ends,
                                 const std::vector<LogIndex>& changed) const {
  const auto end = std::find_if(ends.begin(), ends.end(), [&](const End& one) {
    return one.at > promise.since && (promise.token == 0 || one.token == promise.token);
  });
  if (end == ends.end() || !end->ran_out) return;
  for (const LogIndex index : changed) {
    if (index > promise.since && index <= end->at) return;  // Perhaps to less.
  }
  const uint64_t leaderless_us = LeaderlessUs(promise.since, end->at);
  const uint64_t until_us = promise.began_us + promise.ttl_us + leaderless_us;
  Require(end->true_us + kToleranceUs >= until_us,
          "the lease of " + promise.what + ", given by entry " + promise.since.ToString() +
              ", ends at entry " + end->at.ToString() + ", " +
              std::to_string(until_us - end->true_us) + " us too early (" +
              std::to_string(leaderless_us) + " us of them without a leader)");
}

void LeasePromises::Check() const {
  if (!exact_) return;
  static const std::vector<End> kNoEnds;
  static const std::vector<LogIndex> kNone;
  const auto of = [](const auto& map, const auto& key, const auto& otherwise) -> const auto& {
    const auto found = map.find(key);
    return found == map.end() ? otherwise : found->second;
  };
  for (const auto& [id, promises] : session_promises_) {
    for (const Promise& one : promises) CheckPromise(one, of(session_ends_, id, kNoEnds), kNone);
  }
  for (const auto& [hold, promises] : hold_promises_) {
    for (const Promise& one : promises) {
      CheckPromise(one, of(hold_ends_, hold, kNoEnds), of(extended_, hold, kNone));
    }
  }
}

}  // namespace holdfast::sim

// The locks in the plainest words: a list of holders and a list of waiters, looked through from the
// beginning for everything; and the sessions that they hang on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "services/locks/locks.pb.h"
#include "services/sessions/model.h"

namespace holdfast::locks {

class Model {
 public:
  using Moment = sessions::Moment;

  sessions::Model& sessions() { return sessions_; }
  const sessions::Model& sessions() const { return sessions_; }

  // An entry of the log begins: what is due by then happens, in the order of the alarms' log time;
  // of those at one moment the sessions' come first.
  void Pass(const Moment& at) {
    now_ = at;
    sessions_.Now(at);
    std::multimap<std::tuple<int64_t, int, Alarm>, uint64_t> due;
    for (const auto& [due_us, id] : sessions_.TakeDue()) due.insert({{due_us, 0, Alarm{}}, id});
    for (const auto& [alarm, due_us] : alarms_) {
      if (due_us <= at.log_us) due.insert({{due_us, 1, alarm}, 0});
    }
    std::erase_if(alarms_, [&](const auto& one) { return one.second <= at.log_us; });
    for (const auto& [key, session] : due) {
      if (std::get<1>(key) == 1) {
        LookAt(std::get<2>(key));
      } else if (sessions_.LookAt(session)) {
        SessionEnded(session, false);
      }
    }
  }

  sessions::SessionReply Close(const sessions::CloseRequest& request) {
    auto reply = sessions_.Close(request);
    if (reply.outcome() == sessions::SessionOutcome::closed) SessionEnded(request.id(), true);
    return reply;
  }

  AcquireReply Acquire(const AcquireRequest& request) {
    AcquireReply reply;
    reply.set_outcome(TryAcquire(request, &reply));
    return reply;
  }

  AcquireReply Await(const AcquireRequest& request) const {
    AcquireReply reply;
    const Wait want = WantOf(request);
    const size_t place = PlaceOf(want.owner);
    const bool waits = place < line_.size() && Same(line_[place], want);
    const auto blockers = waits ? InTheWay(line_[place], place) : InTheWay(want, line_.size());
    if (waits) {
      reply.set_outcome(AcquireOutcome::waiting);
    } else if (HoldsAll(want, &reply)) {
      reply.set_outcome(AcquireOutcome::granted);
      return reply;
    } else {
      reply.set_outcome(AcquireOutcome::lock_held);
    }
    if (!blockers.empty()) reply.set_blocked_by(blockers.front());
    return reply;
  }

  ReleaseReply Release(const ReleaseRequest& request) {
    ReleaseReply reply;
    const auto held = holds_.find({request.name(), request.owner()});
    if (held != holds_.end() && request.token() != 0 && request.token() != held->second.token) {
      reply.set_outcome(ReleaseOutcome::fenced_off);
      reply.set_depth(held->second.depth);
      return reply;
    }
    std::set<std::string> freed;
    const size_t place = PlaceOf(request.owner());
    // With a token it means what it holds under it, and what it waits for besides.
    if (place < line_.size() && (held != holds_.end() || request.token() == 0)) {
      if (line_[place].names.contains(request.name())) freed = LeaveLine(place);
    }
    reply.set_outcome(freed.empty() ? ReleaseOutcome::not_held : ReleaseOutcome::left_line);
    if (held != holds_.end() && held->second.depth > 1) {
      reply.set_outcome(ReleaseOutcome::still_held);
      reply.set_depth(--held->second.depth);
    } else if (held != holds_.end()) {
      reply.set_outcome(ReleaseOutcome::released);
      holds_.erase(held);
      freed.insert(request.name());
    }
    ServeLines(std::move(freed));
    return reply;
  }

  ExtendReply Extend(const ExtendRequest& request) {
    ExtendReply reply;
    const auto held = holds_.find({request.name(), request.owner()});
    if (held == holds_.end()) {
      reply.set_outcome(ExtendOutcome::not_held);
    } else if (Hold& hold = held->second; request.token() != 0 && request.token() != hold.token) {
      reply.set_outcome(ExtendOutcome::fenced_off);
    } else if (hold.session != 0) {
      reply.set_outcome(ExtendOutcome::of_session);
    } else {
      if (request.ttl_ms() != 0) hold.ttl_us = int64_t{request.ttl_ms()} * 1'000;
      hold.expires_us = now_.lease_us() + hold.ttl_us;
      Set(hold.expires_us, {'h', hold.token, request.name(), request.owner()});
      reply.set_outcome(ExtendOutcome::extended);
      reply.set_ttl_ms(static_cast<uint32_t>(hold.ttl_us / 1'000));
    }
    return reply;
  }

  CheckReply Check(const CheckRequest& request) const {
    CheckReply reply;
    reply.set_outcome(CheckOutcome::fenced_off);
    for (const auto& [key, hold] : holds_) {
      if (key.first == request.name() && hold.token == request.token()) {
        reply.set_outcome(CheckOutcome::valid);
      }
    }
    return reply;
  }

  Lock Get(const GetRequest& request) const {
    Lock reply;
    reply.set_name(request.name());
    for (const auto& [key, hold] : holds_) {
      if (key.first == request.name()) *reply.add_holders() = Describe(key, hold);
    }
    for (const bool upgrades : {true, false}) {
      for (const Wait& wait : line_) {
        if (!wait.names.contains(request.name())) continue;
        if (wait.upgrades.contains(request.name()) != upgrades) continue;
        Waiter* waiter = reply.add_waiters();
        waiter->set_owner(wait.owner);
        waiter->set_mode(wait.mode);
        waiter->set_session(wait.session);
        waiter->set_left_ms(Left(wait.deadline_us));
      }
    }
    const auto delay = delays_.find(request.name());
    if (delay != delays_.end()) reply.set_delay_ms(Left(delay->second));
    return reply;
  }

  ListReply List(const ListRequest& request) const {
    ListReply reply;
    const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
    for (auto at = holds_.upper_bound({request.after_name(), request.after_owner()});
         at != holds_.end(); ++at) {
      if (reply.holders_size() == limit) {
        reply.set_more(true);
        break;
      }
      *reply.add_holders() = Describe(at->first, at->second);
    }
    return reply;
  }

  // Somebody who stands in line and whom nothing is in the way of; empty, as it must be: nobody.
  std::string Forgotten() const {
    for (size_t i = 0; i < line_.size(); ++i) {
      if (InTheWay(line_[i], i).empty()) return line_[i].owner;
    }
    return "";
  }
  // Somebody who stands in line and waits for itself, over whatever corners; empty, as it must be:
  // nobody.
  std::string Deadlocked() const {
    for (const Wait& wait : line_) {
      if (!CycleOf(wait.owner).empty()) return wait.owner;
    }
    return "";
  }

 private:
  struct Hold {
    Mode mode = unspecified;
    uint64_t token = 0;
    uint32_t depth = 0;
    uint64_t session = 0;
    int64_t expires_us = 0;  // Lease time, as all that follow; without a session.
    int64_t ttl_us = 0;
    int64_t delay_us = 0;
  };
  struct Wait {
    std::string owner;
    Mode mode = unspecified;
    std::set<std::string> names;
    std::set<std::string> upgrades;  // Locks that it holds shared, and so comes first for.
    uint64_t session = 0;
    int64_t ttl_us = 0;
    int64_t delay_us = 0;
    int64_t deadline_us = 0;
    uint64_t ticket = 0;
  };
  using Key = std::pair<std::string, std::string>;  // (lock, owner)
  // 'd': the delay of a lock; 'h': a holder, by token; 'w': a waiter, by ticket.
  struct Alarm {
    char kind = 0;
    uint64_t number = 0;
    std::string name;
    std::string owner;
    auto operator<=>(const Alarm&) const = default;
  };

  static Wait WantOf(const AcquireRequest& request) {
    Wait want;
    want.owner = request.owner();
    want.mode = request.mode() == shared ? shared : exclusive;
    want.names.insert(request.names().begin(), request.names().end());
    if (!request.name().empty()) want.names.insert(request.name());
    want.session = request.session();
    want.ttl_us = int64_t{request.ttl_ms() == 0 ? 30'000 : request.ttl_ms()} * 1'000;
    want.delay_us = int64_t{request.lock_delay_ms()} * 1'000;
    return want;
  }
  static bool Same(const Wait& a, const Wait& b) {
    return a.names == b.names && a.mode == b.mode && a.session == b.session;
  }
  size_t PlaceOf(const std::string& owner) const {
    size_t place = 0;
    while (place < line_.size() && line_[place].owner != owner) ++place;
    return place;
  }
  const Hold* Find(const std::string& name, const std::string& owner) const {
    const auto found = holds_.find({name, owner});
    return found == holds_.end() ? nullptr : &found->second;
  }
  // An earlier one stays: it is looked at then, and set again.
  void Set(int64_t lease_us, const Alarm& alarm) {
    const int64_t due_us = now_.LogTimeOf(lease_us);
    const auto [at, is_new] = alarms_.try_emplace(alarm, due_us);
    if (!is_new) at->second = std::min(at->second, due_us);
  }
  bool IsOver(const Hold& hold) const {
    return hold.session == 0 ? hold.expires_us <= now_.lease_us() : !sessions_.Alive(hold.session);
  }
  uint32_t Left(int64_t until_us) const {
    return static_cast<uint32_t>(std::max<int64_t>(until_us - now_.lease_us(), 0) / 1'000);
  }
  Holder Describe(const Key& key, const Hold& hold) const {
    Holder holder;
    holder.set_name(key.first);
    holder.set_owner(key.second);
    holder.set_mode(hold.mode);
    holder.set_token(hold.token);
    holder.set_depth(hold.depth);
    holder.set_session(hold.session);
    if (hold.session == 0) holder.set_left_ms(Left(hold.expires_us));
    return holder;
  }

  bool HoldsAll(const Wait& want, AcquireReply* reply) const {
    for (const std::string& name : want.names) {
      const Hold* hold = Find(name, want.owner);
      if (hold == nullptr || (hold->mode == shared && want.mode == exclusive)) return false;
      if (hold->session != want.session) return false;
    }
    for (const std::string& name : want.names) {
      Grant* grant = reply->add_locks();
      grant->set_name(name);
      grant->set_token(Find(name, want.owner)->token);
      grant->set_depth(Find(name, want.owner)->depth);
    }
    reply->set_token(reply->locks(0).token());
    return true;
  }

  AcquireOutcome::Code TryAcquire(const AcquireRequest& request, AcquireReply* reply) {
    Wait want = WantOf(request);
    if (want.session != 0 && !sessions_.Alive(want.session)) {
      return AcquireOutcome::session_not_found;
    }
    if (const size_t place = PlaceOf(want.owner); place < line_.size()) {
      if (!Same(line_[place], want)) return AcquireOutcome::owner_is_waiting;
      int64_t& deadline_us = line_[place].deadline_us;
      deadline_us = std::max(deadline_us, now_.lease_us() + int64_t{request.wait_ms()} * 1'000);
      return AcquireOutcome::waiting;
    }
    for (const std::string& name : want.names) {
      const Hold* hold = Find(name, want.owner);
      if (hold != nullptr && hold->session == want.session && hold->depth >= 255) {
        return AcquireOutcome::too_deep;
      }
      if (hold != nullptr && hold->mode == shared && want.mode == exclusive) {
        want.upgrades.insert(name);
      }
    }
    const auto blockers = InTheWay(want, line_.size());
    if (blockers.empty()) {
      Take(want);
      HoldsAll(want, reply);
      return AcquireOutcome::granted;
    }
    reply->set_blocked_by(blockers.front());
    if (request.wait_ms() == 0) return AcquireOutcome::lock_held;
    // As if it were in line: does somebody who is in the way wait for it, over whatever corners?
    line_.push_back(want);
    for (const std::string& owner : CycleOf(want.owner)) reply->add_cycle(owner);
    if (reply->cycle_size() > 0) {
      line_.pop_back();
      return AcquireOutcome::deadlock;
    }
    line_.back().ticket = ++last_ticket_;
    line_.back().deadline_us = now_.lease_us() + int64_t{request.wait_ms()} * 1'000;
    Set(line_.back().deadline_us, {'w', last_ticket_, "", ""});
    return AcquireOutcome::waiting;
  }

  // Owners in the way of `want`, which stands at `place` in the line or would; lock by lock, first
  // those who hold it, then those who come earlier. "": nobody, but its delay.
  std::vector<std::string> InTheWay(const Wait& want, size_t place) const {
    std::vector<std::string> owners;
    for (const std::string& name : want.names) {
      const Hold* own = Find(name, want.owner);
      if (own != nullptr && (own->mode == exclusive || want.mode == shared)) continue;
      for (const auto& [key, hold] : holds_) {
        if (key.first == name && key.second != want.owner &&
            (hold.mode == exclusive || want.mode == exclusive)) {
          owners.push_back(key.second);
        }
      }
      const bool upgrade = want.upgrades.contains(name);
      for (const bool rank : {true, false}) {  // Upgrades first.
        for (size_t i = 0; i < line_.size(); ++i) {
          const Wait& other = line_[i];
          if (i == place || other.owner == want.owner || !other.names.contains(name)) continue;
          if (other.upgrades.contains(name) != rank) continue;
          const bool first = rank == upgrade ? i < place : rank;
          if (first && (other.mode == exclusive || want.mode == exclusive)) {
            owners.push_back(other.owner);
          }
        }
      }
    }
    if (!owners.empty()) return owners;
    for (const std::string& name : want.names) {
      const auto delay = delays_.find(name);
      const bool delayed = delay != delays_.end() && delay->second > now_.lease_us();
      const Hold* own = Find(name, want.owner);
      const bool enough = own != nullptr && (own->mode == exclusive || want.mode == shared);
      if (delayed && !enough) owners.push_back("");
    }
    return owners;
  }

  // Who waits for whom, from the owner, who stands in line, back to it; a shortest way.
  std::vector<std::string> CycleOf(const std::string& owner) const {
    std::map<std::string, std::string> reached_from;
    std::vector<std::string> next{owner};
    for (size_t at = 0; at < next.size(); ++at) {
      const size_t place = PlaceOf(next[at]);
      if (place == line_.size()) continue;
      for (const std::string& blocker : InTheWay(line_[place], place)) {
        if (blocker == owner) {
          std::vector<std::string> cycle{owner};
          for (std::string i = next[at]; i != owner; i = reached_from.at(i)) cycle.push_back(i);
          cycle.push_back(owner);
          std::reverse(cycle.begin(), cycle.end());
          return cycle;
        }
        if (reached_from.try_emplace(blocker, next[at]).second) next.push_back(blocker);
      }
    }
    return {};
  }

  void Take(const Wait& want) {
    for (const std::string& name : want.names) {
      Hold& hold = holds_[{name, want.owner}];
      if (hold.depth > 0 && hold.session != want.session) {
        // Under another lease it begins anew, in the mode that it has.
        const Mode mode = hold.mode;
        hold = Hold{};
        hold.mode = mode;
      }
      hold.session = want.session;
      ++hold.depth;
      hold.ttl_us = std::max(hold.ttl_us, want.ttl_us);
      hold.delay_us = std::max(hold.delay_us, want.delay_us);
      const bool upgrade = hold.mode == shared && want.mode == exclusive;
      if (hold.mode == unspecified || upgrade) hold.mode = want.mode;
      if (hold.token == 0 || upgrade) hold.token = ++last_token_;
      if (hold.session == 0) {
        hold.expires_us = std::max(hold.expires_us, now_.lease_us() + hold.ttl_us);
        Set(hold.expires_us, {'h', hold.token, name, want.owner});
      }
    }
  }

  std::set<std::string> LeaveLine(size_t place) {
    std::set<std::string> names = line_[place].names;
    line_.erase(line_.begin() + static_cast<ptrdiff_t>(place));
    return names;
  }

  // Not because it was released: what the owner waits for on the ground of it is over, too.
  std::set<std::string> LoseHold(const Key& key, bool ran_out) {
    std::set<std::string> freed{key.first};
    const size_t place = PlaceOf(key.second);
    if (place < line_.size() && line_[place].names.contains(key.first)) freed = LeaveLine(place);
    const Hold hold = holds_.at(key);
    holds_.erase(key);
    const int64_t until_us = now_.lease_us() + hold.delay_us;
    if (ran_out && hold.delay_us > 0 && delays_[key.first] < until_us) {
      delays_[key.first] = until_us;
      Set(until_us, {'d', 0, key.first, ""});
    }
    return freed;
  }

  // Whoever can be served in the lines for these locks: lock after lock, in the order of coming.
  void ServeLines(std::set<std::string> names) {
    while (!names.empty()) {
      const std::string name = *names.begin();
      names.erase(name);
      std::vector<uint64_t> tickets;  // As the line is now; nobody comes meanwhile.
      for (const bool upgrades : {true, false}) {
        for (const Wait& wait : line_) {
          if (wait.names.contains(name) && wait.upgrades.contains(name) == upgrades) {
            tickets.push_back(wait.ticket);
          }
        }
      }
      for (const uint64_t ticket : tickets) {
        size_t place = 0;
        while (line_[place].ticket != ticket) ++place;
        const Wait wait = line_[place];
        bool gone = wait.deadline_us <= now_.lease_us() ||
                    (wait.session != 0 && !sessions_.Alive(wait.session));
        for (const std::string& each : wait.names) {
          const Hold* hold = Find(each, wait.owner);
          gone = gone || (hold != nullptr && IsOver(*hold));
        }
        if (gone) {
          names.merge(LeaveLine(place));
        } else if (InTheWay(wait, place).empty()) {
          LeaveLine(place);
          Take(wait);
        } else if (wait.mode == exclusive) {
          break;
        }
      }
    }
  }

  void SessionEnded(uint64_t session, bool closed) {
    std::set<std::string> freed;
    for (size_t place = 0; place < line_.size();) {
      if (line_[place].session == session) {
        freed.merge(LeaveLine(place));
      } else {
        ++place;
      }
    }
    const auto holds = holds_;
    for (const auto& [key, hold] : holds) {
      if (hold.session != session) continue;
      freed.merge(LoseHold(key, !closed));
    }
    ServeLines(std::move(freed));
  }

  // Its time may be over, or have been moved.
  void LookAt(const Alarm& alarm) {
    if (alarm.kind == 'h') {
      const Hold* hold = Find(alarm.name, alarm.owner);
      if (hold == nullptr || hold->token != alarm.number || hold->session != 0) return;
      if (hold->expires_us > now_.lease_us()) return Set(hold->expires_us, alarm);
      ServeLines(LoseHold({alarm.name, alarm.owner}, true));
    } else if (alarm.kind == 'w') {
      for (size_t place = 0; place < line_.size(); ++place) {
        if (line_[place].ticket != alarm.number) continue;
        const int64_t deadline_us = line_[place].deadline_us;
        if (deadline_us > now_.lease_us()) return Set(deadline_us, alarm);
        return ServeLines(LeaveLine(place));
      }
    } else if (const auto delay = delays_.find(alarm.name); delay != delays_.end()) {
      if (delay->second > now_.lease_us()) return Set(delay->second, alarm);
      delays_.erase(delay);
      ServeLines({alarm.name});
    }
  }

  Moment now_;
  sessions::Model sessions_;
  std::map<Key, Hold> holds_;
  std::vector<Wait> line_;                 // In the order of coming.
  std::map<std::string, int64_t> delays_;  // Of locks that nobody gets until then.
  std::map<Alarm, int64_t> alarms_;        // When they go off, by log time.
  uint64_t last_token_ = 0;
  uint64_t last_ticket_ = 0;
};

}  // namespace holdfast::locks

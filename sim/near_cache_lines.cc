// Lines of near caches: what the table says is carried out here.
#include "sim/near_caches.h"
#include "src/base/reached.h"

namespace holdfast::sim {
namespace {

using client::IsBusy;
using client::LineAction;
using client::MayRead;
using client::MayWrite;
using client::NextOf;

constexpr uint64_t kTimeoutMs = 2'000;

}  // namespace

LineAction NearCaches::React(Near& near, const std::string& key, LineEvent event) {
  Line& line = near.lines[key];
  const auto [next, action] = NextOf(line.state, event);
  Require(action != LineAction::kNever, "near cache " + std::to_string(near.id) + ": " + key +
                                            " is " + client::NameOf(line.state) + " and meets '" +
                                            client::NameOf(event) + "'");
  line.state = next;
  switch (action) {
    case LineAction::kPostpone:
      if (line.postponed != LineEvent::kRecall) line.postponed = event;
      break;
    case LineAction::kRelease: Release(near, line.session, key, line.number); break;
    case LineAction::kDowngrade: {
      cache::WriteBackRequest request;
      request.set_session(line.session);
      request.set_key(key);
      request.set_line(line.number);
      request.set_write(++near.write);
      request.set_keep(cache::shared);
      Call call = CallOf("cache.WriteBack", Shared(request));
      call.session = line.session;
      Send(near, std::move(call));
      break;
    }
    case LineAction::kWriteBack: SendWriteBack(near, key, cache::exclusive); break;
    case LineAction::kWriteBackShared: SendWriteBack(near, key, cache::shared); break;
    case LineAction::kWriteBackRelease:
    case LineAction::kRescue: SendWriteBack(near, key, cache::unspecified); break;
    default: break;
  }
  return action;
}

void NearCaches::Settle(Near& near, const std::string& key) {
  Line& line = near.lines[key];
  if (IsBusy(line.state)) return;
  if (const auto event = std::exchange(line.postponed, std::nullopt)) React(near, key, *event);
  if (line.state == LineState::kInvalid) near.lines.erase(key);
}

void NearCaches::Answered(Near& near, const std::string& key, LineEvent event) {
  React(near, key, event);
  Settle(near, key);
}

void NearCaches::CheckAlone(const Near& near, const std::string& key) const {
  const LineState state = near.lines.at(key).state;
  for (const auto& other : nears_) {
    if (other.get() == &near || !LeaseHolds(*other)) continue;
    const auto found = other->lines.find(key);
    if (found == other->lines.end() || found->second.session != other->session) continue;
    const LineState theirs = found->second.state;
    Require(!MayRead(theirs) || (!MayWrite(state) && !MayWrite(theirs)),
            "near cache " + std::to_string(near.id) + " serves " + key + ", which is " +
                client::NameOf(state) + ", and at near cache " + std::to_string(other->id) +
                " it is " + client::NameOf(theirs));
  }
}

// What is modified nobody can judge by the log, but that nobody else has the line.
void NearCaches::Serve(Near& near, const std::string& key) {
  const Line& line = near.lines.at(key);
  CheckAlone(near, key);
  if (line.state == LineState::kModified) return;
  const bool is_over = line.expires_us != 0 && world_.events.now_us() >= line.expires_us;
  if (line.found && is_over) return;
  HOLDFAST_REACHED("sim.near_caches.serves");
  ReadRecord record;
  record.method = "cache.Get";
  cache::GetRequest request;
  request.set_key(key);
  record.request = request.SerializeAsString();
  record.after = record.position = checker_.told();
  record.found = line.found;
  record.near = true;
  cache::Entry entry;
  entry.set_key(key);
  entry.set_version(line.version);
  record.reply = entry.SerializeAsString();
  checker_.Answer(std::move(record));
}

void NearCaches::WriteHere(Near& near, const std::string& key) {
  CheckAlone(near, key);
  Line& line = near.lines.at(key);
  ++line.changes;
  line.found = !world_.random.OneIn(5);
  line.value = line.found ? "b" + std::to_string(++values_) : "";
  line.expires_us =
      line.found && world_.random.OneIn(5) ? InMs(world_.random.Between(1, 2'000)) : 0;
}

void NearCaches::Read(Near& near, const std::string& key) {
  switch (React(near, key, LineEvent::kRead)) {
    case LineAction::kServe: Serve(near, key); break;
    case LineAction::kFetch: {
      const bool any = near.writes_back && world_.random.OneIn(2);
      Fetch(near, key, any ? cache::any : cache::shared);
      break;
    }
    default: break;
  }
}

void NearCaches::Write(Near& near, const std::string& key) {
  const auto event = near.writes_back ? LineEvent::kWriteLocal : LineEvent::kWriteThrough;
  switch (React(near, key, event)) {
    case LineAction::kWrite:
      WriteHere(near, key);
      Settle(near, key);
      break;
    case LineAction::kFetchExclusive:
      near.lines[key].writes = true;
      Fetch(near, key, cache::exclusive);
      break;
    case LineAction::kStore: Store(near, key); break;
    default: break;
  }
}

// --- Fetching

void NearCaches::Fetch(Near& near, const std::string& key, cache::Mode mode) {
  Line& line = near.lines[key];
  line.session = near.session;
  line.number = ++near.numbers;
  cache::FetchRequest request;
  request.set_session(line.session);
  request.set_key(key);
  request.set_mode(mode);
  request.set_line(line.number);
  AskForLine(near, key, request, InMs(kTimeoutMs));
}

// Asked again it keeps its place in line.
void NearCaches::AskForLine(Near& near, const std::string& key, const cache::FetchRequest& request,
                            uint64_t until_us) {
  cache::FetchRequest asked = request;
  asked.set_wait_ms(static_cast<uint32_t>(world_.random.Between(1, kTimeoutMs)));
  Call call = CallOf("cache.Fetch", Shared(asked));
  call.until_us = until_us;
  call.heard = [this, &near, key, request, until_us,
                asked_us = world_.events.now_us()](const std::string* bytes) {
    const auto reply = ParsedOrNot<cache::FetchReply>(bytes);
    const bool again = reply && (reply->outcome() == cache::FetchOutcome::waiting ||
                                 reply->outcome() == cache::FetchOutcome::granted);
    if (again && world_.events.now_us() < until_us) {
      AskForLine(near, key, request, until_us);
    } else {
      Fetched(near, key, request, reply ? &*reply : nullptr, asked_us);
    }
  };
  Send(near, std::move(call));
}

void NearCaches::Fetched(Near& near, const std::string& key, const cache::FetchRequest& request,
                         const cache::FetchReply* reply, uint64_t asked_us) {
  Line& line = near.lines.at(key);
  const bool writes = std::exchange(line.writes, false);
  if (reply == nullptr || reply->outcome() != cache::FetchOutcome::fetched) {
    React(near, key, LineEvent::kNotGranted);
    if (reply != nullptr && reply->outcome() == cache::FetchOutcome::session_not_found &&
        line.session == near.session) {
      LoseLease(near);
    } else {
      Settle(near, key);
    }
    return;
  }
  const cache::Entry& entry = reply->entry();
  line.found = reply->found();
  line.value = entry.value().empty() ? entry.data() : entry.value();
  line.version = entry.version();
  // From before it was asked: over here a little earlier than over there.
  line.expires_us = entry.ttl_ms() == 0 ? 0 : asked_us + entry.ttl_ms() * 1'000;
  // No more than was asked for, and not less.
  const bool all = reply->mode() == cache::exclusive;
  const bool too_little = request.mode() == cache::exclusive && !all;
  const bool alone = request.mode() != cache::shared && all;
  React(near, key,
        too_little ? LineEvent::kNotGranted
        : alone    ? LineEvent::kGrantedExclusive
                   : LineEvent::kGrantedShared);
  // Whoever asked reads, or writes once.
  if (writes && MayWrite(line.state) && LeaseHolds(near)) {
    React(near, key, LineEvent::kWriteLocal);
    WriteHere(near, key);
  }
  Settle(near, key);
}

// --- Writing through

void NearCaches::Store(Near& near, const std::string& key) {
  Line& line = near.lines[key];
  line.session = near.session;
  line.number = ++near.numbers;
  const auto wait_ms = static_cast<uint32_t>(world_.random.Between(1, kTimeoutMs));
  const std::string name = "s" + std::to_string(++keys_);
  if (world_.random.OneIn(5)) {
    cache::DeleteRequest request;
    request.set_key(key);
    request.set_session(line.session);
    request.set_line(line.number);
    request.set_wait_ms(wait_ms);
    Call call = CallOf("cache.Delete", Shared(request), name);
    call.until_us = InMs(kTimeoutMs);
    SendStore(near, key, std::move(call), std::nullopt, 0);
    return;
  }
  cache::SetRequest request;
  request.set_key(key);
  request.set_value("t" + std::to_string(++values_));
  if (world_.random.OneIn(5)) request.set_ttl_ms(world_.random.Between(1, 2'000));
  request.set_session(line.session);
  request.set_line(line.number);
  request.set_wait_ms(wait_ms);
  Call call = CallOf("cache.Set", Shared(request), name);
  call.until_us = InMs(kTimeoutMs);
  SendStore(near, key, std::move(call), request.value(),
            request.ttl_ms() == 0 ? 0 : InMs(request.ttl_ms()));
}

void NearCaches::SendStore(Near& near, const std::string& key, Call call,
                           const std::optional<std::string>& value, uint64_t expires_us) {
  if (call.asked_us == 0) {
    call.asked_us = world_.events.now_us();
    call.after = checker_.told();
  }
  Call again = call;
  call.heard = [this, &near, key, again, value, expires_us](const std::string* bytes) {
    const auto reply = ParsedOrNot<cache::WriteReply>(bytes);
    const bool pending = reply && (reply->outcome() == cache::WriteOutcome::held ||
                                   reply->outcome() == cache::WriteOutcome::free);
    if (pending && world_.events.now_us() < again.until_us) {
      SendStore(near, key, again, value, expires_us);
    } else {
      Stored(near, key, reply ? &*reply : nullptr, value, expires_us);
    }
  };
  Send(near, std::move(call));
}

void NearCaches::Stored(Near& near, const std::string& key, const cache::WriteReply* reply,
                        std::optional<std::string> value, uint64_t expires_us) {
  Line& line = near.lines.at(key);
  const auto outcome = reply == nullptr ? cache::WriteOutcome::unspecified : reply->outcome();
  const bool done = outcome == cache::WriteOutcome::stored ||
                    outcome == cache::WriteOutcome::deleted ||
                    outcome == cache::WriteOutcome::not_found;
  if (done) {
    line.found = value.has_value();
    line.value = value.value_or("");
    line.version = reply->version();
    line.expires_us = expires_us;
  }
  const bool is_over =
      outcome == cache::WriteOutcome::session_not_found && line.session == near.session;
  React(near, key, done && reply->holding() ? LineEvent::kGrantedShared : LineEvent::kNotGranted);
  if (is_over) {
    LoseLease(near);
  } else {
    Settle(near, key);
  }
}

// --- Giving up, and writing back

void NearCaches::Release(Near& near, uint64_t session, const std::string& key, uint64_t number) {
  cache::ReleaseRequest request;
  request.set_session(session);
  request.add_lines()->set_key(key);
  request.mutable_lines(0)->set_line(number);
  Call call = CallOf("cache.Release", Shared(request));
  call.session = session;
  Send(near, std::move(call));
}

void NearCaches::SendWriteBack(Near& near, const std::string& key, cache::Mode keep) {
  Line& line = near.lines.at(key);
  if (line.writing_back) {
    line.write_back_next = true;
    return;
  }
  line.writing_back = true;
  line.carried = line.changes;
  cache::WriteBackRequest request;
  request.set_session(line.session);
  request.set_key(key);
  request.set_line(line.number);
  request.set_write(++near.write);
  request.set_keep(keep);
  const uint64_t now_us = world_.events.now_us();
  if (line.found && (line.expires_us == 0 || now_us < line.expires_us)) {
    request.set_change(cache::put);
    request.set_value(line.value);
    if (line.expires_us != 0) request.set_ttl_ms((line.expires_us - now_us) / 1'000 + 1);
  } else {
    request.set_change(cache::erase);
  }
  Call call = CallOf("cache.WriteBack", Shared(request), "b" + std::to_string(++keys_));
  call.session = line.session;
  call.heard = [this, &near, key](const std::string* bytes) {
    const auto reply = ParsedOrNot<cache::WriteBackReply>(bytes);
    WroteBack(near, key, reply ? &*reply : nullptr);
  };
  Send(near, std::move(call));
}

void NearCaches::WroteBack(Near& near, const std::string& key, const cache::WriteBackReply* reply) {
  Line& line = near.lines.at(key);
  line.writing_back = false;
  const bool written =
      reply != nullptr && (reply->outcome() == cache::WriteBackOutcome::written ||
                           reply->outcome() == cache::WriteBackOutcome::superseded);
  if (written) {
    HOLDFAST_REACHED("sim.near_caches.writes_back");
    line.version = reply->version();
  }
  if (std::exchange(line.write_back_next, false)) {
    SendWriteBack(near, key,
                  line.state == LineState::kLeaving ? cache::unspecified : cache::shared);
  } else if (!written && line.state == LineState::kModified) {
    React(near, key, LineEvent::kLeaseEnd);  // Which writes back once more.
  } else if (!written) {
    if (line.state != LineState::kLeaving) React(near, key, LineEvent::kLeaseEnd);
    Rescue(near, key);
  } else if (line.state != LineState::kModified || line.carried == line.changes) {
    Answered(near, key, LineEvent::kWrittenBack);
  }
}

// The right is gone. If surely nobody has written since, the value can still be stored.
void NearCaches::Rescue(Near& near, const std::string& key) {
  Line& line = near.lines.at(key);
  const uint64_t now_us = world_.events.now_us();
  const bool is_over = line.expires_us != 0 && now_us >= line.expires_us;
  if (!line.found || is_over || line.version == 0) {
    Answered(near, key, LineEvent::kNotWrittenBack);
    return;
  }
  cache::CompareAndSetRequest request;
  request.set_key(key);
  request.set_version(line.version);
  request.set_value(line.value);
  request.set_wait_ms(kTimeoutMs);
  line.writing_back = true;
  Call call = CallOf("cache.CompareAndSet", Shared(request), "r" + std::to_string(++keys_));
  call.until_us = InMs(kTimeoutMs);
  call.heard = [this, &near, key](const std::string* bytes) {
    Line& rescued = near.lines.at(key);
    rescued.writing_back = false;
    rescued.postponed.reset();  // Of a session that has ended.
    const auto reply = ParsedOrNot<cache::WriteReply>(bytes);
    const bool stored = reply && reply->outcome() == cache::WriteOutcome::stored;
    Answered(near, key, stored ? LineEvent::kWrittenBack : LineEvent::kNotWrittenBack);
  };
  Send(near, std::move(call));
}

}  // namespace holdfast::sim

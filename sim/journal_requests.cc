#include "sim/journal_requests.h"

#include <algorithm>

#include "services/journal/describe.h"
#include "src/base/timestamp.h"

namespace holdfast::sim {
namespace {

using journal::AppendOutcome;
using journal::AppendRequest;

size_t PlaceOf(const std::string& journal) { return journal == kKeptJournal ? 0 : 1; }

}  // namespace

int64_t JournalRequests::Says(Clock& clock) {
  const int64_t now_us = true_us_();
  const auto number = static_cast<uint64_t>(&clock - clocks_.data());
  if (!clock.begun) {
    clock.begun = true;
    clock.since_us = now_us;
    clock.ahead_us = static_cast<int64_t>(random_.Between(0, 20'000'000)) - 10'000'000;
    clock.drift_ppm = static_cast<int64_t>(random_.Between(0, 800)) - 400;
  }
  if (number >= kHonestSources && random_.OneIn(30)) {
    clock.ahead_us += static_cast<int64_t>(random_.Between(0, 6'000'000)) - 3'000'000;
  }
  return now_us + clock.ahead_us + (now_us - clock.since_us) * clock.drift_ppm / 1'000'000;
}

AppendRequest JournalRequests::Append() {
  const std::string name = Journal();
  const uint64_t source = random_.Between(0, kSources - 1);
  Clock& clock = clocks_[source];
  Clock::Stream& stream = clock.streams[PlaceOf(name)];
  const int64_t says_us = Says(clock);
  const auto add_record = [&](AppendRequest* request) {
    // Mostly just now; at times longer ago than the window is wide.
    const auto age_us = static_cast<int64_t>(random_.OneIn(8) ? random_.Between(0, 2'000'000)
                                                              : random_.Between(0, 150'000));
    journal::NewRecord* record = request->add_records();
    // By a clock that went as it goes now.
    FillTime(says_us - age_us - age_us * clock.drift_ppm / 1'000'000, record->mutable_time());
    record->set_body(std::to_string(true_us_() - age_us) + " " + std::to_string(++last_body_));
  };
  if (!stream.under_way) {
    AppendRequest request;
    request.set_journal(name);
    request.set_source("s" + std::to_string(source));
    for (uint64_t i = random_.Between(0, 4); i > 0; --i) add_record(&request);
    if (request.records_size() > 0) request.set_first_sequence(stream.next);
    stream.under_way = request;
  } else if (stream.under_way->records_size() > 0 && random_.OneIn(4)) {
    add_record(&*stream.under_way);  // What was sent before, and one more.
  }
  AppendRequest request = *stream.under_way;
  if (!random_.OneIn(8)) FillTime(says_us, request.mutable_sent_time());
  if (stream.batch != 0 && !random_.OneIn(8)) {
    request.mutable_previous()->set_batch(stream.batch);
    FillTime(stream.received_us, request.mutable_previous()->mutable_received_time());
  }
  if (request.records_size() == 0) {
    stream.under_way.reset();
  } else if (random_.OneIn(40)) {  // A number that is not its turn, or another record.
    if (random_.OneIn(2)) {
      request.set_first_sequence(request.first_sequence() + 1'000);
    } else {
      request.set_first_sequence(std::max<uint64_t>(1, request.first_sequence() - 1));
    }
  }
  return request;
}

Asked JournalRequests::Make() {
  switch (random_.Between(0, 30)) {
    case 0:
    case 1: {
      journal::CreateRequest request;
      request.set_name(Journal());
      const bool kept = request.name() == kKeptJournal;
      request.set_window_ms(kept ? 300 : 50);
      request.set_retention_seconds(kept ? 86'400 : 1);
      if (random_.OneIn(8)) request.set_drift_ppm(900);
      return AskedOf("journal.Create", request);
    }
    case 2: {
      journal::UpdateRequest request;
      request.set_name(Journal());
      if (random_.OneIn(2)) request.set_window_ms(static_cast<uint32_t>(random_.Between(20, 600)));
      if (request.name() != kKeptJournal) request.set_retention_seconds(random_.Between(1, 3));
      return AskedOf("journal.Update", request);
    }
    case 3:
      if (random_.OneIn(4)) {
        journal::DeleteRequest request;
        request.set_name("k");
        return AskedOf("journal.Delete", request);
      }
      break;
    default: break;
  }
  return AskedOf("journal.Append", Append());
}

Asked JournalRequests::MakeRead(int64_t from_us, int64_t to_us) {
  switch (random_.Between(0, 9)) {
    case 0: {
      journal::GetRequest request;
      request.set_name(Journal());
      return AskedOf("journal.Get", request);
    }
    case 1: {
      journal::GetSourceRequest request;
      request.set_journal(Journal());
      request.set_source("s" + std::to_string(random_.Between(0, kSources - 1)));
      return AskedOf("journal.GetSource", request);
    }
    case 2: {
      journal::ListSourcesRequest request;
      request.set_journal(Journal());
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 3)));
      return AskedOf("journal.ListSources", request);
    }
    case 3:
    case 4:
    case 5: {
      journal::QueryRequest request;
      request.set_journal(Journal());
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 20)));
      if (random_.OneIn(3)) request.set_source("s" + std::to_string(random_.Between(0, kSources)));
      if (random_.OneIn(3)) request.set_text(std::to_string(random_.Between(0, 20)));
      const auto a = static_cast<int64_t>(
          random_.Between(static_cast<uint64_t>(from_us), static_cast<uint64_t>(to_us)));
      if (random_.OneIn(2)) FillTime(a, request.mutable_from());
      if (random_.OneIn(4)) FillTime(a + 500'000, request.mutable_before());
      return AskedOf("journal.Query", request);
    }
    default: {
      journal::FollowRequest request;
      request.set_journal(Journal());
      request.set_after(random_.Between(0, 2) == 0 ? released_ : random_.Between(0, released_));
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 20)));
      if (random_.OneIn(3)) request.set_wait_ms(static_cast<uint32_t>(random_.Between(1, 500)));
      return AskedOf("journal.Follow", request);
    }
  }
}

std::optional<Asked> JournalRequests::NextPage(const Asked& asked, const std::string& reply) {
  if (asked.method == "journal.Query") {
    journal::QueryReply page;
    Require(page.ParseFromString(reply), "a page does not parse");
    if (page.next_cursor().empty()) return std::nullopt;
    auto request = static_cast<const journal::QueryRequest&>(*asked.request);
    request.set_cursor(page.next_cursor());
    request.set_id(page.id());
    return AskedOf("journal.Query", request);
  }
  if (asked.method == "journal.Follow") {
    journal::FollowReply page;
    Require(page.ParseFromString(reply), "a page does not parse");
    auto request = static_cast<const journal::FollowRequest&>(*asked.request);
    if (request.journal() == kKeptJournal) released_ = std::max(released_, page.after());
    request.set_after(page.after());
    request.set_id(page.id());
    return AskedOf("journal.Follow", request);
  }
  return std::nullopt;
}

void JournalRequests::Learn(const std::string& method, const google::protobuf::Message& request,
                            const std::string& reply) {
  if (method != "journal.Append") return;
  journal::AppendReply told;
  const auto& asked = static_cast<const AppendRequest&>(request);
  if (!told.ParseFromString(reply)) return;
  Clock& clock = clocks_[static_cast<size_t>(asked.source().back() - '0')];
  Clock::Stream& stream = clock.streams[PlaceOf(asked.journal())];
  switch (told.outcome()) {
    case AppendOutcome::appended:
    case AppendOutcome::already_appended:
    case AppendOutcome::exchanged:
      stream.batch = told.batch();
      stream.received_us = Says(clock);
      break;
    case AppendOutcome::out_of_order:
      // The journal was made anew, or the batch was made to be out of its turn.
      if (told.expected_sequence() == 1) stream = {};
      return;
    case AppendOutcome::different_record:
      // What the source gave up was appended after all: these are others.
      if (stream.under_way && asked.first_sequence() == stream.under_way->first_sequence()) {
        stream.next = told.sequence() + 1;
        stream.under_way.reset();
      }
      return;
    default: return;
  }
  if (!stream.under_way || asked.records_size() == 0) return;
  if (asked.first_sequence() != stream.under_way->first_sequence()) return;
  stream.next = std::max(stream.next, told.last_sequence() + 1);
  stream.under_way.reset();
}

}  // namespace holdfast::sim

#include "sim/journal_promises.h"

#include <set>
#include <tuple>

#include "services/journal/describe.h"
#include "services/journal/journal.pb.h"
#include "sim/journal_requests.h"
#include "sim/judge.h"
#include "src/base/timestamp.h"

namespace holdfast::sim {
namespace {

constexpr uint32_t kRowsMax = 1'000;
// What clocks cut off, and entries that were stamped a microsecond after the one before.
constexpr int64_t kGrainUs = 20;

}  // namespace

void JournalPromises::Hear(const Told& told) {
  if (told.method != "journal.Append") return;
  const auto request = Parsed<journal::AppendRequest>(told.request);
  const auto reply = Parsed<journal::AppendReply>(told.reply);
  if (request.journal() != kKeptJournal) return;
  if (reply.outcome() != journal::AppendOutcome::appended &&
      reply.outcome() != journal::AppendOutcome::already_appended) {
    return;
  }
  for (int i = 0; i < request.records_size(); ++i) {
    acknowledged_[{request.source(), reply.first_sequence() + static_cast<uint64_t>(i)}] =
        request.records(i).body();
  }
}

void JournalPromises::CheckTruth(const std::string& source, const std::string& body,
                                 int64_t corrected_us, uint64_t error_us) {
  if (std::stoull(source.substr(1)) >= kHonestSources) return;
  const int64_t wrong_us = std::abs(corrected_us - std::stoll(body));
  Require(wrong_us <= static_cast<int64_t>(error_us) + kGrainUs,
          "a record of " + source + " is corrected to " + std::to_string(corrected_us) +
              " within " + std::to_string(error_us) + " us, and it is wrong by " +
              std::to_string(wrong_us) + ": " + body);
}

void JournalPromises::Check(const AskNode& ask, bool log_time_is_true) const {
  std::map<std::pair<std::string, uint64_t>, std::string> kept;
  std::set<std::string> bodies;
  journal::QueryRequest query;
  query.set_journal(kKeptJournal);
  query.set_limit(kRowsMax);
  do {
    const auto page = Parsed<journal::QueryReply>(ask("journal.Query", query));
    for (const journal::Record& record : page.records()) {
      kept[{record.source(), record.sequence()}] = record.body();
      Require(bodies.insert(record.body()).second, "a record is there twice: " + record.body());
      if (log_time_is_true && record.has_error_us()) {
        CheckTruth(record.source(), record.body(), FloorUs(record.corrected()), record.error_us());
      }
    }
    query.set_cursor(page.next_cursor());
  } while (!query.cursor().empty());
  for (const auto& [key, body] : acknowledged_) {
    const auto found = kept.find(key);
    Require(found != kept.end(), "record " + std::to_string(key.second) + " of " + key.first +
                                     " was acknowledged and is lost");
    Require(found->second == body, "record " + std::to_string(key.second) + " of " + key.first +
                                       " is another one than was acknowledged");
  }

  journal::FollowRequest follow;
  follow.set_journal(kKeptJournal);
  follow.set_limit(kRowsMax);
  std::pair<int64_t, int32_t> before{0, 0};
  for (uint64_t number = 0;;) {
    const auto page = Parsed<journal::FollowReply>(ask("journal.Follow", follow));
    if (page.records().empty()) break;
    for (const journal::Record& record : page.records()) {
      Require(record.number() == ++number, "a number is missing or there twice");
      if (record.late()) continue;
      const std::pair<int64_t, int32_t> time{record.corrected().seconds(),
                                             record.corrected().nanos()};
      Require(before <= time, "number " + std::to_string(number) + " is out of order");
      before = time;
    }
    follow.set_after(page.after());
  }
}

}  // namespace holdfast::sim

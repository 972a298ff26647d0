#include "services/journal/cli/feed.h"

#include <fmt/format.h>

#include <chrono>
#include <ostream>
#include <thread>

#include "services/journal/describe.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"
#include "src/cli/text.h"

namespace holdfast::journal {
namespace {

constexpr char kAppend[] = "/holdfast.journal.Journal/Append";
constexpr char kGetSource[] = "/holdfast.journal.Journal/GetSource";
constexpr int64_t kPauseMsMin = 100;
constexpr int64_t kPauseMsMax = 5'000;
// What an exchange told is worth less with time: after so long it is asked anew.
constexpr int64_t kExchangeAgeUs = 10'000'000;

template <class Clock>
int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
      .count();
}

// What may be otherwise in a while.
bool WorthRepeating(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadlineExceeded ||
         error.code == ErrorCode::kOutcomeUnknown || error.code == ErrorCode::kResourceExhausted;
}

std::string Milliseconds(uint64_t us) { return fmt::format("{}.{:03} ms", us / 1'000, us % 1'000); }

void TellClock(const Offset& offset, std::ostream& err) {
  if (const std::string text = ClockText(offset); !text.empty()) err << text << "\n";
}

void TellZone(std::optional<int64_t> off_us, std::ostream& err) {
  if (!off_us) return;
  const int64_t minutes = std::abs(*off_us) / 60'000'000;
  err << fmt::format(
      "feed: the times of the lines are {}:{:02} hours {} now, and name no zone: is "
      "another --zone meant?\n",
      minutes / 60, minutes % 60, *off_us < 0 ? "before" : "after");
}

}  // namespace

std::string ClockText(const Offset& offset) {
  if (!offset.has_offset_us()) return "";
  const int64_t us = offset.offset_us();
  const uint64_t magnitude = us < 0 ? -static_cast<uint64_t>(us) : static_cast<uint64_t>(us);
  return fmt::format("this clock is {} {} the log's, within {}", Milliseconds(magnitude),
                     us > 0 ? "behind" : "ahead of", Milliseconds(offset.error_us()));
}

Feeder::Feeder(std::string journal, std::string source, Send send, ClockUs clock, ClockUs steady,
               Pause pause)
    : send_(std::move(send)),
      clock_(std::move(clock)),
      steady_(std::move(steady)),
      pause_(std::move(pause)) {
  batch_.set_journal(std::move(journal));
  batch_.set_source(std::move(source));
}

// Until it is answered. What the journal refuses by its state is an answer; too much that waits is
// none yet.
Result<AppendReply> Feeder::Try(AppendRequest* request) {
  const int64_t begun_us = steady_();
  for (int64_t pause_ms = kPauseMsMin;; pause_ms = std::min(2 * pause_ms, kPauseMsMax)) {
    FillTime(clock_(), request->mutable_sent_time());
    auto reply = send_(*request);
    const bool again =
        reply ? reply->outcome() == AppendOutcome::too_much_waiting : WorthRepeating(reply.error());
    if (!again) return reply;
    const int64_t waited_ms = (steady_() - begun_us) / 1'000;
    if (waited_ms + pause_ms > bounds::kJournalFeedRetryMsMax) return reply;
    pause_(pause_ms);
  }
}

Result<void> Feeder::Deliver(AppendRequest request) {
  if (answered_batch_ != 0) {
    request.mutable_previous()->set_batch(answered_batch_);
    FillTime(received_us_, request.mutable_previous()->mutable_received_time());
  }
  const auto reply = Try(&request);
  if (!reply) return Fail(reply.error());
  // Looked at before it can be known what to do with it, as it bounds the clock. Rounded up.
  const int64_t received_us = clock_() + 1;
  const auto refused = [&](const std::string& why, std::string hint) {
    return Fail(Error{ErrorCode::kNotFound, why, "", std::move(hint), 0});
  };
  switch (reply->outcome()) {
    case AppendOutcome::appended:
    case AppendOutcome::already_appended:
    case AppendOutcome::exchanged: break;
    case AppendOutcome::journal_not_found:
      return refused("there is no journal '" + request.journal() + "'",
                     "holdfast journal create --name " + request.journal());
    case AppendOutcome::different_record:
      return refused(
          fmt::format("line {} was appended before as another one (its {} differs)",
                      reply->sequence(), reply->field()),
          "another log needs another --source; one that was begun anew goes on with --go-on");
    case AppendOutcome::out_of_order:
      return refused(
          fmt::format("the journal expects line {} of '{}' next, not {}",
                      reply->expected_sequence(), request.source(), request.first_sequence()),
          "another feed of the same source? one that was begun anew goes on with --go-on");
    default:
      return refused("refused: " + AppendOutcome::Code_Name(reply->outcome()),
                     "see services/journal/README.md");
  }
  answered_batch_ = reply->batch();
  received_us_ = received_us;
  offset_ = reply->offset();
  counts_.appended += reply->appended();
  counts_.already_there += static_cast<uint64_t>(request.records_size()) - reply->appended();
  counts_.late += reply->late();
  if (reply->unverified() == 0 || trust_removed_) return {};
  return refused(
      fmt::format("{} of the lines {} to {} have the numbers of records that were removed since: "
                  "nobody can tell whether they are the same",
                  cli::Grouped(reply->unverified()), cli::Grouped(reply->first_sequence()),
                  cli::Grouped(reply->last_sequence())),
      "a log that was begun anew goes on with --go-on, the same one with --trust-removed");
}

Result<void> Feeder::Begin(bool go_on, uint64_t last_sequence) {
  if (go_on) next_ = last_sequence + 1;
  return Exchange();
}

Result<void> Feeder::Exchange() {
  AppendRequest exchange;
  exchange.set_journal(batch_.journal());
  exchange.set_source(batch_.source());
  return Deliver(std::move(exchange));
}

void Feeder::Add(Line line, std::optional<int64_t> time_us) {
  if (!time_us) ++counts_.without_time;
  if (line.cut) ++counts_.cut;
  // Without one the time of the line before. Lines before the first time have none, rather than one
  // of now: fed again they must be the same records.
  if (time_us) last_time_us_ = time_us;
  bytes_ += line.text.size() + bounds::kJournalRecordBytes;
  NewRecord* record = batch_.add_records();
  if (last_time_us_) FillTime(*last_time_us_, record->mutable_time());
  record->set_body(std::move(line.text));
}

bool Feeder::full() const {
  // One more line of any length fits.
  return static_cast<size_t>(batch_.records_size()) == bounds::kJournalBatchRecordsMax ||
         bytes_ >= bounds::kJournalFeedBytesMax;
}

Result<void> Feeder::Flush() {
  if (empty()) return {};
  const int64_t age_us = clock_() + 1 - received_us_;  // Below 0: the clock was set back.
  if (answered_batch_ != 0 && (age_us < 0 || age_us > kExchangeAgeUs)) {
    if (auto exchanged = Exchange(); !exchanged) return exchanged;
  }
  batch_.set_first_sequence(next_);
  const auto count = static_cast<uint64_t>(batch_.records_size());
  if (auto delivered = Deliver(batch_); !delivered) return delivered;
  next_ += count;
  batch_.clear_records();
  bytes_ = 0;
  return {};
}

int Feed(const FeedFlags& flags, cli::Context& context) {
  if (!context.flags().idempotency_key.empty()) {
    return context.Tell(InvalidArgument(
        "idempotency-key", "does not go with feed: it is many requests, each safe by its numbers"));
  }
  auto untold = ParseZone(flags.zone);
  if (!untold) return context.Tell(InvalidArgument("zone", kZoneWrong));
  untold->year = flags.year;
  auto reader = LineReader::Open(flags.file);
  if (!reader) return context.Tell(reader.error());
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());
  auto options = context.CallOptions();
  if (!options) return context.Tell(options.error());
  options->repeatable = true;  // By its numbers; nothing need be kept of it.
  Feeder feeder(
      flags.journal, flags.source,
      [&](const AppendRequest& request) -> Result<AppendReply> {
        auto reply = (*client)->Call<AppendReply>(kAppend, request, *options);
        if (!reply) return Fail(reply.error());
        return std::move(reply->message);
      },
      NowUs<std::chrono::system_clock>, NowUs<std::chrono::steady_clock>,
      [](int64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); });
  if (flags.trust_removed) feeder.TrustRemoved();
  const auto stopped = [&](Error error) {
    context.err() << "feed: stopped before line " << cli::Grouped(feeder.next_sequence()) << "\n";
    return context.Tell(error);
  };
  uint64_t last_sequence = 0;
  if (flags.go_on) {
    GetSourceRequest request;
    request.set_journal(flags.journal);
    request.set_source(flags.source);
    const auto source = (*client)->Call<Source>(kGetSource, request, *context.CallOptions());
    if (source) last_sequence = source->message.last_sequence();
    if (!source && source.error().code != ErrorCode::kNotFound) return stopped(source.error());
  }
  if (auto begun = feeder.Begin(flags.go_on, last_sequence); !begun) return stopped(begun.error());
  TellClock(feeder.offset(), context.err());

  const auto format = ParseLineFormat(flags.format).value_or(LineFormat::kAuto);
  bool unfinished = false;
  bool zone_was_looked_at = false;
  // A batch goes out when it is full, or some time after its first line, however fast others come.
  std::chrono::steady_clock::time_point goes_at;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(goes_at - std::chrono::steady_clock::now());
    const int wait_ms = feeder.empty() ? -1 : std::max(0, static_cast<int>(left.count()));
    Line line;
    const auto got = reader->Next(wait_ms, &line);
    if (!got) return stopped(got.error());
    if (*got == LineReader::Got::kLine) {
      unfinished = !line.ended;
      if (unfinished) continue;  // The end is next. Its other half may come yet.
      const auto now = std::chrono::steady_clock::now();
      if (feeder.empty()) goes_at = now + std::chrono::milliseconds(bounds::kJournalFeedWaitMs);
      untold->latest_us = NowUs<std::chrono::system_clock>();
      const auto time_us = TimeOf(line.text, format, *untold);
      feeder.Add(std::move(line), time_us);
      if (!feeder.full() && now < goes_at) continue;
    }
    if (*got == LineReader::Got::kNothingYet && !zone_was_looked_at) {
      // The newest line was written just now.
      zone_was_looked_at = true;
      const int64_t now_us = NowUs<std::chrono::system_clock>();
      TellZone(OtherZone(feeder.newest(), format, *untold, now_us), context.err());
    }
    if (auto flushed = feeder.Flush(); !flushed) return stopped(flushed.error());
    if (*got == LineReader::Got::kEnd) break;
  }
  const FeedCounts& counts = feeder.counts();
  context.out() << cli::Grouped(counts.appended) << " lines appended, "
                << cli::Grouped(counts.already_there) << " already there, "
                << cli::Grouped(counts.late) << " late, " << cli::Grouped(counts.without_time)
                << " without a time, " << cli::Grouped(counts.cut) << " cut" << std::endl;
  if (unfinished) {
    context.err() << "feed: the last line has no end yet and was left out; feed the log again when "
                     "it has\n";
  }
  TellClock(feeder.offset(), context.err());
  return cli::kExitOk;
}

}  // namespace holdfast::journal

// Random requests: the service must answer as the model does, word for word, and hold its
// invariants.
#include "services/journal/model.h"

#include <random>
#include <set>
#include <type_traits>

#include "services/journal/testing.h"
#include "src/base/timestamp.h"

namespace holdfast::journal {
namespace {

using testing::kMs;
using testing::kSecond;

// Few journals and sources with clocks that are off, drift and are set; times that are early, late
// and impossible; numbers that were there, are next, and leave a gap.
class JournalModelTest : public testing::JournalFixture {
 protected:
  void Run(uint64_t seed, int steps) {
    random_.seed(seed);
    for (int i = 0; i < steps && !HasFailure(); ++i) {
      Step();
      CompareReads();
    }
  }

  template <class Request, class Ask>
  auto Compare(const std::string& method, const Request& request, Ask ask) {
    using Reply = std::invoke_result_t<Ask>;
    model_.PassTo(now_us() + 1);
    const Reply wanted = ask();
    const Reply reply = Do<Reply>(method, request);
    EXPECT_EQ(reply.ShortDebugString(), wanted.ShortDebugString())
        << method << " " << request.ShortDebugString();
    return reply;
  }
  template <class Reply, class Request>
  void CompareRead(const std::string& method, const Request& request,
                   const std::optional<Reply>& wanted) {
    const auto reply = Read<Reply>("journal." + method, request);
    ASSERT_EQ(reply.has_value(), wanted.has_value()) << method;
    if (!reply) return;
    ASSERT_EQ(reply->ShortDebugString(), wanted->ShortDebugString())
        << method << " " << request.ShortDebugString();
  }

  void Pass(int64_t ms) {
    PassMs(ms);
    model_.PassTo(now_us());
  }

  void Step() {
    switch (Below(16)) {
      case 0: {
        CreateRequest request = JournalOf(AJournal(), 200);
        request.set_retention_seconds(2);
        request.set_max_offset_ms(8'000);
        request.set_max_bytes(2 << 20);
        if (Below(6) == 0) request.set_drift_ppm(1'000);
        const auto reply = Compare("Create", request, [&] { return model_.Create(request); });
        seen_.insert(Name(reply));
        break;
      }
      case 1:
        if (Below(2) == 0) {
          UpdateRequest request;
          request.set_name(AJournal());
          if (Below(2) == 0) request.set_window_ms(static_cast<uint32_t>(50 + Below(500)));
          if (Below(3) == 0) request.set_retention_seconds(1 + Below(3));
          if (Below(3) == 0) request.set_drift_ppm(static_cast<uint32_t>(1 + Below(1'000)));
          const auto reply = Compare("Update", request, [&] { return model_.Update(request); });
          seen_.insert(Name(reply));
        } else if (Below(12) == 0) {
          DeleteRequest request;
          request.set_name(AJournal());
          const auto reply = Compare("Delete", request, [&] { return model_.Delete(request); });
          seen_.insert(Name(reply));
        }
        break;
      case 2:
      case 3:
      case 4: Pass(1 + static_cast<int64_t>(Below(120))); break;
      case 5: Pass(1 + static_cast<int64_t>(Below(900))); break;
      case 6: NewLeader(); break;
      default: AppendSome(); break;
    }
  }

  struct Clock {
    int64_t ahead_us = 0;
    uint64_t next = 1;
    uint64_t batch = 0;
    int64_t received_us = 0;
    std::vector<AppendRequest> sent;
  };

  void AppendSome() {
    const std::string journal = AJournal();
    const std::string source = "s" + std::to_string(Below(3));
    Clock& clock = clocks_[{journal, source}];
    if (clock.ahead_us == 0) clock.ahead_us = static_cast<int64_t>(Below(2'000)) * kMs - kSecond;
    if (Below(40) == 0) clock.ahead_us += (static_cast<int64_t>(Below(20)) - 10) * kSecond;
    if (!clock.sent.empty() && Below(6) == 0) {  // Again, as it was or with more behind it.
      AppendRequest request = clock.sent[Below(clock.sent.size())];
      if (Below(3) == 0 && request.records_size() > 0)
        request.mutable_records(0)->set_body("other");
      if (Below(3) == 0) *request.add_records() = ARecord(clock);
      Send(request, &clock);
      return;
    }
    AppendRequest request = AppendOf(source, {}, 0, journal);
    for (uint64_t i = Below(5); i > 0; --i) *request.add_records() = ARecord(clock);
    if (request.records_size() > 0 && Below(4) != 0) {
      request.set_first_sequence(clock.next + (Below(20) == 0 ? 1 + Below(3) : 0));
    }
    const int64_t sent_us = now_us() + clock.ahead_us - static_cast<int64_t>(Below(20'000));
    if (Below(5) != 0) FillTime(sent_us, request.mutable_sent_time());
    if (clock.batch != 0 && Below(3) != 0) {
      request.mutable_previous()->set_batch(clock.batch - (Below(9) == 0 ? 1 : 0));
      FillTime(clock.received_us, request.mutable_previous()->mutable_received_time());
      if (request.previous().batch() == 0) request.clear_previous();
    }
    if (Send(request, &clock) && request.first_sequence() != 0) clock.sent.push_back(request);
  }

  // Whether it was appended.
  bool Send(const AppendRequest& request, Clock* clock) {
    EXPECT_EQ(FieldOf("journal.Append", request), "fine");
    const auto reply = Compare("Append", request, [&] { return model_.Append(request); });
    seen_.insert(Name(reply));
    const bool done = reply.outcome() == AppendOutcome::appended;
    if (done) clock->next = reply.last_sequence() + 1;
    if (reply.outcome() == AppendOutcome::out_of_order) clock->next = reply.expected_sequence();
    if (reply.batch() != 0) {
      clock->batch = reply.batch();
      clock->received_us = now_us() + clock->ahead_us + static_cast<int64_t>(Below(20'000));
    }
    if (reply.late() > 0) seen_.insert("late");
    if (reply.unverified() > 0) seen_.insert("unverified");
    return done;
  }

  NewRecord ARecord(const Clock& clock) {
    NewRecord record;
    const int64_t age_us = static_cast<int64_t>(Below(10) == 0 ? Below(3'000) : Below(300)) * kMs;
    const int64_t ahead_us = Below(30) == 0 ? 20 * kSecond : 0;
    if (Below(25) != 0) {
      FillTime(now_us() + clock.ahead_us - age_us + ahead_us, record.mutable_time());
    }
    record.set_body(std::string(Below(90) == 0 ? 60'000 : Below(20), 'x') +
                    std::to_string(Below(20)));
    return record;
  }

  void CompareReads() {
    const std::string journal = AJournal();
    GetRequest get;
    get.set_name(journal);
    CompareRead("Get", get, model_.Get(get));
    FollowRequest follow;
    follow.set_journal(journal);
    follow.set_after(Below(4) == 0 ? 0 : Below(200));
    follow.set_limit(static_cast<uint32_t>(Below(30)));
    if (Below(6) == 0) follow.set_id(1 + Below(3));
    CompareRead("Follow", follow, model_.Follow(follow));
    QueryRequest query;
    query.set_journal(journal);
    query.set_limit(static_cast<uint32_t>(Below(30)));
    if (Below(2) == 0) query.set_source("s" + std::to_string(Below(3)));
    if (Below(3) == 0) query.set_text(std::to_string(Below(20)));
    if (Below(3) == 0) FillTime(now_us() - kSecond, query.mutable_from());
    if (Below(3) == 0) FillTime(now_us() - kSecond / 3, query.mutable_before());
    query.set_cursor(cursor_);
    if (Below(6) == 0) query.set_id(1 + Below(3));
    const auto wanted = model_.Query(query);
    CompareRead("Query", query, wanted);
    cursor_ = wanted ? wanted->next_cursor() : "";
    GetSourceRequest source;
    source.set_journal(journal);
    source.set_source("s" + std::to_string(Below(3)));
    const auto known = model_.GetSource(source);
    CompareRead("GetSource", source, known);
    if (known && known->jumps() > 0) seen_.insert("jumped");
    if (wanted) {
      for (const Record& record : wanted->records()) {
        seen_.insert(Correction::Code_Name(record.correction()));
      }
    }
    ListSourcesRequest sources;
    sources.set_journal(journal);
    sources.set_limit(static_cast<uint32_t>(Below(3)));
    CompareRead("ListSources", sources, model_.ListSources(sources));
    ListRequest list;
    list.set_limit(static_cast<uint32_t>(Below(3)));
    CompareRead("List", list, std::optional(model_.List(list)));
  }

  std::string AJournal() { return Below(4) == 0 ? "k" : "j"; }
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  std::mt19937_64 random_;
  Model model_;
  std::map<std::pair<std::string, std::string>, Clock> clocks_;
  std::string cursor_;
  std::set<std::string> seen_;
};

TEST_F(JournalModelTest, DoesWhatTheModelDoes) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Run(seed, 700);
    if (HasFailure()) return;
    // Checkpoint and Restart would lose nothing, and the model need not know of them.
    Checkpoint();
  }
  for (const char* outcome :
       {"created",          "already_exists", "exists_with_different_settings",
        "updated",          "deleted",        "journal_not_found",
        "appended",         "exchanged",      "already_appended",
        "different_record", "out_of_order",   "late",
        "jumped",           "none",           "one_sided",
        "bounded",          "too_far",        "contradicted",
        "no_time",          "unverified"}) {
    EXPECT_TRUE(seen_.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::journal

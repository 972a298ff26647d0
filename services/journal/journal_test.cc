// The journal service through the machine that runs it on a real node: entry in, reply out.

#include <set>

#include "services/journal/testing.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::journal {
namespace {

using testing::kMs;
using testing::kSecond;

class JournalTest : public testing::JournalFixture {
 protected:
  // A journal `j` with a window of a second, and a source `exact` whose clock is the log's.
  JournalTest() { EXPECT_EQ(Name(Create("j")), "created"); }

  // Two exchanges: the clock of `source`, ahead by so much, is known to a microsecond or two.
  void Settle(const std::string& source, int64_t ahead_us) {
    const AppendReply first = Append(ExchangeOf(source, now_us() + ahead_us));
    Append(ExchangeOf(source, now_us() + ahead_us, first.batch(), now_us() + ahead_us));
  }
};

TEST_F(JournalTest, JournalsAreCreatedOnceAndChangedInTheDocumentedWay) {
  EXPECT_EQ(Name(Create("j")), "already_exists");
  const std::pair<const char*, std::function<void(CreateRequest*)>> kDifferent[] = {
      {"window_ms", [](CreateRequest* request) { request->set_window_ms(7); }},
      {"drift_ppm", [](CreateRequest* request) { request->set_drift_ppm(7); }},
      {"max_offset_ms", [](CreateRequest* request) { request->set_max_offset_ms(7); }},
      {"retention_seconds", [](CreateRequest* request) { request->set_retention_seconds(7); }},
      {"max_bytes", [](CreateRequest* request) { request->set_max_bytes(7 << 20); }}};
  for (const auto& [field, change] : kDifferent) {
    CreateRequest request = JournalOf("j");
    change(&request);
    const auto reply = Do<JournalReply>("Create", request);
    EXPECT_EQ(Name(reply), "exists_with_different_settings");
    EXPECT_EQ(reply.field(), field);
    EXPECT_EQ(reply.journal().window_ms(), 1'000u) << "as it is";
  }
  const JournalReply defaults = Do<JournalReply>("Create", JournalOf("defaults", 0));
  EXPECT_EQ(defaults.journal().window_ms(), 2'000u);
  EXPECT_EQ(defaults.journal().drift_ppm(), 500u);
  EXPECT_EQ(defaults.journal().max_offset_ms(), 3'600'000u);
  EXPECT_EQ(defaults.journal().retention_seconds(), 604'800u);
  EXPECT_EQ(defaults.journal().max_bytes(), uint64_t{1} << 30);

  UpdateRequest update;
  update.set_name("nowhere");
  EXPECT_EQ(Name(Do<JournalReply>("Update", update)), "journal_not_found");
  update.set_name("j");
  update.set_window_ms(500);
  const auto updated = Do<JournalReply>("Update", update);
  EXPECT_EQ(Name(updated), "updated");
  EXPECT_EQ(updated.journal().window_ms(), 500u);
  EXPECT_EQ(updated.journal().drift_ppm(), 500u) << "what is not given stays";

  DeleteRequest remove;
  remove.set_name("nowhere");
  EXPECT_EQ(Name(Do<JournalReply>("Delete", remove)), "journal_not_found");
  remove.set_name("j");
  EXPECT_EQ(Name(Do<JournalReply>("Delete", remove)), "deleted");
  GetRequest get;
  get.set_name("j");
  EXPECT_EQ(Read<JournalState>("journal.Get", get).error().code, ErrorCode::kNotFound);
}

TEST_F(JournalTest, JournalsAreListedByNameInPagesUpToTheirNumber) {
  for (int i = 1; i < 1'000; ++i)
    Write<JournalReply>("journal.Create", JournalOf("n" + std::to_string(i)));
  EXPECT_EQ(Name(Create("one-more")), "too_many_journals");
  ListRequest request;
  request.set_limit(2);
  auto page = Read<ListReply>("journal.List", request);
  ASSERT_EQ(page->journals_size(), 2);
  EXPECT_EQ(page->journals(0).name() + " " + page->journals(1).name(), "j n1");
  request.set_cursor(page->next_cursor());
  page = Read<ListReply>("journal.List", request);
  EXPECT_EQ(page->journals(0).name(), "n10");
  request.set_limit(1'000);
  EXPECT_EQ(Read<ListReply>("journal.List", request)->next_cursor(), "");
}

TEST_F(JournalTest, MalformedRequestsNameTheField) {
  const auto field = [this](const char* method, const auto& request) {
    return FieldOf(std::string("journal.") + method, request);
  };
  CreateRequest create = JournalOf("j");
  EXPECT_EQ(field("Create", create), "fine");
  create.set_name("");
  EXPECT_EQ(field("Create", create), "name");
  create.set_name("a/b");
  EXPECT_EQ(field("Create", create), "name");
  create.set_name(std::string(129, 'x'));
  EXPECT_EQ(field("Create", create), "name");
  create = JournalOf("j", 600'001);
  EXPECT_EQ(field("Create", create), "window_ms");
  create = JournalOf("j");
  create.set_drift_ppm(100'001);
  EXPECT_EQ(field("Create", create), "drift_ppm");
  create = JournalOf("j");
  create.set_max_offset_ms(864'000'001);
  EXPECT_EQ(field("Create", create), "max_offset_ms");
  create = JournalOf("j");
  create.set_retention_seconds(315'360'001);
  EXPECT_EQ(field("Create", create), "retention_seconds");
  create = JournalOf("j");
  create.set_max_bytes((uint64_t{1} << 40) + 1);
  EXPECT_EQ(field("Create", create), "max_bytes");
  create.set_max_bytes((2 << 20) - 1);
  EXPECT_EQ(field("Create", create), "max_bytes");
  UpdateRequest update;
  EXPECT_EQ(field("Update", update), "name");
  update.set_name("j");
  update.set_max_bytes(5);
  EXPECT_EQ(field("Update", update), "max_bytes");
  EXPECT_EQ(field("Delete", DeleteRequest()), "name");
  EXPECT_EQ(field("Get", GetRequest()), "name");

  AppendRequest append = AppendOf("s", {{now_us(), "x"}}, 1);
  EXPECT_EQ(field("Append", append), "fine");
  append.set_journal("");
  EXPECT_EQ(field("Append", append), "journal");
  append = AppendOf("", {{now_us(), "x"}});
  EXPECT_EQ(field("Append", append), "source");
  append = AppendOf("a\nb", {{now_us(), "x"}});
  EXPECT_EQ(field("Append", append), "source");
  append = AppendOf(std::string(129, 's'), {{now_us(), "x"}});
  EXPECT_EQ(field("Append", append), "source");
  append = AppendOf("s", {}, 1);
  EXPECT_EQ(field("Append", append), "first_sequence");
  append = AppendOf("s", {{now_us(), "x"}, {now_us(), std::string((64 << 10) + 1, 'x')}});
  EXPECT_EQ(field("Append", append), "records[1].body");
  append = AppendOf("s", {{now_us(), "x"}});
  append.add_records();
  EXPECT_EQ(field("Append", append), "fine") << "a time may be unknown";
  append.mutable_records(1)->mutable_time()->set_seconds(-1);
  EXPECT_EQ(field("Append", append), "records[1].time");
  append.mutable_records(1)->mutable_time()->set_seconds(253'402'300'800);
  EXPECT_EQ(field("Append", append), "records[1].time");
  append = AppendOf("s", {});
  for (int i = 0; i < 1'001; ++i) FillTime(now_us(), append.add_records()->mutable_time());
  EXPECT_EQ(field("Append", append), "records");
  append = ExchangeOf("s", now_us());
  append.mutable_sent_time()->set_nanos(1'000'000'000);
  EXPECT_EQ(field("Append", append), "sent_time");
  append = ExchangeOf("s", now_us(), 1, now_us());
  EXPECT_EQ(field("Append", append), "fine");
  append.mutable_previous()->clear_batch();
  EXPECT_EQ(field("Append", append), "previous.batch");
  append = ExchangeOf("s", now_us(), 1, now_us());
  append.mutable_previous()->clear_received_time();
  EXPECT_EQ(field("Append", append), "previous.received_time");
  append.mutable_previous()->mutable_received_time()->set_seconds(-5);
  EXPECT_EQ(field("Append", append), "previous.received_time");

  FollowRequest follow;
  EXPECT_EQ(field("Follow", follow), "journal");
  follow.set_journal("j");
  follow.set_limit(1'001);
  EXPECT_EQ(field("Follow", follow), "limit");
  follow.set_limit(1);
  follow.set_wait_ms(60'001);
  EXPECT_EQ(field("Follow", follow), "wait_ms");
  QueryRequest query = QueryOf();
  EXPECT_EQ(field("Query", query), "fine");
  query.set_text(std::string(257, 't'));
  EXPECT_EQ(field("Query", query), "text");
  query = QueryOf();
  query.mutable_from()->set_seconds(253'402'300'800);
  EXPECT_EQ(field("Query", query), "from");
  query = QueryOf();
  query.mutable_before()->set_nanos(-1);
  EXPECT_EQ(field("Query", query), "before");
  for (const char* cursor : {"x", "1-2", "1-2-3-4", "01-2-3", "1-2-ffffffffffffffff", "1-2-g"}) {
    query = QueryOf();
    query.set_cursor(cursor);
    EXPECT_EQ(field("Query", query), "cursor") << cursor;
  }
  EXPECT_EQ(field("GetSource", GetSourceRequest()), "journal");
  EXPECT_EQ(field("ListSources", ListSourcesRequest()), "journal");
}

TEST_F(JournalTest, EveryOutcomeOfAnAppendInItsPrecedence) {
  AppendRequest request = AppendOf("s", {{now_us(), "one"}, {now_us(), "two"}}, 1, "nowhere");
  EXPECT_EQ(Name(Append(request)), "journal_not_found");
  request.set_journal("j");
  request.set_first_sequence(3);
  AppendReply reply = Append(request);
  EXPECT_EQ(Name(reply), "out_of_order");
  EXPECT_EQ(reply.expected_sequence(), 1u);
  EXPECT_EQ(State().sources(), 0u) << "a refused append leaves no source behind";
  request.set_first_sequence(1);
  reply = Append(request);
  EXPECT_EQ(Name(reply), "appended");
  EXPECT_EQ(reply.first_sequence(), 1u);
  EXPECT_EQ(reply.last_sequence(), 2u);
  EXPECT_EQ(reply.appended(), 2u);
  EXPECT_EQ(reply.batch(), 1u);

  AppendRequest other = request;
  other.mutable_records(1)->set_body("TWO");
  *other.add_records() = request.records(0);
  reply = Append(other);
  EXPECT_EQ(Name(reply), "different_record");
  EXPECT_EQ(reply.sequence(), 2u);
  EXPECT_EQ(reply.field(), "body");
  EXPECT_EQ(State().records(), 2u) << "nothing of it was appended";
  FillTime(now_us() - kSecond, other.mutable_records(0)->mutable_time());
  reply = Append(other);
  EXPECT_EQ(reply.sequence(), 1u);
  EXPECT_EQ(reply.field(), "time");

  reply = Append(request);
  EXPECT_EQ(Name(reply), "already_appended");
  EXPECT_EQ(reply.first_sequence(), 1u);
  EXPECT_EQ(reply.last_sequence(), 2u);
  EXPECT_EQ(reply.appended(), 0u);
  EXPECT_EQ(reply.batch(), 1u) << "of the first time, whose stamp the node knows";
  *request.add_records() = request.records(0);
  reply = Append(request);
  EXPECT_EQ(Name(reply), "appended") << "what is new behind what was there";
  EXPECT_EQ(reply.appended(), 1u);
  EXPECT_EQ(reply.last_sequence(), 3u);
  EXPECT_EQ(Name(Append(ExchangeOf("s", now_us()))), "exchanged");
  EXPECT_EQ(SourceNamed("s").last_sequence(), 3u);
  EXPECT_EQ(SourceNamed("s").batch(), 3u);
  reply = Append("s", {{now_us(), "unnumbered"}});
  EXPECT_EQ(reply.first_sequence(), 4u);
}

TEST_F(JournalTest, WhatWaitsIsBoundedByBytes) {
  CreateRequest small = JournalOf("small", 60'000);
  small.set_max_bytes(2 << 20);
  Do<JournalReply>("Create", small);
  const std::string body(60'000, 'x');
  AppendRequest request = AppendOf("s", {}, 0, "small");
  for (int i = 0; i < 17; ++i) {
    NewRecord* record = request.add_records();
    FillTime(now_us(), record->mutable_time());
    record->set_body(body);
  }
  EXPECT_EQ(Name(Append(request)), "appended");
  EXPECT_EQ(Name(Append(request)), "appended");
  AppendReply reply = Append(request);
  EXPECT_EQ(Name(reply), "too_much_waiting");
  EXPECT_EQ(reply.batch(), 0u);
  EXPECT_EQ(State("small").waiting(), 34u);
  PassStepsMs(61'000, 1'000);
  EXPECT_EQ(State("small").waiting(), 0u);
  EXPECT_EQ(Name(Append(request)), "appended") << "when they are released there is room";
}

TEST_F(JournalTest, SourcesAreBoundedAndListed) {
  for (uint32_t i = 0; i < bounds::kJournalSourcesMax; ++i) {
    Write<AppendReply>("journal.Append", ExchangeOf("s" + std::to_string(i), now_us()));
  }
  EXPECT_EQ(Name(Append(ExchangeOf("one-more", now_us()))), "too_many_sources");
  EXPECT_EQ(Name(Append(ExchangeOf("s7", now_us()))), "exchanged");
  ListSourcesRequest request;
  request.set_journal("j");
  request.set_limit(2);
  auto page = Read<ListSourcesReply>("journal.ListSources", request);
  EXPECT_EQ(page->sources(0).source() + " " + page->sources(1).source(), "s0 s1");
  EXPECT_EQ(page->next_cursor(), "s10");
  request.set_cursor("s9999");
  page = Read<ListSourcesReply>("journal.ListSources", request);
  EXPECT_EQ(page->sources_size(), 1);
  EXPECT_EQ(page->next_cursor(), "");
  request.set_journal("nowhere");
  EXPECT_EQ(Read<ListSourcesReply>("journal.ListSources", request).error().code,
            ErrorCode::kNotFound);
  GetSourceRequest nobody;
  nobody.set_journal("j");
  nobody.set_source("nobody");
  EXPECT_EQ(Read<Source>("journal.GetSource", nobody).error().code, ErrorCode::kNotFound);
}

// --- Times

TEST_F(JournalTest, ATimeIsKeptAsItWasToldWithTheCorrectedOneAndItsError) {
  Settle("ahead", 5 * kSecond);
  const Offset offset = SourceNamed("ahead").offset();
  EXPECT_NEAR(static_cast<double>(offset.offset_us()), -5e6, 5);
  EXPECT_LE(offset.error_us(), 5);
  const int64_t happened = now_us() - 200 * kMs;
  Append("ahead", {{happened + 5 * kSecond, "x"}});
  const Record record = Query(QueryOf()).records(0);
  EXPECT_EQ(FloorUs(record.time()), happened + 5 * kSecond);
  EXPECT_EQ(record.correction(), Correction::bounded);
  EXPECT_LE(std::abs(FloorUs(record.corrected()) - happened),
            static_cast<int64_t>(record.error_us()));
  EXPECT_LE(record.error_us(), 110u) << "200 ms of drift, and what the exchange left open";
  EXPECT_EQ(FloorUs(record.stamped()), now_us());
}

TEST_F(JournalTest, WhatIsNotKnownOfAClockIsNotMadeUp) {
  const auto correction = [this] { return Query(QueryOf()).records(0).correction(); };
  Append("raw", {{now_us() - 7 * kSecond, "raw"}});
  EXPECT_EQ(correction(), Correction::none);
  EXPECT_FALSE(Query(QueryOf()).records(0).has_error_us());
  // One way: it may be behind, or the append may have taken long.
  AppendRequest behind = AppendOf("behind", {{now_us() - 9 * kSecond, "behind"}});
  FillTime(now_us() - 5 * kSecond, behind.mutable_sent_time());
  Append(behind);
  Record record = Query(QueryOf("behind")).records(0);
  EXPECT_EQ(record.correction(), Correction::one_sided);
  EXPECT_EQ(record.corrected().ShortDebugString(), record.time().ShortDebugString());
  EXPECT_TRUE(record.late());
  // One way, ahead: by so much at least.
  AppendRequest ahead = AppendOf("ahead", {{now_us() + 5 * kSecond, "ahead"}});
  FillTime(now_us() + 5 * kSecond, ahead.mutable_sent_time());
  Append(ahead);
  record = Query(QueryOf("ahead")).records(0);
  EXPECT_EQ(record.correction(), Correction::one_sided);
  EXPECT_NEAR(static_cast<double>(FloorUs(record.corrected()) - now_us()), 0, 5);
  EXPECT_FALSE(record.has_error_us());
  // Far off: told, and taken as it is.
  Settle("wrong", 7'200 * kSecond);
  Append("wrong", {{now_us() + 7'200 * kSecond, "wrong"}});
  record = Query(QueryOf("wrong")).records(0);
  EXPECT_EQ(record.correction(), Correction::too_far);
  EXPECT_EQ(FloorUs(record.corrected()), now_us()) << "never after its stamp";
}

TEST_F(JournalTest, AClockThatIsSetIsFoundOut) {
  Settle("s", 0);
  EXPECT_EQ(SourceNamed("s").jumps(), 0u);
  AppendReply reply = Append(ExchangeOf("s", now_us() + 3 * kSecond));  // Forward by 3 s.
  EXPECT_EQ(SourceNamed("s").jumps(), 1u);
  EXPECT_FALSE(reply.offset().has_lower_us()) << "begun anew";
  reply = Append(ExchangeOf("s", now_us() + 3 * kSecond, reply.batch(), now_us() + 3 * kSecond));
  EXPECT_NEAR(static_cast<double>(reply.offset().offset_us()), -3e6, 5);
  // A record from before is of another clock.
  Append("s", {{now_us() + 60 * kSecond, "before"}});
  EXPECT_EQ(Query(QueryOf("before")).records(0).correction(), Correction::contradicted);
  EXPECT_EQ(FloorUs(Query(QueryOf("before")).records(0).corrected()), now_us());
  // Back by 10 s: the next append looks late, the one after it tells.
  reply = Append(ExchangeOf("s", now_us() - 7 * kSecond));
  EXPECT_EQ(SourceNamed("s").jumps(), 1u);
  reply = Append(ExchangeOf("s", now_us() - 7 * kSecond, reply.batch(), now_us() - 7 * kSecond));
  EXPECT_EQ(SourceNamed("s").jumps(), 2u);
  EXPECT_NEAR(static_cast<double>(reply.offset().offset_us()), 7e6, 5);
  EXPECT_EQ(FloorUs(SourceNamed("s").last_jump()), now_us());
}

TEST_F(JournalTest, ARecordWithoutATimeHasThatOfItsStamp) {
  Settle("s", 30 * kSecond);
  AppendRequest request = AppendOf("s", {{now_us() + 30 * kSecond, "told"}, {0, "banner"}}, 1);
  request.mutable_records(1)->clear_time();
  EXPECT_EQ(Name(Append(request)), "appended");
  const Record record = Query(QueryOf("banner")).records(0);
  EXPECT_FALSE(record.has_time());
  EXPECT_EQ(record.correction(), Correction::no_time);
  EXPECT_EQ(FloorUs(record.corrected()), now_us());
  EXPECT_FALSE(record.has_error_us());
  PassMs(50);
  EXPECT_EQ(Name(Append(request)), "already_appended") << "whenever it comes again";
  AppendRequest other = request;
  FillTime(0, other.mutable_records(1)->mutable_time());
  EXPECT_EQ(Append(other).field(), "time");
  other = request;
  other.mutable_records(0)->clear_time();
  EXPECT_EQ(Append(other).field(), "time");
}

TEST_F(JournalTest, AnAnswerThatIsNotTheLastOneTellsNothing) {
  const AppendReply first = Append(ExchangeOf("s", now_us()));
  Append(ExchangeOf("s", now_us()));
  AppendReply reply = Append(ExchangeOf("s", now_us(), first.batch(), now_us() - kSecond));
  EXPECT_FALSE(reply.offset().has_lower_us());
  reply = Append(ExchangeOf("s", now_us(), reply.batch() + 1, now_us() - kSecond));
  EXPECT_FALSE(reply.offset().has_lower_us());
}

// --- Order

TEST_F(JournalTest, RecordsAreReleasedInCorrectedOrderWhenTheWatermarkHasPassedThem) {
  Settle("a", 0);
  Settle("b", 30 * kSecond);
  const int64_t now = now_us();
  Append("b", {{now + 30 * kSecond - 100 * kMs, "b1"}, {now + 30 * kSecond - 300 * kMs, "b2"}});
  Append("a", {{now - 400 * kMs, "a1"}, {now - 200 * kMs, "a2"}});
  EXPECT_EQ(Released(), "");
  EXPECT_EQ(State().waiting(), 4u);
  PassMs(500);
  EXPECT_EQ(Released(), "") << "the watermark is at 500 ms before";
  PassStepsMs(250);
  EXPECT_EQ(Released(), "a1 b2");
  PassStepsMs(400);
  EXPECT_EQ(Released(), "a1 b2 a2 b1");
  EXPECT_EQ(Bodies(Follow(2)), "a2 b1");
  EXPECT_EQ(Bodies(Follow(1, 2)), "b2 a2");
  EXPECT_EQ(Follow(1, 2).after(), 3u);
  EXPECT_EQ(Follow(4).after(), 4u);
  EXPECT_EQ(State().waiting(), 0u);
  EXPECT_EQ(State().released(), 4u);
}

TEST_F(JournalTest, OfOneTimeTheSourceAndItsSequenceDecide) {
  const int64_t now = now_us();
  Append("b", {{now, "b1"}, {now, "b2"}});
  Append("a", {{now, "a1"}});
  PassStepsMs(1'020);
  EXPECT_EQ(Released(), "b1 b2 a1") << "b was first to append";
}

TEST_F(JournalTest, WhatComesTooLateIsFlaggedAndStandsWhereItCame) {
  const int64_t now = now_us();
  Append("a", {{now, "a1"}});
  PassStepsMs(1'500);
  const AppendReply reply =
      Append("b", {{now - 2 * kSecond, "b1"}, {now_us(), "b2"}, {now + kMs, "b3"}});
  EXPECT_EQ(reply.late(), 2u);
  EXPECT_EQ(Released(), "a1 b1* b3*") << "at once, as it came";
  PassStepsMs(1'020);
  EXPECT_EQ(Released(), "a1 b1* b3* b2");
  EXPECT_EQ(Bodies(Query(QueryOf())), "b1* a1 b3* b2") << "by time all have their place";
  EXPECT_EQ(State().late(), 2u);
  EXPECT_EQ(SourceNamed("b").late(), 2u);
}

TEST_F(JournalTest, AWiderWindowReleasesNothingTwiceAndHoldsNoOlderOnesBack) {
  Append("a", {{now_us(), "a1"}});
  PassStepsMs(1'020);
  EXPECT_EQ(Released(), "a1");
  const int64_t released_until = now_us() - kSecond;
  UpdateRequest update;
  update.set_name("j");
  update.set_window_ms(5'000);
  Do<JournalReply>("Update", update);
  EXPECT_EQ(Append("b", {{released_until - kMs, "b1"}}).late(), 1u);
  EXPECT_EQ(Append("b", {{released_until + kMs, "b2"}}).late(), 0u);
  PassStepsMs(4'100, 10);
  EXPECT_EQ(Released(), "a1 b1* b2");
  update.set_window_ms(10);
  Append("b", {{now_us(), "b3"}});
  Do<JournalReply>("Update", update);
  PassStepsMs(25);
  EXPECT_EQ(Released(), "a1 b1* b2 b3") << "a narrower one lets go at once";
}

TEST_F(JournalTest, OneEntryReleasesABoundedPortion) {
  const int64_t now = now_us();
  AppendRequest request = AppendOf("a", {});
  for (int i = 0; i < 1'000; ++i) FillTime(now, request.add_records()->mutable_time());
  Append(request);
  Append(request);
  PassMs(2'000);
  EXPECT_EQ(State().released(), 512u);
  PassMs(1);
  EXPECT_EQ(State().released(), 512u) << "others come first for 5 ms";
  PassMs(4);
  EXPECT_EQ(State().released(), 1'024u);
  PassStepsMs(10);
  EXPECT_EQ(State().released(), 2'000u);
  std::set<uint64_t> sequences;
  for (uint64_t after = 0; after < 2'000;) {
    const FollowReply page = Follow(after, 300);
    for (const Record& record : page.records()) {
      EXPECT_EQ(record.number(), ++after);
      EXPECT_EQ(record.sequence(), after) << "of one time in the source's own order";
      sequences.insert(record.sequence());
    }
    ASSERT_EQ(page.after(), after);
  }
  EXPECT_EQ(sequences.size(), 2'000u);
}

// What went wrong: the first record that waited after an old log was fed waited for a sweep over
// all of it.
TEST_F(JournalTest, AnOldLogIsNotSweptOver) {
  AppendRequest old = AppendOf("old", {});
  for (int i = 0; i < 1'000; ++i) {
    FillTime(now_us() - 60 * kSecond + i, old.add_records()->mutable_time());
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Append(old).late(), 1'000u);
  Append("live", {{now_us(), "live"}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Append(old).late(), 1'000u);
  PassMs(1'005);
  EXPECT_EQ(State().waiting(), 0u) << "with the first sweep";
  EXPECT_EQ(Bodies(Follow(6'000)), "live");
}

TEST_F(JournalTest, WhoFollowsIsToldOfAnotherJournalUnderTheName) {
  FollowRequest follow;
  follow.set_journal("j");
  follow.set_id(Follow().id());
  EXPECT_EQ(follow.id(), State().id());
  EXPECT_TRUE(Read<FollowReply>("journal.Follow", follow).has_value());
  DeleteRequest remove;
  remove.set_name("j");
  Do<JournalReply>("Delete", remove);
  Create("j");
  EXPECT_EQ(Read<FollowReply>("journal.Follow", follow).error().code, ErrorCode::kNotFound);
  QueryRequest query = QueryOf();
  query.set_id(follow.id());
  EXPECT_EQ(Read<QueryReply>("journal.Query", query).error().code, ErrorCode::kNotFound);
  query.set_id(Query(QueryOf()).id());
  EXPECT_TRUE(Read<QueryReply>("journal.Query", query).has_value());
  follow.set_id(0);
  EXPECT_TRUE(Read<FollowReply>("journal.Follow", follow).has_value());
}

TEST_F(JournalTest, WhoFollowsIsWokenByAReleaseAndByTheEnd) {
  FollowRequest follow;
  follow.set_journal("j");
  std::optional<state_machine::Topic> waits_for;
  Read<FollowReply>("journal.Follow", follow, &waits_for);
  ASSERT_TRUE(waits_for.has_value());
  const auto woken = [&] {
    for (const auto& touched : this->touched()) {
      if (touched.topic == *waits_for) return true;
    }
    return false;
  };
  Append("a", {{now_us(), "a1"}});
  EXPECT_FALSE(woken());
  PassMs(1'002);
  EXPECT_TRUE(woken());
  Append("a", {{now_us() - 2 * kSecond, "late"}});
  EXPECT_TRUE(woken());
  std::optional<state_machine::Topic> none;
  Read<FollowReply>("journal.Follow", follow, &none);
  EXPECT_FALSE(none.has_value()) << "there is something";
  DeleteRequest remove;
  remove.set_name("j");
  Do<JournalReply>("Delete", remove);
  EXPECT_TRUE(woken());
  EXPECT_EQ(Read<FollowReply>("journal.Follow", follow).error().code, ErrorCode::kNotFound);
}

TEST_F(JournalTest, ARestartForgetsNothing) {
  Settle("b", 30 * kSecond);
  const int64_t now = now_us();
  Append("a", {{now, "a1"}}, 1);
  Checkpoint();
  Append("b", {{now + 30 * kSecond - kMs, "b1"}}, 1);
  Restart();
  EXPECT_EQ(Name(Append("a", {{now, "a1"}}, 1)), "already_appended");
  PassStepsMs(1'100);
  EXPECT_EQ(Released(), "b1 a1");
  Restart();
  EXPECT_EQ(Released(), "b1 a1");
}

// --- Queries

TEST_F(JournalTest, RecordsAreFoundByTimeSourceAndText) {
  const int64_t now = now_us();
  Append("a", {{now - 30 * kMs, "leads term 5"}, {now - 10 * kMs, "ready"}});
  Append("b", {{now - 20 * kMs, "follows term 5"}, {now - 40 * kMs, "starts"}});
  EXPECT_EQ(Bodies(Query(QueryOf())), "starts leads term 5 follows term 5 ready");
  EXPECT_EQ(Bodies(Query(QueryOf("term"))), "leads term 5 follows term 5");
  EXPECT_EQ(Bodies(Query(QueryOf("", "b"))), "starts follows term 5");
  EXPECT_EQ(Bodies(Query(QueryOf("term", "b"))), "follows term 5");
  EXPECT_EQ(Bodies(Query(QueryOf("TERM"))), "") << "to the letter";
  EXPECT_EQ(Bodies(Query(QueryOf("", "nobody"))), "");
  QueryRequest request = QueryOf();
  FillTime(now - 30 * kMs, request.mutable_from());
  FillTime(now - 10 * kMs, request.mutable_before());
  EXPECT_EQ(Bodies(Query(request)), "leads term 5 follows term 5");
  request.set_source("a");
  EXPECT_EQ(Bodies(Query(request)), "leads term 5");
  // Page by page, whatever the filter.
  for (const char* source : {"", "a", "b"}) {
    std::string paged;
    request = QueryOf("", source);
    request.set_limit(1);
    for (int pages = 0; pages < 9; ++pages) {
      const QueryReply page = Query(request);
      paged += (paged.empty() || page.records().empty() ? "" : " ") + Bodies(page);
      if (page.next_cursor().empty()) break;
      request.set_cursor(page.next_cursor());
    }
    EXPECT_EQ(paged, Bodies(Query(QueryOf("", source))));
  }
}

TEST_F(JournalTest, ARareTextIsLookedForInBoundedPages) {
  const int64_t now = now_us();
  AppendRequest request = AppendOf("a", {});
  for (int i = 0; i < 1'000; ++i) {
    NewRecord* record = request.add_records();
    FillTime(now + i, record->mutable_time());
    record->set_body("nothing");
  }
  for (int i = 0; i < 3; ++i) Append(request);
  Append("a", {{now + kSecond, "the needle"}});
  QueryRequest query = QueryOf("needle");
  int pages = 1;
  QueryReply page = Query(query);
  while (page.records().empty() && !page.next_cursor().empty() && pages < 9) {
    query.set_cursor(page.next_cursor());
    page = Query(query);
    ++pages;
  }
  EXPECT_EQ(pages, 4) << "a thousand are looked at for each";
  EXPECT_EQ(Bodies(page), "the needle");
  // By bytes as well.
  Create("large");
  AppendRequest large = AppendOf("a", {}, 0, "large");
  for (int i = 0; i < 16; ++i) {
    NewRecord* record = large.add_records();
    FillTime(now, record->mutable_time());
    record->set_body(std::string(64 << 10, 'x'));
  }
  for (int i = 0; i < 4; ++i) Append(large);
  query = QueryOf("y");
  query.set_journal("large");
  page = Query(query);
  EXPECT_TRUE(page.records().empty());
  EXPECT_FALSE(page.next_cursor().empty());
  query.clear_text();
  EXPECT_EQ(Query(query).records_size(), 32) << "and no page is larger than a reply may be";
}

// --- Retention

TEST_F(JournalTest, TheOldestAreRemovedByAge) {
  CreateRequest brief = JournalOf("brief", 100);
  brief.set_retention_seconds(2);
  Do<JournalReply>("Create", brief);
  const auto append = [&](const std::string& body) {
    Append(AppendOf("a", {{now_us(), body}}, 0, "brief"));
  };
  append("a1");
  PassStepsMs(1'000, 10);
  append("a2");
  PassStepsMs(990, 10);
  EXPECT_EQ(State("brief").records(), 2u) << "at least as long as promised";
  PassStepsMs(30, 10);
  EXPECT_EQ(State("brief").records(), 1u);
  EXPECT_EQ(State("brief").removed(), 1u);
  FollowRequest follow;
  follow.set_journal("brief");
  const auto page = Read<FollowReply>("journal.Follow", follow);
  EXPECT_EQ(page->missed(), 1u);
  EXPECT_EQ(Bodies(*page), "a2");
  EXPECT_EQ(page->after(), 2u);
  PassStepsMs(1'000, 10);
  EXPECT_EQ(State("brief").records(), 0u);
  EXPECT_EQ(State("brief").bytes(), 0u);
  EXPECT_EQ(State("brief").removed(), 2u);
  // The numbers of what is gone are still known, and it is told that nothing else is.
  AppendReply reply = Append(AppendOf("a", {{now_us(), "another"}}, 1, "brief"));
  EXPECT_EQ(Name(reply), "already_appended");
  EXPECT_EQ(reply.unverified(), 1u);
  const int64_t then = now_us();
  append("a3");
  reply = Append(AppendOf("a", {{then, "?"}, {then, "a3"}, {now_us(), "a4"}}, 2, "brief"));
  EXPECT_EQ(Name(reply), "appended");
  EXPECT_EQ(reply.unverified(), 1u);
  EXPECT_EQ(reply.appended(), 1u);
  reply = Append(AppendOf("a", {{then, "?"}, {then, "A3"}}, 2, "brief"));
  EXPECT_EQ(Name(reply), "different_record");
  EXPECT_EQ(reply.unverified(), 0u);
  PassStepsMs(150, 10);
  EXPECT_EQ(State("brief").released(), 4u);
}

// What went wrong: each page walked over all that was removed since the last checkpoint.
TEST_F(JournalTest, AQueryOverWhatWasRemovedIsBounded) {
  CreateRequest brief = JournalOf("brief", 1);
  brief.set_retention_seconds(1);
  Do<JournalReply>("Create", brief);
  AppendRequest request = AppendOf("a", {}, 0, "brief");
  for (int i = 0; i < 1'000; ++i) FillTime(now_us() + i, request.add_records()->mutable_time());
  for (int i = 0; i < 3; ++i) Write<AppendReply>("journal.Append", request);
  Checkpoint();
  PassStepsMs(1'100);
  EXPECT_EQ(State("brief").removed(), 3'000u);
  Append(AppendOf("a", {{now_us(), "kept"}}, 0, "brief"));
  for (const char* source : {"", "a"}) {
    QueryRequest query = QueryOf("", source);
    query.set_journal("brief");
    QueryReply page = Query(query);
    EXPECT_EQ(Bodies(page), "") << "2,000 steps are not enough";
    ASSERT_NE(page.next_cursor(), "");
    query.set_cursor(page.next_cursor());
    page = Query(query);
    EXPECT_EQ(Bodies(page), "kept");
    EXPECT_EQ(page.next_cursor(), "");
  }
}

TEST_F(JournalTest, TheOldestAreRemovedByBytesInBoundedPortions) {
  CreateRequest small = JournalOf("small", 1);
  small.set_max_bytes(2 << 20);
  Do<JournalReply>("Create", small);
  AppendRequest request = AppendOf("a", {}, 0, "small");
  for (int i = 0; i < 1'000; ++i) {
    NewRecord* record = request.add_records();
    FillTime(now_us(), record->mutable_time());
    record->set_body(std::string(872, 'x'));  // 1,000 bytes each.
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Name(Append(request)), "appended");
    PassStepsMs(20);
  }
  EXPECT_EQ(State("small").records(), 2'097u) << "as many as have room";
  EXPECT_LE(State("small").bytes(), uint64_t{2} << 20);
  UpdateRequest update;
  update.set_name("small");
  update.set_retention_seconds(1);
  Do<JournalReply>("Update", update);
  PassMs(2'000);
  EXPECT_EQ(State("small").records(), 2'097u - 512) << "one portion an entry";
  PassStepsMs(30);
  EXPECT_EQ(State("small").records(), 0u);
}

// What went wrong: after a full portion a sweep was planned for a journal that had nothing left.
TEST_F(JournalTest, TheLastPortionMayBeAFullOne) {
  CreateRequest brief = JournalOf("brief", 1);
  brief.set_retention_seconds(1);
  Do<JournalReply>("Create", brief);
  AppendRequest request = AppendOf("a", {}, 0, "brief");
  for (int i = 0; i < 512; ++i) FillTime(now_us(), request.add_records()->mutable_time());
  Append(request);
  PassStepsMs(1'020);
  EXPECT_EQ(State("brief").records(), 0u);
  EXPECT_EQ(State("brief").removed(), 512u);
}

TEST_F(JournalTest, ADeletedJournalIsSweptAwayAndItsNameIsFree) {
  AppendRequest request = AppendOf("a", {});
  for (int i = 0; i < 1'000; ++i) FillTime(now_us(), request.add_records()->mutable_time());
  Append(request);
  PassMs(1'010);
  Append("b", {{now_us(), "waits"}});
  Create("other");
  Append(AppendOf("a", {{now_us(), "x"}}, 0, "other"));
  for (const char* name : {"j", "other"}) {
    DeleteRequest remove;
    remove.set_name(name);
    EXPECT_EQ(Name(Do<JournalReply>("Delete", remove)), "deleted");
  }
  EXPECT_EQ(Name(Create("j")), "created");
  EXPECT_EQ(State().records(), 0u);
  Append("a", {{now_us(), "new"}});
  PassStepsMs(1'100);
  EXPECT_EQ(Released(), "new");
  EXPECT_EQ(Rows(), 9u) << "of the new journal alone: journal, level, meta, source, its name, and "
                           "four of the record";
}

}  // namespace
}  // namespace holdfast::journal

#include "src/cli/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <thread>

#include "src/api/testing/shop.pb.h"
#include "src/base/bounds.h"
#include "src/base/nearest.h"
#include "src/cli/help.h"
#include "src/cli/progress.h"
#include "src/cli/testing.h"
#include "src/cli/text.h"
#include "tests/support/free_ports.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

class ProgramTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { node_ = new TestNode; }
  static void TearDownTestSuite() {
    delete node_;
    node_ = nullptr;
  }

  Ran Run(std::vector<std::string> arguments, const std::string& in = "") {
    arguments.push_back("--endpoints=" + node_->endpoint());
    return program_.Run(std::move(arguments), in);
  }
  // Without a node: everything that must not need one.
  Ran RunAlone(std::vector<std::string> arguments) { return program_.Run(std::move(arguments)); }

  static TestNode* node_;
  TestProgram program_;
};
TestNode* ProgramTest::node_ = nullptr;

TEST_F(ProgramTest, CallsAMethodAndShowsTheReply) {
  const Ran ran = Run({"counter", "add", "--name", "visits", "--amount", "-5"});
  EXPECT_EQ(ran.code, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "{\n  \"outcome\": \"added\",\n  \"value\": -5\n}\n");
  EXPECT_EQ(ran.err, "");
  const Ran read =
      Run({"--compact", "counter", "get", "--name=visits", "-v", "--consistency", "linearizable"});
  EXPECT_EQ(read.out, "{\"value\":-5}\n");
  EXPECT_EQ(read.err.substr(0, 9), "position ");
}

// What went wrong: what could not be written counted as done.
TEST_F(ProgramTest, OutputThatCannotBeWrittenIsAFault) {
  const auto run_into = [this](int descriptor, std::vector<std::string> arguments) {
    std::istringstream in;
    std::ostringstream err;
    OutputFile file(descriptor);
    std::ostream out(&file);
    const int code = program_.Run(std::move(arguments), {in, out, err, false, false, &file});
    return Ran{code, "", err.str()};
  };
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"version"}, {"--version"}, {"--help"}, {"ledger", "pay", "--help"}, {"config"}}) {
    const Ran ran = run_into(full, arguments);
    EXPECT_EQ(ran.code, kExitFault) << arguments[0];
    EXPECT_EQ(ran.err, "holdfast: the output could not be written: No space left on device\n");
  }
  // What was wrong before stays what it is.
  EXPECT_EQ(run_into(full, {"no-such-command"}).code, kExitUsage);
  close(full);
  // Whoever reads no more has enough.
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const Ran closed = run_into(ends[1], {"version"});
  std::signal(SIGPIPE, before);
  EXPECT_EQ(closed.code, kExitOk);
  EXPECT_EQ(closed.err, "");
  close(ends[1]);
  // Somebody else's stream, of which no more is known.
  std::istringstream in;
  std::ostringstream err;
  std::ostream none(nullptr);
  EXPECT_EQ(program_.Run({"version"}, {in, none, err}), kExitFault);
  EXPECT_EQ(err.str(), "holdfast: the output could not be written\n");
}

TEST(OutputFileTest, WritesAllInOrderAndRemembersTheFirstError) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::string wanted;
  std::string read_back;
  std::thread reader([&] {
    char bytes[4'096];
    for (ssize_t count; (count = read(ends[0], bytes, sizeof(bytes))) > 0;) {
      read_back.append(bytes, static_cast<size_t>(count));
    }
  });
  {
    OutputFile file(ends[1]);
    std::ostream out(&file);
    for (int i = 0; i < 50'000; ++i) {
      const std::string line = "line " + std::to_string(i);
      out << line << '\n';
      wanted += line + "\n";
    }
    const std::string large(300'000, 'x');
    out << large;
    wanted += large;
    EXPECT_TRUE(out.flush());
    EXPECT_EQ(file.error(), 0);
    out << "at the end";
    wanted += "at the end";
  }
  close(ends[1]);
  reader.join();
  close(ends[0]);
  EXPECT_EQ(read_back, wanted);
  OutputFile closed(-1);
  std::ostream out(&closed);
  out << "x";
  EXPECT_FALSE(out.flush());
  EXPECT_EQ(closed.error(), EBADF);
}

// What went wrong: --help showed examples that were refused, as something was missing in them.
TEST_F(ProgramTest, TheExamplesOfEveryMethodAreAcceptable) {
  // All is there, but one must put in a value of one's own: an amount, a delivery, a currency.
  const std::set<std::string> with_values_of_ones_own = {
      "/holdfast.atomic.Atomic/Execute",   "/holdfast.cache.Cache/Configure",
      "/holdfast.convert.Convert/Convert", "/holdfast.ledger.Ledger/CreateExchange",
      "/holdfast.queues.Queues/Ack",       "/holdfast.queues.Queues/Extend",
      "/holdfast.queues.Queues/Nack",      "/holdfast.sessions.Sessions/Open"};
  for (const auto& method : program_.registry().methods()) {
    const auto& type = *method->request->GetDescriptor();
    const FieldNames more = MoreOfSample(*method);
    std::unique_ptr<google::protobuf::Message> request(method->request->New());
    std::istringstream in;
    const std::string json = SampleJson(type, more);
    const auto parsed = ApplyJson(json, in, request.get());
    EXPECT_TRUE(parsed) << method->full_name << " " << json << ": " << OneLine(parsed.error());
    if (!parsed) continue;
    const auto valid = method->validate(*request);
    EXPECT_EQ(valid.has_value(), !with_values_of_ones_own.contains(method->full_name))
        << method->full_name << " " << json << ": " << (valid ? "" : OneLine(valid.error()));
  }
  const std::string create = RunAlone({"rounds", "create", "--help"}).out;
  EXPECT_NE(create.find("holdfast rounds create --game GAME --places 100\n"), std::string::npos)
      << create;
  const std::string post = RunAlone({"chat", "post", "--help"}).out;
  EXPECT_NE(post.find("--author AUTHOR --text TEXT\n"), std::string::npos) << post;
}

TEST_F(ProgramTest, AMethodOfItsServicesNameIsTheServicesCommand) {
  const Ran ran = Run({"--compact", "convert", "--from", "EUR", "--to", "JPY", "--amount", "1.50",
                       "--base", "USD", "--rates", "EUR=0.9", "--rates", "JPY=150"});
  EXPECT_EQ(ran.code, kExitOk) << ran.err;
  EXPECT_NE(ran.out.find(R"("converted":"250")"), std::string::npos) << ran.out;
  const Ran refused = Run({"convert", "--from", "EUR", "--to", "JPY", "--amount", "1.5"});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_NE(refused.err.find("rate"), std::string::npos) << refused.err;
  EXPECT_NE(RunAlone({"convert", "--help"}).out.find("holdfast convert --from"), std::string::npos);
  EXPECT_EQ(RunAlone({"convert", "convert"}).code, kExitUsage);
}

TEST_F(ProgramTest, MethodsAndFlagsMayBeWrittenWithUnderscores) {
  const Ran ran = Run({"ledger", "create_account", "--id", "a_b", "--currency", "EUR"});
  EXPECT_EQ(ran.code, kExitOk) << ran.err;
  const Ran pay = Run({"ledger", "pay", "--transaction_id", "u1", "--from_account", "x1",
                       "--to-account", "x2", "--amount", "1"});
  EXPECT_EQ(pay.code, kExitOk) << pay.err;
}

TEST_F(ProgramTest, ASwitchNeedsNoValue) {
  ASSERT_EQ(
      Run({"ledger", "create-account", "--id", "s1", "--currency", "EUR", "--overdraft", "true"})
          .code,
      kExitOk);
  ASSERT_EQ(Run({"ledger", "create-account", "--id", "s2", "--currency", "EUR"}).code, kExitOk);
  const std::vector<std::string> hold{"ledger", "create-transfer", "--from", "s1",       "--to",
                                      "s2",     "--amount",        "5",      "--compact"};
  auto with = [&hold](std::vector<std::string> more) {
    std::vector<std::string> all = hold;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  EXPECT_NE(Run(with({"--id", "w1", "--pending"})).out.find("\"state\":\"pending\""),
            std::string::npos);
  EXPECT_NE(Run(with({"--pending", "--id", "w2"})).out.find("\"state\":\"pending\""),
            std::string::npos);
  EXPECT_NE(Run(with({"--pending", "false", "--id", "w3"})).out.find("\"state\":\"posted\""),
            std::string::npos);
}

TEST_F(ProgramTest, ARefusalShowsTheReplyAndExitsWith1) {
  const Ran ran = Run({"ledger", "create-transfer", "--id", "r1", "--from", "nobody", "--to",
                       "no one", "--amount", "1"});
  EXPECT_EQ(ran.code, kExitRefused);
  EXPECT_NE(ran.out.find("\"outcome\": \"account_not_found\""), std::string::npos) << ran.out;
  EXPECT_EQ(ran.err, "holdfast: refused: account_not_found (An account does not exist)\n");
  const Ran missing = Run({"counter", "get", "--name", "never"});
  EXPECT_EQ(missing.code, kExitRefused);
  EXPECT_EQ(missing.out, "");
  EXPECT_EQ(std::count(missing.err.begin(), missing.err.end(), '\n'), 1) << missing.err;
}

// A batch ended with 0 and said nothing, whatever became of what was in it.
TEST_F(ProgramTest, RefusedItemsOfABatchAreCountedAndExitWith1) {
  const std::string good = R"({"id": "i1", "currency": "EUR"})";
  const std::string other = R"({"id": "i1", "currency": "USD"})";
  const auto create = [this](const std::string& accounts) {
    return Run({"ledger", "create-accounts", "--json", R"({"accounts": [)" + accounts + "]}"});
  };
  const Ran all = create(good);
  EXPECT_EQ(all.code, kExitOk) << all.err;
  EXPECT_EQ(all.err, "");
  const Ran one = create(good + "," + other);
  EXPECT_EQ(one.code, kExitRefused);
  EXPECT_EQ(one.err.find("holdfast: 1 of 2 refused, results[1]: "), 0U) << one.err;
  EXPECT_NE(one.out.find("results"), std::string::npos) << "the reply is shown all the same";
  const std::string transfer = R"({"id": "b1", "from": "nobody", "to": "no one", "amount": 1})";
  const Ran none = Run({"ledger", "create-transfers", "--transfers", transfer});
  EXPECT_EQ(none.code, kExitRefused);
  EXPECT_EQ(none.err,
            "holdfast: 1 of 1 refused, results[0]: account_not_found (An account does not "
            "exist)\n");
  const Ran two = Run({"ledger", "create-transfers", "--transfers", "[" + transfer + "]",
                       "--transfers", R"({"id": "b2", "from": "nobody", "to": "x", "amount": 1})"});
  EXPECT_EQ(two.err.find("holdfast: 2 of 2 refused, the first is results[0]: id_already_failed"),
            0U)
      << two.err;
  const Ran help = RunAlone({"ledger", "create-transfers", "--help"});
  EXPECT_NE(help.out.find("Outcomes (refused: exit code 1)"), std::string::npos) << help.out;
}

TEST_F(ProgramTest, AnIdempotencyKeyMakesARepeatOne) {
  const std::vector<std::string> add{
      "counter",           "add", "--name",    "once", "--amount", "2",
      "--idempotency-key", "k1",  "--compact", "-v"};
  EXPECT_EQ(Run(add).out, "{\"outcome\":\"added\",\"value\":2}\n");
  const Ran again = Run(add);
  EXPECT_EQ(again.out, "{\"outcome\":\"added\",\"value\":2}\n");
  EXPECT_NE(again.err.find(", replayed"), std::string::npos) << again.err;
  const Ran other =
      Run({"counter", "add", "--name", "once", "--amount", "3", "--idempotency-key", "k1"});
  EXPECT_EQ(other.code, kExitRefused) << "the key belongs to another request";
}

// A script whose variable is not set would pay twice, and nobody would see it.
TEST_F(ProgramTest, AnEmptyIdempotencyKeyIsRefused) {
  for (const std::vector<std::string>& key : {std::vector<std::string>{"--idempotency-key", ""},
                                              {"--idempotency-key="},
                                              {"--idempotency-key", "--compact"}}) {
    std::vector<std::string> add{"counter", "add", "--name", "unprotected", "--amount", "1"};
    add.insert(add.end(), key.begin(), key.end());
    const Ran ran = Run(add);
    EXPECT_EQ(ran.code, kExitUsage) << ran.out;
    EXPECT_NE(ran.err.find("--idempotency-key"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(Run({"counter", "get", "--name", "unprotected"}).code, kExitRefused)
      << "nothing was done";
  EXPECT_EQ(RunAlone({"counter", "add", "--amount=1", "--name="}).err,
            "holdfast: name: is required (see holdfast counter add --help)\n")
      << "an empty value is the option's own";
}

TEST_F(ProgramTest, WholeRequestsComeAsJson) {
  const Ran ran = Run({"counter", "add", "--json", "-", "--amount", "4", "--compact"},
                      R"({"name": "json", "amount": 1})");
  EXPECT_EQ(ran.out, "{\"outcome\":\"added\",\"value\":4}\n") << ran.err;
}

TEST_F(ProgramTest, AMalformedRequestNeedsNoNode) {
  const Ran required = RunAlone({"counter", "add", "--amount", "1"});
  EXPECT_EQ(required.code, kExitUsage);
  EXPECT_EQ(required.err, "holdfast: name: is required (see holdfast counter add --help)\n");
  const Ran type = RunAlone({"counter", "add", "--name", "x", "--amount", "1.5"});
  EXPECT_EQ(type.code, kExitUsage);
  EXPECT_EQ(type.err, "holdfast: amount: must be an integer (see holdfast counter add --help)\n");
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"--endpoints", "nonsense"},
                                              {"--timeout", "0s"},
                                              {"--timeout", "2h"},
                                              {"--consistency", "strong"},
                                              {"--after", "x"},
                                              {"--name"},
                                              {"stray"}}) {
    std::vector<std::string> arguments{"counter", "get", "--name", "x"};
    arguments.insert(arguments.end(), bad.begin(), bad.end());
    const Ran ran = RunAlone(arguments);
    EXPECT_EQ(ran.code, kExitUsage) << bad[0];
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(ProgramTest, ANodeThatIsNotThereIs3) {
  const std::string dead = testing::FreeAddress();
  const Ran ran =
      program_.Run({"counter", "get", "--name", "x", "--endpoints", dead, "--timeout", "100ms"});
  EXPECT_EQ(ran.code, kExitUnavailable);
  EXPECT_NE(ran.err.find("cannot connect to " + dead), std::string::npos) << ran.err;
}

TEST_F(ProgramTest, AnUnknownWordSuggestsTheNearest) {
  EXPECT_EQ(RunAlone({"couter", "get"}).err,
            "holdfast: there is no command 'couter' of holdfast (did you mean counter? see "
            "holdfast --help)\n");
  EXPECT_EQ(RunAlone({"counter", "ad", "--name", "x"}).err,
            "holdfast: there is no command 'ad' of holdfast counter (did you mean add? see "
            "holdfast counter --help)\n");
  EXPECT_EQ(RunAlone({"counter", "add", "--ammount=1"}).err,
            "holdfast: there is no option '--ammount' of holdfast counter add (did you mean "
            "--amount? see holdfast counter add --help)\n");
  EXPECT_EQ(RunAlone({"counter", "add", "--timeuot", "1s"}).code, kExitUsage);
  EXPECT_EQ(Nearest("xyzzy", {"add", "get"}), std::nullopt);
}

TEST_F(ProgramTest, HelpTeachesAtEveryLevel) {
  const Ran root = RunAlone({"--help"});
  EXPECT_EQ(root.code, kExitOk);
  for (const char* part :
       {"counter", "ledger", "Exit codes:", "--endpoints", "HOLDFAST_ENDPOINTS"}) {
    EXPECT_NE(root.out.find(part), std::string::npos) << part;
  }
  const Ran service = RunAlone({"ledger", "--help"});
  EXPECT_NE(service.out.find("create-transfer"), std::string::npos);
  EXPECT_EQ(service.out.find("Exit codes:\n"), std::string::npos) << "told once, at the root";
  const Ran method = RunAlone({"counter", "add", "--help"});
  for (const char* part :
       {"Adds an amount to a counter", "--amount INTEGER", "required", "/v1/counters/{name}:add",
        "holdfast counter add --name NAME --amount 100", "overflow", "refused"}) {
    EXPECT_NE(method.out.find(part), std::string::npos) << part << "\n" << method.out;
  }
  const Ran nothing = RunAlone({"counter"});
  EXPECT_EQ(nothing.code, kExitUsage);
  EXPECT_NE(nothing.err.find("Commands:"), std::string::npos);
  EXPECT_EQ(RunAlone({}).code, kExitUsage);
  EXPECT_EQ(RunAlone({"version"}).out.substr(0, 9), "holdfast ");
}

TEST(ExitCodesTest, EveryErrorHasItsCode) {
  const std::pair<ErrorCode, ExitCode> expected[] = {
      {ErrorCode::kInvalidArgument, kExitUsage},
      {ErrorCode::kNotFound, kExitRefused},
      {ErrorCode::kUnimplemented, kExitUsage},
      {ErrorCode::kTooLarge, kExitUsage},
      {ErrorCode::kIdempotencyKeyReused, kExitRefused},
      {ErrorCode::kResourceExhausted, kExitUnavailable},
      {ErrorCode::kUnavailable, kExitUnavailable},
      {ErrorCode::kDeadlineExceeded, kExitUnavailable},
      {ErrorCode::kOutcomeUnknown, kExitOutcomeUnknown},
      {ErrorCode::kInternal, kExitFault}};
  for (const auto& [code, exit] : expected) {
    EXPECT_EQ(ExitCodeOf(Error{code, "", "", "", 0}), exit) << ToString(code);
  }
}

TEST(ExitCodesTest, TheOutcomeDecidesAboutAReply) {
  api::testing::Reply reply;
  reply.set_outcome(api::testing::sold_out);
  EXPECT_TRUE(OutcomeOf(reply).refused());
  EXPECT_EQ(OutcomeOf(reply).name, "sold_out");
  reply.set_outcome(api::testing::created);
  EXPECT_FALSE(OutcomeOf(reply).refused());
  EXPECT_FALSE(OutcomeOf(api::testing::Price()).refused()) << "no outcome at all";
}

TEST(ExitCodesTest, AnErrorIsOneLineWithoutControlCharacters) {
  Error error = InvalidArgument("field", "a\nb\x1b[31m");
  error.hint = "do this";
  EXPECT_EQ(OneLine(error), "field: a b [31m (do this)");
}

TEST(ParseTimeoutTest, TakesUnitsAndRefusesTheRest) {
  EXPECT_EQ(*ParseTimeout("500ms"), milliseconds(500));
  EXPECT_EQ(*ParseTimeout("10s"), milliseconds(10'000));
  EXPECT_EQ(*ParseTimeout("10"), milliseconds(10'000));
  for (const char* bad :
       {"", "0", "-1s", "1.5s", "1h", "s", "61s", "9999999999999999999s", "1 s"}) {
    EXPECT_FALSE(ParseTimeout(bad)) << bad;
  }
}

TEST(TextTest, NumbersForPeople) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(-999), "-999");
  EXPECT_EQ(Grouped(1'234'567), "1,234,567");
  EXPECT_EQ(Grouped(Wide{INT64_MIN} * 10), "-92,233,720,368,547,758,080");
  EXPECT_EQ(GroupedHundredths(100'000'005), "1,000,000.05");
  EXPECT_EQ(GroupedHundredths(-5), "-0.05");
}

TEST(ProgressTest, ShowsRateAndTimeLeftNowAndThen) {
  auto now = std::chrono::steady_clock::time_point();
  std::ostringstream err;
  {
    Progress progress(err, /*terminal=*/false, "import", 1'000, [&now] { return now; });
    now += milliseconds(1'000);
    progress.Update(10);
    EXPECT_EQ(err.str(), "") << "a log gets a line every few seconds only";
    now += milliseconds(3'000);
    progress.Update(100);
    EXPECT_EQ(err.str(), "import: 100 of 1,000 (10 %), 25/s, 36 s left\n");
    now += milliseconds(4'000);
    progress.Update(980);
  }
  EXPECT_EQ(err.str(),
            "import: 100 of 1,000 (10 %), 25/s, 36 s left\n"
            "import: 980 of 1,000 (98 %), 122/s\n");
  err.str("");
  {
    Progress progress(err, /*terminal=*/true, "verify", 0, [&now] { return now; });
    now += milliseconds(200);
    progress.Update(20);
    EXPECT_EQ(err.str(), "\r\x1b[Kverify: 20, 100/s");
  }
  EXPECT_EQ(err.str(), "\r\x1b[Kverify: 20, 100/s\r\x1b[K") << "leaves a clean line behind";
}

}  // namespace
}  // namespace holdfast::cli

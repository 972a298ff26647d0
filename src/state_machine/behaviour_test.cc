// What the log means has versions: from which entry on, who must stop, and what comes too early.
#include "src/base/behaviour.h"

#include <gtest/gtest.h>

#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.

uint32_t BehaviourIn(const Outcome& outcome) { return ReplyIn(outcome).behaviour(); }

std::vector<Outcome> Step(MachineOnDisk& node, uint32_t version,
                          const std::vector<LogRequest>& requests = {}) {
  return node.Apply(StepOf(100, version, "9.9", requests).SerializeAsString());
}

TEST(BehaviourTest, AStepIsInForceFromItsOwnEntryOn) {
  MachineOnDisk node;
  const LogRequest put = RequestOf(PutOf("a", 1));
  EXPECT_EQ(BehaviourIn(node.Apply(100, {put})[0]), 0u) << "as before there were any";
  EXPECT_EQ(node.machine().behaviour(), 0u);
  EXPECT_EQ(BehaviourIn(Step(node, 1, {put})[0]), 0u);
  EXPECT_EQ(node.machine().behaviour(), 1u);
  EXPECT_EQ(BehaviourIn(Step(node, 2, {put})[0]), 2u);
  EXPECT_EQ(BehaviourIn(node.Apply(100, {put})[0]), 2u);
  EXPECT_EQ(node.machine().position().behaviour, 2u);
}

TEST(BehaviourTest, NoStepGoesBackOrCountsTwice) {
  MachineOnDisk once;
  MachineOnDisk twice;
  Step(once, 2);
  Step(twice, 2);
  once.Apply(100);
  Step(twice, 2);
  EXPECT_EQ(once.machine().position().digest, twice.machine().position().digest);
  Step(twice, 1);
  EXPECT_EQ(twice.machine().behaviour(), 2u);
}

TEST(BehaviourTest, IsInCheckpointsAndInTheDigest) {
  MachineOnDisk node;
  MachineOnDisk other;
  Step(node, 2);
  other.Apply(100);
  EXPECT_NE(node.machine().position().digest, other.machine().position().digest);
  node.Checkpoint();
  node.Restart();
  EXPECT_EQ(node.machine().behaviour(), 2u);
  EXPECT_EQ(node.machine().position().behaviour, 2u);
  EXPECT_EQ(BehaviourIn(node.Apply(100, {RequestOf(PutOf("a"))})[0]), 2u);
}

TEST(BehaviourTest, AMethodIsRefusedBeforeItsVersion) {
  MachineOnDisk node;
  const Method& method = *node.registry().Find("/holdfast.state_machine.testing.Sample/PutNew");
  ASSERT_TRUE(node.machine().NotYet(method).has_value());
  EXPECT_NE(node.machine().NotYet(method)->hint.find("0.1.0 or newer on every node"),
            std::string::npos);
  const LogRequest early = RequestOf(kPutNew, PutOf("a", 1), "key");
  EXPECT_EQ(node.Apply(100, {early})[0].reply.error().code, ErrorCode::kUnimplemented);
  Step(node, 2);
  EXPECT_FALSE(node.machine().NotYet(method).has_value());
  EXPECT_EQ(ReplyIn(node.Apply(100, {early})[0]).total(), 1) << "nothing was kept under the key";
}

// Doing it wrong would be divergence.
TEST(BehaviourTest, AStepThatThisProgramCannotDoStopsItAndNamesTheRelease) {
  MachineOnDisk node;
  const std::string stop = StopOf([&] { Step(node, ThisProgram().newest + 1); });
  EXPECT_NE(stop.find("entry 1: this node runs Holdfast " + ThisProgram().release),
            std::string::npos)
      << stop;
  EXPECT_NE(stop.find("Install Holdfast 9.9 or newer"), std::string::npos) << stop;
}

// The state may come from a newer program: by a checkpoint, a backup, or a node that was
// downgraded.
TEST(BehaviourTest, AStateThatThisProgramCannotGoOnWithIsToldByRelease) {
  const auto disk = std::make_shared<store::MemoryDisk>();
  {
    struct NewerRow {
      uint64_t version = 7;
      uint64_t since = 3;
      std::string release = "9.9";
      auto Fields() { return std::tie(version, since, release); }
      auto Fields() const { return std::tie(version, since, release); }
    };
    store::Store store(std::make_unique<store::MemoryBase>(disk));
    store::HashTable<uint64_t, NewerRow> behaviour(store, {0, 4}, "behaviour");
    std::function<void()> checkpoint;
    {
      absl::MutexLock lock(&store.mutex());
      behaviour.Put(0, {});
      store.EndEntry();
      checkpoint = store.BeginCheckpoint();
    }
    checkpoint();
  }
  MachineOnDisk node(disk);
  const auto fits = node.machine().Fits("this node");
  ASSERT_FALSE(fits.has_value());
  EXPECT_NE(fits.error().message.find("the cluster goes by version 7"), std::string::npos);
  EXPECT_NE(fits.error().hint.find("Install Holdfast 9.9 or newer"), std::string::npos);
  EXPECT_TRUE(MachineOnDisk().machine().Fits("").has_value());
}

TEST(BehaviourTest, WhoIsUnfitIsToldWhatToInstall) {
  const Behaviour program{2, 4, "1.4"};
  for (const uint32_t fits : {0, 2, 3, 4}) EXPECT_EQ(WhyUnfit(program, fits, "x", "node 3"), "");
  EXPECT_EQ(WhyUnfit(program, 5, "1.5", "node 3"),
            "node 3 runs Holdfast 1.4, which can do versions 2 to 4 of the behaviour, and the "
            "cluster goes by version 5, which came with Holdfast 1.5.\nInstall Holdfast 1.5 or "
            "newer there, and start it again on the same data folder: it goes on where it "
            "stopped.");
  EXPECT_NE(WhyUnfit(program, 1, "1.1", "node 3").find("between 1.1 and 1.4 on all nodes first"),
            std::string::npos);
}

}  // namespace
}  // namespace holdfast::state_machine

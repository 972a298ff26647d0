// How a cluster comes to be, and who is never let in.
#include "src/node/identity.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include "src/base/file_system_faulty.h"

namespace holdfast::node {
namespace {

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
constexpr char kFile[] = "identity";
constexpr uint64_t kCluster = 7;

Identity IdentityOf(NodeId node, uint64_t incarnation,
                    const std::map<uint64_t, uint64_t>& founders = {}) {
  Identity identity;
  identity.set_format(2);
  identity.set_node(node.value);
  identity.set_incarnation(incarnation);
  for (const auto& [id, founder_incarnation] : founders) {
    Member* member = identity.add_founders();
    member->set_node(id);
    member->set_incarnation(founder_incarnation);
  }
  if (!founders.empty()) identity.set_cluster(kCluster);
  return identity;
}
Identity Proposing(Identity identity, uint64_t cluster) {
  identity.set_cluster(cluster);
  identity.set_founding(true);
  return identity;
}

// Node n has incarnation 10 n, unless its folder was wiped.
const std::map<uint64_t, uint64_t> kFounders{{1, 10}, {2, 20}, {3, 30}};

std::map<uint64_t, uint64_t> FoundersIn(const Identity& identity) {
  std::map<uint64_t, uint64_t> founders;
  for (const Member& member : identity.founders()) founders[member.node()] = member.incarnation();
  return founders;
}

class FoundingTest : public ::testing::Test {
 protected:
  Result<Founding> TryOpen(NodeId self, uint64_t incarnation,
                           std::vector<NodeId> members = {kOne, kTwo, kThree}) {
    return Founding::Open(files_, Folder(self), self, std::move(members), incarnation);
  }
  Founding Open(NodeId self, uint64_t incarnation) {
    auto founding = TryOpen(self, incarnation);
    EXPECT_TRUE(founding) << founding.error().message;
    return std::move(*founding);
  }
  // All have met, and agree.
  void Agree(Founding& founding) {
    ASSERT_TRUE(founding.Meet(IdentityOf(kTwo, 20)));
    ASSERT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
    const uint64_t cluster = founding.identity().cluster();
    ASSERT_TRUE(founding.Meet(Proposing(IdentityOf(kTwo, 20, kFounders), cluster)));
    EXPECT_FALSE(founding.agreed()) << "one is missing";
    ASSERT_TRUE(founding.Meet(Proposing(IdentityOf(kThree, 30, kFounders), cluster)));
    ASSERT_TRUE(founding.agreed());
  }
  // A folder that node 1 left behind when it had been founded.
  void LeaveFounded() {
    Founding founding = Open(kOne, 10);
    Agree(founding);
    ASSERT_TRUE(founding.Found());
  }
  // A folder of node 1 with any bytes in its identity: why it is refused.
  std::string RefusalOf(const std::string& bytes) {
    EXPECT_TRUE(files_.CreateFolders(Folder(kOne)));
    EXPECT_TRUE(ReplaceFile(files_, Folder(kOne) + "/" + kFile, bytes));
    const auto founding = TryOpen(kOne, 10);
    EXPECT_FALSE(founding);
    return founding ? "" : founding.error().message;
  }
  static std::string Folder(NodeId node) { return "/data/" + node.ToString(); }

  FaultyFileSystem files_;
};

std::string WhyNot(const Result<void>& met) { return met ? "" : met.error().message; }

bool Says(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

TEST_F(FoundingTest, FoundsWhenAllHaveMetAndAgree) {
  Founding founding = Open(kOne, 10);
  EXPECT_FALSE(founding.founded());
  EXPECT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
  EXPECT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
  EXPECT_EQ(FoundersIn(founding.identity()).size(), 0u) << "the same again is not another";
  EXPECT_TRUE(founding.Meet(IdentityOf(kTwo, 20)));
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
  EXPECT_TRUE(founding.identity().founding());
  EXPECT_FALSE(founding.agreed()) << "nobody else has it on record";
  Agree(founding);
  EXPECT_FALSE(founding.founded());
  ASSERT_TRUE(founding.Found());
  EXPECT_TRUE(founding.founded());
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
}

TEST_F(FoundingTest, ANodeAloneNeedsNobody) {
  auto founding = TryOpen(kOne, 10, {kOne});
  ASSERT_TRUE(founding && founding->agreed());
  ASSERT_TRUE(founding->Found());
  EXPECT_TRUE(TryOpen(kOne, 11, {kOne})->founded());
}

// What went wrong: node 3 was wiped while the cluster was being founded. Node 1 founded it with the
// lost folder, which may have voted by then; node 2, a moment later, with the new one.
TEST_F(FoundingTest, AProposalStandsWhoeverLosesItsFolderAfterwards) {
  Founding one = Open(kOne, 10);
  Founding two = Open(kTwo, 20);
  Founding three = Open(kThree, 30);
  ASSERT_TRUE(one.Meet(three.identity()));
  ASSERT_TRUE(one.Meet(two.identity()));
  ASSERT_TRUE(three.Meet(one.identity()));
  ASSERT_TRUE(two.Meet(three.identity()));
  ASSERT_TRUE(two.Meet(one.identity()));
  ASSERT_TRUE(one.Meet(three.identity()));
  ASSERT_TRUE(one.Meet(two.identity()));
  ASSERT_TRUE(one.agreed());

  Founding wiped = Founding::Open(files_, "/data/new", kThree, {kOne, kTwo, kThree}, 31).value();
  EXPECT_TRUE(Says(WhyNot(two.Meet(wiped.identity())), "another data folder"));
  ASSERT_TRUE(wiped.Meet(two.identity()));
  EXPECT_TRUE(wiped.rejoining());
  ASSERT_TRUE(two.Meet(wiped.identity()));
  EXPECT_TRUE(two.agreed());
  EXPECT_EQ(two.identity().cluster(), one.identity().cluster());
  ASSERT_TRUE(one.Found());
  ASSERT_TRUE(two.Found());
  EXPECT_TRUE(two.Meet(one.identity()));
  EXPECT_TRUE(one.Meet(wiped.identity()));
}

// Both had met everyone, with another folder of node 3 each. Neither can tell whether somebody acts
// on the other's list already.
TEST_F(FoundingTest, AListOnRecordIsNeverGivenUpForAnother) {
  const std::map<uint64_t, uint64_t> others{{1, 10}, {2, 20}, {3, 31}};
  Founding one = Open(kOne, 10);
  ASSERT_TRUE(one.Meet(IdentityOf(kTwo, 20)));
  ASSERT_TRUE(one.Meet(IdentityOf(kThree, 30)));
  for (const uint64_t name : {uint64_t{1}, UINT64_MAX}) {
    EXPECT_TRUE(Says(WhyNot(one.Meet(Proposing(IdentityOf(kTwo, 20, others), name))),
                     "has put other folders on record"));
  }
  EXPECT_EQ(FoundersIn(Open(kOne, 99).identity()), kFounders);
  EXPECT_FALSE(one.agreed());
}

// But one that is founded had the word of all, of this node's lost folder too.
TEST_F(FoundingTest, AFoundedListIsTakenOverAndCountsAnew) {
  const std::map<uint64_t, uint64_t> others{{1, 11}, {2, 21}, {3, 30}};
  Founding one = Open(kOne, 11);
  ASSERT_TRUE(one.Meet(IdentityOf(kTwo, 21)));
  ASSERT_TRUE(one.Meet(IdentityOf(kThree, 30)));
  EXPECT_EQ(FoundersIn(one.identity()), others);
  EXPECT_TRUE(one.Meet(IdentityOf(kThree, 30, kFounders)));
  EXPECT_TRUE(one.rejoining());
  EXPECT_TRUE(one.agreed());
  ASSERT_TRUE(one.Found());
  EXPECT_EQ(Open(kOne, 99).identity().cluster(), kCluster);
  EXPECT_TRUE(Says(WhyNot(one.Meet(Proposing(IdentityOf(kTwo, 21, others), 1))), "another cluster"))
      << "founded is founded";
}

// Most folders were lost after the proposal: whoever is left could never be elected.
TEST_F(FoundingTest, AListOfWhichMostWereReplacedIsNotFounded) {
  Founding one = Open(kOne, 10);
  ASSERT_TRUE(one.Meet(IdentityOf(kTwo, 20)));
  ASSERT_TRUE(one.Meet(IdentityOf(kThree, 30)));
  const uint64_t name = one.identity().cluster();
  Identity two = Proposing(IdentityOf(kTwo, 21, {{1, 10}, {2, 21}, {3, 30}}), name);
  two.set_rejoining(true);
  ASSERT_TRUE(one.Meet(two));
  Identity three = Proposing(IdentityOf(kThree, 31, {{1, 10}, {2, 21}, {3, 31}}), name);
  three.set_rejoining(true);
  ASSERT_TRUE(one.Meet(three));
  EXPECT_TRUE(Says(one.Waiting(), "remove all data folders")) << one.Waiting();
  EXPECT_FALSE(one.agreed());
}

TEST_F(FoundingTest, RefusesWhatMakesNoSense) {
  Founding one = Open(kOne, 10);
  Identity nameless = IdentityOf(kTwo, 20, kFounders);
  nameless.set_cluster(0);
  Identity listless = IdentityOf(kTwo, 20);
  listless.set_cluster(7);
  for (const Identity& peer : {nameless, listless, IdentityOf(kTwo, 21, kFounders)}) {
    EXPECT_TRUE(Says(WhyNot(one.Meet(peer)), "makes no sense"));
  }
  EXPECT_TRUE(Says(WhyNot(one.Meet(IdentityOf(kOne, 11))), "says that it is this node"));
  EXPECT_EQ(Open(kOne, 99).identity().cluster(), 0u) << "nothing was written down";
  EXPECT_EQ(one.Waiting(), "waits for the word of nodes 2, 3");
}

TEST_F(FoundingTest, AProposalSurvivesACrash) {
  {
    Founding founding = Open(kOne, 10);
    ASSERT_TRUE(founding.Meet(IdentityOf(kTwo, 20)));
    files_.FailSync(1, EIO);
    EXPECT_TRUE(Says(WhyNot(founding.Meet(IdentityOf(kThree, 30))), "/data/1/identity"));
    ASSERT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
  }
  files_.Crash();
  Founding again = Open(kOne, 99);
  EXPECT_FALSE(again.founded());
  EXPECT_EQ(FoundersIn(again.identity()), kFounders);
  Agree(again);
}

TEST_F(FoundingTest, AFolderKeepsItsIncarnation) {
  EXPECT_EQ(Open(kOne, 10).identity().incarnation(), 10u);
  EXPECT_EQ(Open(kOne, 11).identity().incarnation(), 10u);
  EXPECT_EQ(FoundersIn(Open(kOne, 12).identity()), (std::map<uint64_t, uint64_t>{}));
  LeaveFounded();
  files_.Crash();
  const Founding again = Open(kOne, 13);
  EXPECT_TRUE(again.founded());
  EXPECT_EQ(again.identity().incarnation(), 10u);
  EXPECT_EQ(FoundersIn(again.identity()), kFounders);
}

// The bytes of docs/formats/identity.md, and nothing else, for ever.
TEST_F(FoundingTest, TheFileIsAsDocumented) {
  LeaveFounded();
  const uint64_t cluster = Open(kOne, 10).identity().cluster();
  EXPECT_NE(cluster, 0u);
  std::string expected(
      "\x08\x04\x10\x01\x19\x0a\0\0\0\0\0\0\0"
      "\x22\x0b\x08\x01\x11\x0a\0\0\0\0\0\0\0"
      "\x22\x0b\x08\x02\x11\x14\0\0\0\0\0\0\0"
      "\x22\x0b\x08\x03\x11\x1e\0\0\0\0\0\0\0",
      size_t{13} * 4);
  expected += '\x31';
  expected.append(reinterpret_cast<const char*>(&cluster), sizeof(cluster));
  const uint64_t checksum = XXH3_64bits(expected.data(), expected.size());
  expected += '\x41';
  expected.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
  EXPECT_EQ(files_.Contents(Folder(kOne) + "/" + kFile), expected);
}

TEST_F(FoundingTest, BeforeAProposalTheLatestIncarnationCounts) {
  Founding founding = Open(kOne, 10);
  EXPECT_TRUE(founding.Meet(IdentityOf(kTwo, 21)));
  EXPECT_TRUE(founding.Meet(IdentityOf(kTwo, 20))) << "wiped, and nothing was promised yet";
  EXPECT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
}

TEST_F(FoundingTest, AdoptsAClusterThatListsIt) {
  Founding founding = Open(kOne, 10);
  EXPECT_TRUE(founding.Meet(IdentityOf(kTwo, 20, kFounders)));
  ASSERT_TRUE(founding.agreed()) << "node 3 need not be there";
  ASSERT_TRUE(founding.Found());
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
  EXPECT_EQ(founding.outcast(), "");
}

// What went wrong: a wiped node between the two steps got onto the list, and the folder with that
// list was refused by everyone for ever.
TEST_F(FoundingTest, WhatItAdoptsStands) {
  Founding founding = Open(kOne, 10);
  EXPECT_TRUE(founding.Meet(IdentityOf(kTwo, 20, kFounders)));
  EXPECT_TRUE(Says(WhyNot(founding.Meet(IdentityOf(kThree, 31))), "another data folder"));
  EXPECT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
  ASSERT_TRUE(founding.Found());
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
}

// --- Folders made from a backup

Origin OriginOf(uint64_t backup, uint64_t index = 50) {
  Origin origin;
  origin.set_backup(backup);
  origin.set_index(index);
  origin.set_index_term(3);
  return origin;
}

TEST_F(FoundingTest, OnlyFoldersOfOneOriginFoundACluster) {
  ASSERT_TRUE(files_.CreateFolders(Folder(kOne)));
  ASSERT_TRUE(Founding::Create(files_, Folder(kOne), kOne, 10, OriginOf(7)));
  Founding one = Open(kOne, 99);
  EXPECT_EQ(one.identity().incarnation(), 10u);
  Identity two = IdentityOf(kTwo, 20);
  EXPECT_TRUE(Says(WhyNot(one.Meet(two)), "node 2 begins with nothing, node 1 with backup"));
  EXPECT_TRUE(Says(one.Waiting(), "node 2 begins with nothing"));
  for (const Origin& other : {OriginOf(8), OriginOf(7, 51)}) {
    *two.mutable_origin() = other;
    EXPECT_FALSE(one.Meet(two));
  }
  *two.mutable_origin() = OriginOf(7);
  ASSERT_TRUE(one.Meet(two));
  EXPECT_EQ(one.Waiting(), "waits for the word of nodes 3");
  Identity three = IdentityOf(kThree, 30);
  *three.mutable_origin() = OriginOf(7);
  ASSERT_TRUE(one.Meet(three));
  EXPECT_EQ(FoundersIn(one.identity()), kFounders);
  Founding empty = Founding::Open(files_, "/data/new", kTwo, {kOne, kTwo, kThree}, 20).value();
  EXPECT_FALSE(empty.Meet(one.identity())) << "listed, but with another beginning";
  EXPECT_FALSE(empty.Meet(three));
}

TEST_F(FoundingTest, AnEmptyFolderTakesALostOnesPlaceWhateverTheClusterBeganWith) {
  Identity two = IdentityOf(kTwo, 20, kFounders);
  *two.mutable_origin() = OriginOf(7);
  Founding lost = Open(kOne, 11);
  ASSERT_TRUE(lost.Meet(two));
  EXPECT_TRUE(lost.rejoining());
  EXPECT_EQ(Open(kOne, 99).identity().origin().backup(), 7u);

  // A folder of another origin does not: its state is not a beginning of the cluster's.
  ASSERT_TRUE(files_.CreateFolders(Folder(kThree)));
  ASSERT_TRUE(Founding::Create(files_, Folder(kThree), kThree, 31, OriginOf(8)));
  Founding other = Open(kThree, 99);
  EXPECT_TRUE(Says(WhyNot(other.Meet(two)), "with backup 0000000000000008 at position 50"));
  EXPECT_FALSE(other.rejoining());
  EXPECT_TRUE(Says(WhyNot(other.Meet(IdentityOf(kTwo, 20, kFounders))), "begins with nothing"));
}

TEST_F(FoundingTest, TheNameOfAClusterDependsOnItsOrigin) {
  std::set<uint64_t> names;
  for (const uint64_t backup : {0, 7, 8}) {
    const std::string folder = "/data/alone" + std::to_string(backup);
    ASSERT_TRUE(files_.CreateFolders(folder));
    if (backup != 0) {
      ASSERT_TRUE(Founding::Create(files_, folder, kOne, 10, OriginOf(backup)));
    }
    const auto founding = Founding::Open(files_, folder, kOne, {kOne}, 10);
    ASSERT_TRUE(founding);
    names.insert(founding->identity().cluster());
  }
  EXPECT_EQ(names.size(), 3u);
}

// --- A folder that was lost

TEST_F(FoundingTest, ANewFolderTakesThePlaceOfALostOne) {
  Founding lost = Open(kOne, 11);
  ASSERT_TRUE(lost.Meet(IdentityOf(kTwo, 20, kFounders)));
  EXPECT_TRUE(lost.rejoining());
  EXPECT_FALSE(lost.founded());
  ASSERT_TRUE(lost.Found());
  EXPECT_EQ(FoundersIn(lost.identity()), (std::map<uint64_t, uint64_t>{{1, 11}, {2, 20}, {3, 30}}));
  EXPECT_TRUE(Open(kOne, 99).rejoining()) << "it is durable";
  EXPECT_EQ(lost.identity().cluster(), kCluster);

  Founding other = Open(kTwo, 20);
  ASSERT_TRUE(other.Meet(IdentityOf(kThree, 30, kFounders)));
  ASSERT_TRUE(other.Found());
  EXPECT_FALSE(other.rejoining());
  EXPECT_TRUE(other.Meet(lost.identity()));
  EXPECT_EQ(FoundersIn(Open(kTwo, 99).identity()), FoundersIn(lost.identity())) << "durable";

  ASSERT_TRUE(lost.Rejoined());
  EXPECT_FALSE(Open(kOne, 99).rejoining());
  EXPECT_TRUE(other.Meet(lost.identity()));
  EXPECT_TRUE(lost.Meet(other.identity()));
}

// Not even when it was the only thing lost: it says that it is a founder in good standing.
TEST_F(FoundingTest, TheLostFolderIsRefusedWhenItTurnsUpAgain) {
  LeaveFounded();
  Founding found_again = Open(kOne, 99);
  Founding other = Open(kTwo, 20);
  ASSERT_TRUE(other.Meet(found_again.identity()));
  ASSERT_TRUE(other.Found());
  Identity replacement = IdentityOf(kOne, 11, {{1, 11}, {2, 20}, {3, 30}});
  replacement.set_cluster(other.identity().cluster());
  EXPECT_TRUE(Says(WhyNot(other.Meet(replacement)), "another data folder")) << "not rejoining";
  replacement.set_rejoining(true);
  ASSERT_TRUE(other.Meet(replacement));

  EXPECT_TRUE(Says(WhyNot(other.Meet(found_again.identity())), "another data folder"));
  EXPECT_TRUE(Says(WhyNot(found_again.Meet(other.identity())), "has taken the place of /data/1"));
  EXPECT_NE(found_again.outcast(), "");
}

TEST_F(FoundingTest, AnotherClusterIsAnotherCluster) {
  LeaveFounded();
  Founding founding = Open(kOne, 99);
  Identity stranger = IdentityOf(kTwo, 21, {{1, 10}, {2, 21}, {3, 30}});
  stranger.set_cluster(founding.identity().cluster() + 1);
  stranger.set_rejoining(true);
  EXPECT_TRUE(Says(WhyNot(founding.Meet(stranger)), "node 2 belongs to another cluster"));
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
}

// What went wrong: nodes that this one was never told of counted as met.
TEST_F(FoundingTest, AClusterOfOthersIsNotAdopted) {
  const struct {
    std::map<uint64_t, uint64_t> founders;
    const char* refusal;
  } strangers[] = {{{{2, 20}, {3, 30}}, "node 1 is not a member"},
                   {{{2, 20}, {3, 30}, {4, 40}}, "node 1 is not a member"},
                   {{{1, 10}, {2, 20}, {3, 30}, {4, 40}}, "names others"}};
  for (const auto& [founders, refusal] : strangers) {
    Founding founding = Open(kOne, 10);
    EXPECT_TRUE(Says(WhyNot(founding.Meet(IdentityOf(kTwo, 20, founders))), refusal));
    EXPECT_TRUE(founding.Meet(IdentityOf(kThree, 30)));
    EXPECT_FALSE(founding.agreed());
    EXPECT_EQ(founding.outcast(), "");
  }
}

TEST_F(FoundingTest, OnceFoundedOnlyTheFoundersAreLetIn) {
  LeaveFounded();
  Founding founding = Open(kOne, 99);
  Identity founder = IdentityOf(kTwo, 20, kFounders);
  founder.set_cluster(founding.identity().cluster());
  EXPECT_TRUE(founding.Meet(founder));
  EXPECT_TRUE(founding.Meet(IdentityOf(kTwo, 20))) << "it died before it heard of the proposal";
  EXPECT_TRUE(Says(WhyNot(founding.Meet(IdentityOf(kTwo, 21))), "node 2 has another data folder"));
  EXPECT_TRUE(Says(WhyNot(founding.Meet(IdentityOf(NodeId(4), 40))), "node 4 is not a member"));
  EXPECT_EQ(founding.outcast(), "") << "others being wrong does not make us so";
  EXPECT_EQ(FoundersIn(founding.identity()), kFounders);
}

TEST_F(FoundingTest, RefusesFoldersThatAreNotItsOwn) {
  LeaveFounded();
  auto other = Founding::Open(files_, Folder(kOne), kTwo, {kOne, kTwo, kThree}, 20);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "/data/1 belongs to node 1, not to node 2");
  EXPECT_TRUE(Says(other.error().hint, "--id"));
  for (const auto& members : {std::vector<NodeId>{kOne},
                              {kOne, kTwo},
                              {kOne, kTwo, NodeId(4)},
                              {kOne, kTwo, kThree, NodeId(4)}}) {
    const auto founding = TryOpen(kOne, 10, members);
    ASSERT_FALSE(founding);
    EXPECT_TRUE(Says(founding.error().message, "cluster.members names others"));
  }
  EXPECT_TRUE(TryOpen(kOne, 10)) << "and no refusal has changed anything";
}

TEST_F(FoundingTest, EveryBitOfTheFileIsGuarded) {
  LeaveFounded();
  const std::string path = Folder(kOne) + "/" + kFile;
  const size_t bytes = files_.Contents(path)->size();
  for (size_t at = 0; at < 8 * bytes; ++at) {
    files_.FlipBit(path, at / 8, at % 8);
    EXPECT_FALSE(TryOpen(kOne, 10)) << "bit " << at;
    files_.FlipBit(path, at / 8, at % 8);
  }
  EXPECT_TRUE(Open(kOne, 10).founded());
}

// A folder of before the checksum is read, and has one from the next change on.
TEST_F(FoundingTest, ReadsFormat1) {
  LeaveFounded();
  Identity old = Open(kOne, 10).identity();
  old.set_format(1);
  ASSERT_TRUE(ReplaceFile(files_, Folder(kOne) + "/" + kFile, old.SerializeAsString()));
  Founding founding = Open(kOne, 99);
  EXPECT_TRUE(founding.founded());
  ASSERT_TRUE(founding.Rejoined());
  Identity stored;
  ASSERT_TRUE(stored.ParseFromString(*files_.Contents(Folder(kOne) + "/" + kFile)));
  EXPECT_EQ(stored.format(), 4u);
  EXPECT_NE(stored.checksum(), 0u);
}

TEST_F(FoundingTest, RefusesWhatItCannotRead) {
  Identity newer = IdentityOf(kOne, 10);
  newer.set_format(5);
  EXPECT_EQ(RefusalOf(newer.SerializeAsString()),
            "/data/1 was written by a newer Holdfast, or is damaged");
  EXPECT_EQ(RefusalOf(""), "/data/1/identity is damaged");
  EXPECT_EQ(RefusalOf("not an identity"), "/data/1/identity is damaged");
  EXPECT_EQ(RefusalOf(IdentityOf(kOne, 10, kFounders).SerializeAsString().substr(0, 20)),
            "/data/1/identity is damaged");
  EXPECT_TRUE(Says(RefusalOf(std::string(5'000, 'x')), "/data/1/identity"));
}

// Power fails at every change that a founding makes: the folder is founded, or it is as before.
TEST_F(FoundingTest, ACrashLeavesOneStateOrTheOther) {
  bool before = false;
  bool after = false;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    for (uint64_t cut = 1;; ++cut) {
      FaultyFileSystem files({.seed = seed});
      const auto open = [&] {
        return Founding::Open(files, "/data", kOne, {kOne, kTwo, kThree}, 10);
      };
      auto founding = open();
      ASSERT_TRUE(founding);
      ASSERT_TRUE(founding->Meet(IdentityOf(kTwo, 20, kFounders)));
      files.CutPower(cut);
      const bool done = founding->Found().has_value();
      files.Crash();
      const auto again = open();
      ASSERT_TRUE(again) << "seed " << seed << ", change " << cut << ": " << again.error().message;
      EXPECT_EQ(again->identity().incarnation(), 10u);
      if (again->founded()) {
        EXPECT_EQ(FoundersIn(again->identity()), kFounders);
      }
      EXPECT_TRUE(again->founded() || !done) << "it was said to be durable";
      before |= !again->founded();
      after |= again->founded() && !done;
      if (done) break;
    }
  }
  EXPECT_TRUE(before && after) << "both were to be seen";
}

// The same for a new folder: it has an incarnation that it keeps, or none yet.
TEST_F(FoundingTest, ACrashOfANewFolderIsHarmless) {
  for (uint64_t cut = 1;; ++cut) {
    FaultyFileSystem files({.seed = cut});
    files.CutPower(cut);
    const bool done = Founding::Open(files, "/data", kOne, {kOne}, 10).has_value();
    files.Crash();
    const auto again = Founding::Open(files, "/data", kOne, {kOne}, 11);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_FALSE(again->founded());
    if (done) {
      EXPECT_EQ(again->identity().incarnation(), 10u);
      break;
    }
  }
}

// Found by simulation: it crashed between telling the others and being founded, and came back as a
// founder that had never made a promise.
TEST_F(FoundingTest, ThatItReplacesALostOneSurvivesACrashBeforeItIsFounded) {
  Founding other = Open(kTwo, 20);
  ASSERT_TRUE(other.Meet(IdentityOf(kThree, 30, kFounders)));
  ASSERT_TRUE(other.Found());
  {
    Founding lost = Open(kOne, 11);
    ASSERT_TRUE(lost.Meet(other.identity()));
    ASSERT_TRUE(other.Meet(lost.identity()));
  }
  files_.Crash();
  Founding again = Open(kOne, 99);
  EXPECT_EQ(again.identity().incarnation(), 11u);
  ASSERT_TRUE(again.Meet(other.identity()));
  EXPECT_TRUE(again.rejoining());
  ASSERT_TRUE(again.Found());
  EXPECT_TRUE(Open(kOne, 99).rejoining());
}

// Found by simulation: two had lost their disks, one welcomed the other before it knew the cluster,
// and then learnt the lost incarnation from a third.
TEST_F(FoundingTest, TwoNewFoldersWelcomeOneAnotherForTheRecord) {
  Founding one = Open(kOne, 11);
  ASSERT_TRUE(one.Meet(IdentityOf(kThree, 30, kFounders)));
  ASSERT_TRUE(one.rejoining());
  Founding two = Open(kTwo, 21);
  ASSERT_TRUE(two.Meet(one.identity()));
  EXPECT_TRUE(two.rejoining());
  EXPECT_EQ(FoundersIn(Open(kTwo, 99).identity())[1], 11u) << "durable";
  ASSERT_TRUE(two.Meet(IdentityOf(kThree, 30, kFounders)));
  EXPECT_EQ(FoundersIn(Open(kTwo, 99).identity())[1], 11u) << "the third has not met it yet";
  ASSERT_TRUE(two.Found());
  EXPECT_TRUE(one.Meet(two.identity()));
}

TEST_F(FoundingTest, ANewFolderWhoseReplacingCannotBeSavedTellsNobody) {
  Founding lost = Open(kOne, 11);
  files_.FailSync(1, EIO);
  EXPECT_TRUE(Says(WhyNot(lost.Meet(IdentityOf(kTwo, 20, kFounders))), "identity"));
  EXPECT_FALSE(lost.rejoining());
  EXPECT_FALSE(lost.agreed());
  EXPECT_TRUE(lost.Meet(IdentityOf(kTwo, 20, kFounders)));
  EXPECT_TRUE(lost.rejoining());
}

// Found by simulation: the second try was told yes, a restart forgot it, and the node that had
// rejoined on that word was taken for the one that was lost.
TEST_F(FoundingTest, AReplacementThatCouldNotBeSavedIsRefusedUntilItIs) {
  LeaveFounded();
  Founding other = Open(kOne, 10);
  Identity replacement = IdentityOf(kTwo, 21, {{1, 10}, {2, 21}, {3, 30}});
  replacement.set_cluster(other.identity().cluster());
  replacement.set_rejoining(true);
  for (int i = 0; i < 2; ++i) {
    files_.FailWrite(1, ENOSPC);
    EXPECT_TRUE(Says(WhyNot(other.Meet(replacement)), "/data/1/identity"));
    EXPECT_EQ(FoundersIn(other.identity()), kFounders);
  }
  EXPECT_TRUE(other.Meet(replacement));
  EXPECT_EQ(FoundersIn(Open(kOne, 99).identity())[2], 21u) << "durable";
}

TEST_F(FoundingTest, AFailedDiskIsAnError) {
  Founding founding = Open(kOne, 10);
  ASSERT_TRUE(founding.Meet(IdentityOf(kTwo, 20, kFounders)));
  files_.FailSync(1, EIO);
  EXPECT_TRUE(Says(WhyNot(founding.Found()), "/data/1/identity"));
}

// --- Memberships after the founding

constexpr NodeId kFour{4};

raft::Membership Later(uint64_t index, std::vector<NodeId> voters, std::vector<NodeId> learners) {
  raft::Membership membership{std::move(voters), std::move(learners)};
  membership.index = LogIndex(index);
  return membership;
}

TEST_F(FoundingTest, AMembershipInForceIsNotForgotten) {
  LeaveFounded();
  Founding founding = Open(kOne, 99);
  EXPECT_EQ(founding.membership().voters, (std::vector{kOne, kTwo, kThree}));
  EXPECT_TRUE(founding.membership().IsFounding());
  ASSERT_TRUE(founding.Adopt(Later(9, {kOne, kTwo, kThree}, {kFour})));
  files_.Crash();
  // The configuration has no say any more.
  const auto again = TryOpen(kOne, 99, {kOne, kTwo});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->membership().index, LogIndex(9));
  EXPECT_EQ(again->membership().learners, std::vector{kFour});
  EXPECT_EQ(again->founding_membership().voters, (std::vector{kOne, kTwo, kThree}));
}

// What went wrong: the fields of several added members were written in an order of chance, and the
// checksum is taken over the bytes as they would be written again.
TEST_F(FoundingTest, WhatIsKeptOfManyMembersIsReadAgain) {
  LeaveFounded();
  Founding founding = Open(kOne, 99);
  raft::Membership membership = Later(9, {kOne, kTwo, kThree, kFour}, {});
  for (uint64_t id = 5; id <= 7; ++id) membership.voters.push_back(NodeId(id));
  for (uint64_t id = 2; id <= 7; ++id) {
    membership.addresses[NodeId(id)] = "host" + std::to_string(id) + ":7000";
    membership.incarnations[NodeId(id)] = 10 * id;
  }
  for (int round = 0; round < 50; ++round) {
    ++membership.index.value;
    ASSERT_TRUE(founding.Adopt(membership));
    const auto again = TryOpen(kOne, 99);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->membership().addresses, membership.addresses);
  }
}

TEST_F(FoundingTest, AnAddedMemberIsKnownByItsFolder) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  const auto newcomer = [&](uint64_t incarnation) {
    Identity peer = one.identity();
    peer.set_node(4);
    peer.set_incarnation(incarnation);
    Member* member = peer.add_founders();
    member->set_node(4);
    member->set_incarnation(incarnation);
    return peer;
  };
  EXPECT_TRUE(Says(WhyNot(one.Meet(newcomer(40))), "node 4 is not a member"));
  ASSERT_TRUE(one.Adopt(Later(9, {kOne, kTwo, kThree}, {kFour})));
  EXPECT_TRUE(one.Meet(newcomer(40)));
  EXPECT_TRUE(Says(WhyNot(one.Meet(newcomer(41))), "another data folder"));
  Identity wiped = newcomer(41);
  wiped.set_rejoining(true);  // What it held before counts somewhere.
  EXPECT_TRUE(one.Meet(wiped));
  EXPECT_TRUE(one.Meet(newcomer(41)));
  EXPECT_EQ(one.IncarnationOf(kFour), 41u);
  raft::Membership promoted = Later(12, {kOne, kTwo, kThree, kFour}, {});
  promoted.incarnations[kFour] = 41;
  ASSERT_TRUE(one.Adopt(promoted));
  EXPECT_TRUE(Says(WhyNot(one.Meet(newcomer(42))), "another data folder"));
  Identity replaced = newcomer(42);
  replaced.set_rejoining(true);
  EXPECT_TRUE(one.Meet(replaced));
  promoted.index = LogIndex(13);  // Proposed by one that had not met the new folder yet.
  ASSERT_TRUE(one.Adopt(promoted));
  EXPECT_EQ(one.IncarnationOf(kFour), 42u);
  ASSERT_TRUE(one.Adopt(Later(15, {kOne, kTwo, kThree}, {})));
  EXPECT_TRUE(Says(WhyNot(one.Meet(newcomer(41))), "or was removed from it"));
}

TEST_F(FoundingTest, ANewMemberTakesOverWhatTheOthersKnow) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  ASSERT_TRUE(one.Adopt(Later(9, {kOne, kTwo, kThree}, {kFour})));
  auto four = TryOpen(kFour, 40, {kOne, kTwo, kThree, kFour});
  ASSERT_TRUE(four);
  ASSERT_TRUE(four->Meet(one.identity()));
  EXPECT_EQ(four->membership().index, LogIndex(9));
  EXPECT_EQ(four->founding_membership().voters, (std::vector{kOne, kTwo, kThree}));
  EXPECT_FALSE(four->rejoining()) << "who is new has promised nothing";
  EXPECT_TRUE(four->agreed());
  // The entry that gives it the vote may mean another folder, which was lost.
  raft::Membership promoted = Later(12, {kOne, kTwo, kThree, kFour}, {});
  promoted.incarnations[kFour] = 39;
  ASSERT_TRUE(four->Adopt(promoted));
  EXPECT_TRUE(four->rejoining());
}

// What went wrong: a learner that had been away told a voter that it was replaced.
TEST_F(FoundingTest, ALearnerThatWasAwayTakesAVotersWord) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  ASSERT_TRUE(one.Adopt(Later(9, {kOne, kTwo, kThree}, {kFour})));
  auto four = TryOpen(kFour, 40, {kOne, kTwo, kThree, kFour});
  ASSERT_TRUE(four);
  ASSERT_TRUE(four->Meet(one.identity()));
  ASSERT_TRUE(four->Found());
  // Meanwhile node 2 loses its folder and comes back.
  Identity two = one.identity();
  two.set_node(2);
  two.set_incarnation(21);
  two.mutable_founders(1)->set_incarnation(21);
  two.set_rejoining(true);
  ASSERT_TRUE(one.Meet(two));
  two.set_rejoining(false);
  EXPECT_TRUE(four->Meet(one.identity()));
  EXPECT_EQ(four->IncarnationOf(kTwo), 21u);
  EXPECT_TRUE(four->Meet(two));
  // And what the learner says of others makes nobody an outcast.
  Identity stale = four->identity();
  stale.mutable_founders(0)->set_incarnation(11);
  EXPECT_TRUE(one.Meet(stale));
  EXPECT_EQ(one.outcast(), "");
}

// What went wrong: a learner was to be promoted, lost its folder before that was agreed on, came
// back as a learner, and was told that the folder of before had taken its place.
TEST_F(FoundingTest, APromotionOfTheFolderBeforeMakesNobodyAnOutcast) {
  for (const bool is_heard : {false, true}) {
    LeaveFounded();
    Founding one = Open(kOne, 99);
    ASSERT_TRUE(one.Adopt(Later(9, {kOne, kTwo, kThree}, {kFour})));
    auto four = TryOpen(kFour, 41, {kOne, kTwo, kThree, kFour});
    ASSERT_TRUE(four);
    ASSERT_TRUE(four->Meet(one.identity()));
    ASSERT_TRUE(four->Found());
    ASSERT_TRUE(one.Meet(four->identity()));
    raft::Membership promoted = Later(12, {kOne, kTwo, kThree, kFour}, {});
    promoted.incarnations[kFour] = 40;
    ASSERT_TRUE(four->Adopt(promoted));
    EXPECT_TRUE(four->rejoining());
    if (is_heard) {
      EXPECT_TRUE(one.Meet(four->identity()));
    }
    ASSERT_TRUE(one.Adopt(promoted));
    EXPECT_EQ(one.IncarnationOf(kFour), is_heard ? 41u : 0u);
    EXPECT_TRUE(one.Meet(four->identity()));
    EXPECT_EQ(one.IncarnationOf(kFour), 41u);
    EXPECT_TRUE(four->Meet(one.identity()));
    EXPECT_EQ(four->outcast(), "");
    EXPECT_TRUE(files_.RemoveAll(Folder(kFour)));
    EXPECT_TRUE(files_.RemoveAll(Folder(kOne)));
  }
}

// What went wrong: a learner's lost folder was known to some. The new one heard of the cluster from
// another, took itself for the first, and was an outcast to those.
TEST_F(FoundingTest, ALearnerTakesALostFoldersPlaceOnceItHearsOfIt) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  ASSERT_TRUE(one.Adopt(Later(9, {kOne, kTwo, kThree}, {kFour})));
  auto four = TryOpen(kFour, 41, {kOne, kTwo, kThree, kFour});
  ASSERT_TRUE(four);
  ASSERT_TRUE(four->Meet(one.identity()));
  ASSERT_TRUE(four->Found());
  EXPECT_FALSE(four->rejoining());
  Identity two = one.identity();
  two.set_node(2);
  two.set_incarnation(20);
  Member* lost = two.add_founders();
  lost->set_node(4);
  lost->set_incarnation(40);
  EXPECT_TRUE(four->Meet(two));
  EXPECT_EQ(four->outcast(), "");
  EXPECT_TRUE(four->rejoining());
  EXPECT_TRUE(one.Meet(four->identity()));
}

// What went wrong: a voter whose folder was lost heard of the cluster from one that had been away,
// and told another that the folder of before had taken its place.
TEST_F(FoundingTest, WhoLostItsOwnFolderTakesAVotersWord) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  Identity two = IdentityOf(kTwo, 21, {{1, 10}, {2, 21}, {3, 39}});
  two.set_cluster(one.identity().cluster());
  two.set_rejoining(true);
  EXPECT_TRUE(one.Meet(two));
  two.mutable_founders(0)->set_incarnation(9);
  EXPECT_TRUE(one.Meet(two));
  EXPECT_EQ(one.outcast(), "");
  // Seen from there.
  auto other = TryOpen(kTwo, 21, {kOne, kTwo, kThree});
  ASSERT_TRUE(other);
  Identity stale = IdentityOf(kThree, 30, {{1, 9}, {2, 20}, {3, 30}});
  stale.set_cluster(one.identity().cluster());
  ASSERT_TRUE(other->Meet(stale));
  ASSERT_TRUE(other->Found());
  EXPECT_TRUE(other->rejoining());
  EXPECT_TRUE(other->Meet(one.identity()));
  EXPECT_EQ(other->IncarnationOf(kOne), 10u);
  EXPECT_EQ(other->IncarnationOf(kThree), 30u) << "it said so itself";
}

// What went wrong: a node that had not heard of the first change yet put the one that was added on
// record with the founders, and took it for a founder: for a voter of the first membership.
TEST_F(FoundingTest, WhoWasAddedMeanwhileIsNoFounder) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  Identity four = one.identity();
  four.set_node(4);
  four.set_incarnation(40);
  Member* member = four.add_founders();
  member->set_node(4);
  member->set_incarnation(40);
  four.set_membership_index(9);
  const raft::Membership later = Later(9, {kOne, kTwo, kThree}, {kFour});
  ASSERT_TRUE(four.mutable_membership()->ParseFromString(later.Encode()));
  ASSERT_TRUE(four.mutable_founding_membership()->ParseFromString(
      raft::Membership{{kOne, kTwo, kThree}}.Encode()));
  EXPECT_TRUE(one.Meet(four));
  EXPECT_EQ(one.membership().voters, (std::vector{kOne, kTwo, kThree}));
  EXPECT_EQ(TryOpen(kOne, 99)->membership().voters, (std::vector{kOne, kTwo, kThree}));
  ASSERT_TRUE(one.Adopt(later));
  EXPECT_EQ(one.founding_membership().voters, (std::vector{kOne, kTwo, kThree}));
  EXPECT_EQ(one.IncarnationOf(kFour), 40u);
}

TEST_F(FoundingTest, WhatMakesNoSenseIsNoMembership) {
  Identity identity = IdentityOf(kTwo, 20, kFounders);
  EXPECT_TRUE(MakesSense(identity));
  identity.set_membership_index(9);
  EXPECT_FALSE(MakesSense(identity)) << "and no members";
  identity.mutable_membership()->add_voters(1);
  identity.mutable_founding_membership()->add_voters(1);
  EXPECT_TRUE(MakesSense(identity));
  identity.set_membership_index(uint64_t{1} << 62);
  EXPECT_FALSE(MakesSense(identity));
}

TEST_F(FoundingTest, AFolderThatIsNewWhereItsNodeVotesHasNoVoice) {
  LeaveFounded();
  Founding one = Open(kOne, 99);
  raft::Membership promoted = Later(12, {kOne, kTwo, kThree, kFour}, {});
  promoted.incarnations[kFour] = 40;
  ASSERT_TRUE(one.Adopt(promoted));
  auto four = TryOpen(kFour, 41, {kOne, kTwo, kThree, kFour});
  ASSERT_TRUE(four);
  ASSERT_TRUE(four->Meet(one.identity()));
  EXPECT_TRUE(four->rejoining());
}

TEST_F(FoundingTest, BeforeTheFoundingAllMustNameTheSameMembers) {
  Founding one = Open(kOne, 10);
  Hello hello;
  *hello.mutable_identity() = IdentityOf(kTwo, 20);
  for (const uint64_t member : {1, 2}) hello.add_members(member);
  EXPECT_TRUE(Says(WhyNot(one.CompareMembers(hello)),
                   "node 2 names the members 1, 2, node 1 names 1, 2, 3"));
  hello.add_members(3);
  EXPECT_TRUE(one.CompareMembers(hello));
}

}  // namespace
}  // namespace holdfast::node

// When a disk counts as full, and when as having room again.
#include "src/node/disk_space.h"

#include <gtest/gtest.h>

#include "src/base/file_system_faulty.h"

namespace holdfast::node {
namespace {

constexpr uint64_t kMib = 1 << 20;

class DiskSpaceTest : public ::testing::Test {
 protected:
  DiskSpaceTest() { EXPECT_TRUE(files_.CreateFolders("/data")); }
  bool LookAt(DiskSpace& disk, uint64_t free_mib) {
    files_.SetFreeBytes(free_mib * kMib);
    now_ms_ += 1'000;
    return disk.Look(now_ms_);
  }
  FaultyFileSystem files_;
  uint64_t now_ms_ = 0;
};

TEST_F(DiskSpaceTest, BelowTheReserveItIsFullUntilThereIsSomeMore) {
  DiskSpace disk(files_, "/data", 512 * kMib);
  EXPECT_FALSE(LookAt(disk, 512));
  EXPECT_FALSE(disk.full());
  EXPECT_TRUE(LookAt(disk, 511));
  EXPECT_TRUE(disk.full());
  EXPECT_EQ(disk.Describe("node 1"),
            "the disk of node 1 is full: 511 MiB are left, 512 MiB are kept free "
            "(store.disk_reserve_bytes)");
  EXPECT_NE(disk.Refusal("node 1").hint.find("with 576 MiB free"), std::string::npos);
  EXPECT_FALSE(LookAt(disk, 575)) << "not to and fro around the bound";
  EXPECT_TRUE(disk.full());
  EXPECT_TRUE(LookAt(disk, 576));
  EXPECT_FALSE(disk.full());
}

// Between the two a leader refuses, and followers still take what it lets through.
TEST_F(DiskSpaceTest, BelowHalfOfTheReserveItIsShut) {
  DiskSpace disk(files_, "/data", 512 * kMib);
  LookAt(disk, 256);
  EXPECT_TRUE(disk.full());
  EXPECT_FALSE(disk.shut());
  LookAt(disk, 255);
  EXPECT_TRUE(disk.shut());
  LookAt(disk, 287);
  EXPECT_TRUE(disk.shut());
  LookAt(disk, 288);
  EXPECT_FALSE(disk.shut());
  EXPECT_TRUE(disk.full());
}

TEST_F(DiskSpaceTest, WithoutAReserveItIsNeverFull) {
  DiskSpace disk(files_, "/data", 0);
  EXPECT_FALSE(LookAt(disk, 0));
  EXPECT_FALSE(disk.full());
}

TEST_F(DiskSpaceTest, AFolderThatIsGoneIsNoticed) {
  DiskSpace disk(files_, "/data", 0);
  disk.Look(1'000);
  EXPECT_FALSE(disk.gone());
  ASSERT_TRUE(files_.RemoveAll("/data"));
  disk.Look(2'000);
  EXPECT_TRUE(disk.gone());
}

TEST_F(DiskSpaceTest, LooksNowAndThenOnly) {
  DiskSpace disk(files_, "/data", kMib);
  disk.Look(1'000);
  files_.SetFreeBytes(0);
  EXPECT_FALSE(disk.Look(1'100));
  EXPECT_TRUE(disk.Look(1'200));
}

}  // namespace
}  // namespace holdfast::node

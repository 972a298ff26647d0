#include "src/base/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "src/base/file_system_faulty.h"

namespace holdfast {
namespace {

std::string ReadAll(FileSystem& files, const std::string& path) {
  auto bytes = ReadFile(files, path, 1 << 20);
  return bytes ? *bytes : "error: " + bytes.error().message;
}

// What both file systems do alike.
class FileSystemTest : public testing::TestWithParam<bool> {
 protected:
  FileSystemTest() {
    if (!GetParam()) return;
    std::string path = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  ~FileSystemTest() override {
    if (GetParam()) std::filesystem::remove_all(root_);
  }
  FileSystem& files() { return GetParam() ? static_cast<FileSystem&>(posix_) : faulty_; }

  PosixFileSystem posix_;
  FaultyFileSystem faulty_;
  std::string root_ = "/root";
};

TEST_P(FileSystemTest, WritesReadsAndTruncates) {
  const std::string folder = root_ + "/a/b";
  ASSERT_TRUE(files().CreateFolders(folder));
  ASSERT_TRUE(files().CreateFolders(folder)) << "it is there already";
  auto file = files().Open(folder + "/f", OpenMode::kCreate);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->Write(3, "abc"));
  ASSERT_TRUE((*file)->WriteZeros(4, 1));
  EXPECT_EQ(*(*file)->Size(), 6u);
  EXPECT_EQ(ReadAll(files(), folder + "/f"), std::string("\0\0\0a\0c", 6));
  char buffer[8];
  EXPECT_EQ(*(*file)->Read(5, 8, buffer), 1u) << "less only at the end";
  EXPECT_EQ(*(*file)->Read(9, 8, buffer), 0u);
  ASSERT_TRUE((*file)->Truncate(4));
  ASSERT_TRUE((*file)->Sync());
  EXPECT_EQ(ReadAll(files(), folder + "/f"), std::string("\0\0\0a", 4));
  ASSERT_TRUE(files().Open(folder + "/f", OpenMode::kCreate));
  EXPECT_EQ(ReadAll(files(), folder + "/f"), "") << "create empties";
}

TEST_P(FileSystemTest, NamesChange) {
  const std::string folder = root_ + "/a";
  ASSERT_TRUE(files().CreateFolders(folder + "/sub"));
  ASSERT_TRUE(files().Open(folder + "/z", OpenMode::kCreate));
  ASSERT_TRUE(files().Open(folder + "/b", OpenMode::kCreate));
  EXPECT_EQ(*files().List(folder), (std::vector<std::string>{"b", "sub", "z"}));
  ASSERT_TRUE(files().Rename(folder + "/z", folder + "/b"));
  ASSERT_TRUE(files().SyncFolder(folder));
  EXPECT_EQ(*files().List(folder), (std::vector<std::string>{"b", "sub"}));
  ASSERT_TRUE(files().Remove(folder + "/b"));
  EXPECT_FALSE(files().Remove(folder + "/b"));
  EXPECT_FALSE(files().List(folder + "/none"));
  auto missing = files().Open(folder + "/b", OpenMode::kRead);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find(folder + "/b: open"), std::string::npos);
}

TEST_P(FileSystemTest, FoldersMoveAndGo) {
  const std::string from = root_ + "/a/from";
  const std::string to = root_ + "/b/to";
  ASSERT_TRUE(files().CreateFolders(from + "/deep"));
  ASSERT_TRUE(files().CreateFolders(root_ + "/b"));
  ASSERT_TRUE(ReplaceFile(files(), from + "/f", "one"));
  ASSERT_TRUE(ReplaceFile(files(), from + "/deep/g", "two"));
  EXPECT_TRUE(*files().Exists(from));
  EXPECT_FALSE(*files().Exists(to));
  ASSERT_TRUE(files().MoveFolder(from, to));
  EXPECT_FALSE(*files().Exists(from));
  EXPECT_EQ(ReadAll(files(), to + "/f"), "one");
  EXPECT_EQ(ReadAll(files(), to + "/deep/g"), "two");
  EXPECT_FALSE(files().MoveFolder(from, to)) << "it is no longer there";
  EXPECT_GT(*files().FreeBytes(to), 0u);
  ASSERT_TRUE(files().RemoveAll(to));
  ASSERT_TRUE(files().RemoveAll(to)) << "fine when it is not there";
  EXPECT_FALSE(*files().Exists(to));
  EXPECT_FALSE(*files().Exists(to + "/deep/g"));
  EXPECT_TRUE(*files().Exists(root_ + "/b"));
}

TEST_P(FileSystemTest, LocksOnce) {
  ASSERT_TRUE(files().CreateFolders(root_));
  {
    auto lock = files().Lock(root_);
    ASSERT_TRUE(lock);
    auto second = files().Lock(root_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().hint.find("Another process"), std::string::npos);
  }
  EXPECT_TRUE(files().Lock(root_));
}

TEST_P(FileSystemTest, ReplacesAWholeFileAndBoundsWhatItReads) {
  ASSERT_TRUE(files().CreateFolders(root_));
  ASSERT_TRUE(ReplaceFile(files(), root_ + "/f", "old"));
  ASSERT_TRUE(ReplaceFile(files(), root_ + "/f", "new one"));
  EXPECT_EQ(ReadAll(files(), root_ + "/f"), "new one");
  EXPECT_EQ(*files().List(root_), std::vector<std::string>{"f"});
  EXPECT_FALSE(ReadFile(files(), root_ + "/f", 6));
}

INSTANTIATE_TEST_SUITE_P(All, FileSystemTest, testing::Bool(),
                         [](const auto& each) { return each.param ? "Posix" : "Faulty"; });

TEST(PosixFileSystemTest, OnlyTheOwnerReads) {
  std::string root = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  PosixFileSystem files;
  ASSERT_TRUE(files.CreateFolders(root + "/a/b"));
  ASSERT_TRUE(files.Open(root + "/a/f", OpenMode::kCreate));
  struct stat status;
  ASSERT_EQ(::stat((root + "/a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat((root + "/a/f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_FALSE(files.CreateFolders(root + "/a/f")) << "a file is in the way";
  std::filesystem::remove_all(root);
}

class FaultyTest : public testing::Test {
 protected:
  // A durable file with `bytes`.
  std::unique_ptr<File> Make(FaultyFileSystem& files, std::string_view bytes) {
    EXPECT_TRUE(files.CreateFolders("/d"));
    auto file = files.Open("/d/f", OpenMode::kCreate);
    EXPECT_TRUE(file && (*file)->Write(0, bytes) && (*file)->Sync() && files.SyncFolder("/d"));
    return std::move(*file);
  }
};

TEST_F(FaultyTest, ACrashLosesWhatWasNotSynced) {
  FaultyFileSystem files({.survive_percent = 0});
  auto file = Make(files, "durable");
  ASSERT_TRUE(file->Write(0, "DURABLE and more"));
  ASSERT_TRUE(file->Truncate(3));
  EXPECT_EQ(ReadAll(files, "/d/f"), "DUR") << "the process sees its own writes";
  files.Crash();
  EXPECT_EQ(ReadAll(files, "/d/f"), "durable");
  EXPECT_FALSE(file->Write(0, "x")) << "the process is gone";
  EXPECT_FALSE(file->Sync());
}

TEST_F(FaultyTest, ATornWriteKeepsSomeSectorsInAnyOrder) {
  bool hole_before_data = false;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FaultyFileSystem files({.seed = seed, .sector_bytes = 2, .survive_percent = 50});
    auto file = Make(files, "........");
    ASSERT_TRUE(file->Write(1, "abcdef"));
    files.Crash();
    const std::string bytes = ReadAll(files, "/d/f");
    ASSERT_EQ(bytes.size(), 8u);
    // Sectors: .a bc de f.
    EXPECT_EQ(bytes[2] == 'b', bytes[3] == 'c') << bytes;
    EXPECT_EQ(bytes[4] == 'd', bytes[5] == 'e') << bytes;
    hole_before_data = hole_before_data || (bytes[2] == '.' && bytes[4] == 'd');
  }
  EXPECT_TRUE(hole_before_data);
}

TEST_F(FaultyTest, NamesSurviveInOrderOnceSynced) {
  bool created_survived = false;
  bool created_lost = false;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    FaultyFileSystem files({.seed = seed});
    Make(files, "x");
    ASSERT_TRUE(files.Open("/d/g", OpenMode::kCreate));
    ASSERT_TRUE(files.Remove("/d/f"));
    files.Crash();
    const bool has_f = files.Contents("/d/f").has_value();
    const bool has_g = files.Contents("/d/g").has_value();
    EXPECT_TRUE(has_f || has_g) << "the removal cannot survive alone";
    (has_g ? created_survived : created_lost) = true;
  }
  EXPECT_TRUE(created_survived && created_lost);
}

// A folder is at one place or at the other, with all that is in it.
TEST(FaultyFoldersTest, AMoveIsOneStep) {
  bool stayed = false;
  bool moved = false;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    FaultyFileSystem files({.seed = seed});
    ASSERT_TRUE(files.CreateFolders("/d/from"));
    ASSERT_TRUE(files.CreateFolders("/e"));
    ASSERT_TRUE(ReplaceFile(files, "/d/from/f", "one"));
    ASSERT_TRUE(ReplaceFile(files, "/d/from/g", "two"));
    ASSERT_TRUE(files.MoveFolder("/d/from", "/e/to"));
    files.Crash();
    const bool is_there = *files.Exists("/e/to");
    (is_there ? moved : stayed) = true;
    EXPECT_NE(*files.Exists("/d/from"), is_there) << seed;
    const std::string folder = is_there ? "/e/to" : "/d/from";
    EXPECT_EQ(ReadAll(files, folder + "/f"), "one") << seed;
    EXPECT_EQ(ReadAll(files, folder + "/g"), "two") << seed;
    if (is_there) continue;
    ASSERT_TRUE(files.MoveFolder("/d/from", "/e/to"));
    ASSERT_TRUE(files.SyncFolder("/e"));
    files.Crash();
    EXPECT_EQ(ReadAll(files, "/e/to/f"), "one") << "synced";
  }
  EXPECT_TRUE(stayed && moved);
}

// A name that was removed and not synced comes back after a crash, but not in another folder that
// has taken the path meanwhile.
TEST(FaultyFoldersTest, WhatWaitsInAFolderGoesWithIt) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    FaultyFileSystem files({.seed = seed});
    ASSERT_TRUE(files.CreateFolders("/d/db"));
    ASSERT_TRUE(files.CreateFolders("/d/new"));
    ASSERT_TRUE(ReplaceFile(files, "/d/db/old", "old"));
    ASSERT_TRUE(ReplaceFile(files, "/d/db/f", "old"));
    ASSERT_TRUE(ReplaceFile(files, "/d/new/f", "new"));
    ASSERT_TRUE(files.Remove("/d/db/old"));
    ASSERT_TRUE(files.Remove("/d/db/f"));
    ASSERT_TRUE(files.RemoveAll("/d/db"));
    ASSERT_TRUE(files.MoveFolder("/d/new", "/d/db"));
    ASSERT_TRUE(files.SyncFolder("/d"));
    ASSERT_TRUE(files.SyncFolder("/d/db"));
    files.Crash();
    EXPECT_EQ(ReadAll(files, "/d/db/f"), "new") << seed;
    EXPECT_FALSE(*files.Exists("/d/db/old")) << seed;
  }
}

TEST_F(FaultyTest, AFailedSyncIsNotMadeGoodByTheNext) {
  FaultyFileSystem files({.survive_percent = 0});
  auto file = Make(files, "old");
  ASSERT_TRUE(file->Write(0, "new"));
  files.FailSync(1, EIO);
  auto failed = file->Sync();
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().hint.find("I/O error"), std::string::npos);
  ASSERT_TRUE(file->Sync()) << "as the kernel would answer";
  EXPECT_EQ(ReadAll(files, "/d/f"), "new");
  files.Crash();
  EXPECT_EQ(ReadAll(files, "/d/f"), "old");
}

TEST_F(FaultyTest, ErrorsAndPowerCutsComeWhenPlanned) {
  FaultyFileSystem files;
  auto file = Make(files, "");
  files.FailWrite(2, ENOSPC);
  ASSERT_TRUE(file->Write(0, "a"));
  auto failed = file->Write(1, "b");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().hint.find("disk is full"), std::string::npos);
  ASSERT_TRUE(file->Write(1, "c"));
  files.CutPower(2);
  ASSERT_TRUE(file->Sync());
  EXPECT_FALSE(file->Write(2, "d"));
  EXPECT_FALSE(file->Sync());
  EXPECT_FALSE(files.Remove("/d/f"));
  files.Crash();
  EXPECT_EQ(ReadAll(files, "/d/f").substr(0, 2), "ac");
  EXPECT_TRUE(files.Remove("/d/f"));
}

TEST_F(FaultyTest, BitsRotOnTheDisk) {
  FaultyFileSystem files;
  Make(files, "a");
  files.FlipBit("/d/f", 0, 1);
  EXPECT_EQ(ReadAll(files, "/d/f"), "c");
  files.Crash();
  EXPECT_EQ(ReadAll(files, "/d/f"), "c");
}

}  // namespace
}  // namespace holdfast

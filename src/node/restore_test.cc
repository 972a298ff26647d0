// A backup's folder that is whole or not, and the data folder that comes out of it.
#include "src/node/restore.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "src/node/identity.h"
#include "src/wal/segment_log.h"
#include "tests/support/temp_folder.h"

namespace holdfast::node {
namespace {

namespace fs = std::filesystem;

uint64_t ChecksumOf(const std::string& bytes) {
  Checksum checksum;
  checksum.Add(bytes);
  return checksum.value();
}

BackupManifest SomeManifest() {
  BackupManifest manifest;
  manifest.set_format(kBackupFormat);
  manifest.set_backup(7);
  manifest.set_index(50);
  manifest.set_index_term(3);
  manifest.set_term(4);
  manifest.set_digest(99);
  for (const std::string& bytes : {std::string("CURRENT"), std::string("000001.sst")}) {
    BackupFile* file = manifest.add_files();
    file->set_name(bytes);  // Each file holds its own name.
    file->set_bytes(bytes.size());
    file->set_checksum(ChecksumOf(bytes));
  }
  return manifest;
}

class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() {
    EXPECT_TRUE(files_.CreateFolders(backup() + "/db"));
    const BackupManifest manifest = SomeManifest();
    for (const BackupFile& file : manifest.files()) Write("db/" + file.name(), file.name());
    Write(kBackupManifest, EncodeManifest(SomeManifest()));
  }
  std::string backup() const { return folder_.path() + "/backup"; }
  std::string data() const { return folder_.path() + "/data"; }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(ReplaceFile(files_, backup() + "/" + name, bytes));
  }
  Result<void> TryRestore(bool store_is_good = true) {
    auto manifest = ReadManifest(files_, backup());
    if (!manifest) return Fail(manifest.error());
    RestoreOptions options;
    options.backup = backup();
    options.data = data();
    options.node = NodeId(2);
    options.incarnation = 20;
    options.log_segment_bytes = bounds::kSegmentBytesMin;
    options.check_store = [&](const std::string& store, const BackupManifest&) -> Result<void> {
      EXPECT_TRUE(fs::exists(store + "/db/CURRENT"));
      if (!store_is_good) return Fail(InvalidArgument("", "the store is bad"));
      return {};
    };
    return Restore(files_, options, *manifest);
  }
  std::string WhyNot() {
    const auto restored = TryRestore();
    EXPECT_FALSE(fs::exists(data() + "/identity"));
    return restored ? "" : restored.error().message;
  }

  testing::TempFolder folder_;
  PosixFileSystem files_;
};

TEST_F(RestoreTest, MakesAFolderThatGoesOnBehindTheBackup) {
  ASSERT_TRUE(TryRestore());
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(data())) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"identity", "log", "store"}));
  const auto founding = Founding::Open(files_, data(), NodeId(2), {NodeId(1), NodeId(2)}, 99);
  ASSERT_TRUE(founding);
  EXPECT_EQ(founding->identity().origin().backup(), 7u);
  EXPECT_EQ(founding->identity().incarnation(), 20u);
  EXPECT_FALSE(founding->founded());
  const auto log = wal::SegmentLog::Open(files_, data() + "/log", {}, [](wal::Ticket) {});
  ASSERT_TRUE(log);
  EXPECT_EQ((*log)->first(), LogIndex(51));
  EXPECT_EQ((*log)->last(), LogIndex(50));
  EXPECT_EQ((*log)->TermAt(LogIndex(50)), Term(3));
  EXPECT_EQ((*log)->hard_state(), (wal::HardState{Term(5), NodeId(0)})) << "above the backup's";
}

TEST_F(RestoreTest, RefusesWhatIsNotWhatTheManifestSays) {
  Write("db/CURRENT", "cURRENT");
  EXPECT_NE(WhyNot().find("db/CURRENT is damaged: its checksum"), std::string::npos);
  Write("db/CURRENT", "CURREN");
  EXPECT_NE(WhyNot().find("db/CURRENT is damaged: it has 6 bytes"), std::string::npos);
  fs::remove(backup() + "/db/CURRENT");
  EXPECT_NE(WhyNot().find("db/CURRENT is missing"), std::string::npos);
  Write("db/CURRENT", "CURRENT");
  Write("db/000002.sst", "more");
  EXPECT_NE(WhyNot().find("db/000002.sst is not in the backup's manifest"), std::string::npos);
  fs::remove(backup() + "/db/000002.sst");
  EXPECT_EQ(TryRestore(false).error().message, "the store is bad");
  EXPECT_TRUE(TryRestore()) << "what the others left is in nobody's way";
}

TEST_F(RestoreTest, NeverOverwritesAnything) {
  ASSERT_TRUE(TryRestore());
  EXPECT_NE(TryRestore().error().message.find("is not empty"), std::string::npos);
  fs::remove_all(data());
  fs::create_directories(data() + "/log");
  EXPECT_NE(TryRestore().error().message.find("it holds log"), std::string::npos)
      << "a log that no restore has left";
}

TEST(BackupManifestTest, RefusesAnythingElse) {
  const std::string good = EncodeManifest(SomeManifest());
  ASSERT_TRUE(DecodeManifest(good));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodeManifest(bad)) << bit;
  }
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(DecodeManifest(good.substr(0, length))) << length;
  }
  const auto why = [](const std::function<void(BackupManifest&)>& change) {
    BackupManifest manifest = SomeManifest();
    change(manifest);
    const auto decoded = DecodeManifest(EncodeManifest(manifest));
    return decoded ? std::string() : decoded.error().message;
  };
  EXPECT_NE(why([](auto& m) { m.set_format(2); }).find("newer Holdfast"), std::string::npos);
  EXPECT_NE(why([](auto& m) { m.set_index(0); }).find("no position"), std::string::npos);
  EXPECT_NE(why([](auto& m) { m.set_term(2); }).find("no position"), std::string::npos);
  EXPECT_NE(why([](auto& m) { m.set_index(uint64_t{1} << 62); }).find("no position"),
            std::string::npos);
  EXPECT_NE(why([](auto& m) { m.clear_files(); }).find("no files"), std::string::npos);
  EXPECT_NE(why([](auto& m) { m.mutable_files(0)->set_name("../x"); }).find("no plain name"),
            std::string::npos);
  EXPECT_NE(why([](auto& m) { *m.add_files() = m.files(0); }).find("twice"), std::string::npos);
}

// The bytes of docs/formats/backup.md, for ever.
TEST(BackupManifestTest, IsAsDocumented) {
  BackupManifest manifest;
  manifest.set_format(1);
  manifest.set_backup(0x0102030405060708);
  manifest.set_index(50);
  manifest.set_index_term(3);
  manifest.set_term(4);
  BackupFile* file = manifest.add_files();
  file->set_name("CURRENT");
  file->set_bytes(16);
  file->set_checksum(9);
  std::string expected(
      "\x08\x01\x11\x08\x07\x06\x05\x04\x03\x02\x01\x18\x32\x20\x03\x28\x04"
      "\x72\x14\x0a\x07"
      "CURRENT\x10\x10\x19\x09\0\0\0\0\0\0\0",
      39);
  const uint64_t checksum = ChecksumOf(expected);
  expected += '\x79';
  expected.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
  EXPECT_EQ(EncodeManifest(manifest), expected);
}

}  // namespace
}  // namespace holdfast::node

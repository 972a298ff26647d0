#include "src/server/preflight.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "src/base/bounds.h"
#include "tests/support/http_client.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

mode_t ModeOf(const fs::path& path) {
  struct stat status;
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

ServerConfig AloneIn(const std::string& folder) {
  ServerConfig config;
  config.data = folder;
  config.fatal = [](const std::string& why) { FAIL() << why; };
  return config;
}

TEST(PreflightTest, AForeignFolderIsLeftAlone) {
  testing::TempFolder folder;
  std::ofstream(folder.path() + "/thesis.txt") << "years of work";
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().message.find("not empty (thesis.txt)"), std::string::npos)
      << server.error().message;
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1) << "nothing was added";
}

TEST(PreflightTest, AFolderWithoutItsIdentityIsNotFoundedAnew) {
  testing::TempFolder folder;
  fs::create_directory(folder.path() + "/log");
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().message.find("no identity"), std::string::npos);
}

// It used to ask whether another node was running there.
TEST(PreflightTest, AnAddressOfAnotherMachineIsCalledThat) {
  testing::TempFolder folder;
  ServerConfig config = AloneIn(folder.path() + "/1");
  config.http = {"192.0.2.1", 8'001};  // For documentation: no machine has it.
  const auto server = Server::Start(std::move(config));
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().message,
            "cannot listen on 192.0.2.1:8001: Cannot assign requested address");
  EXPECT_EQ(server.error().hint,
            "Not every address is one of this machine. Choose other addresses. Nothing was "
            "created.");
}

TEST(PreflightTest, ATakenPortLeavesNothingBehind) {
  testing::TempFolder folder;
  auto first = Server::Start(AloneIn(folder.path() + "/1"));
  ASSERT_TRUE(first) << first.error().message;
  for (const bool http : {true, false}) {
    ServerConfig config = AloneIn(folder.path() + "/2");
    (http ? config.http : config.grpc).port = http ? (*first)->http_port() : (*first)->grpc_port();
    auto second = Server::Start(std::move(config));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
    EXPECT_FALSE(fs::exists(folder.path() + "/2"));
  }
}

TEST(PreflightTest, AllFilesAreTheirOwnersAlone) {
  testing::TempFolder folder;
  const std::string data = folder.path() + "/new/data";
  {
    auto server = Server::Start(AloneIn(data));
    ASSERT_TRUE(server) << server.error().message;
    testing::HttpClient client((*server)->http_port());
    EXPECT_EQ(client.Post("/v1/counters/a:add", R"({"amount": 1})").status, 200);
  }
  EXPECT_EQ(ModeOf(data), 0700U);
  for (const auto& entry : fs::recursive_directory_iterator(data)) {
    EXPECT_EQ(ModeOf(entry.path()), entry.is_directory() ? 0700U : 0600U) << entry.path();
  }
}

TEST(PreflightTest, AnEmptyFolderIsMadePrivateAndAnOpenOneRefused) {
  testing::TempFolder folder;
  const std::string data = folder.path() + "/data";
  fs::create_directory(data);
  fs::create_directory(data + "/lost+found");
  fs::permissions(data, static_cast<fs::perms>(0755));
  ASSERT_TRUE(Server::Start(AloneIn(data))) << "an empty disk is fine";
  EXPECT_EQ(ModeOf(data), 0700U);
  fs::permissions(data, static_cast<fs::perms>(0755));
  auto open = Server::Start(AloneIn(data));
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().message.find("everybody"), std::string::npos);
  EXPECT_NE(open.error().hint.find("chmod 700"), std::string::npos);
  fs::permissions(data, static_cast<fs::perms>(0750));
  EXPECT_TRUE(Server::Start(AloneIn(data))) << "the group is the operator's business";
}

TEST(PreflightTest, AFileIsNoFolder) {
  testing::TempFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  EXPECT_FALSE(CheckDataFolder(folder.path() + "/file"));
  EXPECT_TRUE(CheckDataFolder(folder.path() + "/not/yet/there"));
}

TEST(PreflightTest, ConnectionsLeaveFilesToTheStore) {
  EXPECT_EQ(ShareFiles(1 << 20).http_connections, bounds::kHttpConnectionsMax);
  EXPECT_EQ(ShareFiles(1 << 20).grpc_files_max, bounds::kGrpcFilesMax);
  for (const size_t files :
       {size_t{65'536}, size_t{10'000}, size_t{4'096}, size_t{1'500}, size_t{1'024}}) {
    const FileShares shares = ShareFiles(files);
    EXPECT_LE(shares.http_files_max, files - std::min(bounds::kFilesOfStore, files / 2)) << files;
    EXPECT_LT(shares.grpc_files_max, shares.http_files_max)
        << "HTTP would be kept out at " << files;
    const size_t own = files < 4'096 ? 0 : bounds::kFilesOfStore;
    EXPECT_LT(own + shares.http_connections, shares.grpc_files_max) << "no gRPC at " << files;
  }
  EXPECT_EQ(ShareFiles(1'024).http_connections, 256u);
  EXPECT_GE(OpenFilesMax(/*raise=*/true), OpenFilesMax());
}

}  // namespace
}  // namespace holdfast

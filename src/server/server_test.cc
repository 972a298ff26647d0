// Whole nodes in one process, over real sockets and files.
#include "src/server/server.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/http_client.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using testing::HttpClient;
using testing::HttpReply;
using testing::JsonField;

ServerConfig AloneIn(const std::string& folder) {
  ServerConfig config;
  config.data = folder;
  config.fatal = [](const std::string& why) { FAIL() << why; };
  return config;
}

TEST(ServerTest, OneNodeServesAndRemembers) {
  testing::TempFolder folder;
  {
    auto server = Server::Start(AloneIn(folder.path()));
    ASSERT_TRUE(server) << server.error().message;
    HttpClient client((*server)->http_port());
    HttpReply added = client.Post("/v1/counters/visits:add", R"({"amount": 3})");
    EXPECT_EQ(added.status, 200) << added.body;
    EXPECT_EQ(client.Get("/health").status, 200);
    (*server)->Stop(std::chrono::seconds(5));
  }
  auto server = Server::Start(AloneIn(folder.path()));
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->http_port());
  HttpReply read = client.Get("/v1/counters/visits");
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(JsonField(read.body, "value"), "3") << read.body;
}

}  // namespace
}  // namespace holdfast

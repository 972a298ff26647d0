// What lies in the folders of stopped nodes, whole and damaged, and how a damaged one comes back.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/cluster/payment_load.h"
#include "tests/support/figures.h"
#include "tests/support/http_client.h"
#include "tests/support/run_program.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Ended;
using testing::HttpClient;
using testing::JsonField;
using testing::PaymentLoad;
using testing::ProcessCluster;
using testing::RunFor;
using testing::RunHoldfast;
using Clock = std::chrono::steady_clock;

bool Says(const Ended& ended, const std::string& part) {
  return ended.output.find(part) != std::string::npos;
}

void FlipBit(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 16));
}

std::string Endpoints(const ProcessCluster& cluster, int except = 0) {
  std::string all;
  for (int node = 1; node <= cluster.size(); ++node) {
    if (node == except) continue;
    all +=
        (all.empty() ? "" : ",") + std::string("127.0.0.1:") + std::to_string(cluster.grpc(node));
  }
  return " --endpoints " + all;
}

std::string FirstRun(const std::string& folder) {
  for (const auto& file : fs::directory_iterator(folder + "/store/db")) {
    if (file.path().extension() == ".sst") return file.path();
  }
  return "";
}

class InspectTest : public ::testing::Test {
 protected:
  void StartCluster(int nodes) {
    cluster_ = std::make_unique<ProcessCluster>(nodes);
    cluster_->SetFlags({"--checkpoint-interval-ms", "300"});
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->WaitHealthy());
    load_ = std::make_unique<PaymentLoad>(*cluster_);
    load_->Start(4);
    RunFor(seconds(2));
    // Payments are in a checkpoint by now, or soon.
    const auto figure = [&](int node, const char* name) {
      return testing::Figures::Of(cluster_->host(node), cluster_->http(node)).Get(name);
    };
    for (const auto until = Clock::now() + seconds(60); load_->payments().count() == 0;) {
      ASSERT_LT(Clock::now(), until);
      RunFor(milliseconds(20));
    }
    for (int node = 1; node <= nodes; ++node) {
      const double aim = figure(node, "holdfast_log_committed_index");
      for (const auto until = Clock::now() + seconds(60);
           figure(node, "holdfast_checkpoint_index") < aim;) {
        ASSERT_LT(Clock::now(), until) << "no checkpoint of node " << node;
        RunFor(milliseconds(20));
      }
    }
    load_->Stop();
  }
  Ended Repair(int node, const std::string& more = "") {
    std::string members;
    for (int i = 1; i <= cluster_->size(); ++i) {
      members += (i == 1 ? "" : ",") + std::to_string(i) +
                 "=127.0.0.1:" + std::to_string(cluster_->peer(i));
    }
    return RunHoldfast("repair --id " + std::to_string(node) + " --data " + cluster_->data(node) +
                       " --members " + members +
                       Endpoints(*cluster_, cluster_->size() == 1 ? 0 : node) + more);
  }
  Ended Inspect(int node, const std::string& more = "") {
    return RunHoldfast("inspect " + cluster_->data(node) + more);
  }

  std::unique_ptr<ProcessCluster> cluster_;
  std::unique_ptr<PaymentLoad> load_;
};

TEST_F(InspectTest, ExplainsAFolderAndChangesNothing) {
  StartCluster(1);
  EXPECT_NE(Inspect(1).code, 0) << "a node runs on it";
  cluster_->Kill(1);
  std::map<std::string, std::pair<uint64_t, fs::file_time_type>> before;
  const auto files = [&] {
    std::map<std::string, std::pair<uint64_t, fs::file_time_type>> all;
    for (const auto& file : fs::recursive_directory_iterator(cluster_->data(1))) {
      if (!file.is_regular_file()) continue;
      all[file.path()] = {file.file_size(), file.last_write_time()};
    }
    return all;
  };
  before = files();
  const Ended text = Inspect(1, " --entries 1..4 --decode");
  EXPECT_EQ(text.code, 0) << text.output;
  for (const char* part :
       {"node    1, founded", "segment-0000000001.log", "1  term 1  configuration",
        "holdfast.ledger.Ledger/", "\"currency\":\"EUR\"", "ledger/", "nothing is damaged"}) {
    EXPECT_TRUE(Says(text, part)) << part << "\n" << text.output;
  }
  const Ended json = Inspect(1, " --json --compact --entries 1");
  EXPECT_EQ(json.code, 0);
  EXPECT_EQ(JsonField(json.output, "standing"), "founded") << json.output;
  EXPECT_EQ(files(), before);
  EXPECT_EQ(RunHoldfast("inspect " + cluster_->data(1) + "/log").code, 2);
  EXPECT_EQ(Inspect(1, " --entries x").code, 2);
}

TEST_F(InspectTest, NamesFileAndPlaceOfDamage) {
  StartCluster(1);
  cluster_->Terminate(1);
  const std::string folder = cluster_->data(1);
  const std::string log = folder + "/log/segment-0000000001.log";
  FlipBit(log, 4096 + 60);
  Ended found = Inspect(1, " --entries 1..");
  EXPECT_EQ(found.code, 1);
  EXPECT_TRUE(Says(found, "DAMAGED log: " + log + ", offset 4096")) << found.output;
  FlipBit(log, 4096 + 60);

  const std::string run = FirstRun(folder);
  ASSERT_NE(run, "");
  FlipBit(run, 100);
  found = Inspect(1);
  EXPECT_EQ(found.code, 1);
  EXPECT_TRUE(Says(found, "DAMAGED store: ") && Says(found, fs::path(run).filename()))
      << found.output;
  FlipBit(run, 100);

  FlipBit(folder + "/identity", 5);
  found = Inspect(1);
  EXPECT_TRUE(Says(found, "DAMAGED identity: " + folder + "/identity")) << found.output;
  FlipBit(folder + "/identity", 5);
  EXPECT_EQ(Inspect(1).code, 0);
  EXPECT_EQ(Repair(1, " --force").code, 3) << "the only copy stays where it is";
}

// CURRENT names the MANIFEST, which names all the others: without them no run means anything.
TEST_F(InspectTest, DamageOfTheStoresOwnDirectoryIsNamedAndRepaired) {
  StartCluster(3);
  const int node = cluster_->WaitLeader() % 3 + 1;
  cluster_->Terminate(node);
  const std::string database = cluster_->data(node) + "/store/db/";
  std::string manifest;
  for (const auto& file : fs::directory_iterator(database)) {
    if (file.path().filename().string().starts_with("MANIFEST")) manifest = file.path();
  }
  ASSERT_NE(manifest, "");
  for (const std::string& path : {database + "CURRENT", manifest}) {
    FlipBit(path, 10);
    const Ended found = Inspect(node);
    EXPECT_EQ(found.code, 1) << path;
    EXPECT_TRUE(Says(found, "DAMAGED store: ")) << found.output;
    cluster_->Start(node);
    EXPECT_NE(cluster_->WaitEnd(node, seconds(20)), 0) << "it begins no new store in its place";
    FlipBit(path, 10);
    EXPECT_EQ(Inspect(node).code, 0) << "nothing was changed by the attempt";
  }
  FlipBit(manifest, 10);
  const Ended repair = Repair(node);
  ASSERT_EQ(repair.code, 0) << repair.output;
  cluster_->Start(node);
  ASSERT_TRUE(cluster_->WaitHealthy(node, seconds(60))) << cluster_->LogOf(node);
  CheckAll(*cluster_, load_->payments());
}

// What rots under a node that runs, in a run and in the log, as an operator finds it and mends it.
TEST_F(InspectTest, ARunningNodeFindsWhatRotsAndIsRepaired) {
  StartCluster(3);
  const int node = cluster_->WaitLeader() % 3 + 1;
  for (const bool in_log : {false, true}) {
    cluster_->Terminate(node);
    cluster_->SetFlags({"--checkpoint-interval-ms", "300", "--scrub-seconds", "1"});
    cluster_->Start(node);
    ASSERT_TRUE(cluster_->WaitHealthy(node, seconds(60))) << cluster_->LogOf(node);
    const std::string damaged = in_log ? cluster_->data(node) + "/log/segment-0000000001.log"
                                       : FirstRun(cluster_->data(node));
    FlipBit(damaged, in_log ? 4096 + 60 : 100);
    EXPECT_EQ(cluster_->WaitEnd(node, seconds(30)), 5);
    const std::string words = cluster_->LogOf(node);
    EXPECT_NE(words.find(fs::path(damaged).filename()), std::string::npos) << words;
    EXPECT_NE(words.find("found while the node ran"), std::string::npos) << words;
    const Ended repair = Repair(node);
    ASSERT_EQ(repair.code, 0) << repair.output;
    cluster_->Start(node);
    ASSERT_TRUE(cluster_->WaitHealthy(node, seconds(60))) << cluster_->LogOf(node);
  }
  // Without writes all are read at one position, and every row is compared.
  CheckAll(*cluster_, load_->payments());
  const Ended verify =
      RunHoldfast("verify --stores " + cluster_->data(1) + ".scratch" + Endpoints(*cluster_));
  EXPECT_EQ(verify.code, 0) << verify.output;
  EXPECT_TRUE(Says(verify, "all rows as on the others")) << verify.output;
}

TEST_F(InspectTest, ADamagedNodeIsRepairedFromTheOthers) {
  StartCluster(3);
  EXPECT_EQ(RunHoldfast("verify" + Endpoints(*cluster_)).code, 0);
  const int node = cluster_->WaitLeader() % 3 + 1;
  const int other = node % 3 + 1;
  EXPECT_NE(Repair(node).code, 0) << "it runs";
  cluster_->Terminate(node);
  Ended repair = Repair(node);
  EXPECT_EQ(repair.code, 1) << repair.output;
  EXPECT_TRUE(Says(repair, "nothing is damaged")) << repair.output;
  FlipBit(cluster_->data(node) + "/log/segment-0000000001.log", 4096 + 60);
  cluster_->Start(node);
  EXPECT_NE(cluster_->WaitEnd(node, seconds(20)), 0) << "it does not guess";
  EXPECT_NE(cluster_->LogOf(node).find("offset 4096"), std::string::npos) << cluster_->LogOf(node);

  cluster_->Kill(other);
  repair = Repair(node);
  EXPECT_EQ(repair.code, 3) << repair.output;
  EXPECT_TRUE(Says(repair, "nothing was moved")) << repair.output;
  EXPECT_TRUE(fs::exists(cluster_->data(node)));
  cluster_->Start(other);
  ASSERT_TRUE(cluster_->WaitHealthy());

  repair = Repair(node);
  ASSERT_EQ(repair.code, 0) << repair.output;
  EXPECT_TRUE(Says(repair, "damaged log: ") && Says(repair, ".damaged-")) << repair.output;
  EXPECT_FALSE(fs::exists(cluster_->data(node)));
  cluster_->Start(node);
  HttpClient client(cluster_->http(node), seconds(2));
  for (const auto begun = Clock::now();
       JsonField(client.Get("/status").body, "rejoining") != "false";) {
    ASSERT_LT(Clock::now(), begun + seconds(60)) << cluster_->LogOf(node);
    RunFor(milliseconds(20));
  }
  ASSERT_TRUE(cluster_->WaitHealthy());
  CheckAll(*cluster_, load_->payments());
  load_->Start(4);
  const Ended verify =
      RunHoldfast("verify --stores " + cluster_->data(1) + ".scratch" + Endpoints(*cluster_));
  EXPECT_EQ(verify.code, 0) << verify.output;
  EXPECT_TRUE(Says(verify, "whole at position")) << verify.output;
  load_->Stop();
}

}  // namespace
}  // namespace holdfast

// What every benchmark of a cluster has: nodes as processes on loopback, the peers' figures, and a
// table that fills up line by line.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/cluster/doors.h"
#include "bench/cluster/load.h"
#include "src/client/client.h"
#include "tests/support/process_cluster.h"

namespace holdfast::bench {

struct Settings {
  int seconds = 5;  // Of each line, after 1 s of warming up.
  bool quick = false;
  int nodes = 3;
  std::vector<int> clients;        // Of each line that comes with several numbers; none: its own.
  std::vector<std::string> flags;  // Of every node, beside those that make it a cluster.
  std::string only;                // Only lines whose "workload, door" holds this text.
  std::string peers;               // The folder of the peers' scripts; empty or none: without.
  std::string csv;
  std::string disk_csv;  // What each node's files take in the end, once all is in the store.
};

class Stage {
 public:
  Stage(const Settings& settings, std::vector<Row> peers);

  // Starts the nodes and prints the table's head, after `what` on a line, and the peers' rows.
  bool Begin(const std::string& what);
  // Memory of the nodes, and the files that were asked for.
  void End();

  const Settings& settings() const { return settings_; }
  const testing::ProcessCluster& cluster() const { return cluster_; }
  int leader() const { return leader_; }
  int follower() const { return leader_ % cluster_.size() + 1; }  // Of one node, that one.
  const std::vector<Row>& rows() const { return rows_; }
  // How many clients a line is measured with, one after another.
  std::vector<int> Counts(std::vector<int> usual) const {
    return settings_.clients.empty() ? std::move(usual) : settings_.clients;
  }

  // Whether this line was asked for.
  bool Wanted(const std::string& workload, const std::string& door) const;
  // A name that no other line uses for what it makes.
  std::string NextRun() { return "r" + std::to_string(++run_); }
  // To the leader, over the pipe.
  std::unique_ptr<client::Client> NewClient() const;
  // To the leader: pipe, gRPC or HTTP.
  Callers Through(const std::string& door, int clients, const MakeScript& make) const;
  // Measures a line, if it is wanted, and adds it.
  void Line(const std::string& workload, const std::string& door, int clients,
            const MakeScript& make);
  void Add(Row row);

 private:
  void WaitStored() const;

  const Settings settings_;
  const std::vector<Row> peers_;
  testing::ProcessCluster cluster_;
  int leader_ = 0;
  int run_ = 0;
  std::vector<Row> rows_;
};

// Calls until it has an answer that is not an operating error; for what is set up before measuring.
// Ends the program when there is none.
template <class Reply>
Reply MustCall(client::Client& client, const std::string& method,
               const google::protobuf::Message& request) {
  auto reply = client.Call<Reply>(method, request);
  if (!reply) {
    std::fprintf(stderr, "%s: %s\n", method.c_str(), reply.error().message.c_str());
    std::exit(EXIT_FAILURE);
  }
  return std::move(reply->message);
}

// The benchmarks; exit codes.
int RunPayments(const Settings& settings, int accounts, int batch);
int RunLocks(const Settings& settings);
int RunQueues(const Settings& settings);
int RunCache(const Settings& settings);
int RunCheckout(const Settings& settings);
// Nodes that have nothing to do but to keep the time; the last one's wall clock is ahead by
// `ahead_ms`, by way of the fault shim.
int RunClocks(const Settings& settings, int64_t ahead_ms, const std::string& shim);

}  // namespace holdfast::bench

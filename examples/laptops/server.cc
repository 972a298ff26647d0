// A server of the laptop shop: one node of a Holdfast cluster, which this program becomes.
//
//   server PORT ID PEERS [PEER_ID PEER_HOST PEER_PORT]...
//
// Clients dial PORT; PORT + 1000 is for the other servers, PORT + 2000 is HTTP. The data lies in
// laptops-data/ID of the folder that it is started in. When all peers are on this machine it
// listens on 127.0.0.1, else everywhere.
//
// The servers elect the primary among them. The one with the lowest id is the first to try.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "laptops.h"

using namespace laptops;  // NOLINT: of this program alone.

namespace {

constexpr uint64_t kIdMax = 998;   // Holdfast's ids are 1 to 999.
constexpr uint64_t kPeersMax = 6;  // And its clusters have seven nodes at most.
// How long a primary may be silent before another stands for election. The end of a primary's
// process is noticed at once, whatever this says.
constexpr char kFirstPatienceMs[] = "400";
constexpr char kOthersPatienceMs[] = "800";

struct Peer {
  std::string host;
  uint64_t port = 0;
};

struct Server {
  uint64_t port = 0;
  uint64_t id = 0;
  std::map<uint64_t, Peer> peers;
};

std::optional<Server> Parse(int argc, char** argv) {
  if (argc < 4) return std::nullopt;
  const auto port = ParseNumber(argv[1], 1, kPortMax);
  const auto id = ParseNumber(argv[2], 0, kIdMax);
  const auto peers = ParseNumber(argv[3], 0, kPeersMax);
  if (!port || !id || !peers || argc != 4 + 3 * static_cast<int>(*peers)) return std::nullopt;
  Server server{*port, *id, {}};
  for (int i = 4; i < argc; i += 3) {
    const auto peer_id = ParseNumber(argv[i], 0, kIdMax);
    const auto peer_port = ParseNumber(argv[i + 2], 1, kPortMax);
    const std::string host = HostOf(argv[i + 1]);
    if (!peer_id || !peer_port || host.empty() || *peer_id == *id) return std::nullopt;
    if (!server.peers.emplace(*peer_id, Peer{host, *peer_port}).second) return std::nullopt;
  }
  return server;
}

std::string Member(uint64_t id, const Peer& peer) {
  return std::to_string(id + 1) + "=" + peer.host + ":" +
         std::to_string(peer.port + kPeerPortAfter);
}

}  // namespace

int main(int argc, char** argv) {
  const auto server = Parse(argc, argv);
  if (!server) {
    std::cerr << "usage: server PORT ID PEERS [PEER_ID PEER_HOST PEER_PORT]...\n"
                 "PORT up to "
              << kPortMax << ", ids 0 to " << kIdMax << " and all different, up to " << kPeersMax
              << " peers\n";
    return 64;
  }
  std::string here = "127.0.0.1";
  for (const auto& [id, peer] : server->peers) {
    if (peer.host != here) here = "0.0.0.0";
  }
  std::string members = Member(server->id, {here, server->port});
  for (const auto& [id, peer] : server->peers) members += "," + Member(id, peer);
  const bool is_first = server->peers.empty() || server->id < server->peers.begin()->first;

  const std::filesystem::path all = "laptops-data";
  std::error_code error;
  std::filesystem::create_directory(all, error);
  std::vector<std::string> command = {
      HOLDFAST_PROGRAM,
      "serve",
      "--id",
      std::to_string(server->id + 1),
      "--data",
      all / std::to_string(server->id),
      "--members",
      members,
      "--grpc",
      here + ":" + std::to_string(server->port),
      "--http",
      here + ":" + std::to_string(server->port + kHttpPortAfter),
      "--election-timeout-ms",
      is_first ? kFirstPatienceMs : kOthersPatienceMs,
  };
  std::cerr << "server " << server->id << ", process " << getpid() << ":";
  for (const std::string& word : command) std::cerr << " " << word;
  std::cerr << std::endl;
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  execv(words[0], words.data());
  std::perror(words[0]);
  return 1;
}

// Keeps a node's knowledge of the time of the world: asks its peers, hears its servers of time, and
// looks what a majority agrees on (docs/clock.md, docs/decisions/0024-clock.md).
//
// Two levels. A node's own claim is what it knows without its peers: its NTP servers where a
// majority of them agrees, else its machine's clock. That is what it tells others, so that nobody
// hears an opinion twice. What it goes by is what a majority of all members' claims agrees on.
//
// One thread, the loop; but a report may be copied and asked anywhere.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/peer.pb.h"
#include "src/base/bounds.h"
#include "src/base/ids.h"
#include "src/clock/clock.h"
#include "src/clock/synchroniser.h"

namespace holdfast::node {

struct ClockOptions {
  uint64_t sample_ms = bounds::kClockSampleMsDefault;  // Between two questions to a peer.
  // What the machine's clock is kept to, by whoever keeps it; 0: by nobody, it claims nothing.
  uint64_t own_error_ms = bounds::kClockOwnErrorMsDefault;
  uint64_t drift_ppm = bounds::kClockDriftPpmDefault;
  uint64_t error_ms_max = bounds::kClockErrorMsDefault;  // Past it: unsynchronised.
  std::vector<std::string> ntp_servers;                  // Names, for people.
  uint64_t ntp_poll_ms = bounds::kNtpPollMsDefault;
};

struct ClockSource {
  enum class Kind : uint8_t { kOwn, kPeer, kServer };
  Kind kind = Kind::kOwn;
  NodeId node;         // Of the first two.
  std::string server;  // Of the last.
  bool heard = false;  // The next two say something.
  clock::Claim claim;  // At the time of the report.
  int64_t delay_us = 0;
  bool is_false = false;                                // It contradicts what the others agree on.
  uint64_t samples = 0;                                 // That were good, since the start ...
  uint64_t refused = 0;                                 // ... or not, or never came.
  std::string problem;                                  // Of a server, the last; empty: none.
  clock::Status says = clock::Status::kUnsynchronised;  // A peer, of itself.
};

struct ClockReport {
  clock::Synchroniser knowledge;
  std::vector<ClockSource> sources;
  uint64_t version = 0;       // Another one with every report of a life.
  int64_t at_us = 0;          // Elapsed, when it was made.
  uint64_t sent = 0;          // Frames and datagrams, since the start ...
  uint64_t received = 0;      // ... both ways.
  uint64_t work_us = 0;       // That all of it has taken, since the start.
  uint64_t hand_overs = 0;    // Leadership given to somebody who knew the time.
  int64_t last_stamp_us = 0;  // Of the log, as far as it is known here; 0: none.
};

class ClockKeeper {
 public:
  using Send = std::function<bool(NodeId to, PeerFrame frame)>;

  ClockKeeper(ClockOptions options, NodeId self, const Clock& clock, Send send);

  // Whose claims count, this node's own among them or not.
  void SetVoters(const std::vector<NodeId>& voters);
  // Call at least every few ten milliseconds: asks whoever is due. Cheap when nobody is.
  void Step(uint64_t now_ms);
  void Answer(NodeId from, const ClockQuestion& question);
  void Answered(NodeId from, const ClockAnswer& answer);
  // What was under way is lost; a new connection begins with some questions in a row.
  void LinkDown(NodeId peer);
  // A server of time was asked, and answered, or did not, for a reason.
  struct ServerWord {
    std::optional<clock::Sample> sample;
    std::string problem;
    bool answered = false;
  };
  void ServerSays(size_t server, ServerWord word);

  clock::Estimate At(int64_t elapsed_us) const { return synchroniser_.At(elapsed_us); }
  clock::Estimate Now() const { return At(clock_.ElapsedUs()); }
  // Whether the peer has said, lately, that it knows the time.
  bool IsSynchronised(uint64_t now_ms, NodeId peer) const;
  // Grows whenever there is something new to report.
  uint64_t version() const { return version_; }
  ClockReport Report() const;
  // Why there is no agreement, with what each clock says; empty when there is.
  static std::string Reason(const ClockReport& report, int64_t elapsed_us);

 private:
  struct Question {
    uint64_t id;
    int64_t sent_us;
  };
  struct Source {
    clock::SampleWindow window;
    uint64_t samples = 0;
    uint64_t refused = 0;
    std::string problem;
  };
  struct Peer : Source {
    uint64_t ask_ms = 0;  // When to.
    size_t in_a_row = 0;  // Questions on this connection.
    std::vector<Question> open;
    clock::Status says = clock::Status::kUnsynchronised;
    uint64_t said_ms = 0;
  };
  class Work;

  void Ask(uint64_t now_ms, NodeId id, Peer& peer);
  void Look();
  // What the machine's clock says.
  clock::Claim Wall() const;
  std::optional<clock::Claim> Servers(int64_t elapsed_us) const;
  std::optional<clock::Claim> OwnClaim(int64_t elapsed_us) const;
  int64_t PeerAgeUsMax() const;
  int64_t ServerAgeUsMax() const;

  const ClockOptions options_;
  const NodeId self_;
  const Clock& clock_;
  Send send_;
  clock::Synchroniser synchroniser_;
  bool knows_voters_ = false;
  std::map<NodeId, Peer> peers_;
  std::vector<Source> servers_;
  uint64_t due_ms_ = 0;   // When the next question is, or a look.
  uint64_t look_ms_ = 0;  // When the next look is, at the latest.
  uint64_t stepped_ms_ = 0;
  uint64_t next_id_ = 0;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  mutable uint64_t work_us_ = 0;
  uint64_t version_ = 1;
};

}  // namespace holdfast::node

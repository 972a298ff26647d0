#include "src/node/clock_keeper.h"

#include <algorithm>
#include <utility>

namespace holdfast::node {
namespace {

using clock::Claim, clock::Sample, clock::Status;

constexpr int64_t kReadingUs = 3;  // Three readings, each cut to a whole microsecond.
constexpr size_t kOpenMax = bounds::kClockSamplesKept;
// Without a link to a peer: until the next attempt.
constexpr uint64_t kNoLinkMs = bounds::kClockBurstMs;
// A server's pauses grow when it asks for that; its samples are worth something meanwhile.
constexpr uint64_t kServerSamplesAge = 2 * bounds::kClockSamplesKept;

clock::SynchroniserOptions OptionsOf(const ClockOptions& options) {
  return {options.drift_ppm, static_cast<int64_t>(options.error_ms_max) * 1'000};
}

Status StatusOf(ClockAnswer::Status status) {
  switch (status) {
    case ClockAnswer::SYNCHRONISED: return Status::kSynchronised;
    case ClockAnswer::HOLDOVER: return Status::kHoldover;
    default: return Status::kUnsynchronised;
  }
}

ClockAnswer::Status ToWire(Status status) {
  switch (status) {
    case Status::kSynchronised: return ClockAnswer::SYNCHRONISED;
    case Status::kHoldover: return ClockAnswer::HOLDOVER;
    case Status::kUnsynchronised: break;
  }
  return ClockAnswer::UNSYNCHRONISED;
}

// "+12 ms", as an offset of a clock.
std::string Signed(int64_t us) {
  return (us < 0 ? "-" : "+") + std::to_string((std::abs(us) + 500) / 1'000) + " ms";
}

}  // namespace

// Adds up what the keeping costs.
class ClockKeeper::Work {
 public:
  explicit Work(const ClockKeeper& keeper)
      : keeper_(keeper), since_us_(keeper.clock_.ElapsedUs()) {}
  ~Work() {
    keeper_.work_us_ +=
        static_cast<uint64_t>(std::max<int64_t>(keeper_.clock_.ElapsedUs() - since_us_, 0));
  }
  Work(const Work&) = delete;

 private:
  const ClockKeeper& keeper_;
  const int64_t since_us_;
};

ClockKeeper::ClockKeeper(ClockOptions options, NodeId self, const Clock& clock, Send send)
    : options_(std::move(options)),
      self_(self),
      clock_(clock),
      send_(std::move(send)),
      synchroniser_(OptionsOf(options_)),
      servers_(options_.ntp_servers.size()) {}

int64_t ClockKeeper::PeerAgeUsMax() const {
  return static_cast<int64_t>(bounds::kClockSamplesKept * options_.sample_ms +
                              bounds::kClockAnswerMsMax) *
         1'000;
}

int64_t ClockKeeper::ServerAgeUsMax() const {
  return static_cast<int64_t>(kServerSamplesAge * options_.ntp_poll_ms + bounds::kNtpAnswerMsMax) *
         1'000;
}

void ClockKeeper::SetVoters(const std::vector<NodeId>& voters) {
  knows_voters_ = true;
  std::erase_if(peers_, [&](const auto& peer) {
    return std::find(voters.begin(), voters.end(), peer.first) == voters.end();
  });
  for (const NodeId voter : voters) {
    if (voter != self_) peers_.try_emplace(voter);
  }
  due_ms_ = 0;
  Look();
}

void ClockKeeper::Step(uint64_t now_ms) {
  stepped_ms_ = now_ms;
  if (now_ms < due_ms_) return;
  const Work work(*this);
  if (now_ms >= look_ms_) {
    look_ms_ = now_ms + options_.sample_ms;
    Look();
  }
  due_ms_ = look_ms_;
  for (auto& [id, peer] : peers_) {
    if (now_ms >= peer.ask_ms) Ask(now_ms, id, peer);
    due_ms_ = std::min(due_ms_, peer.ask_ms);
  }
}

void ClockKeeper::Ask(uint64_t now_ms, NodeId id, Peer& peer) {
  PeerFrame frame;
  frame.mutable_clock_question()->set_id(++next_id_);
  const int64_t sent_us = clock_.ElapsedUs();
  if (!send_(id, std::move(frame))) {
    peer.ask_ms = now_ms + kNoLinkMs;
    return;
  }
  ++sent_;
  if (peer.open.size() == kOpenMax) {
    peer.open.erase(peer.open.begin());
    ++peer.refused;
  }
  peer.open.push_back({next_id_, sent_us});
  const bool in_a_row = ++peer.in_a_row < bounds::kClockSamplesKept;
  peer.ask_ms = now_ms + (in_a_row ? std::min(bounds::kClockBurstMs, options_.sample_ms)
                                   : options_.sample_ms);
}

void ClockKeeper::Answer(NodeId from, const ClockQuestion& question) {
  const Work work(*this);
  ++received_;
  const int64_t elapsed_us = clock_.ElapsedUs();
  PeerFrame frame;
  ClockAnswer& answer = *frame.mutable_clock_answer();
  answer.set_id(question.id());
  answer.set_status(ToWire(At(elapsed_us).status));
  if (const auto claim = OwnClaim(elapsed_us)) {
    answer.set_claims(true);
    answer.set_error_us(static_cast<uint64_t>(claim->error_us));
    answer.set_received_us(elapsed_us + claim->offset_us);
    answer.set_answered_us(clock_.ElapsedUs() + claim->offset_us);
  }
  if (send_(from, std::move(frame))) ++sent_;
}

void ClockKeeper::Answered(NodeId from, const ClockAnswer& answer) {
  const Work work(*this);
  ++received_;
  const auto found = peers_.find(from);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  const auto asked =
      std::find_if(peer.open.begin(), peer.open.end(),
                   [&](const Question& question) { return question.id == answer.id(); });
  if (asked == peer.open.end()) return;  // Of another connection, or too late.
  const int64_t received_us = clock_.ElapsedUs();
  const int64_t sent_us = asked->sent_us;
  // What was asked before is answered before: the link keeps the order.
  peer.refused += static_cast<uint64_t>(asked - peer.open.begin());
  peer.open.erase(peer.open.begin(), asked + 1);
  peer.says = StatusOf(answer.status());
  peer.said_ms = stepped_ms_;
  ++version_;
  if (!answer.claims()) return;
  const auto error_us =
      static_cast<int64_t>(std::min<uint64_t>(answer.error_us(), static_cast<uint64_t>(INT64_MAX)));
  const auto sample =
      clock::SampleOf({sent_us, answer.received_us(), answer.answered_us(), received_us}, error_us);
  if (!sample) {
    ++peer.refused;
    return;
  }
  ++peer.samples;
  peer.window.Add(*sample);
  Look();
}

void ClockKeeper::LinkDown(NodeId peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  found->second.open.clear();
  found->second.in_a_row = 0;
  found->second.ask_ms = due_ms_ = 0;
}

void ClockKeeper::ServerSays(size_t server, ServerWord word) {
  if (server >= servers_.size()) return;
  const Work work(*this);
  Source& source = servers_[server];
  ++sent_;
  received_ += word.answered ? 1 : 0;
  source.problem = std::move(word.problem);
  if (!word.sample) {
    ++source.refused;
    ++version_;
    return;
  }
  ++source.samples;
  source.window.Add(*word.sample);
  Look();
}

// The two clocks are read one after the other, and the thread may have to wait in between.
Claim ClockKeeper::Wall() const {
  const int64_t before_us = clock_.ElapsedUs();
  const int64_t wall_us = clock_.WallUs();
  const int64_t between_us = clock_.ElapsedUs() - before_us;
  return {wall_us - before_us - between_us / 2,
          static_cast<int64_t>(options_.own_error_ms) * 1'000 + (between_us + 1) / 2 + kReadingUs};
}

std::optional<Claim> ClockKeeper::Servers(int64_t elapsed_us) const {
  std::vector<clock::Interval> heard;
  for (const Source& server : servers_) {
    const Sample* best = server.window.Best(elapsed_us, ServerAgeUsMax(), options_.drift_ppm);
    if (best != nullptr) heard.push_back(best->At(elapsed_us, options_.drift_ppm).interval());
  }
  const auto agreed = clock::Agree(heard, servers_.size() / 2 + 1);
  if (!agreed) return std::nullopt;
  return Claim{agreed->middle_us(), agreed->error_us()};
}

std::optional<Claim> ClockKeeper::OwnClaim(int64_t elapsed_us) const {
  if (const auto servers = Servers(elapsed_us)) return servers;
  // Nor does a clock out of all reason claim anything: what it says is not within its error.
  if (options_.own_error_ms == 0 || !clock::IsTime(clock_.WallUs())) return std::nullopt;
  return Wall();
}

void ClockKeeper::Look() {
  // Until it is known who has to agree, nobody's word alone is an agreement.
  if (!knows_voters_) return;
  const int64_t elapsed_us = clock_.ElapsedUs();
  const auto own = OwnClaim(elapsed_us);
  std::vector<std::optional<Claim>> claims = {own};
  for (const auto& [id, peer] : peers_) {
    const Sample* best = peer.window.Best(elapsed_us, PeerAgeUsMax(), options_.drift_ppm);
    claims.emplace_back(best == nullptr ? std::optional<Claim>()
                                        : best->At(elapsed_us, options_.drift_ppm));
  }
  const size_t needed = claims.size() / 2 + 1;
  synchroniser_.Update(elapsed_us, claims, needed, own ? own->offset_us : Wall().offset_us);
  ++version_;
}

bool ClockKeeper::IsSynchronised(uint64_t now_ms, NodeId peer) const {
  const auto found = peers_.find(peer);
  return found != peers_.end() && found->second.says == Status::kSynchronised &&
         now_ms <= found->second.said_ms + 2 * options_.sample_ms + bounds::kClockBurstMs;
}

ClockReport ClockKeeper::Report() const {
  ClockReport report;
  report.knowledge = synchroniser_;
  report.version = version_;
  report.at_us = clock_.ElapsedUs();
  report.sent = sent_;
  report.received = received_;
  report.work_us = work_us_;
  ClockSource own;
  own.node = self_;
  const auto claim = OwnClaim(report.at_us);
  own.heard = claim.has_value();
  own.claim = claim.value_or(Claim{});
  own.is_false = synchroniser_.IsFalse(0);
  own.says = At(report.at_us).status;
  report.sources.push_back(std::move(own));
  const auto fill = [&](const Source& source, int64_t age_us_max, ClockSource* out) {
    out->samples = source.samples;
    out->refused = source.refused;
    out->problem = source.problem;
    const Sample* best = source.window.Best(report.at_us, age_us_max, options_.drift_ppm);
    out->heard = best != nullptr;
    if (best == nullptr) return;
    out->claim = best->At(report.at_us, options_.drift_ppm);
    out->delay_us = best->delay_us;
  };
  size_t place = 0;
  for (const auto& [id, peer] : peers_) {
    ClockSource source;
    source.kind = ClockSource::Kind::kPeer;
    source.node = id;
    source.says = peer.says;
    source.is_false = synchroniser_.IsFalse(++place);
    fill(peer, PeerAgeUsMax(), &source);
    report.sources.push_back(std::move(source));
  }
  const auto servers = Servers(report.at_us);
  for (size_t i = 0; i < servers_.size(); ++i) {
    ClockSource source;
    source.kind = ClockSource::Kind::kServer;
    source.server = options_.ntp_servers[i];
    fill(servers_[i], ServerAgeUsMax(), &source);
    source.is_false =
        source.heard && servers && !source.claim.interval().Meets(servers->interval());
    report.sources.push_back(std::move(source));
  }
  return report;
}

std::string ClockKeeper::Reason(const ClockReport& report, int64_t elapsed_us) {
  if (report.sources.empty()) return "it has not looked yet: the cluster is not founded";
  std::string why = report.knowledge.Reason(elapsed_us);
  if (why.empty() || report.knowledge.agrees_now()) return why;
  std::string clocks;
  const int64_t own_us = report.sources.front().claim.offset_us;
  for (const ClockSource& source : report.sources) {
    if (source.kind == ClockSource::Kind::kServer) continue;
    clocks += (clocks.empty() ? " (node " : ", node ") + source.node.ToString();
    if (!source.heard) {
      clocks += source.kind == ClockSource::Kind::kOwn ? " claims nothing" : " not heard";
    } else if (report.sources.front().heard) {
      clocks += " " + Signed(source.claim.offset_us - own_us);
    }
  }
  return why + clocks + ")";
}

}  // namespace holdfast::node

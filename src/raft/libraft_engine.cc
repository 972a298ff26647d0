// The adapter to libraft's raft_step. Who owns which memory is libraft 0.22.1's own, undocumented
// rule, learnt under the address sanitizer; it is stated at each event below.
#include <cstring>

#include "src/base/check.h"
#include "src/raft/engine.h"
#include "src/raft/libraft.h"

namespace holdfast::raft {
namespace {

// What libraft 0.22.1 itself puts into messages and expects to find there.
constexpr unsigned char kVoteVersion = 2;
constexpr unsigned char kResultVersion = 2;
constexpr unsigned short kFeatures = 1;

// libraft frees received entries through a batch pointer; payloads stay ours, so the batch is a
// token that owns nothing.
struct BatchToken {
  void* heap = nullptr;
  BatchToken() : heap(raft_malloc(1)) { HOLDFAST_CHECK(heap != nullptr, "out of memory"); }
};

std::string AddressOf(NodeId id) { return "node-" + id.ToString(); }

raft_configuration ToConfiguration(const Membership& membership) {
  raft_configuration configuration;
  raft_configuration_init(&configuration);
  for (NodeId node : membership.All()) {
    const int rv = raft_configuration_add(&configuration, node.value, AddressOf(node).c_str(),
                                          membership.IsVoter(node) ? RAFT_VOTER : RAFT_STANDBY);
    HOLDFAST_CHECK(rv == 0, std::string("membership: ") + raft_strerror(rv));
  }
  return configuration;
}

// libraft's encoding of a membership entry: it reads the buffer of RAFT_CHANGE entries itself.
std::string EncodeForLibraft(const Membership& membership) {
  raft_configuration configuration = ToConfiguration(membership);
  raft_buffer buffer;
  const int rv = raft_configuration_encode(&configuration, &buffer);
  HOLDFAST_CHECK(rv == 0, std::string("membership: ") + raft_strerror(rv));
  std::string bytes(static_cast<const char*>(buffer.base), buffer.len);
  raft_free(buffer.base);
  raft_configuration_close(&configuration);
  return bytes;
}

// The only configuration that libraft ever sees is the one it starts with: for the entry that it
// wants at index 1 it gets the present membership, and one that changes it is a command like others
// (docs/decisions/0015-membership.md).
constexpr LogIndex kConfiguration(1);

raft_entry_type ToLibraft(wal::EntryType type, LogIndex index) {
  switch (type) {
    case wal::EntryType::kCommand: return RAFT_COMMAND;
    case wal::EntryType::kBarrier: return RAFT_BARRIER;
    case wal::EntryType::kConfiguration:
      return index == kConfiguration ? RAFT_CHANGE : RAFT_COMMAND;
  }
  HOLDFAST_CHECK(false, "unknown entry type");
}

// Entries as libraft sees them: terms and types; a payload only where it reads one.
class EntryArray {
 public:
  EntryArray(const Membership& membership, LogIndex first, const std::vector<wal::Entry>& entries,
             void* batch)
      : EntryArray(membership) {
    array_.reserve(entries.size());
    for (const wal::Entry& entry : entries) {
      Add(first, entry.term, entry.type, batch);
      first = first.Next();
    }
  }
  explicit EntryArray(const Membership& membership) : membership_(membership) {}

  void Add(LogIndex index, Term term, wal::EntryType type, void* batch) {
    raft_entry out{};
    out.term = term.value;
    out.type = ToLibraft(type, index);
    out.batch = batch;
    if (out.type == RAFT_CHANGE) {
      encoded_ = EncodeForLibraft(membership_);
      out.buf.base = encoded_.data();
      out.buf.len = encoded_.size();
    }
    array_.push_back(out);
  }
  raft_entry* data() { return array_.empty() ? nullptr : array_.data(); }
  unsigned size() const { return static_cast<unsigned>(array_.size()); }

 private:
  const Membership& membership_;
  std::vector<raft_entry> array_;
  std::string encoded_;  // What the first entry's buffer points to.
};

class LibraftEngine : public Engine {
 public:
  LibraftEngine(const EngineOptions& options, Membership membership)
      : address_(AddressOf(options.id)),
        membership_(std::move(membership)),
        election_timeout_ms_(options.election_timeout_ms) {
    std::memset(&raft_, 0, sizeof(raft_));
    const int rv = raft_init(&raft_, nullptr, nullptr, options.id.value, address_.c_str());
    HOLDFAST_CHECK(rv == 0, std::string("raft_init: ") + raft_strerror(rv));
    raft_.tracer = nullptr;  // The default tracer formats every step, which costs three times it.
    raft_seed(&raft_, options.seed);
    raft_set_election_timeout(&raft_, options.election_timeout_ms);
    raft_set_heartbeat_timeout(&raft_, options.heartbeat_ms);
    raft_set_pre_vote(&raft_, true);
    raft_set_install_snapshot_timeout(&raft_,
                                      5 * options.election_timeout_ms);  // Asked again then.
    raft_set_max_inflight_entries(&raft_, options.entries_in_flight_max);
  }
  ~LibraftEngine() override { raft_close(&raft_, nullptr); }

  Effects Start(uint64_t now_ms, const wal::HardState& state, const wal::Log& log,
                const Snapshot& snapshot) override {
    char token = 0;  // Never freed by the engine: start entries stay ours.
    EntryArray entries(membership_);
    for (LogIndex i = log.first(); i <= log.last(); i = i.Next()) {
      entries.Add(i, log.TermAt(i), log.TypeAt(i), &token);
    }
    raft_snapshot_metadata metadata{};
    raft_event event{};
    event.type = RAFT_START;
    if (snapshot.index.value > 0) {
      metadata = Metadata(snapshot);  // Its configuration becomes the engine's.
      event.start.metadata = &metadata;
    }
    event.start.term = state.term.value;
    event.start.voted_for = state.vote.value;
    event.start.start_index = log.first().value;
    event.start.entries = entries.data();
    event.start.n_entries = entries.size();
    return Step(now_ms, event, nullptr);
  }

  Effects Receive(uint64_t now_ms, NodeId from, const Message& message) override {
    // libraft looks up the candidate's state before it asks whether it is one; in a follower a byte
    // of a heap pointer lies there, and decides. Only a candidate has a use for votes.
    if (std::holds_alternative<RequestVoteResult>(message) && role() != Role::kCandidate) return {};
    const std::string address = AddressOf(from);
    raft_message in{};
    in.server_id = from.value;
    in.server_address = address.c_str();
    raft_event event{};
    event.type = RAFT_RECEIVE;
    event.receive.message = &in;
    if (const auto* append = std::get_if<AppendEntries>(&message)) {
      // The engine frees the batch unless it hands entries back: then we do.
      void* batch = append->entries.empty() ? nullptr : BatchToken().heap;
      EntryArray entries(membership_, append->prev_index.Next(), append->entries, batch);
      in.type = RAFT_APPEND_ENTRIES;
      in.append_entries = {0,
                           append->term.value,
                           append->prev_index.value,
                           append->prev_term.value,
                           append->leader_commit.value,
                           entries.data(),
                           entries.size()};
      return Step(now_ms, event, append);
    }
    if (const auto* result = std::get_if<AppendEntriesResult>(&message)) {
      in.type = RAFT_APPEND_ENTRIES_RESULT;
      in.append_entries_result = {
          kResultVersion,           result->term.value, result->rejected.value,
          result->last_index.value, kFeatures,          0};
    } else if (const auto* vote = std::get_if<RequestVote>(&message)) {
      in.type = RAFT_REQUEST_VOTE;
      in.request_vote = {kVoteVersion,           vote->term.value,      from.value,
                         vote->last_index.value, vote->last_term.value, vote->disrupt_leader,
                         vote->pre_vote};
    } else if (const auto* voted = std::get_if<RequestVoteResult>(&message)) {
      in.type = RAFT_REQUEST_VOTE_RESULT;
      in.request_vote_result = {kVoteVersion,    voted->term.value, voted->granted,
                                voted->pre_vote, kFeatures,         0};
    } else if (const auto* timeout = std::get_if<TimeoutNow>(&message)) {
      in.type = RAFT_TIMEOUT_NOW;
      in.timeout_now = {0, timeout->term.value, timeout->last_index.value,
                        timeout->last_term.value};
    }
    return Step(now_ms, event, nullptr);
  }

  Effects Persisted(uint64_t now_ms, LogIndex index) override {
    raft_event event{};
    event.type = RAFT_PERSISTED_ENTRIES;
    event.persisted_entries.index = index.value;
    return Step(now_ms, event, nullptr);
  }

  Effects Tick(uint64_t now_ms) override {
    raft_event event{};
    event.type = RAFT_TIMEOUT;
    return Step(now_ms, event, nullptr);
  }

  Effects Stand(uint64_t now_ms) override {
    HOLDFAST_CHECK(role() != Role::kLeader, "a leader stands for election");
    // The timer then runs out one or two of these after it was started, by a message or a vote.
    constexpr unsigned kShortestMs = 1;
    raft_set_election_timeout(&raft_, kShortestMs);
    Effects effects = now_ms >= timeout_ms() ? Tick(now_ms) : Effects();
    raft_set_election_timeout(&raft_, election_timeout_ms_);  // Drawn anew for the next one.
    return effects;
  }

  bool Submit(uint64_t now_ms, std::vector<wal::Entry> entries, Effects* effects) override {
    if (raft_state(&raft_) != RAFT_LEADER || raft_transferee(&raft_) != 0) return false;
    char token = 0;  // Must not be null; submitted entries stay ours.
    // Never the first of the log.
    EntryArray array(membership_, kConfiguration.Next(), entries, &token);
    raft_event event{};
    event.type = RAFT_SUBMIT;
    event.submit.entries = array.data();
    event.submit.n = array.size();
    submitted_ = std::move(entries);
    *effects = Step(now_ms, event, nullptr);
    submitted_.clear();
    return true;
  }

  bool Transfer(uint64_t now_ms, NodeId to, Effects* effects) override {
    if (raft_state(&raft_) != RAFT_LEADER || raft_transferee(&raft_) != 0) return false;
    raft_event event{};
    event.type = RAFT_TRANSFER;
    event.transfer.server_id = to.value;
    raft_update update;
    if (RawStep(now_ms, event, &update) != 0) return false;
    *effects = Collect(event, update, nullptr);
    return true;
  }

  Effects ConfigurationCommitted(uint64_t now_ms, LogIndex index,
                                 const Membership& membership) override {
    raft_event event{};
    event.type = RAFT_CONFIGURATION;
    event.configuration.index = index.value;
    event.configuration.conf = ToConfiguration(membership);  // Becomes the engine's.
    return Step(now_ms, event, nullptr);
  }

  Effects Snapshotted(uint64_t now_ms, LogIndex index, LogIndex keep_from) override {
    raft_event event{};
    event.type = RAFT_SNAPSHOT;
    event.snapshot.metadata = Metadata({index, Term(0)});  // The engine looks up the term itself.
    event.snapshot.trailing = static_cast<unsigned>(index.value + 1 - keep_from.value);
    return Step(now_ms, event, nullptr);
  }

  Role role() const override {
    switch (raft_state(const_cast<::raft*>(&raft_))) {
      case RAFT_LEADER: return Role::kLeader;
      case RAFT_CANDIDATE: return Role::kCandidate;
      default: return Role::kFollower;
    }
  }
  Term term() const override { return Term(raft_current_term(&raft_)); }
  NodeId leader() const override {
    raft_id id = 0;
    const char* address = nullptr;
    raft_leader(const_cast<::raft*>(&raft_), &id, &address);
    return NodeId(id);
  }
  LogIndex commit() const override { return LogIndex(raft_commit_index(&raft_)); }
  LogIndex last_stored() const override { return LogIndex(raft_.last_stored); }
  uint64_t timeout_ms() const override { return raft_timeout(&raft_); }

 private:
  int RawStep(uint64_t now_ms, raft_event& event, raft_update* update) {
    event.time = now_ms;
    event.capacity = 0;  // A capacity threshold is never set: elections would then refuse.
    std::memset(update, 0, sizeof(*update));
    return raft_step(&raft_, &event, update);
  }

  Effects Step(uint64_t now_ms, raft_event& event, const AppendEntries* in) {
    const Term term_before = term();
    raft_update update;
    const int rv = RawStep(now_ms, event, &update);
    HOLDFAST_CHECK(rv == 0,
                   "raft_step of event " + std::to_string(event.type) + ": " + raft_strerror(rv));
    HOLDFAST_CHECK(term() >= term_before || event.type == RAFT_START, "the term went back");
    return Collect(event, update, in);
  }

  Effects Collect(const raft_event& event, const raft_update& update, const AppendEntries* in) {
    Effects effects;
    if (update.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) {
      effects.hard_state_changed = true;
      effects.hard_state = {term(), NodeId(raft_voted_for(&raft_))};
    }
    if (update.flags & RAFT_UPDATE_ENTRIES) CollectEntries(event, update, in, &effects);
    // Servers start anew from a snapshot; the engine never sees one arrive.
    HOLDFAST_CHECK(!(update.flags & RAFT_UPDATE_SNAPSHOT),
                   "the engine wants to install a snapshot that nobody sent");
    if (update.flags & RAFT_UPDATE_MESSAGES) {
      for (unsigned i = 0; i < update.messages.n; ++i) {
        CollectMessage(update.messages.batch[i], in, &effects);
      }
    }
    return effects;
  }

  void CollectEntries(const raft_event& event, const raft_update& update, const AppendEntries* in,
                      Effects* effects) {
    const uint64_t first = update.entries.index;
    const unsigned count = update.entries.n;
    effects->first = LogIndex(first);
    if (in != nullptr) {
      // A suffix of what was received: what the log already had is left out.
      const uint64_t offset = first - in->prev_index.value - 1;
      HOLDFAST_CHECK(first > in->prev_index.value && offset + count <= in->entries.size(),
                     "the engine appends entries that were not received");
      effects->entries.assign(in->entries.begin() + static_cast<ptrdiff_t>(offset),
                              in->entries.begin() + static_cast<ptrdiff_t>(offset + count));
      raft_free(event.receive.message->append_entries.entries[0].batch);
    } else if (event.type == RAFT_SUBMIT) {
      HOLDFAST_CHECK(count == submitted_.size(), "the engine appends what was not submitted");
      effects->entries = submitted_;
    } else {
      // A new leader's barrier, made by the engine; its buffer is ours to free.
      for (unsigned i = 0; i < count; ++i) {
        HOLDFAST_CHECK(update.entries.batch[i].type == RAFT_BARRIER, "an entry from nowhere");
        effects->entries.push_back(wal::Entry{Term(update.entries.batch[i].term),
                                              wal::EntryType::kBarrier,
                                              std::make_shared<const std::string>()});
      }
      raft_free(update.entries.batch[0].batch);
    }
    for (unsigned i = 0; i < count; ++i) {
      HOLDFAST_CHECK(effects->entries[i].term.value == update.entries.batch[i].term,
                     "the engine changed an entry's term");
    }
  }

  void CollectMessage(const raft_message& out, const AppendEntries* in, Effects* effects) {
    Outgoing outgoing;
    outgoing.to = NodeId(out.server_id);
    switch (out.type) {
      case RAFT_APPEND_ENTRIES: {
        const auto& a = out.append_entries;  // Its entries pointer means nothing.
        outgoing.entry_count = a.n_entries;
        outgoing.message = AppendEntries{Term(a.term),
                                         LogIndex(a.prev_log_index),
                                         Term(a.prev_log_term),
                                         LogIndex(a.leader_commit),
                                         {}};
        break;
      }
      case RAFT_APPEND_ENTRIES_RESULT: {
        const auto& r = out.append_entries_result;
        // A result sent later, when the disk is done, answers requests of the term it carries.
        const Term request_term = in != nullptr ? in->term : Term(r.term);
        outgoing.message = AppendEntriesResult{Term(r.term), request_term, LogIndex(r.rejected),
                                               LogIndex(r.last_log_index)};
        break;
      }
      case RAFT_REQUEST_VOTE: {
        const auto& v = out.request_vote;
        outgoing.message = RequestVote{Term(v.term), LogIndex(v.last_log_index),
                                       Term(v.last_log_term), v.disrupt_leader, v.pre_vote};
        break;
      }
      case RAFT_REQUEST_VOTE_RESULT: {
        const auto& v = out.request_vote_result;
        // libraft answers a pre-vote with the term of the request. A candidate whose term is behind
        // would never learn ours and be refused for ever, even with the one log that can win; told
        // our term it catches up (Raft, figure 2: a response with a higher term).
        const Term voter =
            v.pre_vote && !v.vote_granted ? std::max(Term(v.term), term()) : Term(v.term);
        outgoing.message = RequestVoteResult{voter, v.vote_granted, v.pre_vote};
        break;
      }
      case RAFT_TIMEOUT_NOW: {
        const auto& t = out.timeout_now;
        outgoing.message =
            TimeoutNow{Term(t.term), LogIndex(t.last_log_index), Term(t.last_log_term)};
        break;
      }
      case RAFT_INSTALL_SNAPSHOT: {
        const auto& s = out.install_snapshot;
        outgoing.message = InstallSnapshot{Term(s.term), LogIndex(s.last_index), Term(s.last_term)};
        break;
      }
      default: HOLDFAST_CHECK(false, "unexpected message type " + std::to_string(out.type));
    }
    effects->messages.push_back(std::move(outgoing));
  }

  raft_snapshot_metadata Metadata(const Snapshot& snapshot) const {
    raft_snapshot_metadata metadata{};
    metadata.index = snapshot.index.value;
    metadata.term = snapshot.term.value;
    metadata.configuration_index = 1;  // The founding entry.
    metadata.configuration = ToConfiguration(membership_);
    return metadata;
  }

  std::string address_;
  const Membership membership_;
  const unsigned election_timeout_ms_;
  ::raft raft_;
  std::vector<wal::Entry> submitted_;  // During a Submit only.
};

}  // namespace

std::unique_ptr<Engine> NewLibraftEngine(const EngineOptions& options, Membership membership) {
  return std::make_unique<LibraftEngine>(options, std::move(membership));
}

}  // namespace holdfast::raft

// Every order of events, with two and three clients: the table of line_state.h on the clients'
// side, the cache service itself on the other, and between them messages that are delivered in any
// order, late, or twice. After every step it is looked at what must hold; where no step is left,
// everybody must have got what they asked for.
//
// The search goes depth first over all steps that are possible, and not twice from the same state.
// The service's store is taken back on the way up with its own savepoints, so it is the real one.
// States are compared with their numbers (of lines, values, recalls) replaced by their order.
#include <absl/container/flat_hash_set.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/cache/cache.h"
#include "src/client/line_state.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/sessions.h"
#include "src/state_machine/timers.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::cache {
void Register(state_machine::Registry& registry);
}

namespace holdfast::client {
namespace {

using state_machine::LeaseTime;
using state_machine::ReadContext;
using state_machine::WriteContext;

constexpr uint8_t kCache = 6;
constexpr char kKey[] = "k";
// No plan here needs half of it: whoever goes deeper goes round in circles.
constexpr size_t kDepthMax = 300;

// A cluster of which only the log's order is left: every request is applied at once.
class Cluster {
 public:
  Cluster() : store_(std::make_unique<store::MemoryBase>(std::make_shared<store::MemoryDisk>())) {
    cache::Register(registry_);
    service_ = static_cast<cache::Cache*>(registry_.FindService(kCache));
  }

  cache::Cache& service() { return *service_; }
  WriteContext Writing() { return WriteContext(scope_, kCache); }
  ReadContext Reading() const {
    return {LogIndex(1), scope_.now, leases_.At(scope_.now), &sessions_, kCache, nullptr};
  }
  uint64_t OpenSession() {
    WriteContext context = Writing();
    return *sessions_.Open("", 3'600'000'000, context);
  }
  void EndSession(uint64_t session) {
    WriteContext context = Writing();
    sessions_.End(session, false, context);
  }

  store::Savepoint Mark() { return store_.Mark(); }
  void RollbackTo(store::Savepoint mark) { store_.RollbackTo(mark); }

 private:
  store::Store store_;
  state_machine::Registry registry_{store_};
  state_machine::Timers timers_{store_};
  state_machine::LeaseClock leases_{store_};
  state_machine::Sessions sessions_{store_};
  std::vector<state_machine::Touched> touched_;
  state_machine::EntryScope scope_{
      store_, timers_, leases_, sessions_, registry_, touched_, LogIndex(1), LogTime{1'000'000}, 1};
  cache::Cache* service_;
};

// What is to be tried. Each limit bounds a kind of step over the whole run.
struct Plan {
  int clients = 2;
  bool write_local = false;  // Write back, else write through.
  int operations = 2;        // Of each client: a read or a write, whichever.
  int lost = 0;              // Answers that come too late to be waited for.
  int doubled = 0;           // Requests that arrive once more.
  int evictions = 0;
  int flushes = 0;
  int lease_ends = 0;
  int deletes = 0;                  // By somebody without a near cache.
  uint64_t states_max = 2'000'000;  // More is a mistake in the plan.
};

enum class Kind : uint8_t { kFetch, kSet, kRelease, kWriteBack, kRescue, kRecall };

// On its way to the cluster, waiting there, or on its way back.
struct Message {
  Kind kind = Kind::kFetch;
  int client = 0;
  uint64_t session = 0;
  uint64_t line = 0;
  uint64_t write = 0;
  int value = 0;                          // What is written, or what was read.
  cache::Mode mode = cache::unspecified;  // What is asked for, or was got; of a write back: kept.
  bool has_change = false;
  uint64_t version = 0;  // What the cluster had; of a recall: the cursor of its page.
  enum class Stage : uint8_t { kSent, kWaiting, kReading, kAnswered } stage = Stage::kSent;
  bool good = false;  // Of an answer.
  bool echo = false;  // Arrived twice: nobody waits for this answer.
};

struct Client {
  uint64_t session = 0;
  bool lease = true;  // As the client sees it.
  bool session_alive = true;
  LineState state = LineState::kInvalid;
  uint64_t line = 0;     // Held or asked for.
  int value = 0;         // Of a line that is held.
  uint64_t version = 0;  // Of what the cluster had when it was granted, or last written back.
  uint64_t last_line = 0;
  uint64_t last_write = 0;
  bool flushing = false;  // A write back is under way; the next one waits for its answer.
  bool write_back_next = false;
  uint64_t cursor = 0;  // Of recalls.
  bool recall_under_way = false;
  std::optional<LineEvent> postponed;
  int left = 0;  // Operations to begin.
  enum class Wants : uint8_t { kNothing, kRead, kWrite } wants = Wants::kNothing;
};

struct World {
  std::vector<Client> clients;
  std::vector<Message> messages;
  int newest = 0;  // The value of the last write that has taken effect; 0: the key is absent.
  int last_value = 0;
  int deleted_to = -1;  // Values up to this one were there, or on a line, before it was deleted.
  bool deleting = false;
  int lost = 0, doubled = 0, evictions = 0, flushes = 0, lease_ends = 0, deletes = 0;
};

class Search {
 public:
  explicit Search(const Plan& plan) : plan_(plan) {
    world_.lost = plan.lost;
    world_.doubled = plan.doubled;
    world_.evictions = plan.evictions;
    world_.flushes = plan.flushes;
    world_.lease_ends = plan.lease_ends;
    world_.deletes = plan.deletes;
    for (int i = 0; i < plan.clients; ++i) {
      Client client;
      client.session = cluster_.OpenSession();
      client.left = plan.operations;
      world_.clients.push_back(client);
    }
  }

  void Run() {
    Explore();
    EXPECT_EQ(broken_, "") << Path();
    EXPECT_LT(seen_.size(), plan_.states_max);
    std::printf("    %d clients, write %s: %zu states, %zu ends, depth %zu\n", plan_.clients,
                plan_.write_local ? "back" : "through", seen_.size(), ends_, deepest_);
  }
  size_t ends() const { return ends_; }
  // "state, event" of all that was met.
  const std::set<std::pair<LineState, LineEvent>>& met() const { return met_; }

 private:
  // --- The search

  struct Step {
    std::string name;
    bool fault = false;  // Nobody may rely on it.
    std::function<void()> take;
  };

  void Explore() {
    if (!broken_.empty() || seen_.size() >= plan_.states_max) return;
    if (!seen_.insert(Described()).second) return;
    Check();
    if (path_.size() > kDepthMax) Break("they go round in circles");
    if (!broken_.empty()) return;
    deepest_ = std::max(deepest_, path_.size());
    std::vector<Step> steps;
    CollectSteps(&steps);
    if (std::all_of(steps.begin(), steps.end(), [](const Step& step) { return step.fault; })) {
      ++ends_;
      CheckEnd();
    }
    for (const Step& step : steps) {
      if (!broken_.empty()) return;
      const World before = world_;
      const store::Savepoint mark = cluster_.Mark();
      path_.push_back(step.name);
      step.take();
      Explore();
      if (!broken_.empty()) return;  // The path is told.
      path_.pop_back();
      cluster_.RollbackTo(mark);
      world_ = before;
    }
  }

  void Break(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }
  std::string Path() const {
    std::string all;
    for (const std::string& step : path_) all += "\n    " + step;
    return all;
  }

  // --- What must hold

  std::pair<int, uint64_t> ValueOfCluster() {
    const auto row = cluster_.service().entries().Get(kKey, LogTime{1'000'000});
    if (!row) return {0, 0};
    return {std::stoi(cluster_.service().entries().ValueOf(kKey)), row->version};
  }

  void Check() {
    int readers = 0;
    int writers = 0;
    for (const Client& client : world_.clients) {
      if (!client.lease) continue;
      readers += MayRead(client.state) ? 1 : 0;
      writers += MayWrite(client.state) ? 1 : 0;
      if (MayRead(client.state) && client.value != world_.newest) {
        Break("a client would read " + std::to_string(client.value) + ", and " +
              std::to_string(world_.newest) + " was written after it");
      }
    }
    if (writers > 1 || (writers == 1 && readers > 1)) Break("one writes, and others hold it");
    if (!plan_.write_local && ValueOfCluster().first != world_.newest) {
      Break("the cluster does not have what it has acknowledged");
    }
    if (const auto wrong = cluster_.service().CheckInvariants()) Break(*wrong);
  }

  void CheckEnd() {
    bool modified = false;
    for (const Client& client : world_.clients) {
      if (client.wants != Client::Wants::kNothing || client.left != 0) {
        Break("a client waits for ever");
      }
      if (IsBusy(client.state)) Break("a line waits for ever");
      modified |= client.state == LineState::kModified;
    }
    if (!world_.messages.empty() || world_.deleting) Break("a message waits for ever");
    if (!modified && ValueOfCluster().first != world_.newest)
      Break("an acknowledged write is lost");
  }

  // --- Steps

  void CollectSteps(std::vector<Step>* steps) {
    for (int i = 0; i < plan_.clients; ++i) CollectOfClient(i, steps);
    for (size_t at = 0; at < world_.messages.size(); ++at) CollectOfMessage(at, steps);
    if (world_.deletes > 0 && !world_.deleting) {
      steps->push_back({"somebody deletes", true, [this] {
                          --world_.deletes;
                          Delete();
                        }});
    }
    if (world_.deleting && !DeleteWaits()) {
      steps->push_back({"the delete goes on", false, [this] { Delete(); }});
    }
  }

  static std::string Who(int client) { return std::string(1, static_cast<char>('A' + client)); }

  void CollectOfClient(int i, std::vector<Step>* steps) {
    const Client& client = world_.clients[static_cast<size_t>(i)];
    using Wants = Client::Wants;
    if (client.lease && client.left > 0 && client.wants == Wants::kNothing) {
      for (const Wants wants : {Wants::kRead, Wants::kWrite}) {
        steps->push_back({Who(i) + (wants == Wants::kRead ? " begins to read" : " begins to write"),
                          false, [this, i, wants] {
                            --At(i).left;
                            At(i).wants = wants;
                            GoOn(i);
                          }});
      }
    }
    if (client.lease && client.wants != Wants::kNothing && !IsBusy(client.state)) {
      steps->push_back({Who(i) + " goes on", false, [this, i] { GoOn(i); }});
    }
    if (client.session_alive && client.lease && !client.recall_under_way &&
        NextRecall(client).has_value()) {
      steps->push_back({"a recall is read for " + Who(i), false, [this, i] {
                          Message recall = *NextRecall(At(i));
                          recall.client = i;
                          At(i).cursor = recall.version;
                          At(i).recall_under_way = true;
                          world_.messages.push_back(recall);
                        }});
    }
    if (!client.lease && client.session_alive) {
      steps->push_back({"the session of " + Who(i) + " ends", false, [this, i] { EndSession(i); }});
    }
    if (!client.lease && !client.session_alive && !IsBusy(client.state)) {
      steps->push_back({Who(i) + " opens another session", false, [this, i] {
                          At(i).session = cluster_.OpenSession();
                          At(i).lease = At(i).session_alive = true;
                          At(i).cursor = 0;
                        }});
    }
    if (client.lease && MayRead(client.state) && world_.evictions > 0) {
      steps->push_back({Who(i) + " evicts", true, [this, i] {
                          --world_.evictions;
                          React(i, LineEvent::kEvict);
                        }});
    }
    if (client.lease && client.state == LineState::kModified && !client.flushing &&
        world_.flushes > 0) {
      steps->push_back({Who(i) + " flushes", true, [this, i] {
                          --world_.flushes;
                          React(i, LineEvent::kFlush);
                        }});
    }
    if (client.lease && world_.lease_ends > 0) {
      steps->push_back({"the lease of " + Who(i) + " ends", true, [this, i] {
                          --world_.lease_ends;
                          At(i).lease = false;
                          React(i, LineEvent::kLeaseEnd);
                        }});
    }
  }

  void CollectOfMessage(size_t at, std::vector<Step>* steps) {
    const Message& message = world_.messages[at];
    const std::string name = NameOf(message.kind) + " of " + Who(message.client) + " (line " +
                             std::to_string(message.line) + ")";
    switch (message.stage) {
      case Message::Stage::kSent:
        if (message.kind == Kind::kRecall) {
          steps->push_back({name + " arrives", false, [this, at] { TakeRecall(at); }});
          return;
        }
        steps->push_back({name + " is applied", false, [this, at] { Apply(at); }});
        // What has an idempotency key is done once.
        if (world_.doubled > 0 &&
            (message.kind == Kind::kFetch || message.kind == Kind::kRelease)) {
          steps->push_back({name + " is doubled", true, [this, at] {
                              --world_.doubled;
                              Message echo = world_.messages[at];
                              echo.echo = true;
                              world_.messages.push_back(echo);
                            }});
        }
        break;
      case Message::Stage::kWaiting:
        if (!StillWaits(message)) {
          steps->push_back({name + " goes on", false, [this, at] { Apply(at); }});
        }
        break;
      case Message::Stage::kReading:
        steps->push_back({name + " is read", false, [this, at] { ReadFetched(at); }});
        break;
      case Message::Stage::kAnswered:
        steps->push_back({name + " is answered " + (message.good ? "well" : "badly"), false,
                          [this, at] { TakeAnswer(at); }});
        return;
    }
    const Client& client = world_.clients[static_cast<size_t>(message.client)];
    const bool awaited = !message.echo && message.line == client.line &&
                         (message.kind == Kind::kFetch || message.kind == Kind::kSet) &&
                         IsBusy(client.state);
    if (world_.lost > 0 && awaited) {
      steps->push_back(
          {Who(message.client) + " does not wait any longer", true, [this, i = message.client] {
             --world_.lost;
             // A write that nobody knows of; the program is told so, and goes on.
             At(i).wants = Client::Wants::kNothing;
             React(i, LineEvent::kNotGranted);
             TakePostponed(i);
           }});
    }
  }

  static std::string NameOf(Kind kind) {
    switch (kind) {
      case Kind::kFetch: return "fetch";
      case Kind::kSet: return "set";
      case Kind::kRelease: return "release";
      case Kind::kWriteBack: return "write back";
      case Kind::kRescue: return "rescue";
      case Kind::kRecall: break;
    }
    return "recall";
  }

  Client& At(int i) { return world_.clients[static_cast<size_t>(i)]; }

  // --- The client: what near_cache.cc does, with messages instead of calls

  void GoOn(int i) {
    const bool reads = At(i).wants == Client::Wants::kRead;
    React(i, reads               ? LineEvent::kRead
             : plan_.write_local ? LineEvent::kWriteLocal
                                 : LineEvent::kWriteThrough);
  }

  void React(int i, LineEvent event) {
    Client& client = At(i);
    met_.insert({client.state, event});
    const LineTransition transition = NextOf(client.state, event);
    if (transition.action == LineAction::kNever) {
      Break(std::string(client::NameOf(client.state)) + " does not know '" + client::NameOf(event) +
            "'");
      return;
    }
    client.state = transition.next;
    switch (transition.action) {
      case LineAction::kServe:
        if (client.value != world_.newest) Break("an old value was read");
        client.wants = Client::Wants::kNothing;
        break;
      case LineAction::kWrite:
        client.value = ++world_.last_value;
        world_.newest = client.value;
        client.wants = Client::Wants::kNothing;
        break;
      case LineAction::kFetch:
        Ask(i, Kind::kFetch, plan_.write_local ? cache::any : cache::shared);
        break;
      case LineAction::kFetchExclusive: Ask(i, Kind::kFetch, cache::exclusive); break;
      case LineAction::kStore:
        Ask(i, Kind::kSet, cache::unspecified);
        world_.messages.back().value = ++world_.last_value;
        break;
      case LineAction::kPostpone: client.postponed = event; break;
      case LineAction::kRelease: Send(i, Kind::kRelease); break;
      case LineAction::kDowngrade:
        Send(i, Kind::kWriteBack);
        world_.messages.back().write = ++client.last_write;
        world_.messages.back().mode = cache::shared;
        break;
      case LineAction::kWriteBack: WriteBack(i, cache::exclusive); break;
      case LineAction::kWriteBackShared: WriteBack(i, cache::shared); break;
      case LineAction::kWriteBackRelease:
      case LineAction::kRescue: WriteBack(i, cache::unspecified); break;
      case LineAction::kLose: Lose(i); break;
      default: break;
    }
  }

  void Ask(int i, Kind kind, cache::Mode mode) {
    At(i).line = ++At(i).last_line;
    Send(i, kind);
    world_.messages.back().mode = mode;
  }

  void Send(int i, Kind kind) {
    Message message;
    message.kind = kind;
    message.client = i;
    message.session = At(i).session;
    message.line = At(i).line;
    world_.messages.push_back(message);
  }

  void WriteBack(int i, cache::Mode keep) {
    Client& client = At(i);
    // One after the other: an earlier one that came late could find the line taken anew.
    if (client.flushing) {
      client.write_back_next = true;
      return;
    }
    Send(i, Kind::kWriteBack);
    Message& message = world_.messages.back();
    message.write = ++client.last_write;
    message.value = client.value;
    message.has_change = true;
    message.mode = keep;
    message.version = client.version;
    client.flushing = true;
  }

  void Lose(int i) {
    if (plan_.lease_ends == 0) Break("lost, and no lease has ended: " + Who(i));
  }

  void TakeRecall(size_t at) {
    const Message recall = Take(at);
    Client& client = At(recall.client);
    client.recall_under_way = false;
    if (!client.lease || recall.session != client.session) return;
    if (recall.line == client.line) {
      React(recall.client,
            recall.mode == cache::shared ? LineEvent::kRecallToShared : LineEvent::kRecall);
      return;
    }
    // Of a line that is not held any more, or never was known to be.
    Send(recall.client, Kind::kRelease);
    world_.messages.back().line = recall.line;
  }

  void TakePostponed(int i) {
    if (const auto event = std::exchange(At(i).postponed, std::nullopt)) React(i, *event);
  }

  void TakeAnswer(size_t at) {
    const Message answer = Take(at);
    const int i = answer.client;
    Client& client = At(i);
    switch (answer.kind) {
      case Kind::kFetch:
      case Kind::kSet: {
        if (answer.line != client.line || !IsBusy(client.state))
          return;  // Not waited for any more.
        if (answer.good) {
          client.value = answer.value;
          client.version = answer.version;
          // Stored, or read; whether the line is kept or not.
          const bool wrote = answer.kind == Kind::kSet;
          if (wrote || client.wants == Client::Wants::kRead) client.wants = Client::Wants::kNothing;
        }
        React(i, !answer.good || answer.mode == cache::unspecified ? LineEvent::kNotGranted
                 : answer.mode == cache::exclusive                 ? LineEvent::kGrantedExclusive
                                                                   : LineEvent::kGrantedShared);
        if (client.wants == Client::Wants::kWrite && MayWrite(client.state)) GoOn(i);
        TakePostponed(i);
        return;
      }
      case Kind::kWriteBack:
        client.flushing = false;
        if (answer.good) client.version = answer.version;
        if (client.write_back_next) {
          client.write_back_next = false;
          WriteBack(i, client.state == LineState::kLeaving ? cache::unspecified : cache::shared);
        } else if (answer.good) {
          // Of a flush, unless more was written meanwhile.
          const bool newest = client.value == answer.value;
          if (newest) React(i, LineEvent::kWrittenBack);
          if (!IsBusy(client.state)) TakePostponed(i);
        } else if (client.state == LineState::kModified) {
          React(i, LineEvent::kLeaseEnd);  // Which writes back once more.
        } else {
          if (client.state != LineState::kLeaving) React(i, LineEvent::kLeaseEnd);
          if (client.version == 0) {  // Whether others have written and deleted is not known.
            React(i, LineEvent::kNotWrittenBack);
            client.postponed.reset();
            return;
          }
          Message rescue = answer;
          rescue.kind = Kind::kRescue;
          rescue.stage = Message::Stage::kSent;
          rescue.version = client.version;
          rescue.value = client.value;
          world_.messages.push_back(rescue);
        }
        return;
      case Kind::kRescue:
        React(i, answer.good ? LineEvent::kWrittenBack : LineEvent::kNotWrittenBack);
        client.postponed.reset();  // Of a session that has ended.
        return;
      default: return;
    }
  }

  // --- The cluster

  Message Take(size_t at) {
    const Message message = world_.messages[at];
    world_.messages.erase(world_.messages.begin() + static_cast<ptrdiff_t>(at));
    return message;
  }

  static cache::FetchRequest FetchOf(const Message& message) {
    cache::FetchRequest request;
    request.set_session(message.session);
    request.set_key(kKey);
    request.set_mode(message.mode);
    request.set_line(message.line);
    request.set_wait_ms(60'000);
    return request;
  }
  static cache::SetRequest SetOf(const Message& message) {
    cache::SetRequest request;
    request.set_key(kKey);
    request.set_value(std::to_string(message.value));
    request.set_session(message.session);
    request.set_line(message.line);
    request.set_wait_ms(60'000);
    return request;
  }
  static cache::CompareAndSetRequest RescueOf(const Message& message) {
    cache::CompareAndSetRequest request;
    request.set_key(kKey);
    request.set_value(std::to_string(message.value));
    request.set_version(message.version);
    request.set_wait_ms(60'000);
    return request;
  }

  bool StillWaits(const Message& message) {
    const ReadContext context = cluster_.Reading();
    if (message.kind == Kind::kFetch) {
      cache::FetchReply reply;
      (void)cluster_.service().AwaitFetch(FetchOf(message), context, &reply);
      return reply.outcome() == cache::FetchOutcome::waiting;
    }
    cache::WriteReply reply;
    if (message.kind == Kind::kSet) {
      (void)cluster_.service().Await(SetOf(message), context, &reply);
    } else {
      (void)cluster_.service().Await(RescueOf(message), context, &reply);
    }
    return reply.outcome() == cache::WriteOutcome::held;
  }

  void Apply(size_t at) {
    Message& message = world_.messages[at];
    WriteContext context = cluster_.Writing();
    cache::Cache& service = cluster_.service();
    switch (message.kind) {
      case Kind::kFetch: {
        if (message.stage == Message::Stage::kWaiting) {
          ReadFetched(at);
          return;
        }
        cache::FetchReply reply;
        (void)service.Fetch(FetchOf(message), context, &reply);
        switch (reply.outcome()) {
          case cache::FetchOutcome::granted: message.stage = Message::Stage::kReading; return;
          case cache::FetchOutcome::waiting: message.stage = Message::Stage::kWaiting; return;
          default: Answer(&message, false);
        }
        return;
      }
      case Kind::kSet: {
        cache::WriteReply reply;
        (void)service.Set(SetOf(message), context, &reply);
        if (reply.outcome() == cache::WriteOutcome::held) {
          message.stage = Message::Stage::kWaiting;
          return;
        }
        const bool stored = reply.outcome() == cache::WriteOutcome::stored;
        if (stored) world_.newest = message.value;
        message.mode = reply.holding() ? cache::shared : cache::unspecified;
        message.version = reply.version();
        Answer(&message, stored);
        return;
      }
      case Kind::kRelease: {
        cache::ReleaseRequest request;
        request.set_session(message.session);
        cache::Line* line = request.add_lines();
        line->set_key(kKey);
        line->set_line(message.line);
        cache::ReleaseReply reply;
        (void)service.Release(request, context, &reply);
        Take(at);
        return;
      }
      case Kind::kWriteBack: {
        cache::WriteBackRequest request;
        request.set_session(message.session);
        request.set_key(kKey);
        request.set_line(message.line);
        request.set_write(message.write);
        request.set_keep(message.mode);
        if (message.has_change) {
          request.set_change(cache::put);
          request.set_value(std::to_string(message.value));
        }
        cache::WriteBackReply reply;
        (void)service.WriteBack(request, context, &reply);
        if (!message.has_change) {  // Nobody waits for it.
          Take(at);
          return;
        }
        message.version = reply.version();
        Answer(&message, reply.outcome() == cache::WriteBackOutcome::written ||
                             reply.outcome() == cache::WriteBackOutcome::superseded);
        return;
      }
      case Kind::kRescue: {
        cache::WriteReply reply;
        (void)service.CompareAndSet(RescueOf(message), context, &reply);
        if (reply.outcome() == cache::WriteOutcome::held) {
          message.stage = Message::Stage::kWaiting;
          return;
        }
        const bool stored = reply.outcome() == cache::WriteOutcome::stored;
        if (stored) world_.newest = message.value;
        if (stored && message.value <= world_.deleted_to) Break("what was deleted comes back");
        Answer(&message, stored);
        return;
      }
      case Kind::kRecall: return;
    }
  }

  static cache::DeleteRequest DeleteOf() {
    cache::DeleteRequest request;
    request.set_key(kKey);
    request.set_wait_ms(60'000);
    return request;
  }
  void Delete() {
    WriteContext context = cluster_.Writing();
    cache::WriteReply reply;
    (void)cluster_.service().Delete(DeleteOf(), context, &reply);
    world_.deleting = reply.outcome() == cache::WriteOutcome::held;
    if (world_.deleting) return;
    world_.newest = 0;
    world_.deleted_to = world_.last_value;
  }
  bool DeleteWaits() {
    cache::WriteReply reply;
    (void)cluster_.service().Await(DeleteOf(), cluster_.Reading(), &reply);
    return reply.outcome() == cache::WriteOutcome::held;
  }

  void Answer(Message* message, bool good) {
    message->good = good;
    message->stage = Message::Stage::kAnswered;
    if (message->echo) {
      world_.messages.erase(world_.messages.begin() + (message - world_.messages.data()));
    }
  }

  void ReadFetched(size_t at) {
    Message& message = world_.messages[at];
    cache::FetchReply reply;
    (void)cluster_.service().AwaitFetch(FetchOf(message), cluster_.Reading(), &reply);
    const bool good = reply.outcome() == cache::FetchOutcome::fetched;
    message.mode = good ? reply.mode() : cache::unspecified;
    message.value = reply.found() ? std::stoi(reply.entry().value()) : 0;
    message.version = reply.entry().version();
    if (good && message.value != world_.newest && !message.echo) Break("an old value was fetched");
    Answer(&message, good);
  }

  std::optional<Message> NextRecall(const Client& client) {
    cache::RecallsRequest request;
    request.set_session(client.session);
    request.set_after(client.cursor);
    cache::RecallsReply reply;
    (void)cluster_.service().Recalls(request, cluster_.Reading(), &reply);
    if (reply.recalls_size() == 0) return std::nullopt;
    Message message;
    message.kind = Kind::kRecall;
    message.session = client.session;
    message.line = reply.recalls(0).line();
    message.mode = reply.recalls(0).keep();
    message.version = reply.cursor();  // One key, so there is one recall at most.
    return message;
  }

  void EndSession(int i) {
    // What was written to its line and did not get back is in doubt from here on.
    const auto held = cluster_.service().lines().tables().holders.Get({kKey, At(i).session});
    if (held && held->mode == cache::exclusive) world_.newest = ValueOfCluster().first;
    cluster_.EndSession(At(i).session);
    At(i).session_alive = false;
  }

  // --- The state as a text

  // Numbers of which only the order matters.
  class Ranks {
   public:
    void Add(uint64_t number) { numbers_.insert(number); }
    std::string Of(uint64_t number) const {
      return std::to_string(std::distance(numbers_.begin(), numbers_.find(number)));
    }

   private:
    std::set<uint64_t> numbers_;
  };
  // Numbers that are only compared: by when they are met.
  class Names {
   public:
    std::string Of(int number) {
      return std::to_string(names_.try_emplace(number, names_.size()).first->second);
    }

   private:
    std::map<int, size_t> names_;
  };

  std::string SessionName(int client, uint64_t session) {
    return Who(client) + (At(client).session == session ? "" : "'");
  }

  std::string Described() {
    const auto& tables = cluster_.service().lines().tables();
    const auto [value, version] = ValueOfCluster();
    std::map<uint64_t, int> owners;
    std::vector<Ranks> lines(world_.clients.size());
    std::vector<Ranks> writes(world_.clients.size());
    for (int i = 0; i < plan_.clients; ++i) {
      owners[At(i).session] = i;
      lines[static_cast<size_t>(i)].Add(At(i).line);
    }
    for (const Message& message : world_.messages) {
      owners[message.session] = message.client;
      lines[static_cast<size_t>(message.client)].Add(message.line);
      writes[static_cast<size_t>(message.client)].Add(message.write);
    }
    struct Row {
      size_t client;
      uint64_t session;
      cache::HolderRow row;
      bool may_share;
    };
    std::vector<Row> holders;
    tables.holders.Scan({kKey, 0}, [&](const cache::HolderKey& at, const cache::HolderRow& row) {
      const auto client = static_cast<size_t>(owners.at(std::get<1>(at)));
      const auto recall = tables.recalls.Get({std::get<1>(at), row.recall});
      holders.push_back({client, std::get<1>(at), row, recall && recall->keep == cache::shared});
      lines[client].Add(row.line);
      writes[client].Add(row.written);
      return true;
    });
    std::vector<cache::WaiterRow> waiters;
    tables.line.Scan({kKey, 0}, [&](const cache::PlaceKey& at, const cache::NoRow&) {
      waiters.push_back(*tables.waiters.Get(std::get<1>(at)));
      if (waiters.back().session == 0) return true;
      lines[static_cast<size_t>(owners.at(waiters.back().session))].Add(waiters.back().line);
      return true;
    });

    Names values;
    std::string text = values.Of(world_.newest) + values.Of(value);
    for (const int budget : {world_.lost, world_.doubled, world_.evictions, world_.flushes,
                             world_.lease_ends, world_.deletes}) {
      text += "," + std::to_string(budget);
    }
    if (world_.deleting) text += "d";
    for (int i = 0; i < plan_.clients; ++i) {
      const Client& client = At(i);
      text += "|" + std::to_string(static_cast<int>(client.state)) +
              std::to_string(static_cast<int>(client.wants)) + std::to_string(client.left) +
              (client.lease ? "l" : "") + (client.session_alive ? "s" : "") +
              (client.recall_under_way ? "r" : "") + (client.flushing ? "f" : "") +
              (client.write_back_next ? "n" : "") +
              (!client.postponed                                 ? ""
               : *client.postponed == LineEvent::kRecallToShared ? "p+"
                                                                 : "p-");
      if (client.state == LineState::kInvalid) continue;
      text += ":" + lines[static_cast<size_t>(i)].Of(client.line) + ":" + values.Of(client.value) +
              (client.version == version ? "=" : "") +
              (client.value <= world_.deleted_to ? "d" : "");
    }
    for (const Row& holder : holders) {
      text += ";" + SessionName(static_cast<int>(holder.client), holder.session) +
              std::to_string(holder.row.mode) + lines[holder.client].Of(holder.row.line) + "." +
              writes[holder.client].Of(holder.row.written);
      if (holder.row.recall == 0) continue;
      text += holder.may_share ? "+" : "-";
      if (holder.row.recall > world_.clients[holder.client].cursor) text += "!";
    }
    for (const cache::WaiterRow& waiter : waiters) {
      text += ">";
      if (waiter.session != 0) {
        const int client = owners.at(waiter.session);
        text += SessionName(client, waiter.session) +
                lines[static_cast<size_t>(client)].Of(waiter.line);
      }
      text += std::to_string(static_cast<int>(waiter.want));
    }
    std::vector<std::string> messages;
    for (const Message& message : world_.messages) {
      const auto client = static_cast<size_t>(message.client);
      std::string one = SessionName(message.client, message.session) +
                        std::to_string(static_cast<int>(message.kind)) +
                        std::to_string(static_cast<int>(message.stage)) +
                        std::to_string(message.mode) + lines[client].Of(message.line) + "." +
                        writes[client].Of(message.write);
      one += message.good ? "g" : "";
      one += message.echo ? "e" : "";
      one += message.version == version ? "=" : "";
      one += message.value <= world_.deleted_to ? "d" : "";
      messages.push_back(one + "v" + std::to_string(message.value));
    }
    // In an order of their own, and only then named, as names go by when they are met.
    std::sort(messages.begin(), messages.end());
    for (std::string& message : messages) {
      const size_t at = message.rfind('v');
      text += "/" + message.substr(0, at) + "v" + values.Of(std::stoi(message.substr(at + 1)));
    }
    return text;
  }

  const Plan plan_;
  Cluster cluster_;
  World world_;
  absl::flat_hash_set<std::string> seen_;
  std::set<std::pair<LineState, LineEvent>> met_;
  std::vector<std::string> path_;
  std::string broken_;
  size_t ends_ = 0;
  size_t deepest_ = 0;
};

// The searches together meet what the table can meet; see TheTableIsMet.
std::set<std::pair<LineState, LineEvent>>& Met() {
  static auto& met = *new std::set<std::pair<LineState, LineEvent>>();
  return met;
}

void Try(const Plan& plan) {
  Search search(plan);
  search.Run();
  EXPECT_GT(search.ends(), 0u);
  Met().insert(search.met().begin(), search.met().end());
}

TEST(CoherenceTest, TwoClientsThatWriteThrough) {
  Try({.clients = 2, .operations = 4});
  Try({.clients = 2, .operations = 2, .lost = 1, .doubled = 1});
  Try({.clients = 2, .operations = 2, .doubled = 1, .evictions = 1});
  Try({.clients = 2, .operations = 2, .lease_ends = 1});
  Try({.clients = 2, .operations = 1, .lost = 1, .lease_ends = 1});
  Try({.clients = 2, .operations = 2, .deletes = 2});
}

TEST(CoherenceTest, TwoClientsThatWriteBack) {
  Try({.clients = 2, .write_local = true, .operations = 3});
  Try({.clients = 2, .write_local = true, .operations = 1, .lost = 1, .doubled = 1});
  Try({.clients = 2, .write_local = true, .operations = 2, .evictions = 1, .flushes = 1});
  Try({.clients = 2, .write_local = true, .operations = 1, .doubled = 1, .flushes = 1});
  Try({.clients = 2, .write_local = true, .operations = 2, .flushes = 1, .lease_ends = 1});
  Try({.clients = 2, .write_local = true, .operations = 1, .lease_ends = 1, .deletes = 1});
}

TEST(CoherenceTest, ThreeClientsThatWriteThrough) {
  Try({.clients = 3, .operations = 1, .lost = 1, .evictions = 1});
  Try({.clients = 3, .operations = 1, .lease_ends = 1});
}

TEST(CoherenceTest, ThreeClientsThatWriteBack) {
  Try({.clients = 3, .write_local = true, .operations = 1, .evictions = 1, .flushes = 1});
  Try({.clients = 3, .write_local = true, .operations = 1, .lease_ends = 1});
}

// A larger one by hand: HOLDFAST_COHERENCE=clients,back,operations,lost,doubled,evictions,flushes,
// lease_ends,deletes.
TEST(CoherenceTest, APlanOfYourOwn) {
  const char* text = std::getenv("HOLDFAST_COHERENCE");
  if (text == nullptr) GTEST_SKIP() << "no HOLDFAST_COHERENCE";
  Plan plan;
  int back = 0;
  ASSERT_EQ(std::sscanf(text, "%d,%d,%d,%d,%d,%d,%d,%d,%d", &plan.clients, &back, &plan.operations,
                        &plan.lost, &plan.doubled, &plan.evictions, &plan.flushes, &plan.lease_ends,
                        &plan.deletes),
            9);
  plan.write_local = back != 0;
  plan.states_max = 50'000'000;
  Try(plan);
}

// Of what the cluster may say, and the end of a lease, nothing in the table is there for nothing.
TEST(CoherenceTest, TheTableIsMet) {
  if (Met().empty()) GTEST_SKIP() << "the searches were not run";
  // Only a cluster that breaks its word says this; the client does not break over it.
  const std::set<std::pair<LineState, LineEvent>> unheard{
      {LineState::kStoring, LineEvent::kRecallToShared},
      {LineState::kAbandoned, LineEvent::kRecallToShared},
      {LineState::kAbandoned, LineEvent::kRecall},
      {LineState::kDowngrading, LineEvent::kNotWrittenBack},
      {LineState::kDowngradeRecalled, LineEvent::kNotWrittenBack},
  };
  for (int s = 0; s < kLineStates; ++s) {
    for (int e = static_cast<int>(LineEvent::kGrantedShared); e < kLineEvents; ++e) {
      const auto state = static_cast<LineState>(s);
      const auto event = static_cast<LineEvent>(e);
      const LineTransition transition = NextOf(state, event);
      const bool never = transition.action == LineAction::kNever;
      const bool nothing = transition == LineTransition{state, LineAction::kNone};
      if (never || nothing) continue;
      EXPECT_NE((Met().contains({state, event})), (unheard.contains({state, event})))
          << NameOf(state) << ": " << NameOf(event);
    }
  }
}

}  // namespace
}  // namespace holdfast::client

#include "sim/coordination_judge.h"

#include "services/cache/model.h"
#include "services/locks/model.h"

namespace holdfast::sim {
namespace {

class CoordinationJudge : public Judge {
 public:
  void Begin(const Moment& at) override {
    model_.Pass(at);
    const std::string forgotten = model_.Forgotten();
    Require(forgotten.empty(), "nothing is in the way of " + forgotten + ", which stands in line");
    const std::string deadlocked = model_.Deadlocked();
    Require(deadlocked.empty(), deadlocked + " stands in line and waits for itself");
    cache_.Pass(at);
    const std::string stuck = cache_.Forgotten();
    Require(stuck.empty(), "nothing is in the way of whoever stands in line for " + stuck);
  }

  std::string Execute(const std::string& method, const std::string& body) override {
    using namespace sessions;
    using namespace locks;  // NOLINT: as above.
    // Each model has the sessions that it needs: the same ones.
    if (method == "sessions.Open") {
      return Answer<OpenRequest>(body, [&](const auto& it) {
        cache_.sessions().Open(it);
        return model_.sessions().Open(it);
      });
    }
    if (method == "sessions.KeepAlive") {
      return Answer<KeepAliveRequest>(body, [&](const auto& it) {
        cache_.sessions().KeepAlive(it);
        return model_.sessions().KeepAlive(it);
      });
    }
    if (method == "sessions.Close") {
      return Answer<CloseRequest>(body, [&](const auto& it) {
        cache_.Close(it);
        return model_.Close(it);
      });
    }
    if (method.starts_with("cache.")) return ExecuteCache(method, body);
    if (method == "locks.Acquire") {
      return Answer<AcquireRequest>(body, [&](const auto& it) { return model_.Acquire(it); });
    }
    if (method == "locks.Release") {
      return Answer<ReleaseRequest>(body, [&](const auto& it) { return model_.Release(it); });
    }
    if (method == "locks.Extend") {
      return Answer<ExtendRequest>(body, [&](const auto& it) { return model_.Extend(it); });
    }
    if (method == "locks.Check") {
      return Answer<CheckRequest>(body, [&](const auto& it) { return model_.Check(it); });
    }
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    if (read.near) return DifferenceNear(read);
    if (read.method.starts_with("cache.")) return DifferenceOfCache(read);
    if (read.method == "sessions.Get") {
      return Differ(model_.sessions().Get(Parsed<sessions::GetRequest>(read.request)), read);
    }
    if (read.method == "sessions.List") {
      const auto request = Parsed<sessions::ListRequest>(read.request);
      return Differ(std::optional(model_.sessions().List(request)), read);
    }
    if (read.method == "locks.Get") {
      return Differ(std::optional(model_.Get(Parsed<locks::GetRequest>(read.request))), read);
    }
    if (read.method == "locks.List") {
      return Differ(std::optional(model_.List(Parsed<locks::ListRequest>(read.request))), read);
    }
    if (read.method == "locks.AwaitAcquire") {
      return Differ(std::optional(model_.Await(Parsed<locks::AcquireRequest>(read.request))), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  Saved Save() const override { return std::make_shared<const Both>(model_, cache_); }
  void Restore(const Saved& saved) override {
    std::tie(model_, cache_) = *static_cast<const Both*>(saved.get());
  }

  std::vector<Asked> Everything() const override {
    sessions::ListRequest sessions;
    sessions.set_limit(1'000);
    locks::ListRequest locks;
    locks.set_limit(1'000);
    std::vector<Asked> all{AskedOf("sessions.List", sessions), AskedOf("locks.List", locks)};
    const locks::ListReply held = model_.List(locks);
    for (const locks::Holder& holder : held.holders()) {
      locks::GetRequest request;
      request.set_name(holder.name());
      all.push_back(AskedOf("locks.Get", request));
    }
    all.push_back(AskedOf("cache.Stats", cache::StatsRequest()));
    for (const std::string& key : cache_.Keys()) {
      cache::GetRequest request;
      request.set_key(key);
      all.push_back(AskedOf("cache.Get", request));
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (cache::Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (cache_.*method)(request); });
  }

  std::string ExecuteCache(const std::string& method, const std::string& body) {
    using cache::Model;
    if (method == "cache.Set") return Do(&Model::Set, body);
    if (method == "cache.CompareAndSet") return Do(&Model::CompareAndSet, body);
    if (method == "cache.Delete") return Do(&Model::Delete, body);
    if (method == "cache.Increment") return Do(&Model::Increment, body);
    if (method == "cache.SetMany") return Do(&Model::SetMany, body);
    if (method == "cache.DeletePrefix") return Do(&Model::DeletePrefix, body);
    if (method == "cache.Touch") return Do(&Model::Touch, body);
    if (method == "cache.Configure") return Do(&Model::Configure, body);
    if (method == "cache.Fetch") return Do(&Model::Fetch, body);
    if (method == "cache.Release") return Do(&Model::Release, body);
    if (method == "cache.WriteBack") return Do(&Model::WriteBack, body);
    throw Violation("the model does not know the method " + method);
  }

  template <class Request, class Reply>
  std::string Compare(Reply (cache::Model::*method)(const Request&) const,
                      const ReadRecord& read) const {
    return Differ(std::optional((cache_.*method)(Parsed<Request>(read.request))), read);
  }

  std::string DifferenceOfCache(const ReadRecord& read) const {
    using namespace cache;  // NOLINT: the messages of this one service.
    using cache::Model;
    if (read.method == "cache.Get") {
      return Differ(cache_.Get(Parsed<GetRequest>(read.request)), read);
    }
    if (read.method == "cache.GetMany") return Compare(&Model::GetMany, read);
    if (read.method == "cache.Stats") return Compare(&Model::Stats, read);
    if (read.method == "cache.Recalls") return Compare(&Model::Recalls, read);
    if (read.method == "cache.AwaitFetch") return Compare(&Model::AwaitFetch, read);
    if (read.method == "cache.AwaitSet") return Compare(&Model::Await<SetRequest>, read);
    if (read.method == "cache.AwaitCompareAndSet") {
      return Compare(&Model::Await<CompareAndSetRequest>, read);
    }
    if (read.method == "cache.AwaitDelete") return Compare(&Model::Await<DeleteRequest>, read);
    if (read.method == "cache.AwaitIncrement") {
      return Compare(&Model::Await<IncrementRequest>, read);
    }
    if (read.method == "cache.AwaitSetMany") return Compare(&Model::Await<SetManyRequest>, read);
    if (read.method == "cache.AwaitDeletePrefix") {
      return Compare(&Model::Await<DeletePrefixRequest>, read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  // Served from a line: what was written last before anything that anyone had been told by then.
  // What was evicted or has expired there may still be here.
  std::string DifferenceNear(const ReadRecord& read) const {
    const std::string key = Parsed<cache::GetRequest>(read.request).key();
    const uint64_t last = cache_.LastWritten(key);
    if (!read.found) {
      cache::GetRequest get;
      get.set_key(key);
      if (!cache_.Get(get)) return "";
      return "saw nothing near by, and version " + std::to_string(last) + " is there";
    }
    const auto version = Parsed<cache::Entry>(read.reply).version();
    if (version == last) return "";
    return "saw version " + std::to_string(version) + " near by, and version " +
           std::to_string(last) + " was written last";
  }

  using Both = std::pair<locks::Model, cache::Model>;
  locks::Model model_;
  cache::Model cache_;
};

}  // namespace

std::shared_ptr<Judge> MakeCoordinationJudge() { return std::make_shared<CoordinationJudge>(); }

}  // namespace holdfast::sim

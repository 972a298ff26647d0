#include "sim/coordination_judge.h"

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
  }

  std::string Execute(const std::string& method, const std::string& body) override {
    using namespace sessions;
    using namespace locks;  // NOLINT: as above.
    if (method == "sessions.Open") {
      return Answer<OpenRequest>(body, [&](const auto& it) { return model_.sessions().Open(it); });
    }
    if (method == "sessions.KeepAlive") {
      return Answer<KeepAliveRequest>(
          body, [&](const auto& it) { return model_.sessions().KeepAlive(it); });
    }
    if (method == "sessions.Close") {
      return Answer<CloseRequest>(body, [&](const auto& it) { return model_.Close(it); });
    }
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

  void Mark() override { before_ = model_; }
  void RollBack() override { model_ = *before_; }

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
    return all;
  }

 private:
  locks::Model model_;
  std::optional<locks::Model> before_;
};

}  // namespace

std::shared_ptr<Judge> MakeCoordinationJudge() { return std::make_shared<CoordinationJudge>(); }

}  // namespace holdfast::sim

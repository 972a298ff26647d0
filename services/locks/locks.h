// The lock service: its methods, as locks.proto declares them. README.md is the reference page.
// Writes run on the apply thread; reads on any thread under the store's shared lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/locks/book.h"
#include "services/locks/locks.pb.h"
#include "src/state_machine/service.h"

namespace holdfast::locks {

using state_machine::ReadContext;

class Locks : public state_machine::Service {
 public:
  explicit Locks(store::Store& store) : book_(store) {}

  Result<void> Acquire(const AcquireRequest& request, WriteContext& context, AcquireReply* reply);
  Result<void> AwaitAcquire(const AcquireRequest& request, const ReadContext& context,
                            AcquireReply* reply) const;
  Result<void> Release(const ReleaseRequest& request, WriteContext& context, ReleaseReply* reply);
  Result<void> Extend(const ExtendRequest& request, WriteContext& context, ExtendReply* reply);
  Result<void> Check(const CheckRequest& request, WriteContext& context, CheckReply* reply);
  Result<void> Get(const GetRequest& request, const ReadContext& context, Lock* reply) const;
  Result<void> List(const ListRequest& request, const ReadContext& context, ListReply* reply) const;

  void OnTimer(WriteContext& context, std::string_view key) override;
  void OnSessionEnd(WriteContext& context, uint64_t session, bool closed) override;
  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

 private:
  AcquireOutcome::Code TryAcquire(const AcquireRequest& request, WriteContext& context,
                                  AcquireReply* reply);

  Book book_;
};

}  // namespace holdfast::locks

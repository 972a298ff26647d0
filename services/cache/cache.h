// The coherent cache: its methods, as cache.proto declares them. README.md is the reference page.
// Writes run on the apply thread; reads on any thread under the store's shared lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/cache/cache.pb.h"
#include "services/cache/entries.h"
#include "services/cache/lines.h"
#include "src/state_machine/service.h"

namespace holdfast::cache {

using state_machine::ReadContext;

class Cache : public state_machine::Service {
 public:
  explicit Cache(store::Store& store) : entries_(store), lines_(store) {}

  // writes.cc
  Result<void> Set(const SetRequest& request, WriteContext& context, WriteReply* reply);
  Result<void> CompareAndSet(const CompareAndSetRequest& request, WriteContext& context,
                             WriteReply* reply);
  Result<void> Delete(const DeleteRequest& request, WriteContext& context, WriteReply* reply);
  Result<void> Increment(const IncrementRequest& request, WriteContext& context, WriteReply* reply);
  Result<void> SetMany(const SetManyRequest& request, WriteContext& context, WriteReply* reply);
  Result<void> DeletePrefix(const DeletePrefixRequest& request, WriteContext& context,
                            WriteReply* reply);
  Result<void> Touch(const TouchRequest& request, WriteContext& context, TouchReply* reply);
  Result<void> Configure(const ConfigureRequest& request, WriteContext& context, StatsReply* reply);
  // A precondition: it changes nothing.
  Result<void> CheckVersion(const CheckVersionRequest& request, WriteContext& context,
                            CheckVersionReply* reply);
  // Whether a write of this request would find the lines free.
  template <class Request>
  Result<void> Await(const Request& request, const ReadContext& context, WriteReply* reply) const;

  // cache.cc
  Result<void> Get(const GetRequest& request, const ReadContext& context, Entry* reply) const;
  Result<void> GetMany(const GetManyRequest& request, const ReadContext& context,
                       GetManyReply* reply) const;
  Result<void> Stats(const StatsRequest& request, const ReadContext& context,
                     StatsReply* reply) const;
  Result<void> Fetch(const FetchRequest& request, WriteContext& context, FetchReply* reply);
  Result<void> AwaitFetch(const FetchRequest& request, const ReadContext& context,
                          FetchReply* reply) const;
  Result<void> Recalls(const RecallsRequest& request, const ReadContext& context,
                       RecallsReply* reply) const;
  Result<void> Release(const ReleaseRequest& request, WriteContext& context, ReleaseReply* reply);
  Result<void> WriteBack(const WriteBackRequest& request, WriteContext& context,
                         WriteBackReply* reply);

  void OnTimer(WriteContext& context, std::string_view key) override;
  void OnSessionEnd(WriteContext& context, uint64_t session, bool closed) override;
  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

  // For tests.
  const Lines& lines() const { return lines_; }
  const Entries& entries() const { return entries_; }

 private:
  // Whether the request's session has ended, or others hold one of the keys; the reply then says
  // so.
  template <class Request>
  bool Refused(const Request& request, const std::vector<std::string>& keys, WriteContext& context,
               WriteReply* reply);
  template <class Request>
  std::vector<std::string> KeysOf(const Request& request, LogTime now) const;
  template <class Request>
  void Store(const Request& request, const std::string& key, Value value, int64_t expires_us,
             WriteContext& context, WriteReply* reply);
  bool Describe(const std::string& key, const ReadContext& context, Entry* entry) const;
  void FillStats(StatsReply* reply) const;

  Entries entries_;
  Lines lines_;
};

}  // namespace holdfast::cache

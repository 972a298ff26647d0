// Sessions of clients: what is tied to one goes when it ends, because its client closed it or let
// it expire. Rows of the store like everything else. The service `sessions` is their face; other
// services tie what they keep to them, and are told of the end (Service::OnSessionEnd).
//
// A session lasts by lease time (lease.h), so a failover never shortens it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "src/state_machine/lease.h"
#include "src/store/table.h"

namespace holdfast::state_machine {

class WriteContext;

// As it is stored, under its number.
struct Session {
  std::string name;
  int64_t opened_us = 0;
  int64_t ttl_us = 0;
  int64_t expires_us = 0;  // Lease time.
  int64_t timer_us = 0;    // When its timer fires, by log time.
  auto Fields() { return std::tie(name, opened_us, ttl_us, expires_us, timer_us); }
  auto Fields() const { return std::tie(name, opened_us, ttl_us, expires_us, timer_us); }
};

// Changes on the apply thread; Get and Scan under the shared lock, too.
class Sessions {
 public:
  using Row = Session;

  explicit Sessions(store::Store& store)
      : rows_(store, {0, 5}, "sessions"),
        ties_(store, {0, 6}, "session ties"),
        meta_(store, {0, 7}, "session meta") {}

  // Numbers are never given twice. nullopt: there are kSessionsMax.
  std::optional<uint64_t> Open(std::string name, int64_t ttl_us, WriteContext& context);
  // From now on for a whole ttl. False: there is no such session any more.
  bool KeepAlive(uint64_t id, WriteContext& context);
  // Tells all services that have tied something to it, by number. No-op without such a session.
  // `closed`: by its client.
  void End(uint64_t id, bool closed, WriteContext& context);
  // `service` is to be told when the session, which exists, ends.
  void Tie(uint64_t id, uint8_t service);
  // Ends the session if its time is over, though its timer may not have fired yet. Only whoever
  // has to judge by what hangs on it needs this.
  void EndIfOver(uint64_t id, WriteContext& context);
  // Its timer has fired: as EndIfOver, or the timer is set again.
  void OnTimer(uint64_t id, WriteContext& context);

  // A session whose time is over is not, though its timer may not have fired yet.
  bool Alive(uint64_t id, LeaseTime now) const {
    const auto row = rows_.Get(id);
    return row && row->expires_us > now.us;
  }
  std::optional<Row> Get(uint64_t id) const { return rows_.Get(id); }
  // From `id` on, in order, until visit returns false.
  void Scan(uint64_t id, absl::FunctionRef<bool(uint64_t id, const Row&)> visit) const {
    rows_.Scan(id, visit);
  }
  uint64_t count() const;

 private:
  struct Nothing {
    auto Fields() { return std::tie(); }
    auto Fields() const { return std::tie(); }
  };
  struct Meta {
    uint64_t last_id = 0;
    uint64_t count = 0;
    auto Fields() { return std::tie(last_id, count); }
    auto Fields() const { return std::tie(last_id, count); }
  };

  store::SortedTable<uint64_t, Row> rows_;
  store::SortedTable<std::tuple<uint64_t, uint64_t>, Nothing> ties_;  // (session, service)
  store::HashTable<uint64_t, Meta> meta_;
};

}  // namespace holdfast::state_machine

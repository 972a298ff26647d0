#include "src/state_machine/sessions.h"

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/service.h"

namespace holdfast::state_machine {
namespace {
constexpr uint64_t kOnlyRow = 0;
}  // namespace

uint64_t Sessions::count() const { return meta_.Get(kOnlyRow).value_or(Meta{}).count; }

std::optional<uint64_t> Sessions::Open(std::string name, int64_t ttl_us, WriteContext& context) {
  Meta meta = meta_.Get(kOnlyRow).value_or(Meta{});
  if (meta.count >= bounds::kSessionsMax) return std::nullopt;
  const uint64_t id = ++meta.last_id;
  ++meta.count;
  meta_.Put(kOnlyRow, meta);
  const LeaseTime expires{context.lease_now().us + ttl_us};
  Row row{std::move(name), context.now().us, ttl_us, expires.us};
  context.SetSessionTimer(expires, id, &row.timer_us);
  rows_.Put(id, std::move(row));
  return id;
}

bool Sessions::KeepAlive(uint64_t id, WriteContext& context) {
  const Row* row = rows_.Find(id);
  if (row == nullptr || row->expires_us <= context.lease_now().us) return false;
  Row kept = *row;
  kept.expires_us = context.lease_now().us + kept.ttl_us;
  rows_.Put(id, std::move(kept));  // The timer that is set finds it alive, and is set again.
  return true;
}

void Sessions::Tie(uint64_t id, uint8_t service) {
  HOLDFAST_CHECK(rows_.Find(id) != nullptr, "there is no session to tie something to");
  ties_.Put({id, service}, Nothing{});
}

void Sessions::OnTimer(uint64_t id, WriteContext& context) {
  const Row* row = rows_.Find(id);
  if (row == nullptr) return;
  Row fired = *row;
  fired.timer_us = 0;
  if (fired.expires_us > context.lease_now().us) {
    context.SetSessionTimer(LeaseTime{fired.expires_us}, id, &fired.timer_us);
    rows_.Put(id, std::move(fired));
    return;
  }
  End(id, false, context);
}

void Sessions::EndIfOver(uint64_t id, WriteContext& context) {
  const Row* row = rows_.Find(id);
  if (row != nullptr && row->expires_us <= context.lease_now().us) End(id, false, context);
}

void Sessions::End(uint64_t id, bool closed, WriteContext& context) {
  const Row* row = rows_.Find(id);
  if (row == nullptr) return;
  int64_t timer_us = row->timer_us;
  context.CancelSessionTimer(id, &timer_us);
  rows_.Erase(id);
  Meta meta = *meta_.Get(kOnlyRow);
  --meta.count;
  meta_.Put(kOnlyRow, meta);
  std::vector<uint8_t> tied;
  ties_.Scan({id, 0}, [&](const std::tuple<uint64_t, uint64_t>& tie, const Nothing&) {
    if (std::get<0>(tie) != id) return false;
    tied.push_back(static_cast<uint8_t>(std::get<1>(tie)));
    return true;
  });
  for (const uint8_t number : tied) {
    ties_.Erase({id, number});
    Service* service = context.registry().FindService(number);
    HOLDFAST_CHECK(service != nullptr, "a session is tied to a service of another build");
    WriteContext of_service = context.For(number);
    service->OnSessionEnd(of_service, id, closed);
  }
}

}  // namespace holdfast::state_machine

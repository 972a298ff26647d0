#include "src/server/offline_state.h"

#include "src/node/backup_folder.h"
#include "src/node/cluster_service.h"
#include "src/state_machine/requests_service.h"

namespace holdfast {

Result<std::unique_ptr<OfflineState>> OfflineState::Open(const std::string& database) {
  auto base = store::RocksDbBase::OpenReadOnly(database);
  if (!base) return Fail(base.error());
  if (auto verified = (*base)->VerifyChecksums(); !verified) return Fail(verified.error());
  std::unique_ptr<OfflineState> state(new OfflineState());
  state->base_ = base->get();
  state->store_ = std::make_unique<store::Store>(*std::move(base));
  state->registry_ = std::make_unique<state_machine::Registry>(*state->store_);
  RegisterServices(*state->registry_);
  node::RegisterClusterService(*state->registry_, {});
  state_machine::RegisterRequestsService(*state->registry_, {});
  state->registry_->Finish();
  state->machine_ = std::make_unique<state_machine::Machine>(*state->store_, *state->registry_);
  if (auto fits = state->machine_->Fits("this command"); !fits) return Fail(fits.error());
  return state;
}

std::string OfflineState::BrokenInvariant() const {
  absl::ReaderMutexLock lock(&store_->mutex());
  for (const auto& [id, service] : registry_->services()) {
    if (const auto broken = service->CheckInvariants()) return *broken;
  }
  return "";
}

uint64_t OfflineState::ContentHash() const {
  node::Checksum hash;
  const auto add = [&hash](std::string_view bytes) {
    const auto size = static_cast<uint32_t>(bytes.size());
    const char head[] = {static_cast<char>(size), static_cast<char>(size >> 8),
                         static_cast<char>(size >> 16), static_cast<char>(size >> 24)};
    hash.Add({head, sizeof(head)});
    hash.Add(bytes);
  };
  absl::ReaderMutexLock lock(&store_->mutex());
  store_->ForEach([&](store::TableNumber number, std::string_view key, std::string_view row) {
    const char table[] = {static_cast<char>(number.service), static_cast<char>(number.table)};
    hash.Add({table, sizeof(table)});
    add(key);
    add(row);
  });
  return hash.value();
}

}  // namespace holdfast

#include "services/todo/order.h"

#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/reached.h"

namespace holdfast::todo {

std::optional<uint64_t> RankBetween(std::optional<uint64_t> left, std::optional<uint64_t> right) {
  if (!left && !right) return kRankFirst;
  if (!right) {
    if (*left + kRankStep >= kRankEnd) return std::nullopt;
    return *left + kRankStep;
  }
  if (!left) {
    if (*right <= kRankStep) return std::nullopt;
    return *right - kRankStep;
  }
  const uint64_t middle = *left + (*right - *left) / 2;
  return middle == *left ? std::nullopt : std::optional(middle);
}

std::optional<uint64_t> Order::Next(const std::string& user, const std::string& list, uint64_t from,
                                    std::optional<uint64_t> skipped) const {
  std::optional<uint64_t> found;
  tables_.order.Scan({user, list, from}, [&](const OrderKey& key, const OrderRow&) {
    if (std::get<0>(key) != user || std::get<1>(key) != list) return false;
    if (skipped == std::get<2>(key)) return true;
    found = std::get<2>(key);
    return false;
  });
  return found;
}

std::optional<uint64_t> Order::Previous(const std::string& user, const std::string& list,
                                        uint64_t from, std::optional<uint64_t> skipped) const {
  std::optional<uint64_t> found;
  tables_.order.ScanBack({user, list, from}, [&](const OrderKey& key, const OrderRow&) {
    if (std::get<0>(key) != user || std::get<1>(key) != list) return false;
    if (skipped == std::get<2>(key)) return true;
    found = std::get<2>(key);
    return false;
  });
  return found;
}

Order::Gap Order::GapAt(const std::string& user, const Spot& spot,
                        std::optional<uint64_t> skipped) const {
  switch (spot.where) {
    case Where::kFirst: return {std::nullopt, Next(user, spot.list, 0, skipped)};
    case Where::kBefore: return {Previous(user, spot.list, spot.anchor - 1, skipped), spot.anchor};
    case Where::kAfter: return {spot.anchor, Next(user, spot.list, spot.anchor + 1, skipped)};
    case Where::kLast: break;
  }
  return {Previous(user, spot.list, kRankEnd, skipped), std::nullopt};
}

bool Order::IsAt(const std::string& user, const PlaceRow& place, const Spot& spot) const {
  if (place.list != spot.list) return false;
  const Gap gap = GapAt(user, spot, place.rank);
  return (!gap.left || *gap.left < place.rank) && (!gap.right || place.rank < *gap.right);
}

void Order::Enter(const std::string& user, uint64_t id, bool done, Spot spot) {
  const Gap gap = GapAt(user, spot, std::nullopt);
  std::optional<uint64_t> rank = RankBetween(gap.left, gap.right);
  if (!rank) {
    NumberAnew(user, &spot);
    const Gap wider = GapAt(user, spot, std::nullopt);
    rank = RankBetween(wider.left, wider.right);
    HOLDFAST_CHECK(rank.has_value(), "a list that was numbered anew has no room");
  }
  tables_.order.Put({user, spot.list, *rank}, {id, done});
  Count(user, spot.list, 1, done ? 1 : 0);
  tables_.places.Put({user, id}, {std::move(spot.list), *rank});
}

void Order::Leave(const std::string& user, uint64_t id) {
  const PlaceRow place = *tables_.places.Find({user, id});
  const OrderKey key{user, place.list, place.rank};
  const bool done = tables_.order.Find(key)->done;
  tables_.order.EraseKnown(key);
  tables_.places.EraseKnown({user, id});
  Count(user, place.list, -1, done ? -1 : 0);
}

void Order::SetDone(const std::string& user, uint64_t id, bool done) {
  const PlaceRow place = *tables_.places.Find({user, id});
  tables_.order.Put({user, place.list, place.rank}, {id, done});
  Count(user, place.list, 0, done ? 1 : -1);
}

void Order::NumberAnew(const std::string& user, Spot* spot) {
  HOLDFAST_REACHED("todo.order.numbered_anew");
  std::vector<std::pair<uint64_t, OrderRow>> rows;
  tables_.order.Scan({user, spot->list, 0}, [&](const OrderKey& key, const OrderRow& row) {
    if (std::get<0>(key) != user || std::get<1>(key) != spot->list) return false;
    rows.emplace_back(std::get<2>(key), row);
    return true;
  });
  for (const auto& [rank, row] : rows) tables_.order.EraseKnown({user, spot->list, rank});
  std::optional<uint64_t> anchor;
  uint64_t rank = kRankFirst;
  for (const auto& [old_rank, row] : rows) {
    if (old_rank == spot->anchor) anchor = rank;
    tables_.order.Put({user, spot->list, rank}, row);
    tables_.places.Put({user, row.id}, {spot->list, rank});
    rank += kRankStep;
  }
  if (anchor) spot->anchor = *anchor;
}

void Order::Count(const std::string& user, const std::string& list, int tasks, int done) {
  const ListRow* before = tables_.lists.Find({user, list});
  ListRow row = before == nullptr ? ListRow() : *before;
  UserRow owner = *tables_.users.Find(user);
  const bool was_there = before != nullptr;
  row.tasks += static_cast<uint32_t>(tasks);
  row.done += static_cast<uint32_t>(done);
  const bool is_there = row.tasks != 0;
  if (is_there) {
    tables_.lists.Put({user, list}, row);
  } else {
    tables_.lists.EraseKnown({user, list});
  }
  if (was_there == is_there) return;
  owner.lists += is_there ? 1 : -1;
  tables_.users.Put(user, owner);
}

}  // namespace holdfast::todo

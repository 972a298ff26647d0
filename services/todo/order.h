// The order of a list. Each task has a rank, and the ranks are far apart: a task gets between two
// others by a number between theirs. Where there is none left, the list is numbered anew, which 40
// moves into one place bring about; so a move costs a few hundred rows at worst, on average.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "services/todo/tables.h"

namespace holdfast::todo {

inline constexpr uint64_t kRankFirst = uint64_t{1} << 61;  // Of the only task of a list.
inline constexpr uint64_t kRankStep = uint64_t{1} << 40;
inline constexpr uint64_t kRankEnd = uint64_t{1} << 62;  // Ranks are below it, and above 0.

// A number between two neighbours, of which either may be missing; nullopt: none is left.
std::optional<uint64_t> RankBetween(std::optional<uint64_t> left, std::optional<uint64_t> right);

// Apply thread.
class Order {
 public:
  explicit Order(Tables& tables) : tables_(tables) {}

  enum class Where { kFirst, kLast, kBefore, kAfter };
  struct Spot {
    std::string list;
    Where where = Where::kLast;
    uint64_t anchor = 0;  // The task that kBefore and kAfter speak of; its rank.
  };

  // Whether who has this place stands there already.
  bool IsAt(const std::string& user, const PlaceRow& place, const Spot& spot) const;
  // Gives a task that has no place one, and counts it.
  void Enter(const std::string& user, uint64_t id, bool done, Spot spot);
  // Takes its place from it.
  void Leave(const std::string& user, uint64_t id);
  // The task keeps its place and is done, or is not any more.
  void SetDone(const std::string& user, uint64_t id, bool done);

 private:
  struct Gap {
    std::optional<uint64_t> left;
    std::optional<uint64_t> right;
  };
  // The neighbours there, as if `skipped` were not in the list.
  Gap GapAt(const std::string& user, const Spot& spot, std::optional<uint64_t> skipped) const;
  std::optional<uint64_t> Next(const std::string& user, const std::string& list, uint64_t from,
                               std::optional<uint64_t> skipped) const;
  std::optional<uint64_t> Previous(const std::string& user, const std::string& list, uint64_t from,
                                   std::optional<uint64_t> skipped) const;
  // Ranks as far apart as at first; the anchor of `spot` may get another one.
  void NumberAnew(const std::string& user, Spot* spot);
  void Count(const std::string& user, const std::string& list, int tasks, int done);

  Tables& tables_;
};

}  // namespace holdfast::todo

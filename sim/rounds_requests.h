// What clients ask of rounds: a few games of few participants, most moves in the round under way,
// some twice, late, too early, differently or under the name of somebody else; who is absent,
// leaves and comes back; games that are closed, deleted and made again; watchers.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "services/rounds/rounds.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

class RoundsRequests : public Requests {
 public:
  // `random` must outlive this.
  explicit RoundsRequests(Random& random) : random_(random) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) override;
  void Learn(const std::string& method, const google::protobuf::Message& request,
             const std::string& reply) override;

 private:
  struct Known {
    uint64_t round = 1;  // The one under way, as far as anyone has been told.
    uint64_t id = 0;
  };
  static constexpr size_t kGames = 3;

  size_t AGame() { return random_.Between(0, kGames - 1); }
  static std::string Name(size_t game) { return "g" + std::to_string(game); }
  std::string Participant() { return "p" + std::to_string(random_.Between(1, 4)); }
  uint64_t IdOf(size_t game);
  rounds::CreateRequest Create();
  rounds::MoveRequest Move();

  Random& random_;
  std::array<Known, kGames> known_;
};

}  // namespace holdfast::sim

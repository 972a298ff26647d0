#include "src/api/http/core.h"

#include <chrono>
#include <optional>

#include "src/api/http/connection.h"
#include "src/base/batch.h"

namespace holdfast::api::http {
namespace {

using Clock = std::chrono::steady_clock;

// How long requests are handled before sockets are looked at again. Longer than it takes to look at
// all that one look brings (128 of them), so that those who ask too much do not take it all.
constexpr std::chrono::milliseconds kTurnsTime{4};
// Requests that are handed to the node together, so that they go into the log together; the first
// of very many must not wait for the last.
constexpr int kTogether = 64;

}  // namespace

void Core::Leave(Connection* one) {
  absl::MutexLock lock(&mutex);
  connections.erase(one);
}

void Core::AwaitTurn(Turn turn) {
  absl::ReaderMutexLock alive(&mutex);
  if (stopped) return;  // The turn would hold the core, and the core the turn, for ever.
  {
    absl::MutexLock lock(&turns_mutex);
    (turn.render == nullptr ? requests : replies).push_back(std::move(turn));
    if (takers == options.threads) return;
    ++takers;
  }
  boost::asio::post(io, [this] { TakeTurns(); });
}

// For a while, then sockets get theirs.
void Core::TakeTurns() {
  const auto began = Clock::now();
  std::optional<Batch> batch(std::in_place);
  int together = 0;
  do {
    Turn next;
    {
      absl::MutexLock lock(&turns_mutex);
      admission.Step(static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(began.time_since_epoch()).count()));
      std::deque<Turn>& turns = replies.empty() ? requests : replies;
      if (turns.empty()) {
        --takers;
        return;
      }
      next = std::move(turns.front());
      turns.pop_front();
    }
    if (next.render == nullptr && ++together % kTogether == 0) batch.emplace();
    next.connection->TakeTurn(std::move(next.render));
  } while (Clock::now() - began < kTurnsTime);
  batch.reset();
  boost::asio::post(io, [this] { TakeTurns(); });
}

// Destroyed without the lock: the last of a connection's turns takes others.
void Core::DropTurns() {
  decltype(requests) dropped_requests;
  decltype(replies) dropped_replies;
  absl::MutexLock lock(&turns_mutex);
  requests.swap(dropped_requests);
  replies.swap(dropped_replies);
}

}  // namespace holdfast::api::http

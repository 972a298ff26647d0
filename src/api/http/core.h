// What the connections of an HTTP server share: what they may hold together, and the order in which
// their requests are handled and their replies written.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <map>
#include <memory>

#include "src/api/http/handler.h"
#include "src/api/http/server.h"
#include "src/node/admission.h"

namespace holdfast::api::http {

class Connection;

// Outlives the server itself: a reply may come after Stop, on a connection that must still be able
// to say that it is closed.
struct Core : std::enable_shared_from_this<Core> {
  Core(const ServerOptions& o, const Handler& h)
      : options(o), handler(h), io(o.threads), work(io.get_executor()) {}

  // Runs `task` on the executor unless the threads are gone: a task left in the queue would keep
  // the queue alive.
  template <class Executor, class Task>
  void Dispatch(const Executor& executor, Task task) {
    absl::ReaderMutexLock lock(&mutex);
    if (!stopped) boost::asio::post(executor, std::move(task));
  }

  // A connection goes.
  void Leave(Connection* one);

  // Requests to be handled and replies to be written as JSON wait here for their turn, replies
  // first, so that reading goes on meanwhile, and what is too much is refused soon instead of
  // waiting unseen in the sockets.
  struct Turn {
    std::shared_ptr<Connection> connection;
    Render render;  // Null: its request is to be handled.
  };
  void AwaitTurn(Turn turn);
  // Drops whoever still awaits one; the threads are gone.
  void DropTurns();

  const ServerOptions options;
  const Handler& handler;
  std::atomic<size_t> bodies_bytes{0};   // Of all connections, on their way in ...
  std::atomic<size_t> replies_bytes{0};  // ... and out.
  boost::asio::io_context io;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;

  node::Admission admission{"requests"};
  absl::Mutex turns_mutex;
  std::deque<Turn> requests ABSL_GUARDED_BY(turns_mutex);
  std::deque<Turn> replies ABSL_GUARDED_BY(turns_mutex);
  int takers ABSL_GUARDED_BY(turns_mutex) = 0;  // Of turns; as many as there are threads.

  absl::Mutex mutex;
  bool draining ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  std::map<Connection*, std::weak_ptr<Connection>> connections ABSL_GUARDED_BY(mutex);
  // Of these: closed, but kept by a call that still waits in the node. They keep nobody out.
  std::atomic<size_t> closed{0};

 private:
  void TakeTurns();
};

}  // namespace holdfast::api::http

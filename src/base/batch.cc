#include "src/base/batch.h"

#include <exception>

namespace holdfast {
namespace {

struct Gathered {
  int depth = 0;
  std::vector<Task> work;
};
thread_local Gathered gathered;

}  // namespace

Batch::Batch() { ++gathered.depth; }

Batch::~Batch() noexcept(false) {
  if (--gathered.depth > 0) return;
  // What the work itself asks for runs at once: the batch is over.
  std::vector<Task> work = std::move(gathered.work);
  gathered.work.clear();
  const bool unwinding = std::uncaught_exceptions() > 0;
  for (Task& task : work) {
    try {
      task();
    } catch (...) {
      if (!unwinding) throw;
    }
  }
}

bool Batch::IsOpen() { return gathered.depth > 0; }

void Batch::AtEnd(Task work) {
  if (gathered.depth == 0) {
    work();
  } else {
    gathered.work.push_back(std::move(work));
  }
}

}  // namespace holdfast

// For the thread sanitizer alone: what gRPC's operations order. Debian's gRPC is not built with the
// sanitizer, which therefore does not see that the end of an operation, a function that gRPC calls
// on a thread of its own, comes after whoever has begun it. As with absl's locks (tsan_absl.cc),
// the definition here stands before the library's, calls it, and says so.
//
// An operation is known by its tag. That of a callback begins with the function to be called, which
// is replaced by one that marks the end and calls it; any other tag begins with a table of virtual
// functions, and its end is marked where a queue hands it out, or is waited for by its own thread.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <link.h>
#include <sanitizer/tsan_interface.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>

namespace {

using Functor = grpc_completion_queue_functor;
using Run = void (*)(Functor*, int);

bool IsCode(const void* address) {
  const auto holds = [](dl_phdr_info* object, size_t, void* wanted) -> int {
    const auto at = reinterpret_cast<ElfW(Addr)>(wanted);
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const auto& part = object->dlpi_phdr[i];
      if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
      const ElfW(Addr) begin = object->dlpi_addr + part.p_vaddr;
      if (at >= begin && at < begin + part.p_memsz) return 1;
    }
    return 0;
  };
  return dl_iterate_phdr(holds, const_cast<void*>(address)) != 0;
}

// gRPC has two such functions, each perhaps once in the program and once in its library. Whoever
// comes to this table must not come after others by it, or races would go unseen: relaxed.
constexpr size_t kRunsMax = 8;
std::array<std::atomic<Run>, kRunsMax> real_runs;

template <size_t kIndex>
void MarkAndRun(Functor* functor, int ok) {
  __tsan_acquire(functor);
  real_runs[kIndex].load(std::memory_order_relaxed)(functor, ok);
}

template <size_t... kIndices>
constexpr std::array<Run, kRunsMax> MarkingRuns(std::index_sequence<kIndices...>) {
  return {&MarkAndRun<kIndices>...};
}
constexpr auto kMarkingRuns = MarkingRuns(std::make_index_sequence<kRunsMax>());

// The function that marks and calls `run`; nullptr when `run` is no function.
Run Marking(Run run) {
  for (size_t i = 0; i < kRunsMax; ++i) {
    Run known = real_runs[i].load(std::memory_order_relaxed);
    if (known == nullptr) {
      if (!IsCode(reinterpret_cast<const void*>(run))) return nullptr;
      if (real_runs[i].compare_exchange_strong(known, run, std::memory_order_relaxed)) known = run;
    }
    if (run == known || run == kMarkingRuns[i]) return kMarkingRuns[i];
  }
  std::fprintf(stderr, "tsan_grpc: more kinds of callbacks than this was written for\n");
  std::abort();
}

}  // namespace

extern "C" grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* operations,
                                                 size_t count, void* tag, void* reserved) {
  static auto* const real =
      reinterpret_cast<decltype(&grpc_call_start_batch)>(dlsym(RTLD_NEXT, "grpc_call_start_batch"));
  if (tag != nullptr) {
    auto* functor = static_cast<Functor*>(tag);
    if (const Run marking = Marking(functor->functor_run)) functor->functor_run = marking;
    __tsan_release(tag);
  }
  return real(call, operations, count, tag, reserved);
}

extern "C" grpc_event grpc_completion_queue_next(grpc_completion_queue* queue,
                                                 gpr_timespec deadline, void* reserved) {
  static auto* const real = reinterpret_cast<decltype(&grpc_completion_queue_next)>(
      dlsym(RTLD_NEXT, "grpc_completion_queue_next"));
  const grpc_event event = real(queue, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE && event.tag != nullptr) __tsan_acquire(event.tag);
  return event;
}

// Bytes are let go of by whichever thread is the last to hold them.
struct KeptBytes {
  void* data;
  void (*destroy)(void*);
};
extern "C" grpc_slice grpc_slice_new_with_user_data(void* bytes, size_t size,
                                                    void (*destroy)(void*), void* data) {
  static auto* const real = reinterpret_cast<decltype(&grpc_slice_new_with_user_data)>(
      dlsym(RTLD_NEXT, "grpc_slice_new_with_user_data"));
  auto* const kept = new KeptBytes{data, destroy};
  __tsan_release(kept);
  const auto let_go = [](void* of) {
    __tsan_acquire(of);
    const auto* const let = static_cast<KeptBytes*>(of);
    let->destroy(let->data);
    delete let;
  };
  return real(bytes, size, let_go, kept);
}

// An alarm calls its function once, and destroys it when a count says that nobody needs it: on any
// thread, and again unseen. Here the function goes where it has run. The name is the library's for
// Alarm::SetInternal; a program without gRPC needs nothing of it.
#define HOLDFAST_SET_ALARM "_ZN4grpc5Alarm11SetInternalE12gpr_timespecSt8functionIFvbEE"
void SetAlarm(void* alarm, gpr_timespec deadline,
              std::function<void(bool)> function) asm(HOLDFAST_SET_ALARM);
void SetAlarm(void* alarm, gpr_timespec deadline, std::function<void(bool)> function) {
  static auto* const real =
      reinterpret_cast<decltype(&SetAlarm)>(dlsym(RTLD_NEXT, HOLDFAST_SET_ALARM));
  auto* const kept = new std::function<void(bool)>(std::move(function));
  real(alarm, deadline, [kept](bool ok) {
    (*kept)(ok);
    delete kept;
  });
}

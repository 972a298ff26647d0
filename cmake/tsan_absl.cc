// For the thread sanitizer alone: what absl's locks order. Debian's absl is not built with the
// sanitizer, which therefore sees neither the lock nor that one holder comes after another. These
// definitions stand before the library's, do the same by calling it, and say so.
//
// A writer comes after all holders before it, a reader after the writers: two marks per lock, at
// its first two bytes.
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/time.h>
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

namespace {

template <class Function>
Function* Real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    std::fprintf(stderr, "tsan_absl: no %s: another absl than this was written for\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

void* Writers(const void* lock) { return const_cast<void*>(lock); }
void* Readers(const void* lock) { return static_cast<char*>(const_cast<void*>(lock)) + 1; }

void WriterEnters(const void* lock) {
  __tsan_acquire(Writers(lock));
  __tsan_acquire(Readers(lock));
}
void WriterLeaves(const void* lock) { __tsan_release(Writers(lock)); }

// A condition that somebody awaits. Whoever lets go of the lock evaluates it, on his own thread and
// while he still holds the lock, so each evaluation is a holder like any other.
struct Held {
  const void* lock;
  const absl::Condition& condition;
};

// Not watched itself: what it reads lies on the stack of the one that waits.
__attribute__((no_sanitize("thread"))) bool EvalHeld(const Held* held) {
  WriterEnters(held->lock);
  const bool met = held->condition.Eval();
  WriterLeaves(held->lock);
  return met;
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static auto* const real = Real<void(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  real(this);
  WriterEnters(this);
}

bool Mutex::TryLock() {
  static auto* const real = Real<bool(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = real(this);
  if (locked) WriterEnters(this);
  return locked;
}

void Mutex::Unlock() {
  static auto* const real = Real<void(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  WriterLeaves(this);
  real(this);
}

void Mutex::ReaderLock() {
  static auto* const real = Real<void(Mutex*)>("_ZN4absl7debian35Mutex10ReaderLockEv");
  real(this);
  __tsan_acquire(Writers(this));
}

void Mutex::ReaderUnlock() {
  static auto* const real = Real<void(Mutex*)>("_ZN4absl7debian35Mutex12ReaderUnlockEv");
  __tsan_release(Readers(this));
  real(this);
}

void Mutex::Await(const Condition& condition) {
  static auto* const real =
      Real<void(Mutex*, const Condition&)>("_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
  const Held held{this, condition};
  WriterLeaves(this);
  real(this, Condition(&EvalHeld, &held));
  WriterEnters(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const real = Real<bool(Mutex*, const Condition&, Duration)>(
      "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  const Held held{this, condition};
  WriterLeaves(this);
  const bool met = real(this, Condition(&EvalHeld, &held), timeout);
  WriterEnters(this);
  return met;
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const real = Real<bool(Mutex*, const Condition&, Time)>(
      "_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  const Held held{this, condition};
  WriterLeaves(this);
  const bool met = real(this, Condition(&EvalHeld, &held), deadline);
  WriterEnters(this);
  return met;
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const real =
      Real<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  WriterLeaves(mutex);
  real(this, mutex);
  WriterEnters(mutex);
}

void Notification::Notify() {
  static auto* const real = Real<void(Notification*)>("_ZN4absl7debian312Notification6NotifyEv");
  __tsan_release(this);
  real(this);
}

void Notification::WaitForNotification() const {
  static auto* const real =
      Real<void(const Notification*)>("_ZNK4absl7debian312Notification19WaitForNotificationEv");
  real(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static auto* const real = Real<bool(const Notification*, Duration)>(
      "_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = real(this, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl

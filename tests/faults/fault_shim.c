// Preloaded into a node (LD_PRELOAD): its disk fails or stalls and its wall clock is wrong whenever
// the file named by HOLDFAST_FAULTS says so (fault_control.h). Without that variable it does
// nothing.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/faults/fault_control.h"

static struct FaultControl* control;
static int (*next_cond_timedwait)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
static long (*next_syscall)(long, ...);

__attribute__((constructor)) static void Begin(void) {
  *(void**)&next_cond_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  *(void**)&next_syscall = dlsym(RTLD_NEXT, "syscall");
  const char* path = getenv("HOLDFAST_FAULTS");
  if (path == NULL) return;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    fprintf(stderr, "fault shim: cannot open %s\n", path);
    _exit(127);
  }
  void* mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) control = mapped;
  close(fd);
}

// --- The disk

static int IsOurs(int fd) {
  char name[64];
  char path[sizeof control->folder];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(name, path, sizeof path - 1);
  const size_t prefix = strlen(control->folder);
  return length >= (ssize_t)prefix && memcmp(path, control->folder, prefix) == 0;
}

// Asked only while something is wrong: telling whose file it is costs a system call.
static int Fails(int fd, int what) {
  if (control == NULL || (control->fail & what) == 0 || !IsOurs(fd)) return 0;
  __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
  errno = EIO;
  return 1;
}

static int SyncFails(int fd) {
  if (control != NULL && control->stall_sync != 0 && IsOurs(fd)) {
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
    while (control->stall_sync != 0) usleep(5000);  // The disk's own slowness, seen from outside.
  }
  return Fails(fd, kFailSyncs);
}

// The system calls themselves, not libc's functions: the loader may want to write before it knows
// those.
ssize_t write(int fd, const void* bytes, size_t size) {
  return Fails(fd, kFailWrites) ? -1 : syscall(SYS_write, fd, bytes, size);
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
  return Fails(fd, kFailWrites) ? -1 : syscall(SYS_writev, fd, parts, count);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return Fails(fd, kFailWrites) ? -1 : syscall(SYS_pwrite64, fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  return Fails(fd, kFailWrites) ? -1 : syscall(SYS_pwrite64, fd, bytes, size, offset);
}
ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  return Fails(fd, kFailWrites) ? -1 : syscall(SYS_pwritev, fd, parts, count, offset, 0);
}
int fsync(int fd) { return SyncFails(fd) ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return SyncFails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

// --- The wall clock

static int64_t Offset(void) { return control == NULL ? 0 : control->clock_offset_us; }

static void Shift(struct timespec* time, int64_t offset_us) {
  const int64_t us = (int64_t)time->tv_sec * 1000000 + time->tv_nsec / 1000 + offset_us;
  time->tv_nsec = (us % 1000000) * 1000 + time->tv_nsec % 1000;
  time->tv_sec = us / 1000000;
}

// Not through syscall(): the vDSO answers without entering the kernel.
int clock_gettime(clockid_t clock, struct timespec* time) {
  static int (*next)(clockid_t, struct timespec*);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "clock_gettime");
  const int result = next(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    Shift(time, Offset());
  }
  return result;
}
int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t* into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into != NULL) *into = now.tv_sec;
  return now.tv_sec;
}

// Waits until a point of the wall clock go by the kernel's, which is right: what the caller has
// worked out from the wrong one is put right.
static const struct timespec* Corrected(const struct timespec* until, struct timespec* corrected) {
  const int64_t monotonic_max_s = 1000000000;  // A wall clock says more, a monotonic one less.
  if (until == NULL || until->tv_sec < monotonic_max_s) return until;
  *corrected = *until;
  Shift(corrected, -Offset());
  return corrected;
}
int pthread_cond_timedwait(pthread_cond_t* restrict condition, pthread_mutex_t* restrict mutex,
                           const struct timespec* restrict until) {
  struct timespec corrected;
  return next_cond_timedwait(condition, mutex, Corrected(until, &corrected));
}
long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  struct timespec corrected;
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0) {
    a[3] = (long)Corrected((const struct timespec*)a[3], &corrected);
  }
  if (next_syscall == NULL) *(void**)&next_syscall = dlsym(RTLD_NEXT, "syscall");
  return next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

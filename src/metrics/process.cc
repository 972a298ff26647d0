#include "src/metrics/process.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace holdfast::metrics {
namespace {

namespace fs = std::filesystem;

struct Memory {
  uint64_t total = 0;
  uint64_t resident = 0;
};

Memory ReadMemory() {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  Memory memory;
  std::ifstream("/proc/self/statm") >> memory.total >> memory.resident;
  return {memory.total * page, memory.resident * page};
}

uint64_t CountEntries(const char* folder) {
  std::error_code error;
  uint64_t count = 0;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    ++count;
  }
  return count;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

uint64_t ResidentBytes() { return ReadMemory().resident; }

ProcessFigures ReadProcess() {
  ProcessFigures figures;
  const Memory memory = ReadMemory();
  figures.resident_bytes = memory.resident;
  figures.virtual_bytes = memory.total;
  figures.open_fds = CountEntries("/proc/self/fd");
  figures.threads = CountEntries("/proc/self/task");
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) figures.fds_max = limit.rlim_cur;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    figures.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  }
  return figures;
}

uint64_t FolderBytes(const std::string& folder) {
  std::error_code error;
  uint64_t bytes = 0;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;  // A file may be removed between the look and the question.
    const bool file = it->is_regular_file(gone);
    const uint64_t size = file ? it->file_size(gone) : 0;
    if (!gone) bytes += size;
  }
  return bytes;
}

uint64_t DiskFreeBytes(const std::string& path) {
  struct statvfs status;
  if (statvfs(path.c_str(), &status) != 0) return 0;
  return uint64_t{status.f_bavail} * status.f_frsize;
}

void SampleProcess(Sampler& out, double start_seconds) {
  const ProcessFigures figures = ReadProcess();
  out.Gauge("process_resident_memory_bytes", "Memory of this process that is in RAM",
            static_cast<double>(figures.resident_bytes));
  out.Gauge("process_virtual_memory_bytes", "Address space of this process",
            static_cast<double>(figures.virtual_bytes));
  out.Gauge("process_open_fds", "Open file descriptors", static_cast<double>(figures.open_fds));
  out.Gauge("process_max_fds", "File descriptors that the process may open",
            static_cast<double>(figures.fds_max));
  out.Gauge("process_threads", "Threads of this process", static_cast<double>(figures.threads));
  out.Counter("process_cpu_seconds_total", "Processor time used, user and system",
              figures.cpu_seconds);
  out.Gauge("process_start_time_seconds", "When the process started, since the Unix epoch",
            start_seconds);
}

}  // namespace holdfast::metrics

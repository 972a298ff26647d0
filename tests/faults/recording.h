// The folder in which a run notes what its clients saw and what the nodes agreed on, line by line
// while it goes on: whatever ends the run, it can be judged (judge.h).
#pragma once

#include <chrono>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>

#include "tests/faults/recording.pb.h"

namespace holdfast::faults {

inline constexpr char kLogFile[] = "log.jsonl";
// It is there when all that was under way was answered or asked for: then the log must hold all
// that was told.
inline constexpr char kCompleteFile[] = "complete";

// One file of such a folder. Thread-safe.
class Recording {
 public:
  // Makes the folder if need be. Throws std::runtime_error when that fails.
  Recording(const std::string& folder, const std::string& file);

  void Add(const google::protobuf::Message& line);

  // Microseconds since the program began, for people who compare lines.
  static int64_t NowUs();

 private:
  std::mutex mutex_;
  std::ofstream out_;
};

void MarkComplete(const std::string& folder);

// Every whole line of a file, in order; a last one that is cut off is left out. Throws
// std::runtime_error when the file cannot be read.
template <class Message>
void ReadRecording(const std::string& path, const std::function<void(Message)>& each);
extern template void ReadRecording(const std::string&, const std::function<void(Operation)>&);
extern template void ReadRecording(const std::string&, const std::function<void(CommittedEntry)>&);

}  // namespace holdfast::faults

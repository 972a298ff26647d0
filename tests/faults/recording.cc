#include "tests/faults/recording.h"

#include <filesystem>
#include <stdexcept>

#include "src/api/json.h"

namespace holdfast::faults {

using std::chrono::steady_clock;

namespace {
const steady_clock::time_point g_began = steady_clock::now();
}  // namespace

Recording::Recording(const std::string& folder, const std::string& file) {
  std::filesystem::create_directories(folder);
  out_.open(folder + "/" + file, std::ios::app);
  if (!out_) throw std::runtime_error("cannot write " + folder + "/" + file);
}

void Recording::Add(const google::protobuf::Message& line) {
  const std::string text = api::ToJson(line);
  std::lock_guard lock(mutex_);
  out_ << text << "\n" << std::flush;
}

int64_t Recording::NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - g_began)
      .count();
}

void MarkComplete(const std::string& folder) { std::ofstream(folder + "/" + kCompleteFile); }

template <class Message>
void ReadRecording(const std::string& path, const std::function<void(Message)>& each) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::string text;
  for (uint64_t line = 1; std::getline(in, text); ++line) {
    if (in.eof()) return;
    Message message;
    if (const auto parsed = api::ParseJson(text, &message); !parsed) {
      throw std::runtime_error(path + ", line " + std::to_string(line) + ": " +
                               parsed.error().field + " " + parsed.error().message);
    }
    each(std::move(message));
  }
}

template void ReadRecording(const std::string&, const std::function<void(Operation)>&);
template void ReadRecording(const std::string&, const std::function<void(CommittedEntry)>&);

}  // namespace holdfast::faults

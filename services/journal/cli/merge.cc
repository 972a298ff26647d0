#include "services/journal/cli/merge.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <ostream>

#include "src/base/bounds.h"
#include "src/base/utc_text.h"
#include "src/cli/text.h"

namespace holdfast::journal {
namespace {

constexpr size_t kLineCost = 256;  // Of a line that is held back, beside its bytes.

size_t CostOf(const MergedLine& line) { return line.text.size() + kLineCost; }

std::string Seconds(uint64_t us) { return fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000); }

void PrintText(std::ostream& out, std::optional<int64_t> corrected_us, const MergedLine& line) {
  out << (corrected_us ? UtcText(*corrected_us, 6) : "-");
  if (line.error_us) out << " +-" << Seconds(*line.error_us);
  out << " " << Printable(line.file);
  if (line.late) out << " [late]";
  if (!line.time) out << " [no time]";
  if (line.cut) out << " [cut]";
  out << ": " << Printable(line.text) << "\n";
}

void PrintJson(std::ostream& out, std::optional<int64_t> corrected_us, const MergedLine& line) {
  out << "{";
  if (corrected_us) out << "\"corrected\":\"" << UtcText(*corrected_us, 6) << "\",";
  if (line.error_us) out << "\"error_us\":" << *line.error_us << ",";
  out << "\"source\":" << Quoted(line.file) << ",\"sequence\":" << line.number;
  if (line.time) out << ",\"time\":\"" << UtcText(*line.time, 6) << "\"";
  if (line.late) out << ",\"late\":true";
  if (line.cut) out << ",\"cut\":true";
  out << ",\"body\":" << Quoted(line.text) << "}\n";
}

// What the lines of a file tell of was before it was last written.
int64_t WrittenUs(const std::string& file) {
  struct stat about {};
  if (file != "-" && stat(file.c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
    return about.st_mtim.tv_sec * 1'000'000;
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<KnownOffset> ParseKnownOffset(std::string_view text) {
  const auto wrong = [&](const std::string& why) {
    return Fail(InvalidArgument("offset", "'" + std::string(text.substr(0, 128)) + "' " + why));
  };
  const size_t equals = text.rfind('=');
  if (equals == text.npos || equals == 0) return wrong("must be FILE=OFFSET or FILE=OFFSET~ERROR");
  KnownOffset known{std::string(text.substr(0, equals)), 0, std::nullopt};
  const std::string_view value = text.substr(equals + 1);
  const size_t tilde = value.find('~');
  const auto offset = ParseSpan(value.substr(0, tilde));
  if (!offset) return wrong("has no offset such as +120ms, -1.5s or 250us");
  known.offset_us = *offset;
  if (tilde == value.npos) return known;
  const auto error = ParseSpan(value.substr(tilde + 1));
  if (!error || *error < 0) return wrong("has no error such as 5ms behind the ~");
  known.error_us = static_cast<uint64_t>(*error);
  return known;
}

// --- One file

Result<std::optional<MergeInput::Next>> MergeInput::ReadOne() {
  Line read;
  const auto got = reader_.Next(-1, &read);
  if (!got) return Fail(got.error());
  if (*got != LineReader::Got::kLine) return std::optional<Next>();
  Next next;
  next.line.file = clock_.file;
  next.line.number = ++number_;
  next.line.time = TimeOf(read.text, format_, untold_);
  next.line.cut = read.cut;
  next.line.text = std::move(read.text);
  if (next.line.time) {
    next.corrected_us = *next.line.time + clock_.offset_us;
    next.line.error_us = clock_.error_us;
  }
  return std::optional(std::move(next));
}

Result<std::optional<MergeInput::Next>> MergeInput::Read() {
  if (!begun_) {
    // What comes before the first time has that.
    begun_ = true;
    size_t bytes = 0;
    while (bytes < bounds::kJournalLookedBytesMax) {
      auto next = ReadOne();
      if (!next) return next;
      if (!*next) break;
      bytes += CostOf((*next)->line);
      ahead_.push_back(**std::move(next));
      if (ahead_.back().line.time) break;
    }
    if (!ahead_.empty()) last_us_ = ahead_.back().corrected_us;
    std::reverse(ahead_.begin(), ahead_.end());
  }
  std::optional<Next> next;
  if (!ahead_.empty()) {
    next = std::move(ahead_.back());
    ahead_.pop_back();
  } else {
    auto read = ReadOne();
    if (!read) return read;
    next = *std::move(read);
  }
  if (!next) {
    ended_ = true;
    return std::optional<Next>();
  }
  if (!next->line.time) {
    next->corrected_us = last_us_;
    return next;
  }
  reached_us_ = std::min(*next->corrected_us, last_us_.value_or(*next->corrected_us));
  last_us_ = next->corrected_us;
  return next;
}

// --- All of them

// Whose next line is to be read: of the file that has come least far.
MergeInput* Merger::Furthest() {
  MergeInput* furthest = nullptr;
  for (MergeInput& input : inputs_) {
    if (input.ended()) continue;
    if (furthest == nullptr || input.reached_us() < furthest->reached_us()) furthest = &input;
  }
  return furthest;
}

void Merger::Out(std::optional<int64_t> corrected_us, MergedLine line) {
  ++counts_.lines;
  if (line.late) ++counts_.late;
  if (!line.time) ++counts_.without_time;
  if (line.cut) ++counts_.cut;
  print_(corrected_us, line);
}

Result<void> Merger::Run() {
  const auto take = [this](const Place& place, MergedLine line) {
    held_bytes_ -= CostOf(line);
    Out(place.corrected_us, std::move(line));
  };
  while (MergeInput* input = Furthest()) {
    auto next = input->Read();
    if (!next) return Fail(next.error());
    if (*next && !(*next)->corrected_us) {
      Out(std::nullopt, std::move((*next)->line));
    } else if (*next) {
      const Place place{*(*next)->corrected_us, static_cast<uint64_t>(input - inputs_.data()),
                        (*next)->line.number};
      held_bytes_ += CostOf((*next)->line);
      if (auto late = held_.Add(place, std::move((*next)->line))) {
        held_bytes_ -= CostOf(*late);
        late->late = true;
        Out(place.corrected_us, *std::move(late));
      }
    }
    const MergeInput* least = Furthest();
    if (least != nullptr && least->reached_us() > std::numeric_limits<int64_t>::min() / 2) {
      held_.Release(least->reached_us() - window_us_, take);
    }
    while (held_bytes_ > held_bytes_max_) {
      held_.ReleaseFirst(take);
      ++counts_.hurried;
    }
  }
  held_.Release(std::numeric_limits<int64_t>::max(), take);
  return {};
}

int Merge(const MergeFlags& flags, cli::Context& context) {
  if (flags.files.size() > bounds::kJournalFilesMax) {
    return context.Tell(InvalidArgument(
        "FILE", "at most " + std::to_string(bounds::kJournalFilesMax) + " files are merged"));
  }
  std::map<std::string, KnownOffset> clocks;
  for (const std::string& text : flags.offsets) {
    auto known = ParseKnownOffset(text);
    if (!known) return context.Tell(known.error());
    if (std::find(flags.files.begin(), flags.files.end(), known->file) == flags.files.end()) {
      return context.Tell(
          InvalidArgument("offset", "there is no file '" + known->file + "' to merge"));
    }
    clocks[known->file] = *std::move(known);
  }
  const auto format = ParseLineFormat(flags.format);
  auto untold = ParseZone(flags.zone);
  if (!untold) return context.Tell(InvalidArgument("zone", kZoneWrong));
  untold->year = flags.year;
  std::vector<MergeInput> inputs;
  for (const std::string& file : flags.files) {
    auto reader = LineReader::Open(file);
    if (!reader) return context.Tell(reader.error());
    KnownOffset clock{file, 0, std::nullopt};
    if (const auto known = clocks.find(file); known != clocks.end()) clock = known->second;
    untold->latest_us = WrittenUs(file);
    inputs.emplace_back(*std::move(reader), std::move(clock), format.value_or(LineFormat::kAuto),
                        *untold);
  }
  auto& out = context.out();
  Merger merger(std::move(inputs), int64_t{flags.window_ms} * 1'000, bounds::kJournalMergeBytesMax,
                [&](std::optional<int64_t> corrected_us, const MergedLine& line) {
                  flags.json ? PrintJson(out, corrected_us, line)
                             : PrintText(out, corrected_us, line);
                });
  const auto merged = merger.Run();
  out.flush();
  if (!merged) return context.Tell(merged.error());
  const MergeCounts& counts = merger.counts();
  context.err() << cli::Grouped(counts.lines) << " lines, " << cli::Grouped(counts.late)
                << " late, " << cli::Grouped(counts.without_time) << " without a time, "
                << cli::Grouped(counts.cut) << " cut\n";
  if (counts.hurried > 0) {
    context.err() << "holdfast: " << cli::Grouped(counts.hurried)
                  << " lines were printed before their window was over, as too much was held back;"
                  << " a smaller --window holds back less\n";
  }
  return cli::kExitOk;
}

}  // namespace holdfast::journal

#include "src/cli/nodes.h"

#include <ostream>
#include <thread>

namespace holdfast::cli {

Result<Nodes> NodesOf(Context& context) {
  const auto endpoints = client::ParseEndpoints(context.flags().endpoints);
  if (!endpoints) return Fail(endpoints.error());
  return Nodes(*endpoints);
}

Result<std::chrono::milliseconds> AskTimeoutOf(const Context& context) {
  const auto options = context.CallOptions();
  if (!options) return Fail(options.error());
  return std::min(options->timeout, kAskTimeout);
}

std::string Columns(const std::vector<std::string>& header,
                    const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& title : header) widths.push_back(title.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  // A column of numbers keeps its digits in line, its title included.
  std::vector<bool> right(header.size(), false);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size() && i < right.size(); ++i) {
      if (!row[i].empty() && row[i][0] >= '0' && row[i][0] <= '9') right[i] = true;
    }
  }
  std::string out;
  const auto append = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      const std::string pad(widths[i] - row[i].size(), ' ');
      line += (i == 0 ? "" : "  ") + (right[i] ? pad + row[i] : row[i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  append(header);
  for (const auto& row : rows) append(row);
  return out;
}

std::string BytesText(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string AgeText(uint64_t ms) {
  const uint64_t seconds = ms / 1'000;
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3'600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{}h {}m", seconds / 3'600, seconds % 3'600 / 60);
  return fmt::format("{}d {}h", seconds / 86'400, seconds % 86'400 / 3'600);
}

std::string MicrosText(double us) {
  if (us < 1'000) return fmt::format("{:.0f} us", us);
  if (us < 1'000'000) return fmt::format("{:.1f} ms", us / 1'000);
  return fmt::format("{:.1f} s", us / 1'000'000);
}

int Repeat(Context& context, uint64_t count, std::chrono::milliseconds interval,
           const std::function<int()>& show) {
  int code = 0;
  for (uint64_t shown = 0; count == 0 || shown < count; ++shown) {
    if (shown > 0) std::this_thread::sleep_for(interval);
    if (context.out_is_terminal() && count != 1) context.out() << "\x1b[H\x1b[2J";
    code = show();
    context.out().flush();
  }
  return code;
}

}  // namespace holdfast::cli

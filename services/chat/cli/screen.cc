#include "services/chat/cli/screen.h"

#include <algorithm>
#include <vector>

#include "src/base/bounds.h"
#include "src/cli/terminal_text.h"

namespace holdfast::chat {
namespace {

constexpr char kHome[] = "\x1b[H";
constexpr char kToEndOfLine[] = "\x1b[K";
constexpr char kToEndOfScreen[] = "\x1b[J";
constexpr char kPlain[] = "\x1b[0m";
constexpr char kBold[] = "\x1b[1m";
constexpr char kDim[] = "\x1b[2m";
constexpr char kRed[] = "\x1b[31m";
constexpr char kYellow[] = "\x1b[33m";
constexpr size_t kIndent = 2;       // Of the further lines of a message.
constexpr size_t kRowsMax = 1'000;  // A terminal that says more is wrong.
constexpr size_t kColumnsMax = 1'000;

const char* StyleOf(Line::What what) {
  switch (what) {
    case Line::What::kRepeated: return kDim;
    case Line::What::kGap: return kRed;
    case Line::What::kLate: return kYellow;
    default: return "";
  }
}

// The last `rows` rows of a column, each of exactly `width` cells.
std::vector<std::string> Column(const std::deque<Line>& lines, size_t rows, size_t width) {
  std::vector<std::string> column;  // From the bottom up.
  for (auto line = lines.rbegin(); line != lines.rend() && column.size() < rows; ++line) {
    std::vector<std::string> wrapped = cli::Wrapped(line->text, width, kIndent);
    for (auto row = wrapped.rbegin(); row != wrapped.rend() && column.size() < rows; ++row) {
      const std::string padding(width - std::min(width, cli::WidthOf(*row)), ' ');
      const std::string style = StyleOf(line->what);
      column.push_back(style + *row + (style.empty() ? "" : kPlain) + padding);
    }
  }
  column.resize(rows, std::string(width, ' '));
  std::reverse(column.begin(), column.end());
  return column;
}

std::string Cut(const std::string& text, size_t width) {
  return cli::Wrapped(text, width, 0).front();
}

}  // namespace

void Screen::Add(const Line& line) {
  const bool arrival = line.what == Line::What::kArrived || line.what == Line::What::kRepeated;
  std::deque<Line>& column = arrival ? arrivals_ : causal_;
  column.push_back(line);
  if (column.size() > bounds::kChatScreenLinesMax) column.pop_front();
}

std::string Screen::Frame(ScreenSize size, std::string_view typed) const {
  const size_t columns = std::clamp<size_t>(size.columns, 10, kColumnsMax);
  const size_t rows = std::clamp<size_t>(size.rows, 4, kRowsMax);
  const size_t left = (columns - 3) / 2;
  const size_t right = columns - 3 - left;
  const auto header = [](const std::string& text, size_t width) {
    const std::string cut = Cut(text, width);
    return kBold + cut + kPlain + std::string(width - std::min(width, cli::WidthOf(cut)), ' ');
  };
  std::string frame = kHome;
  frame += header("as they arrive", left) + " | " + header("in causal order: " + title_, right) +
           kToEndOfLine;
  const std::vector<std::string> arrivals = Column(arrivals_, rows - 3, left);
  const std::vector<std::string> causal = Column(causal_, rows - 3, right);
  for (size_t i = 0; i < rows - 3; ++i) {
    frame += "\r\n" + arrivals[i] + " | " + causal[i] + kToEndOfLine;
  }
  frame += std::string("\r\n") + kDim + Cut(status_, columns - 1) + kPlain + kToEndOfLine;
  frame += "\r\n> " + std::string(cli::TailOf(cli::Harmless(typed), columns - 3)) + kToEndOfScreen;
  return frame;
}

}  // namespace holdfast::chat

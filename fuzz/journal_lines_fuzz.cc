// Lines of logs: a time is found or not, and what goes on to a terminal or a journal is text.
#include "fuzz/input.h"
#include "services/journal/cli/lines.h"
#include "src/api/scalar.h"
#include "src/base/check.h"
#include "src/base/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: the length of a line.
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  for (const auto format : {journal::LineFormat::kAuto, journal::LineFormat::kJson,
                            journal::LineFormat::kSyslog, journal::LineFormat::kHoldfast}) {
    for (const int year : {0, 1970, 9999}) {
      const auto time =
          journal::TimeOf(line, format, {.year = year, .latest_us = int64_t{1} << 50});
      HOLDFAST_CHECK(!time || (*time >= 0 && *time < int64_t{253'402'300'800} * 1'000'000),
                     "a time that a journal would not take");
    }
  }
  journal::ParseSpan(line);
  const std::string text = journal::ToUtf8(std::string(line));
  HOLDFAST_CHECK(api::IsValidUtf8(text), "no UTF-8");
  HOLDFAST_CHECK(journal::ToUtf8(text) == text, "text that is changed once more");
  const std::string printable = journal::Printable(text);
  for (const char c : printable) {
    HOLDFAST_CHECK(static_cast<unsigned char>(c) >= 0x20 || c == '\t', "a control character");
  }
  HOLDFAST_CHECK(journal::Quoted(text).find('\n') == std::string::npos, "two lines");
  return 0;
}

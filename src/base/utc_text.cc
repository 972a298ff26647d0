#include "src/base/utc_text.h"

#include <ctime>

namespace holdfast {

std::string UtcText(int64_t us, int decimals) {
  constexpr int64_t kSecond = 1'000'000;
  int64_t fraction = us % kSecond;
  if (fraction < 0) fraction += kSecond;
  const auto seconds = static_cast<time_t>((us - fraction) / kSecond);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  std::string out(text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts));
  if (decimals > 0) {
    // Of seven digits the first one is there for the zeros behind it.
    out += "." + std::to_string(kSecond + fraction).substr(1, static_cast<size_t>(decimals));
  }
  return out + "Z";
}

}  // namespace holdfast

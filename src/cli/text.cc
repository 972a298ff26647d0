#include "src/cli/text.h"

#include <algorithm>

namespace holdfast::cli {
namespace {

__extension__ using UnsignedWide = unsigned __int128;

UnsignedWide Magnitude(Wide number) {
  return number < 0 ? -static_cast<UnsignedWide>(number) : static_cast<UnsignedWide>(number);
}

std::string GroupedDigits(UnsignedWide number) {
  std::string reversed;
  size_t digits = 0;
  do {
    if (digits > 0 && digits % 3 == 0) reversed += ',';
    reversed += static_cast<char>('0' + static_cast<int>(number % 10));
    number /= 10;
    ++digits;
  } while (number > 0);
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

}  // namespace

std::string Grouped(Wide number) {
  return (number < 0 ? "-" : "") + GroupedDigits(Magnitude(number));
}

std::string GroupedHundredths(Wide number) {
  const UnsignedWide magnitude = Magnitude(number);
  const int rest = static_cast<int>(magnitude % 100);
  return (number < 0 ? "-" : "") + GroupedDigits(magnitude / 100) + (rest < 10 ? ".0" : ".") +
         std::to_string(rest);
}

}  // namespace holdfast::cli

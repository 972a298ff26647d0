// Text of strangers, shown on a terminal: nothing of it may do anything there but be seen. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

struct Letter {
  char32_t code = 0;
  size_t bytes = 1;  // Of the text.
  bool valid = false;
};

// The first letter of a text that is not empty. What is no UTF-8 is one byte of nothing.
Letter FirstLetter(std::string_view text);

// What is not seen, or makes others be seen elsewhere: joiners, marks of direction, tags, fillers,
// ends of lines, letters of private use, and what is none. Not the ASCII control characters.
bool IsHidden(char32_t code);

// The text in one line, of what can be shown alone: ends of lines and tabs are spaces, other
// control characters are seen as ^[ and the like, and what is no UTF-8, turns the direction of
// writing or hides text is the replacement character. At most so many marks stay on one letter.
std::string Harmless(std::string_view text);

// How many cells of a terminal a harmless text takes: two for wide letters, none for marks.
size_t WidthOf(std::string_view harmless);

// The text in lines of at most so many cells (at least 2), the lines after the first indented.
std::vector<std::string> Wrapped(std::string_view harmless, size_t width, size_t indent);

// Its end, as much as fits.
std::string_view TailOf(std::string_view harmless, size_t width);

}  // namespace holdfast::cli

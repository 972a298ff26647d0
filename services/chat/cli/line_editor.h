// The line that somebody types on a terminal that hands over every key. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::chat {

class LineEditor {
 public:
  // What the keys have brought about.
  struct Typed {
    std::vector<std::string> lines;  // Ended by Enter.
    bool quit = false;               // Ctrl-C, or Ctrl-D on an empty line.
  };

  // Bytes as they come, of which a letter or a key may lie on both sides of a border. Keys that
  // mean nothing here, such as arrows, are swallowed.
  Typed Feed(std::string_view bytes);
  const std::string& line() const { return line_; }

 private:
  enum class State { kText, kEscape, kSequence };

  // A byte of a letter, if all of the letter fits.
  void Append(char byte);
  void DropLetter();
  void DropWord();

  State state_ = State::kText;
  bool is_full_ = false;  // The letter that comes does not fit.
  std::string line_;      // Bytes of UTF-8, as far as the terminal sends such; at most a message's.
};

}  // namespace holdfast::chat

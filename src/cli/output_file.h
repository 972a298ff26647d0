// What a program prints, into a descriptor: as std::cout, and it remembers why it could not. Of a
// std::ostream only that something failed can be known, and that often long after errno has
// changed.
#pragma once

#include <array>
#include <streambuf>

namespace holdfast::cli {

// One thread. Lines reach a terminal at once; all else once much has gathered, or at a flush.
class OutputFile : public std::streambuf {
 public:
  explicit OutputFile(int descriptor);  // Not owned.
  ~OutputFile() override;
  OutputFile(const OutputFile&) = delete;

  // Of the first that was not written; 0: all was. What comes behind it is not written either.
  int error() const { return error_; }

 protected:
  int_type overflow(int_type character) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;
  int sync() override;

 private:
  const int descriptor_;
  const bool is_terminal_;
  int error_ = 0;
  std::array<char, 1 << 16> waiting_;
};

}  // namespace holdfast::cli

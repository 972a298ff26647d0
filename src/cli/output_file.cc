#include "src/cli/output_file.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace holdfast::cli {

OutputFile::OutputFile(int descriptor)
    : descriptor_(descriptor), is_terminal_(isatty(descriptor) == 1) {
  setp(waiting_.data(), waiting_.data() + waiting_.size());
}

OutputFile::~OutputFile() { OutputFile::sync(); }

int OutputFile::sync() {
  const char* at = pbase();
  while (error_ == 0 && at < pptr()) {
    const ssize_t written = write(descriptor_, at, static_cast<size_t>(pptr() - at));
    if (written >= 0) {
      at += written;
    } else if (errno == EAGAIN) {  // Somebody who shares it does not want to wait; we do.
      pollfd ready{descriptor_, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  setp(waiting_.data(), waiting_.data() + waiting_.size());
  return error_ == 0 ? 0 : -1;
}

OutputFile::int_type OutputFile::overflow(int_type character) {
  if (sync() != 0) return traits_type::eof();
  if (traits_type::eq_int_type(character, traits_type::eof())) return 0;
  const char byte = traits_type::to_char_type(character);
  return xsputn(&byte, 1) == 1 ? character : traits_type::eof();
}

std::streamsize OutputFile::xsputn(const char* bytes, std::streamsize count) {
  const std::streamsize taken = std::streambuf::xsputn(bytes, count);
  const bool ends_line =
      is_terminal_ && taken > 0 && std::memchr(bytes, '\n', static_cast<size_t>(taken)) != nullptr;
  if (ends_line && sync() != 0) return 0;
  return taken;
}

}  // namespace holdfast::cli

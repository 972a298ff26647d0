// What strangers say, and what keys send -> what a terminal is shown. And messages in any order,
// with numbers that make no sense -> the causal buffer.
#include "fuzz/input.h"
#include "services/chat/cli/line_editor.h"
#include "services/chat/cli/screen.h"
#include "src/api/scalar.h"
#include "src/cli/terminal_text.h"
#include "src/client/causal_buffer.h"

namespace holdfast {
namespace {

void ExpectHarmless(const std::string& text) {
  HOLDFAST_CHECK(api::IsValidUtf8(text), "text that is no UTF-8");
  for (const char byte : text) {
    HOLDFAST_CHECK(static_cast<unsigned char>(byte) >= 0x20 && byte != 0x7f, "a control character");
  }
  HOLDFAST_CHECK(text.find("\xc2\x9b") == std::string::npos, "a control character of two bytes");
  HOLDFAST_CHECK(cli::Harmless(text) == text, "what is harmless is not left as it is");
}

void Order(fuzz::Input& input) {
  using Buffer = client::CausalBuffer<int>;
  const client::CausalBounds bounds{
      .held_max = input.Byte(), .held_bytes_max = input.Byte(), .patience_ms = input.Byte()};
  Buffer buffer(input.Number() / 2, bounds);
  std::vector<Buffer::Out> out;
  int64_t now_ms = 0;
  uint64_t last = buffer.next() - 1;
  while (!input.empty()) {
    Buffer::Item item;
    item.number = input.Number();
    const uint8_t what = input.Byte();
    if (what % 2 == 1) item.follows.push_back(input.Number());
    item.bytes = input.Byte();
    now_ms += input.Byte() / 16;
    if (what % 8 >= 6) buffer.Reached(input.Number(), now_ms + what);
    buffer.Add(std::move(item), now_ms, &out);
    HOLDFAST_CHECK(buffer.held() <= bounds.held_max, "holds back too many");
    HOLDFAST_CHECK(buffer.held_bytes() <= bounds.held_bytes_max, "holds back too much");
    for (const Buffer::Out& one : out) {
      if (one.kind == Buffer::Kind::kLate) {
        HOLDFAST_CHECK(one.item->number <= last, "late, and was never due");
        continue;
      }
      const bool gap = one.kind == Buffer::Kind::kGap;
      HOLDFAST_CHECK((gap ? one.from : one.item->number) == last + 1, "out of order");
      last = gap ? one.to : one.item->number;
    }
    out.clear();
    HOLDFAST_CHECK(buffer.next() == last + 1, "is somewhere else than it says");
  }
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  fuzz::Input input(data, size);
  const std::string said(input.Bytes());
  const std::string harmless = cli::Harmless(said);
  ExpectHarmless(harmless);
  const size_t width = 2 + input.Byte() % 40;
  std::string together;
  for (const std::string& line : cli::Wrapped(harmless, width, 0)) {
    HOLDFAST_CHECK(cli::WidthOf(line) <= width, "a line that is too long");
    together += line;
  }
  HOLDFAST_CHECK(together == harmless, "text is lost");
  HOLDFAST_CHECK(cli::WidthOf(cli::TailOf(harmless, width)) <= width, "an end that is too long");
  chat::LineEditor editor;
  for (const std::string& line : editor.Feed(input.Bytes()).lines) {
    ExpectHarmless(cli::Harmless(line));
  }
  chat::Screen screen("room");
  screen.Add({static_cast<chat::Line::What>(input.Byte() % 5), harmless});
  screen.Frame({input.Byte(), input.Byte()}, editor.line());
  Order(input);
  return 0;
}

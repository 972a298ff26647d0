#include "services/chat/cli/conversation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "src/base/bounds.h"
#include "src/cli/terminal_text.h"

namespace holdfast::chat {
namespace {

// Of a message beside its text: what it follows, and its other fields.
constexpr size_t kOtherBytesMax = (bounds::kChatFollowsMax + 4) * (bounds::kChatNameBytesMax + 32);

std::string NumberText(uint64_t number) { return "#" + std::to_string(number); }

// "#3 ann: hello", all of it harmless.
std::string TextOf(const Message& message) {
  std::string text = NumberText(message.number()) + " " + cli::Harmless(message.author());
  const std::string target = NumberText(message.target().number());
  switch (message.kind()) {
    case MessageKind::edit: return text + " edits " + target + ": " + cli::Harmless(message.text());
    case MessageKind::delete_: return text + " deletes " + target;
    default: return text + ": " + cli::Harmless(message.text());
  }
}

std::string MissingText(const std::vector<uint64_t>& missing) {
  std::string text;
  for (const uint64_t number : missing) {
    text += (text.empty() ? " (without " : ", ") + NumberText(number);
  }
  return text.empty() ? text : text + ", which never came)";
}

}  // namespace

void Conversation::Receive(const ReceiveReply& page, int64_t now_ms) {
  int64_t last_ms = now_ms;
  for (const Message& message : page.messages()) {
    under_way_bytes_ += message.ByteSizeLong();
    under_way_.emplace(now_ms + message.delay_ms(), message);
    last_ms = std::max(last_ms, now_ms + message.delay_ms());
  }
  // What is not on it was lost, which nothing else may ever show.
  buffer_.Reached(page.next_after(), last_ms);
}

std::vector<Line> Conversation::Pass(int64_t now_ms) {
  std::vector<Line> lines;
  std::vector<Buffer::Out> out;
  const auto show = [&] {
    for (const Buffer::Out& one : out) Show(one, &lines);
    out.clear();
  };
  while (!under_way_.empty() && under_way_.begin()->first <= now_ms) {
    const int64_t at_ms = under_way_.begin()->first;
    Message message = std::move(under_way_.extract(under_way_.begin()).mapped());
    under_way_bytes_ -= message.ByteSizeLong();
    buffer_.Pass(at_ms, &out);
    show();
    std::string text = TextOf(message);
    if (message.has_delay_ms()) text += " (" + std::to_string(message.delay_ms()) + " ms)";
    Buffer::Item item;
    item.number = message.number();
    item.bytes = message.ByteSizeLong();
    for (const Named& named : message.follows()) item.follows.push_back(named.number());
    if (message.has_target()) item.follows.push_back(message.target().number());
    item.payload = std::move(message);
    const auto took = buffer_.Add(std::move(item), at_ms, &out);
    const bool again = took == Buffer::Took::kRepeat;
    lines.push_back(
        {again ? Line::What::kRepeated : Line::What::kArrived, text + (again ? " again" : "")});
    show();
  }
  buffer_.Pass(now_ms, &out);
  show();
  return lines;
}

void Conversation::Show(const Buffer::Out& out, std::vector<Line>* lines) {
  if (out.kind == Buffer::Kind::kGap) {
    const std::string last = out.to == out.from ? "" : " to " + NumberText(out.to);
    lines->push_back({Line::What::kGap, NumberText(out.from) + last + " never came"});
    return;
  }
  const Message& message = out.item->payload;
  const bool late = out.kind == Buffer::Kind::kLate;
  lines->push_back({late ? Line::What::kLate : Line::What::kShown,
                    TextOf(message) + (late ? " (late)" : "") + MissingText(out.missing)});
  Remember(message);
}

void Conversation::Remember(const Message& message) {
  for (const Named& named : message.follows()) heads_.erase(named.number());
  heads_.erase(message.target().number());
  std::erase_if(heads_, [&](const auto& head) { return head.second == message.id(); });
  heads_[message.number()] = message.id();
  if (heads_.size() > bounds::kChatFollowsMax) heads_.erase(heads_.begin());
  RememberId(message.number(), message.id());
}

void Conversation::RememberId(uint64_t number, const std::string& id) {
  ids_[number] = id;
  if (ids_.size() > bounds::kChatScreenLinesMax) ids_.erase(ids_.begin());
}

std::optional<int64_t> Conversation::next_due_ms() const {
  std::optional<int64_t> due_ms = buffer_.next_due_ms();
  if (under_way_.empty()) return due_ms;
  const int64_t arrival_ms = under_way_.begin()->first;
  return due_ms ? std::min(*due_ms, arrival_ms) : arrival_ms;
}

std::vector<std::string> Conversation::Heads() const {
  std::vector<std::string> heads;
  for (const auto& [number, id] : heads_) heads.push_back(id);
  return heads;
}

void Conversation::Posted(const std::string& id, uint64_t number,
                          const std::vector<std::string>& follows) {
  std::erase_if(heads_, [&](const auto& head) {
    return std::find(follows.begin(), follows.end(), head.second) != follows.end();
  });
  // It may have been shown before the answer came: then it is remembered as such.
  const auto is_it = [&](const auto& shown) { return shown.second == id; };
  if (std::any_of(ids_.begin(), ids_.end(), is_it)) return;
  // On its way back it may be lost; it can be changed all the same.
  if (number != 0) RememberId(number, id);
  heads_[std::numeric_limits<uint64_t>::max()] = id;
  if (heads_.size() > bounds::kChatFollowsMax) heads_.erase(heads_.begin());
}

bool Conversation::TakesPage() const {
  // A page ends with the message that reaches its bytes; repeats come on top and are not held back.
  constexpr size_t kPageBytes =
      bounds::kChatPageBytesMax + bounds::kChatTextBytesMax + kOtherBytesMax +
      bounds::kPageRowsMax * 16;  // What a network that is played writes into each.
  return under_way_.size() + buffer_.held() + bounds::kPageRowsMax <= bounds_.held_max &&
         under_way_bytes_ + buffer_.held_bytes() + kPageBytes <= bounds_.held_bytes_max;
}

std::optional<std::string> Conversation::IdOf(uint64_t number) const {
  const auto found = ids_.find(number);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace holdfast::chat

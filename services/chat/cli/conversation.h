// What somebody sees of a room: messages as they arrive over the network that is played, and as the
// causal buffer lets them out. Pure: no clock, no threads, no terminal.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/chat/chat.pb.h"
#include "src/client/causal_buffer.h"

namespace holdfast::chat {

// One thing to show. The text is harmless.
struct Line {
  enum class What {
    kArrived,   // For the first time: the column of arrivals, as all up to here.
    kRepeated,  // Again.
    kShown,     // In its place: the causal column, as all from here on.
    kGap,       // In its place, instead of what never came.
    kLate,      // Behind its place, as it had been given up.
  };
  What what = What::kArrived;
  std::string text;
};

class Conversation {
 public:
  // From after this number on.
  Conversation(uint64_t after, client::CausalBounds bounds)
      : bounds_(bounds), buffer_(after, bounds) {}

  // A page has come: its messages are under way from now on, for as long as they say. What it has
  // passed and did not bring is waited for as a message would be, and then a gap.
  void Receive(const ReceiveReply& page, int64_t now_ms);
  // What there is to show by now, in order.
  std::vector<Line> Pass(int64_t now_ms);
  // When to call Pass next; nullopt: nothing is under way or held back.
  std::optional<int64_t> next_due_ms() const;
  size_t under_way() const { return under_way_.size(); }
  // Whether a page more fits: all of it could have to be held back, with all that is under way.
  // Otherwise messages would be given up that are only late.
  bool TakesPage() const;

  // All up to this number has been shown, or given up.
  uint64_t shown_to() const { return buffer_.next() - 1; }
  // What a message that is written now follows: all that is shown, and what was posted from here.
  // Of all that, those that nothing else of it follows; the newest, if they are too many.
  std::vector<std::string> Heads() const;
  // A message that follows these ids was posted from here, and has this number (0: none yet). What
  // was shown since it was written stays a head: the message does not follow it.
  void Posted(const std::string& id, uint64_t number, const std::vector<std::string>& follows);
  // The id of a message that was shown, or posted from here, if it is remembered.
  std::optional<std::string> IdOf(uint64_t number) const;

 private:
  using Buffer = client::CausalBuffer<Message>;
  void Show(const Buffer::Out& out, std::vector<Line>* lines);
  void Remember(const Message& message);
  void RememberId(uint64_t number, const std::string& id);

  const client::CausalBounds bounds_;
  Buffer buffer_;
  std::multimap<int64_t, Message> under_way_;  // By when they arrive.
  size_t under_way_bytes_ = 0;
  std::map<uint64_t, std::string> heads_;  // By number; those of our own that are not back, above.
  std::map<uint64_t, std::string> ids_;    // Of the last that were shown or posted from here.
};

}  // namespace holdfast::chat

// A network without guarantees, played: which messages of a page are late, overtake one another,
// come twice or never. All of it follows from the seed, the room and each message's number, by the
// rules of README.md, so every node answers the same. Any thread.
#pragma once

#include <string>
#include <vector>

#include "services/chat/chat.pb.h"

namespace holdfast::chat {

// Whether the request asks for one.
bool PlaysANetwork(const ReceiveRequest& request);

// `messages`, which are in the order of their numbers, as they arrive.
std::vector<Message> Arrivals(const ReceiveRequest& request, std::vector<Message> messages);

}  // namespace holdfast::chat

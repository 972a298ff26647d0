// Ports of loopback for processes that are killed and started again.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::testing {

// Ports that nobody has now, all different, none of those that the system gives to outgoing
// connections, if there are others: such a connection, or what is left of it for a minute after its
// end, may have the port of a node that is down, which then cannot start again. `type`: SOCK_STREAM
// or SOCK_DGRAM.
std::vector<uint16_t> FreePorts(size_t count, int type = SOCK_STREAM);

// "127.0.0.1:PORT" of one of them.
std::string FreeAddress();

}  // namespace holdfast::testing

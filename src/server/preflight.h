// What is looked at before a node touches anything: a start that cannot succeed leaves nothing
// behind. No state; any thread.
#pragma once

#include <string>
#include <vector>

#include "src/server/server.h"

namespace holdfast {

// Whether all addresses can be listened on now, together. Port 0 always can.
Result<void> CheckPorts(const std::vector<Address>& addresses);

// How many files this process may open now; `raise`: first as many as the system allows it.
size_t OpenFilesMax(bool raise = false);
// How many HTTP connections a process with so many files may hold: kHttpConnectionsMax, or what is
// left of them, so that a log or a run can always be opened.
size_t HttpConnectionsFor(size_t files);
// How many of so many files connections of all kinds may have open, with what is open anyway.
size_t FilesForConnections(size_t files);

// Whether `folder` is a node's, or may become one: missing, or empty (it is then made private), or
// holding an identity and closed to everybody else. Never creates anything.
Result<void> CheckDataFolder(const std::string& folder);

}  // namespace holdfast

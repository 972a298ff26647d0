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
// How connections share the files that a process may open. What they may have leaves kFilesOfStore,
// so that a log or a run can always be opened; HTTP holds half of it at most, and gRPC leaves a
// quarter to HTTP. So neither keeps the other out from 4,096 files on; with fewer a store that has
// many open may leave gRPC none.
struct FileShares {
  size_t http_connections;  // At most.
  size_t http_files_max;    // While so many are open in the process, HTTP takes no connection,
  size_t grpc_files_max;    // and gRPC takes none.
};
FileShares ShareFiles(size_t files);

// Whether `folder` is a node's, or may become one: missing, or empty (it is then made private), or
// holding an identity and closed to everybody else. Never creates anything.
Result<void> CheckDataFolder(const std::string& folder);

}  // namespace holdfast

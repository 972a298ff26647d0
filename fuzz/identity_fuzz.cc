// A data folder's file `identity`, and what peers say of theirs.
#include "fuzz/input.h"
#include "src/base/file_system_faulty.h"
#include "src/node/identity.h"

namespace holdfast::node {
namespace {

constexpr NodeId kSelf{1};
constexpr char kFolder[] = "/data";
constexpr char kFile[] = "/data/identity";

Result<Founding> Open(FileSystem& files) {
  return Founding::Open(files, kFolder, kSelf, {NodeId(1), NodeId(2), NodeId(3)}, 77);
}

// What is on the disk is what memory holds, and a start can read it.
void CheckStored(FaultyFileSystem& files, const Founding& founding) {
  auto again = Open(files);
  HOLDFAST_CHECK(again, "does not open what it wrote: " + again.error().message);
  HOLDFAST_CHECK(again->identity().SerializeAsString() == founding.identity().SerializeAsString(),
                 "another identity after a restart");
}

}  // namespace
}  // namespace holdfast::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  using namespace holdfast::node;
  fuzz::Input input(data, size);
  FaultyFileSystem files;
  if (!files.CreateFolders(kFolder)) return 0;
  if (const auto file = input.Bytes(); !file.empty() && !ReplaceFile(files, kFile, file)) return 0;
  auto founding = Open(files);
  if (!founding) return 0;
  while (!input.empty()) {
    Identity peer;
    if (!peer.ParseFromString(std::string(input.Bytes()))) continue;
    if (!founding->Meet(peer)) {
      if (!founding->outcast().empty()) return 0;
      continue;
    }
    if (!founding->founded() && founding->agreed() && input.Byte() % 2 == 0) {
      HOLDFAST_CHECK(founding->Found(), "cannot be founded");
      CheckStored(files, *founding);
    }
  }
  CheckStored(files, *founding);
  return 0;
}

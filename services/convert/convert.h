// The converter: a function of its request. Any thread; nothing is kept, and nothing of the node is
// asked, so every node gives the same bytes, also one that is alone.
#pragma once

#include "services/convert/convert.pb.h"
#include "src/state_machine/service.h"

namespace holdfast::convert {

class Converter : public state_machine::Service {
 public:
  Result<void> Convert(const ConvertRequest& request, ConvertReply* reply) const;
};

}  // namespace holdfast::convert

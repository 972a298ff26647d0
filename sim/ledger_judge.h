// The ledger's reads, answered by the reference model: what History compares answers with.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "services/ledger/model.h"

namespace holdfast::sim {

// A read as a client asks it. Lists come in pages: no row ever leaves a list or moves in it, so a
// page is known by how many rows came before it.
struct Asked {
  std::string method;  // "GetAccount"
  std::shared_ptr<google::protobuf::Message> request;
  uint64_t rows_before = 0;
};

// The question for the page after `reply`, which answered `asked`; none: it was the last, or no
// page.
std::optional<Asked> NextPage(const Asked& asked, const std::string& reply);

// Compares a reply with what the model has now; nullopt: the node said that there is nothing. What
// differs, or an empty text.
std::string Difference(const ledger::Model& model, const std::string& method,
                       const std::string& request, uint64_t rows_before,
                       const std::optional<std::string>& reply);

}  // namespace holdfast::sim

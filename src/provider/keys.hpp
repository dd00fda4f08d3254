// The keys of what a provider holds for orchestrators.
//
// An orchestrator chooses the id of its ensemble and broadcasts it, so another orchestrator can use the same id,
// accidentally or deliberately. Ids are therefore unique for one owner only: everything is looked up by the owner's DID
// and the id. What needs a name of its own on this machine gets one from LocalNames.
#pragma once

#include <algorithm>

#include "did/did.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/allocation.hpp"

namespace dms::provider {

struct EnsembleKey {
  did::Did owner;  ///< of the orchestrator
  std::string ensemble;
  friend auto operator<=>(const EnsembleKey&, const EnsembleKey&) = default;
};

struct AllocationKey {
  did::Did owner;
  std::string id;  ///< the whole one: ensemble and name
  friend auto operator<=>(const AllocationKey&, const AllocationKey&) = default;

  [[nodiscard]] EnsembleKey ensemble() const { return {owner, std::string(jobs::ensemble_id(id))}; }
};

/// `name` is the allocation's, or its whole id.
inline AllocationKey allocation_key(const EnsembleKey& ensemble, std::string_view name) {
  return {ensemble.owner, protocol::full_allocation_id(ensemble.ensemble, name)};
}

inline constexpr std::size_t kMaxId = 160;
inline constexpr std::size_t kMaxLocalName = 192;  // an id with a suffix (local_names.hpp)

/// Ids become file names and inboxes.
inline Result<void> check_id(std::string_view what, std::string_view id, std::size_t longest = kMaxId) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  if (id.empty() || id.size() > longest || id.front() == '.' || !std::ranges::all_of(id, allowed))
    return fail(Errc::invalid_argument, "{}: expected letters, digits, '-', '.' and '_', found '{}'", what,
                id.substr(0, 64));
  return {};
}

}  // namespace dms::provider

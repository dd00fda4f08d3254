// What work costs on this machine: the settings `price.*` (settings.hpp), as numbers.
//
// Model
//  1. Prices are of an hour, in millionths of the unit that the settings are in. Which unit that is, providers and
//     orchestrators agree on elsewhere: bids are compared as numbers.
//  2. The price of a node is that of a node, and of each core, GiB of memory and GiB of disk that it asks for; each
//     part is rounded up. What is more than protocol::kMaxPrice counts as that.
//
// Threads: values.
#pragma once

#include "capability/capability.hpp"

namespace dms::provider {

struct Prices {
  std::uint64_t node = 0;
  std::uint64_t core = 0;
  std::uint64_t memory = 0;  ///< GiB
  std::uint64_t disk = 0;    ///< GiB

  [[nodiscard]] std::uint64_t of(const capability::Resources& asked) const;
};

}  // namespace dms::provider

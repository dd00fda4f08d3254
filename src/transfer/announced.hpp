// A file as a message announces it, and its fetch.
//
// Threads, cost, failure, attacks: as fetch.hpp says. The announcement comes from the sender: Errc::invalid_argument if
// its digest or ticket is none.
#pragma once

#include <string>

#include "transfer/fetch.hpp"

namespace dms::transfer {

struct Announced {
  std::uint64_t size = 0;
  std::string digest;  ///< SHA-256, in hex
  std::string ticket;
  Announced(std::uint64_t size, std::string digest, std::string ticket)
      : size(size), digest(std::move(digest)), ticket(std::move(ticket)) {}
};

/// Exactly the announced bytes.
Task<Result<void>> fetch_announced(network::Network& network, crypto::PeerId from, Announced file,
                                   std::filesystem::path destination, FetchOptions options = FetchOptions());

}  // namespace dms::transfer

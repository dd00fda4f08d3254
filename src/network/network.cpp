#include "network/network.hpp"

namespace dms::network {

Error unreachable(const crypto::PeerId& peer, const Error& cause) {
  return cause.context(Reach::unreachable, fmt::format("peer {} cannot be reached", peer.to_string()));
}

std::string plain(const Error& error) {
  // What adds to an error keeps its code: the innermost one with it is that of unreachable().
  const Error* found = nullptr;
  for (const Error* at = &error; at != nullptr; at = at->cause())
    if (at->code() == describe(Reach::unreachable)) found = at;
  return found == nullptr ? error.to_string() : found->message();
}

}  // namespace dms::network

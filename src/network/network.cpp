#include "network/network.hpp"

namespace dms::network {

Error unreachable(const crypto::PeerId& peer, const Error& cause) {
  return cause.context(Reach::unreachable, fmt::format("peer {} cannot be reached", peer.to_string()));
}

std::string plain(const Error& error) {
  for (const Error* at = &error; at != nullptr; at = at->cause())
    if (at->code() == describe(Reach::unreachable)) return at->message();
  return error.to_string();
}

}  // namespace dms::network

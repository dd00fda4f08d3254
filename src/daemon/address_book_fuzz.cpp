// Stored addresses of a peer, of any content: what is read is written as it was read, and what of it is an address too.
#include <cstdlib>

#include "daemon/address_book.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto known = json::decode<KnownPeer>(text, {.bytes = db::Store::kMaxDocument});
  if (!known) return 0;
  const std::string once = json::encode(*known);
  const auto again = json::decode<KnownPeer>(once, {.bytes = db::Store::kMaxDocument});
  if (!again || json::encode(*again) != once) std::abort();
  for (const std::string& kept : known->addresses) {
    const auto address = libp2p::Multiaddr::parse(kept);
    if (!address) continue;
    const auto read = libp2p::Multiaddr::parse(address->to_string());
    if (!read || read->to_string() != address->to_string()) std::abort();
  }
  return 0;
}

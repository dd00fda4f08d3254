// Any bytes as binary and as text: what is accepted round-trips in both forms.
#include <cstdlib>

#include "libp2p/multiaddr/multiaddr.hpp"

using dms::libp2p::Multiaddr;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const dms::BytesView bytes(data, size);
  if (auto address = Multiaddr::from_bytes(bytes)) {
    if (dms::as_text(address->bytes()) != dms::as_text(bytes)) std::abort();
    auto back = Multiaddr::parse(address->to_string());
    if (!back || *back != *address) std::abort();
    (void)address->peer();
    if (auto endpoint = address->tcp_endpoint(); endpoint && Multiaddr::tcp(*endpoint) != address->without_peer())
      std::abort();
    for (std::size_t i = 0; i <= address->components().size(); ++i)
      if (!address->ends_with(address->tail(i))) std::abort();
    if (Multiaddr::from_bytes(address->without_peer().bytes()) != address->without_peer()) std::abort();
  }
  if (auto address = Multiaddr::parse(dms::as_text(bytes))) {
    auto back = Multiaddr::from_bytes(address->bytes());
    if (!back || *back != *address) std::abort();
    auto again = Multiaddr::parse(address->to_string());
    if (!again || *again != *address) std::abort();
  }
  return 0;
}

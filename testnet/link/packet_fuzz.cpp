// Any bytes as packets of two hosts behind NAT boxes of every kind: no read or write outside of them, and a checksum of
// the IPv4 header that was right is right after a translation.
#include <array>
#include <cstdlib>

#include "link/nat.hpp"
#include "link/packet.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::testnet;
  auto packet = Packet::parse(dms::to_bytes(dms::BytesView(data, size)));
  if (!packet) return 0;
  const auto header = [](const Packet& of) {
    return dms::BytesView(of.bytes()).first(static_cast<std::size_t>(of.bytes()[0] & 0x0f) * 4);
  };
  const bool right = internet_checksum(header(*packet)) == 0;
  dms::SeededRandom random(size);
  for (const NatKind kind :
       {NatKind::full_cone, NatKind::restricted_cone, NatKind::port_restricted, NatKind::symmetric}) {
    Nat nat(kind, 0xc6120001, random);
    Packet copy = *packet;
    const dms::SteadyTime now{};
    if (nat.inbound(copy, now)) std::abort();  // nothing has been sent
    if (!nat.outbound(copy, now)) continue;
    if (copy.source_address() != nat.address() || copy.bytes().size() != packet->bytes().size()) std::abort();
    if (right && internet_checksum(header(copy)) != 0) std::abort();
    copy.set_source(packet->source());
    if (copy.source() != packet->source() || copy.destination() != packet->destination()) std::abort();
  }
  return 0;
}

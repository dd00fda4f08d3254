#include "libp2p/swarm/dial_ranker.hpp"

#include <algorithm>

namespace dms::libp2p {
namespace {

/// The sort key of an address.
struct Traits {
  Multiaddr address;
  bool relayed = false;
  bool v4 = false;
  bool v6 = false;
  bool is_private = false;
  enum class Kind { quic_v1, quic, webtransport, tcp, webrtc_direct, other } kind = Kind::other;
  std::uint16_t port = 0;

  [[nodiscard]] bool over_quic() const { return kind <= Kind::webtransport; }
  /// Smaller is earlier. IPv6 comes before IPv4 within QUIC, whatever its version, within WebTransport, and within TCP.
  [[nodiscard]] auto order() const {
    const int stage = kind == Kind::quic ? static_cast<int>(Kind::quic_v1) : static_cast<int>(kind);
    return std::tuple(stage, v4, kind, port);
  }
};

Traits traits_of(Multiaddr address) {
  Traits traits;
  for (const auto& part : address.components()) {
    switch (part.protocol) {
      case Protocol::ip4:
      case Protocol::ip6:
        if (traits.v4 || traits.v6) break;
        traits.v4 = part.protocol == Protocol::ip4;
        traits.v6 = !traits.v4;
        traits.is_private = part.ip()->is_private();
        break;
      case Protocol::tcp: traits.kind = Traits::Kind::tcp; [[fallthrough]];
      case Protocol::udp: traits.port = static_cast<std::uint16_t>(part.value[0] << 8 | part.value[1]); break;
      case Protocol::quic: traits.kind = Traits::Kind::quic; break;
      case Protocol::quic_v1: traits.kind = Traits::Kind::quic_v1; break;
      case Protocol::webtransport: traits.kind = Traits::Kind::webtransport; break;
      case Protocol::webrtc_direct: traits.kind = Traits::Kind::webrtc_direct; break;
      case Protocol::p2p_circuit: traits.relayed = true; break;
      default: break;
    }
  }
  traits.address = std::move(address);
  return traits;
}

struct Steps {
  Duration step;
  Duration other;
};

/// Gives delays to addresses of one kind, sorted: the first, the first of the other family, the rest. Returns the last
/// delay.
Duration happy_eyeballs(std::vector<Traits>& group, Duration step, Duration offset, std::vector<RankedAddress>& out) {
  bool both = false;
  if (!group.empty() && group.front().v6) {
    const auto four = std::ranges::find_if(group, &Traits::v4);
    both = four != group.end();
    if (both) std::rotate(group.begin() + 1, four, four + 1);
  }
  Duration delay{};
  for (std::size_t i = 0; i < group.size(); ++i) {
    delay = i == 0 ? 0ms : i == 1 || !both ? step : 2 * step;
    out.push_back({std::move(group[i].address), offset + delay});
  }
  return offset + delay;
}

/// Returns the last delay.
Duration rank_group(std::vector<Traits> group, Steps steps, Duration offset, std::vector<RankedAddress>& out) {
  std::ranges::stable_sort(group, {}, &Traits::order);
  std::vector<Traits> quic, tcp, other;
  for (Traits& one : group)
    (one.over_quic() ? quic : one.kind == Traits::Kind::tcp ? tcp : other).push_back(std::move(one));
  Duration last = offset;
  if (!quic.empty()) last = happy_eyeballs(quic, steps.step, offset, out);
  if (!tcp.empty()) last = happy_eyeballs(tcp, steps.step, quic.empty() ? offset : last + steps.step, out);
  for (Traits& one : other) out.push_back({std::move(one.address), last + steps.other});
  return other.empty() ? last : last + steps.other;
}

}  // namespace

std::vector<RankedAddress> rank_addresses(std::vector<Multiaddr> addresses, const RankOptions& options) {
  std::vector<Traits> close, far, relayed, nameless;
  for (Multiaddr& address : addresses) {
    Traits traits = traits_of(std::move(address));
    const bool ip = traits.v4 || traits.v6;
    (traits.relayed ? relayed : !ip ? nameless : traits.is_private ? close : far).push_back(std::move(traits));
  }
  const Steps local{options.private_step, options.private_other_delay};
  const Steps wide{options.public_step, options.public_other_delay};
  const Duration relay_offset = far.empty() ? Duration() : options.relay_delay;
  std::vector<RankedAddress> out;
  Duration last{};
  if (!close.empty()) last = rank_group(std::move(close), local, {}, out);
  if (!far.empty()) last = std::max(last, rank_group(std::move(far), wide, {}, out));
  if (!relayed.empty()) last = std::max(last, rank_group(std::move(relayed), wide, relay_offset, out));
  if (!nameless.empty() && !out.empty()) last += options.public_other_delay;
  for (Traits& one : nameless) out.push_back({std::move(one.address), last});
  std::ranges::stable_sort(out, {}, &RankedAddress::delay);
  return out;
}

}  // namespace dms::libp2p

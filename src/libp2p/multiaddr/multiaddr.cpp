#include "libp2p/multiaddr/multiaddr.hpp"

#include <algorithm>
#include <charconv>

#include "base/multibase.hpp"
#include "base/varint.hpp"

namespace dms::libp2p {
namespace {

/// How a protocol's value looks.
enum class Kind { none, ip4, ip6, port, host, peer, multihash, zone };

struct Entry {
  Protocol protocol;
  std::string_view name;
  Kind kind;
};

constexpr std::array kTable = {
    Entry{Protocol::ip4, "ip4", Kind::ip4},
    Entry{Protocol::tcp, "tcp", Kind::port},
    Entry{Protocol::ip6, "ip6", Kind::ip6},
    Entry{Protocol::ip6zone, "ip6zone", Kind::zone},
    Entry{Protocol::dns, "dns", Kind::host},
    Entry{Protocol::dns4, "dns4", Kind::host},
    Entry{Protocol::dns6, "dns6", Kind::host},
    Entry{Protocol::dnsaddr, "dnsaddr", Kind::host},
    Entry{Protocol::udp, "udp", Kind::port},
    Entry{Protocol::webrtc_direct, "webrtc-direct", Kind::none},
    Entry{Protocol::webrtc, "webrtc", Kind::none},
    Entry{Protocol::p2p_circuit, "p2p-circuit", Kind::none},
    Entry{Protocol::p2p, "p2p", Kind::peer},
    Entry{Protocol::tls, "tls", Kind::none},
    Entry{Protocol::sni, "sni", Kind::host},
    Entry{Protocol::noise, "noise", Kind::none},
    Entry{Protocol::quic, "quic", Kind::none},
    Entry{Protocol::quic_v1, "quic-v1", Kind::none},
    Entry{Protocol::webtransport, "webtransport", Kind::none},
    Entry{Protocol::certhash, "certhash", Kind::multihash},
    Entry{Protocol::ws, "ws", Kind::none},
    Entry{Protocol::wss, "wss", Kind::none},
    Entry{Protocol::http, "http", Kind::none},
    Entry{Protocol::https, "https", Kind::none},
};

constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kMaxZone = 32;
constexpr std::size_t kMaxHash = 128;

const Entry* find(std::uint64_t code) {
  const auto it =
      std::ranges::find_if(kTable, [&](const Entry& e) { return static_cast<std::uint64_t>(e.protocol) == code; });
  return it == kTable.end() ? nullptr : &*it;
}

const Entry* find(std::string_view name) {
  if (name == "ipfs") name = "p2p";
  const auto it = std::ranges::find_if(kTable, [&](const Entry& e) { return e.name == name; });
  return it == kTable.end() ? nullptr : &*it;
}

/// Host names as the wire may carry them: printable ASCII without '/', so that the text form is read back exactly.
bool plain_text(std::string_view text, std::size_t max) {
  return !text.empty() && text.size() <= max &&
         std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '/'; });
}

/// A varint code and a varint length that together say exactly how long the rest is.
bool is_multihash(BytesView bytes) {
  const auto code = parse_varint(bytes);
  if (!code || bytes.size() > kMaxHash) return false;
  const auto size = parse_varint(bytes.subspan(code->size));
  return size && size->value == bytes.size() - code->size - size->size;
}

/// Fixed size in bytes, or nothing if the value has a length in front.
std::optional<std::size_t> fixed_size(Kind kind) {
  switch (kind) {
    case Kind::none: return 0;
    case Kind::ip4: return 4;
    case Kind::ip6: return 16;
    case Kind::port: return 2;
    default: return std::nullopt;
  }
}

Result<void> check_value(const Entry& entry, BytesView value) {
  switch (entry.kind) {
    case Kind::host:
      if (!plain_text(as_text(value), kMaxHost))
        return fail(Errc::invalid_argument, "/{}: not a host name", entry.name);
      return {};
    case Kind::zone:
      if (!plain_text(as_text(value), kMaxZone))
        return fail(Errc::invalid_argument, "/{}: not a zone name", entry.name);
      return {};
    case Kind::peer:
      if (auto id = crypto::PeerId::from_bytes(value); !id) return fail(id.error(), "/{}", entry.name);
      return {};
    case Kind::multihash:
      if (!is_multihash(value)) return fail(Errc::invalid_argument, "/{}: not a multihash", entry.name);
      return {};
    default: return {};
  }
}

Result<Bytes> ip_from_text(const Entry& entry, std::string_view text) {
  auto ip = IpAddress::parse(text);
  if (!ip || ip->is_v6() != (entry.kind == Kind::ip6))
    return fail(Errc::invalid_argument, "/{}/{}: expected an IPv{} address", entry.name, text,
                entry.kind == Kind::ip6 ? 6 : 4);
  return to_bytes(ip->bytes());
}

Result<Bytes> port_from_text(const Entry& entry, std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0'))
    return fail(Errc::invalid_argument, "/{}/{}: expected a port from 0 to 65535", entry.name, text);
  return Bytes{static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port)};
}

Result<Bytes> value_from_text(const Entry& entry, std::string_view text) {
  switch (entry.kind) {
    case Kind::ip4:
    case Kind::ip6: return ip_from_text(entry, text);
    case Kind::port: return port_from_text(entry, text);
    case Kind::peer: {
      auto id = crypto::PeerId::parse(text);
      if (!id) return fail(id.error(), "/{}/{}", entry.name, text);
      return to_bytes(id->bytes());
    }
    case Kind::multihash: {
      auto hash = multibase_decode(text, 2 * kMaxHash);
      if (!hash) return fail(hash.error(), "/{}/{}", entry.name, text);
      return std::move(hash->bytes);
    }
    default: return to_bytes(text);
  }
}

std::string value_to_text(Kind kind, BytesView value) {
  switch (kind) {
    case Kind::ip4: {
      std::array<std::uint8_t, 4> four;
      std::ranges::copy(value, four.begin());
      return IpAddress::v4(four).to_string();
    }
    case Kind::ip6: {
      std::array<std::uint8_t, 16> sixteen;
      std::ranges::copy(value, sixteen.begin());
      return IpAddress::v6(sixteen).to_string();
    }
    case Kind::port: return std::to_string(value[0] << 8 | value[1]);
    case Kind::peer: return crypto::PeerId::from_bytes(value)->to_string();
    case Kind::multihash: return multibase_encode(Base::base64url, value);
    default: return std::string(as_text(value));
  }
}

void append_component(Bytes& out, const Entry& entry, BytesView value) {
  append_varint(out, static_cast<std::uint64_t>(entry.protocol));
  if (!fixed_size(entry.kind)) append_varint(out, value.size());
  append(out, value);
}

struct Parsed {
  const Entry* entry;
  BytesView value;
  std::size_t size;  ///< of the whole component
};

/// The component at the start of `bytes`, its value not yet checked.
Result<Parsed> split_component(BytesView bytes) {
  auto code = parse_varint(bytes);
  if (!code) return fail(code.error(), "multiaddr: protocol code");
  const Entry* entry = find(code->value);
  if (entry == nullptr) return fail(Errc::unsupported, "multiaddr: protocol code {} is not known", code->value);
  std::size_t at = code->size;
  std::uint64_t size = 0;
  if (auto fixed = fixed_size(entry->kind)) {
    size = *fixed;
  } else {
    auto length = parse_varint(bytes.subspan(at));
    if (!length) return fail(length.error(), "multiaddr: length of /{}", entry->name);
    size = length->value;
    at += length->size;
  }
  if (size > bytes.size() - at)
    return fail(Errc::invalid_argument, "multiaddr: /{} is cut short: {} of {} bytes", entry->name, bytes.size() - at,
                size);
  return Parsed{entry, bytes.subspan(at, size), at + static_cast<std::size_t>(size)};
}

}  // namespace

Result<Multiaddr> Multiaddr::from_bytes(BytesView bytes) {
  if (bytes.size() > kMaxBytes)
    return fail(Errc::limit_exceeded, "multiaddr: {} bytes; at most {} are accepted", bytes.size(), kMaxBytes);
  Multiaddr address;
  address.bytes_ = to_bytes(bytes);
  std::size_t count = 0;
  while (!bytes.empty()) {
    if (++count > kMaxComponents)
      return fail(Errc::limit_exceeded, "multiaddr: more than {} components", kMaxComponents);
    TRY(Parsed part, split_component(bytes));
    TRY_VOID(check_value(*part.entry, part.value));
    bytes = bytes.subspan(part.size);
  }
  return address;
}

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
  if (text.size() > kMaxText)
    return fail(Errc::limit_exceeded, "multiaddr: {} characters; at most {} are accepted", text.size(), kMaxText);
  if (text.empty() || text[0] != '/')
    return fail(Errc::invalid_argument, "multiaddr '{}': expected a leading '/'", text);
  if (text == "/") return Multiaddr();
  const auto next = [&text] {
    text.remove_prefix(1);
    const std::string_view part = text.substr(0, text.find('/'));
    text.remove_prefix(part.size());
    return part;
  };
  Bytes bytes;
  while (!text.empty()) {
    const std::string_view name = next();
    if (name.empty() && text.empty() && !bytes.empty()) break;  // a '/' at the end
    const Entry* entry = find(name);
    if (entry == nullptr) return fail(Errc::unsupported, "multiaddr: protocol '{}' is not known", name);
    Bytes value;
    if (entry->kind != Kind::none) {
      if (text.empty()) return fail(Errc::invalid_argument, "multiaddr: /{} needs a value", name);
      TRY(value, value_from_text(*entry, next()));
    }
    append_component(bytes, *entry, value);
  }
  return from_bytes(bytes);
}

Multiaddr Multiaddr::tcp(const IpEndpoint& endpoint) {
  Multiaddr address;
  append_component(address.bytes_, *find(endpoint.address.is_v6() ? "ip6" : "ip4"), endpoint.address.bytes());
  const Bytes port{static_cast<std::uint8_t>(endpoint.port >> 8), static_cast<std::uint8_t>(endpoint.port)};
  append_component(address.bytes_, *find("tcp"), port);
  return address;
}

std::vector<Multiaddr::Component> Multiaddr::components() const {
  std::vector<Component> out;
  for (BytesView rest = bytes_; !rest.empty();) {
    const Parsed part = *split_component(rest);
    out.push_back({part.entry->protocol, part.value});
    rest = rest.subspan(part.size);
  }
  return out;
}

std::string Multiaddr::to_string() const {
  std::string out;
  for (BytesView rest = bytes_; !rest.empty();) {
    const Parsed part = *split_component(rest);
    out.append("/").append(part.entry->name);
    if (part.entry->kind != Kind::none) out.append("/").append(value_to_text(part.entry->kind, part.value));
    rest = rest.subspan(part.size);
  }
  return out.empty() ? "/" : out;
}

Multiaddr Multiaddr::with(const Multiaddr& inner) const {
  Multiaddr out = *this;
  append(out.bytes_, inner.bytes_);
  return out;
}

Multiaddr Multiaddr::with_peer(const crypto::PeerId& peer) const {
  Multiaddr out = *this;
  append_component(out.bytes_, *find("p2p"), peer.bytes());
  return out;
}

Multiaddr Multiaddr::without_peer() const {
  Multiaddr out = *this;
  const auto parts = components();
  if (!parts.empty() && parts.back().protocol == Protocol::p2p) {
    Bytes component;
    append_component(component, *find("p2p"), parts.back().value);
    out.bytes_.resize(bytes_.size() - component.size());
  }
  return out;
}

std::optional<crypto::PeerId> Multiaddr::peer() const {
  const auto parts = components();
  if (parts.empty() || parts.back().protocol != Protocol::p2p) return std::nullopt;
  return *crypto::PeerId::from_bytes(parts.back().value);
}

std::optional<IpEndpoint> Multiaddr::tcp_endpoint() const {
  const auto parts = components();
  const bool with_peer = parts.size() == 3 && parts[2].protocol == Protocol::p2p;
  if ((parts.size() != 2 && !with_peer) || parts[1].protocol != Protocol::tcp) return std::nullopt;
  IpEndpoint endpoint;
  endpoint.port = static_cast<std::uint16_t>(parts[1].value[0] << 8 | parts[1].value[1]);
  if (parts[0].protocol == Protocol::ip4) {
    std::array<std::uint8_t, 4> four;
    std::ranges::copy(parts[0].value, four.begin());
    endpoint.address = IpAddress::v4(four);
  } else if (parts[0].protocol == Protocol::ip6) {
    std::array<std::uint8_t, 16> sixteen;
    std::ranges::copy(parts[0].value, sixteen.begin());
    endpoint.address = IpAddress::v6(sixteen);
  } else {
    return std::nullopt;
  }
  return endpoint;
}

Result<PeerAddress> PeerAddress::parse(std::string_view text) {
  TRY(Multiaddr address, Multiaddr::parse(text));
  auto peer = address.peer();
  if (!peer) return fail(Errc::invalid_argument, "'{}' does not say which peer: add /p2p/<peer id> at its end", text);
  return PeerAddress{*peer, address.without_peer()};
}

}  // namespace dms::libp2p

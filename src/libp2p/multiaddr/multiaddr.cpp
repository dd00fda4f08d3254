#include "libp2p/multiaddr/multiaddr.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/varint.hpp"
#include "encoding/multibase.hpp"

namespace dms::libp2p {
namespace {

constexpr std::string_view kUnknown = "unknown-";

/// The layout of a component's bytes.
struct Parsed {
  std::uint64_t code;
  const ProtocolInfo* info;  ///< null if unknown
  BytesView value;
  std::size_t size;  ///< of the whole component
};

void append_component(Bytes& out, const ProtocolInfo& info, BytesView value) {
  append_varint(out, static_cast<std::uint64_t>(info.protocol));
  if (!fixed_size(info.kind)) append_varint(out, value.size());
  append(out, value);
}

/// The component at the start of `bytes`, its value not yet checked.
Result<Parsed> split_component(BytesView bytes) {
  auto code = parse_varint(bytes);
  if (!code) return fail(code.error(), "multiaddr: protocol code");
  const ProtocolInfo* info = find_protocol(code->value);
  std::size_t at = code->size;
  if (info == nullptr) return Parsed{code->value, nullptr, bytes.subspan(at), bytes.size()};
  std::uint64_t size = 0;
  if (auto fixed = fixed_size(info->kind)) {
    size = *fixed;
  } else {
    auto length = parse_varint(bytes.subspan(at));
    if (!length) return fail(length.error(), "multiaddr: length of /{}", info->name);
    size = length->value;
    at += length->size;
  }
  if (size > bytes.size() - at)
    return fail(Errc::invalid_argument, "multiaddr: /{} is cut short: {} of {} bytes", info->name, bytes.size() - at,
                size);
  return Parsed{code->value, info, bytes.subspan(at, size), at + static_cast<std::size_t>(size)};
}

/// Takes "/word" from the front of `text`.
std::string_view next_word(std::string_view& text) {
  text.remove_prefix(1);
  const std::string_view word = text.substr(0, text.find('/'));
  text.remove_prefix(word.size());
  return word;
}

/// /unknown-<code>/<multibase of all that follows>, which ends an address.
Result<Bytes> unknown_from_text(std::string_view name, std::string_view text) {
  const std::string_view digits = name.substr(kUnknown.size());
  std::uint64_t code = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code);
  if (error != std::errc() || end != digits.data() + digits.size() || code > kMaxVarint ||
      find_protocol(code) != nullptr)
    return fail(Errc::invalid_argument, "multiaddr: /{}: expected the code of a protocol without a name", name);
  if (text.size() < 2) return fail(Errc::invalid_argument, "multiaddr: /{} needs a value", name);
  TRY(Multibase rest, multibase_decode(text.substr(1), Multiaddr::kMaxText));
  Bytes bytes;
  append_varint(bytes, code);
  append(bytes, rest.bytes);
  return bytes;
}

/// The component at the front of `text`, as bytes.
Result<Bytes> component_from_text(std::string_view& text) {
  const std::string_view name = next_word(text);
  if (name.starts_with(kUnknown)) return unknown_from_text(name, std::exchange(text, {}));
  const ProtocolInfo* info = find_protocol(name);
  if (info == nullptr) return fail(Errc::unsupported, "multiaddr: unknown protocol '{}'", name);
  Bytes bytes, value;
  if (info->kind != ValueKind::none) {
    if (text.empty()) return fail(Errc::invalid_argument, "multiaddr: /{} needs a value", name);
    // A path extends to the end, unless it is escaped into one segment.
    const bool rest = info->kind == ValueKind::path && !text.starts_with("/%2F");
    TRY(value, value_from_text(*info, rest ? std::exchange(text, {}) : next_word(text)));
  }
  append_component(bytes, *info, value);
  return bytes;
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
    if (part.info != nullptr) TRY_VOID(check_value(*part.info, part.value));
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
  Bytes bytes;
  while (!text.empty() && (text != "/" || bytes.empty())) {  // a trailing '/' is ignored
    TRY(Bytes component, component_from_text(text));
    append(bytes, component);
  }
  return from_bytes(bytes);
}

Multiaddr Multiaddr::tcp(const IpEndpoint& endpoint) {
  Multiaddr address;
  if (!endpoint.zone.empty())
    append_component(address.bytes_, *find_protocol("ip6zone"), as_bytes(endpoint.zone.text()));
  append_component(address.bytes_, *find_protocol(endpoint.address.is_v6() ? "ip6" : "ip4"), endpoint.address.bytes());
  const Bytes port{static_cast<std::uint8_t>(endpoint.port >> 8), static_cast<std::uint8_t>(endpoint.port)};
  append_component(address.bytes_, *find_protocol("tcp"), port);
  return address;
}

std::optional<IpAddress> Multiaddr::Component::ip() const {
  if (protocol == Protocol::ip4) {
    std::array<std::uint8_t, 4> four;
    std::ranges::copy(value, four.begin());
    return IpAddress::v4(four);
  }
  if (protocol == Protocol::ip6) {
    std::array<std::uint8_t, 16> sixteen;
    std::ranges::copy(value, sixteen.begin());
    return IpAddress::v6(sixteen);
  }
  return std::nullopt;
}

std::vector<Multiaddr::Component> Multiaddr::components() const {
  std::vector<Component> out;
  for (BytesView rest = bytes_; !rest.empty();) {
    const Parsed part = *split_component(rest);
    out.push_back({static_cast<Protocol>(part.code), part.value});
    rest = rest.subspan(part.size);
  }
  return out;
}

std::string Multiaddr::to_string() const {
  std::string out;
  for (BytesView rest = bytes_; !rest.empty();) {
    const Parsed part = *split_component(rest);
    rest = rest.subspan(part.size);
    if (part.info == nullptr) {
      out += fmt::format("/{}{}/{}", kUnknown, part.code, multibase_encode(Base::base64url, part.value));
      continue;
    }
    out.append("/").append(part.info->name);
    if (part.info->kind == ValueKind::none) continue;
    if (part.info->kind != ValueKind::path) out += '/';
    out += value_to_text(part.info->kind, part.value, rest.empty());
  }
  return out.empty() ? "/" : out;
}

Multiaddr Multiaddr::tail(std::size_t first) const {
  BytesView rest = bytes_;
  for (; first > 0 && !rest.empty(); --first) rest = rest.subspan(split_component(rest)->size);
  Multiaddr out;
  out.bytes_ = to_bytes(rest);
  return out;
}

bool Multiaddr::ends_with(const Multiaddr& suffix) const {
  BytesView rest = bytes_;
  while (rest.size() > suffix.bytes_.size()) rest = rest.subspan(split_component(rest)->size);
  return std::ranges::equal(rest, suffix.bytes_);
}

Multiaddr Multiaddr::with(const Multiaddr& inner) const {
  Multiaddr out = *this;
  append(out.bytes_, inner.bytes_);
  return out;
}

Multiaddr Multiaddr::with_peer(const crypto::PeerId& peer) const {
  Multiaddr out = *this;
  append_component(out.bytes_, *find_protocol("p2p"), peer.bytes());
  return out;
}

Multiaddr Multiaddr::without_peer() const {
  Multiaddr out = *this;
  const auto parts = components();
  if (!parts.empty() && parts.back().protocol == Protocol::p2p) {
    Bytes component;
    append_component(component, *find_protocol("p2p"), parts.back().value);
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
  auto parts = components();
  IpEndpoint endpoint;
  if (!parts.empty() && parts.front().protocol == Protocol::ip6zone) {
    const auto zone = ZoneName::from(as_text(parts.front().value));
    if (!zone) return std::nullopt;
    endpoint.zone = *zone;
    parts.erase(parts.begin());
    if (parts.empty() || parts.front().protocol != Protocol::ip6) return std::nullopt;
  }
  const bool with_peer = parts.size() == 3 && parts[2].protocol == Protocol::p2p;
  if ((parts.size() != 2 && !with_peer) || parts[1].protocol != Protocol::tcp) return std::nullopt;
  endpoint.port = static_cast<std::uint16_t>(parts[1].value[0] << 8 | parts[1].value[1]);
  const auto ip = parts[0].ip();
  if (!ip) return std::nullopt;
  endpoint.address = *ip;
  return endpoint;
}

Result<PeerAddress> PeerAddress::parse(std::string_view text) {
  TRY(Multiaddr address, Multiaddr::parse(text));
  auto peer = address.peer();
  if (!peer) return fail(Errc::invalid_argument, "'{}' names no peer: append /p2p/<peer id>", text);
  return PeerAddress{*peer, address.without_peer()};
}

}  // namespace dms::libp2p

#include "libp2p/multiaddr/protocols.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/varint.hpp"
#include "crypto/peer_id.hpp"
#include "encoding/multibase.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {
namespace {

constexpr std::array kTable = {
    ProtocolInfo{Protocol::ip4, "ip4", ValueKind::ip4},
    ProtocolInfo{Protocol::tcp, "tcp", ValueKind::port},
    ProtocolInfo{Protocol::dccp, "dccp", ValueKind::port},
    ProtocolInfo{Protocol::ip6, "ip6", ValueKind::ip6},
    ProtocolInfo{Protocol::ip6zone, "ip6zone", ValueKind::zone},
    ProtocolInfo{Protocol::ipcidr, "ipcidr", ValueKind::prefix},
    ProtocolInfo{Protocol::dns, "dns", ValueKind::host},
    ProtocolInfo{Protocol::dns4, "dns4", ValueKind::host},
    ProtocolInfo{Protocol::dns6, "dns6", ValueKind::host},
    ProtocolInfo{Protocol::dnsaddr, "dnsaddr", ValueKind::host},
    ProtocolInfo{Protocol::sctp, "sctp", ValueKind::port},
    ProtocolInfo{Protocol::udp, "udp", ValueKind::port},
    ProtocolInfo{Protocol::p2p_webrtc_direct, "p2p-webrtc-direct", ValueKind::none},
    ProtocolInfo{Protocol::webrtc_direct, "webrtc-direct", ValueKind::none},
    ProtocolInfo{Protocol::webrtc, "webrtc", ValueKind::none},
    ProtocolInfo{Protocol::p2p_circuit, "p2p-circuit", ValueKind::none},
    ProtocolInfo{Protocol::udt, "udt", ValueKind::none},
    ProtocolInfo{Protocol::utp, "utp", ValueKind::none},
    ProtocolInfo{Protocol::unix, "unix", ValueKind::path},
    ProtocolInfo{Protocol::p2p, "p2p", ValueKind::peer},
    ProtocolInfo{Protocol::https, "https", ValueKind::none},
    ProtocolInfo{Protocol::tls, "tls", ValueKind::none},
    ProtocolInfo{Protocol::sni, "sni", ValueKind::host},
    ProtocolInfo{Protocol::noise, "noise", ValueKind::none},
    ProtocolInfo{Protocol::quic, "quic", ValueKind::none},
    ProtocolInfo{Protocol::quic_v1, "quic-v1", ValueKind::none},
    ProtocolInfo{Protocol::webtransport, "webtransport", ValueKind::none},
    ProtocolInfo{Protocol::certhash, "certhash", ValueKind::multihash},
    ProtocolInfo{Protocol::ws, "ws", ValueKind::none},
    ProtocolInfo{Protocol::wss, "wss", ValueKind::none},
    ProtocolInfo{Protocol::http, "http", ValueKind::none},
    ProtocolInfo{Protocol::memory, "memory", ValueKind::number},
};

constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kMaxZone = 32;
constexpr std::size_t kMaxHash = 128;
constexpr std::size_t kMaxPath = 255;
/// The beginning of a path that is written as one segment.
constexpr std::string_view kEscapedSlash = "%2F";

/// Printable ASCII without '/': it is read back exactly and is safe to print.
bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}
bool is_word(std::string_view text, std::size_t max) {
  return !text.empty() && text.size() <= max && printable(text) && text.find('/') == text.npos;
}
bool is_path(std::string_view text) {
  return text.size() >= 2 && text.size() <= kMaxPath && printable(text) && text.front() == '/' && text.back() != '/';
}

/// A varint code and a varint length that matches the rest.
bool is_multihash(BytesView bytes) {
  const auto code = parse_varint(bytes);
  if (!code || bytes.size() > kMaxHash) return false;
  const auto size = parse_varint(bytes.subspan(code->size));
  return size && size->value == bytes.size() - code->size - size->size;
}

/// A canonical decimal number, as `size` bytes, big endian.
Result<Bytes> number_from_text(const ProtocolInfo& info, std::string_view text, std::size_t size) {
  const std::uint64_t most = size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most || (text.size() > 1 && text[0] == '0'))
    return fail(Errc::invalid_argument, "/{}/{}: expected a {} from 0 to {}", info.name, text,
                info.kind == ValueKind::port ? "port" : "number", most);
  Bytes bytes;
  for (std::size_t i = size; i-- > 0;) bytes.push_back(static_cast<std::uint8_t>(number >> (8 * i)));
  return bytes;
}

std::string number_to_text(BytesView value) {
  std::uint64_t number = 0;
  for (std::uint8_t byte : value) number = number << 8 | byte;
  return std::to_string(number);
}

Result<Bytes> ip_from_text(const ProtocolInfo& info, std::string_view text) {
  auto ip = IpAddress::parse(text);
  if (!ip || ip->is_v6() != (info.kind == ValueKind::ip6))
    return fail(Errc::invalid_argument, "/{}/{}: expected an IPv{} address", info.name, text,
                info.kind == ValueKind::ip6 ? 6 : 4);
  return to_bytes(ip->bytes());
}

template <std::size_t N>
std::array<std::uint8_t, N> to_array(BytesView value) {
  std::array<std::uint8_t, N> out;
  std::ranges::copy(value, out.begin());
  return out;
}

Result<Bytes> path_from_text(const ProtocolInfo& info, std::string_view text) {
  if (!text.starts_with(kEscapedSlash)) return to_bytes(text);
  Bytes path;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      path.push_back(static_cast<std::uint8_t>(text[i]));
      continue;
    }
    auto byte = decode(Base::hex, text.substr(i + 1, 2));
    if (!byte || byte->size() != 1)
      return fail(Errc::invalid_argument, "/{}/{}: expected two hexadecimal digits after '%'", info.name, text);
    path.push_back(byte->front());
    i += 2;
  }
  return path;
}

std::string path_to_text(std::string_view path, bool last) {
  if (last && !path.starts_with("/%2F")) return std::string(path);
  std::string text = "/";
  for (char c : path)
    if (c == '/')
      text += kEscapedSlash;
    else if (c == '%')
      text += "%25";
    else
      text += c;
  return text;
}

}  // namespace

const ProtocolInfo* find_protocol(std::uint64_t code) {
  const auto* it = std::ranges::find_if(
      kTable, [&](const ProtocolInfo& e) { return static_cast<std::uint64_t>(e.protocol) == code; });
  return it == kTable.end() ? nullptr : it;
}

const ProtocolInfo* find_protocol(std::string_view name) {
  if (name == "ipfs") name = "p2p";
  const auto* it = std::ranges::find(kTable, name, &ProtocolInfo::name);
  return it == kTable.end() ? nullptr : it;
}

std::optional<std::size_t> fixed_size(ValueKind kind) {
  switch (kind) {
    case ValueKind::none: return 0;
    case ValueKind::prefix: return 1;
    case ValueKind::port: return 2;
    case ValueKind::ip4: return 4;
    case ValueKind::number: return 8;
    case ValueKind::ip6: return 16;
    default: return std::nullopt;
  }
}

Result<void> check_value(const ProtocolInfo& info, BytesView value) {
  switch (info.kind) {
    case ValueKind::host:
      if (!is_word(as_text(value), kMaxHost)) return fail(Errc::invalid_argument, "/{}: not a host name", info.name);
      return {};
    case ValueKind::zone:
      if (!is_word(as_text(value), kMaxZone)) return fail(Errc::invalid_argument, "/{}: not a zone name", info.name);
      return {};
    case ValueKind::peer:
      if (auto id = crypto::PeerId::from_bytes(value); !id) return fail(id.error(), "/{}", info.name);
      return {};
    case ValueKind::multihash:
      if (!is_multihash(value)) return fail(Errc::invalid_argument, "/{}: not a multihash", info.name);
      return {};
    case ValueKind::path:
      if (!is_path(as_text(value))) return fail(Errc::invalid_argument, "/{}: not the path of a socket", info.name);
      return {};
    default: return {};
  }
}

Result<Bytes> value_from_text(const ProtocolInfo& info, std::string_view text) {
  switch (info.kind) {
    case ValueKind::ip4:
    case ValueKind::ip6: return ip_from_text(info, text);
    case ValueKind::prefix:
    case ValueKind::port:
    case ValueKind::number: return number_from_text(info, text, *fixed_size(info.kind));
    case ValueKind::path: return path_from_text(info, text);
    case ValueKind::peer: {
      auto id = crypto::PeerId::parse(text);
      if (!id) return fail(id.error(), "/{}/{}", info.name, text);
      return to_bytes(id->bytes());
    }
    case ValueKind::multihash: {
      auto hash = multibase_decode(text, 2 * kMaxHash);
      if (!hash) return fail(hash.error(), "/{}/{}", info.name, text);
      return std::move(hash->bytes);
    }
    default: return to_bytes(text);
  }
}

std::string value_to_text(ValueKind kind, BytesView value, bool last) {
  switch (kind) {
    case ValueKind::ip4: return IpAddress::v4(to_array<4>(value)).to_string();
    case ValueKind::ip6: return IpAddress::v6(to_array<16>(value)).to_string();
    case ValueKind::prefix:
    case ValueKind::port:
    case ValueKind::number: return number_to_text(value);
    case ValueKind::peer: return crypto::PeerId::from_bytes(value)->to_string();
    case ValueKind::multihash: return multibase_encode(Base::base64url, value);
    case ValueKind::path: return path_to_text(as_text(value), last);
    default: return std::string(as_text(value));
  }
}

}  // namespace dms::libp2p

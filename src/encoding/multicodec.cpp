#include "encoding/multicodec.hpp"

#include <algorithm>
#include <array>

#include "base/varint.hpp"

namespace dms {
namespace {

struct Row {
  Multicodec code;
  std::string_view name;
};
constexpr std::array kTable = {
    Row{Multicodec::identity, "identity"},
    Row{Multicodec::cidv1, "cidv1"},
    Row{Multicodec::sha1, "sha1"},
    Row{Multicodec::sha2_256, "sha2-256"},
    Row{Multicodec::sha2_512, "sha2-512"},
    Row{Multicodec::sha3_512, "sha3-512"},
    Row{Multicodec::sha3_256, "sha3-256"},
    Row{Multicodec::raw, "raw"},
    Row{Multicodec::dag_pb, "dag-pb"},
    Row{Multicodec::dag_cbor, "dag-cbor"},
    Row{Multicodec::libp2p_key, "libp2p-key"},
    Row{Multicodec::secp256k1_pub, "secp256k1-pub"},
    Row{Multicodec::x25519_pub, "x25519-pub"},
    Row{Multicodec::ed25519_pub, "ed25519-pub"},
    Row{Multicodec::dag_json, "dag-json"},
    Row{Multicodec::p256_pub, "p256-pub"},
    Row{Multicodec::rsa_pub, "rsa-pub"},
};

}  // namespace

std::string to_string(Multicodec code) {
  const auto* row = std::ranges::find(kTable, code, &Row::code);
  return row == kTable.end() ? fmt::format("0x{:x}", static_cast<std::uint64_t>(code)) : std::string(row->name);
}

std::optional<Multicodec> multicodec_named(std::string_view name) {
  const auto* row = std::ranges::find(kTable, name, &Row::name);
  if (row == kTable.end()) return std::nullopt;
  return row->code;
}

void append_multicodec(Bytes& out, Multicodec code) { append_varint(out, static_cast<std::uint64_t>(code)); }

Result<Coded> read_multicodec(BytesView bytes) {
  const auto code = parse_varint(bytes);
  if (!code) return fail(code.error(), "a multicodec");
  return Coded{static_cast<Multicodec>(code->value), bytes.subspan(code->size)};
}

}  // namespace dms

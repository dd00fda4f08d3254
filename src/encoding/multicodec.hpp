// The part of the multicodec table that this program uses: codes that say what the following bytes are.
//
// Model
//  1. A code is an unsigned varint. A Multicodec holds any code; the enumerators are those that have a meaning or a
//     name here. An unknown code is refused by the code that depends on its meaning, not by these functions.
//  2. A code has one form in bytes (varint.hpp).
//
// Specification: multiformats multicodec, table.csv.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms {

enum class Multicodec : std::uint64_t {
  identity = 0x00,
  cidv1 = 0x01,
  sha1 = 0x11,
  sha2_256 = 0x12,
  sha2_512 = 0x13,
  sha3_512 = 0x14,
  sha3_256 = 0x16,
  raw = 0x55,
  dag_pb = 0x70,
  dag_cbor = 0x71,
  libp2p_key = 0x72,
  secp256k1_pub = 0xe7,
  x25519_pub = 0xec,
  ed25519_pub = 0xed,
  dag_json = 0x0129,
  p256_pub = 0x1200,
  rsa_pub = 0x1205,
};

/// The table's name ("sha2-256"); "0x1234" for a code without one here.
[[nodiscard]] std::string to_string(Multicodec code);
[[nodiscard]] std::optional<Multicodec> multicodec_named(std::string_view name);

/// `code` is at most kMaxVarint.
void append_multicodec(Bytes& out, Multicodec code);

/// A code and what follows it; `rest` is a view of the bytes that were read.
struct Coded {
  Multicodec code;
  BytesView rest;
};
/// Errc::invalid_argument unless `bytes` begin with a varint.
Result<Coded> read_multicodec(BytesView bytes);

}  // namespace dms

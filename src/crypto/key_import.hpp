// Private keys as people and other programs write them down.
//
// Model
//  1. The bytes are libp2p's protobuf, or an Ed25519 key of 64 bytes (seed, then public key), or 32 bytes: an Ed25519
//     seed or a secp256k1 scalar. Nothing in 32 bytes tells these two apart, so the caller says which.
//  2. They stand as they are, in hex (either case, 0x allowed in front), or in base64; in the latter two, white space
//     does not count. Lengths and alphabets leave one reading of a text, so it need not be named.
//
// A pure function. Everything it makes of the key is wiped. Failure: Errc::bad_key says what was expected.
//
// Attacks: the text comes from a file that somebody may have sent. It is bounded by kMaxKeyText; halves that do not
// belong together and scalars outside of the curve's order are refused (keys.hpp).
#pragma once

#include "crypto/keys.hpp"

namespace dms::crypto {

inline constexpr std::size_t kMaxKeyText = 4096;

enum class KeyText { recognise, raw, hex, base64 };

Result<PrivateKey> read_private_key(BytesView text, KeyText form = KeyText::recognise,
                                    KeyType of_32_bytes = KeyType::ed25519);

}  // namespace dms::crypto

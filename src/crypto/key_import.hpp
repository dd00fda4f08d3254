// Private keys in the forms that other programs write.
//
// Model
//  1. A key in a container (PEM, OpenSSH, JWK, JSON array: key_formats.hpp) is recognised by the container.
//  2. Else the bytes are libp2p's protobuf, or an Ed25519 key of 64 bytes (seed, then public key), or 32 bytes: an
//     Ed25519 seed or a secp256k1 scalar, as the caller specifies, since the bytes do not show it.
//  3. They are given as they are, in hex (either case, 0x allowed in front) or in base64; white space in the latter two
//     is ignored. Lengths and alphabets leave one reading of a text, so its form need not be named, with one exception:
//     any 32 bytes are a key, so 32 bytes as they are need KeyText::raw. (64 bytes and the protobuf are recognised by
//     their redundancy.)
//
// A pure function. All copies of the key are wiped. Failure: Errc::bad_key says what was found or expected.
//
// Attacks: the text comes from a file that another party may have written. It is bounded by kMaxKeyText; halves that do
// not belong together and scalars outside of the curve's order are refused (keys.hpp).
#pragma once

#include "crypto/keys.hpp"

namespace dms::crypto {

inline constexpr std::size_t kMaxKeyText = 8192;  // PEM of a large RSA key, which is refused by its name

/// The form of a key's bytes; a container is recognised only by `recognise`.
enum class KeyText { recognise, raw, hex, base64 };

Result<PrivateKey> read_private_key(BytesView text, KeyText form = KeyText::recognise,
                                    KeyType of_32_bytes = KeyType::ed25519);

}  // namespace dms::crypto

// Keccak-256, the hash of Ethereum: the permutation of SHA-3 with the padding of the submission that preceded the
// standard. OpenSSL 3.0 exposes the permutation only as SHA-3, so it is implemented here.
//
// The input is public data (messages that a wallet has signed): nothing is wiped. The time depends on the length alone.
// Pure functions. Cost: about 10 nanoseconds a byte.
//
// Specification: FIPS 202 sections 3.2 to 3.4 and 4 (Keccak-p[1600, 24] and the sponge, capacity 512 bits).
#pragma once

#include "crypto/hash.hpp"

namespace dms::crypto {

[[nodiscard]] Digest256 keccak_256(BytesView data);

/// The sponge with any first padding byte: 0x01 is Keccak-256, 0x06 SHA3-256, with which tests compare the permutation
/// to OpenSSL's.
[[nodiscard]] Digest256 keccak_sponge_256(BytesView data, std::uint8_t padding);

}  // namespace dms::crypto

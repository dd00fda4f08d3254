// HMAC and HKDF over SHA-256, and HMAC over SHA-384 (RFC 2104, RFC 5869).
#pragma once

#include "base/bytes.hpp"
#include "crypto/hash.hpp"
#include "crypto/secret.hpp"

namespace dms::crypto {

[[nodiscard]] Digest256 hmac_sha256(BytesView key, BytesView data);
[[nodiscard]] std::array<std::uint8_t, 48> hmac_sha384(BytesView key, BytesView data);
/// Extract, then expand to `size` bytes, at most 255 * 32.
[[nodiscard]] Secret hkdf_sha256(BytesView salt, BytesView input_key, BytesView info, std::size_t size);

}  // namespace dms::crypto

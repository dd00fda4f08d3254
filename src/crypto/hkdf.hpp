// HKDF over SHA-256 (RFC 5869), by OpenSSL.
#pragma once

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace dms::crypto {

/// Extract, then expand to `size` bytes, at most 255 * 32.
[[nodiscard]] Secret hkdf_sha256(BytesView salt, BytesView input_key, BytesView info, std::size_t size);

}  // namespace dms::crypto

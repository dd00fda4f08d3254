// Digests, by OpenSSL. Pure functions.
#pragma once

#include <array>

#include "base/bytes.hpp"

namespace dms::crypto {

using Digest256 = std::array<std::uint8_t, 32>;

[[nodiscard]] Digest256 sha256(BytesView data);
[[nodiscard]] Digest256 sha3_256(BytesView data);

/// True if both are equal. The time does not depend on where they differ; lengths are not secret.
[[nodiscard]] bool equal_constant_time(BytesView a, BytesView b);

}  // namespace dms::crypto

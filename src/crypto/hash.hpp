// Digests, by OpenSSL. Pure functions, and SHA-256 of what comes in pieces.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.hpp"

struct evp_md_ctx_st;

namespace dms::crypto {

using Digest256 = std::array<std::uint8_t, 32>;

[[nodiscard]] Digest256 sha256(BytesView data);
[[nodiscard]] Digest256 sha3_256(BytesView data);

/// SHA-256 of what has been added so far; it may be read at any time and continued. Not for two threads at once.
class Sha256 {
 public:
  Sha256();
  void add(BytesView data);
  [[nodiscard]] Digest256 digest() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// True if both are equal. The time does not depend on where they differ; lengths are not secret.
[[nodiscard]] bool equal_constant_time(BytesView a, BytesView b);

}  // namespace dms::crypto

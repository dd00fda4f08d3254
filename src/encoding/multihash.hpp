// A multihash: a digest that says which function made it.
//
// Model
//  1. The bytes are varint(code) varint(length) digest, and each pair of code and digest has exactly these bytes.
//  2. A Multihash is a view: its digest looks into the bytes it was read from and lives no longer than they do.
//  3. A digest has at most kMaxDigest bytes. A function known here is not believed to have made more bytes than it
//     makes; fewer are a truncated digest, which the format allows, but not none: that would match everything.
//     `identity` is no function: its "digest" is the data itself, which may be empty.
//
// Nothing here hashes (crypto/hash.hpp does), so a Multihash claims a function and does not prove it.
// Specification: multiformats multihash.
#pragma once

#include <algorithm>

#include "encoding/multicodec.hpp"

namespace dms {

inline constexpr std::size_t kMaxDigest = 128;

struct Multihash {
  Multicodec code = Multicodec::identity;
  BytesView digest;

  /// All of `bytes`. Errc::invalid_argument with the byte, or Errc::limit_exceeded.
  static Result<Multihash> parse(BytesView bytes);
  /// The multihash at the start of `bytes`, which then holds what follows it.
  static Result<Multihash> read(BytesView& bytes);

  void append_to(Bytes& out) const;
  [[nodiscard]] Bytes bytes() const;

  friend bool operator==(const Multihash& a, const Multihash& b) {
    return a.code == b.code && std::ranges::equal(a.digest, b.digest);
  }
};

/// What the function makes, in bytes; none for those not known here and for `identity`.
[[nodiscard]] std::optional<std::size_t> digest_size(Multicodec function);

}  // namespace dms

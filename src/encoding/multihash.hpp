// A multihash: a digest that names its hash function.
//
// Model
//  1. The bytes are varint(code) varint(length) digest, and each pair of code and digest has exactly these bytes.
//  2. A Multihash is a view: the bytes it was read from must outlive it.
//  3. A digest has at most kMaxDigest bytes. A digest longer than its function makes is refused; a shorter one
//     is truncated, which the format allows, but an empty one is refused: it would match everything. `identity` is no
//     function: its "digest" is the data itself, which may be empty.
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

/// The size of the function's digest in bytes; none for unknown functions and for `identity`.
[[nodiscard]] std::optional<std::size_t> digest_size(Multicodec function);

}  // namespace dms

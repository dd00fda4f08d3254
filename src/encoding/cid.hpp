// A content identifier: a multihash, and the kind of content that was hashed.
//
// Model
//  1. Version 1 is varint(1) varint(content) multihash. Version 0 is a bare sha2-256 multihash of full length and means
//     dag-pb. Versions from 2 on are reserved and refused. Both forms end with the multihash: nothing may follow.
//  2. The text of version 1 is its bytes in any multibase known here; that of version 0 is base58btc without a prefix,
//     46 characters that begin with Qm. A version 0 behind a multibase prefix is refused, as the specification
//     requires.
//  3. Equal Cids have equal bytes, and one text per base (hex excepted, which is read in either case). Versions 0 and 1
//     of the same hash are different Cids: compare multihash() to ignore the version.
//
// Attacks: a text is bounded by kMaxText before it is decoded. Specification: multiformats cid, "Decoding Algorithm".
#pragma once

#include <compare>

#include "encoding/multibase.hpp"
#include "encoding/multihash.hpp"

namespace dms {

class Cid {
 public:
  /// As many characters as the longest digest has in base2, and space for the codes.
  static constexpr std::size_t kMaxText = 8 * (kMaxDigest + 32);

  /// `hash` is one that Multihash::parse() would accept.
  static Cid v1(Multicodec content, const Multihash& hash);
  /// Errc::invalid_argument unless `hash` is a whole sha2-256.
  static Result<Cid> v0(const Multihash& hash);
  static Result<Cid> from_bytes(BytesView bytes);
  static Result<Cid> parse(std::string_view text);

  [[nodiscard]] int version() const { return version_; }
  [[nodiscard]] Multicodec content() const { return content_; }
  /// A view of this Cid.
  [[nodiscard]] Multihash multihash() const;
  [[nodiscard]] BytesView bytes() const { return bytes_; }
  /// Version 0 has its own form, whatever the base.
  [[nodiscard]] std::string to_string(Base base = Base::base32) const;

  friend bool operator==(const Cid& a, const Cid& b) { return a.bytes_ == b.bytes_; }
  friend auto operator<=>(const Cid& a, const Cid& b) { return a.bytes_ <=> b.bytes_; }

 private:
  Cid(int version, Multicodec content, std::size_t hash_at, Bytes bytes)
      : version_(version), content_(content), hash_at_(hash_at), bytes_(std::move(bytes)) {}
  int version_;
  Multicodec content_;
  std::size_t hash_at_;
  Bytes bytes_;
};

}  // namespace dms

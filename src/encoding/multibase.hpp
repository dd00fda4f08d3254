// Bytes as text: hex, base32, base58btc, base64 and related encodings, and the multibase prefix that names them.
//
// Model
//  1. Each encoding here has exactly one text for each byte string. Decoders accept that text and no other: no white
//     space, no missing or extra padding, no stray bits in the last digit, no other letter case. So equal bytes and
//     equal texts are the same thing, and a text can serve as a key. (Hex is the exception: it is read in either case.)
//  2. Every decoder takes a limit on the length of the text. Those whose digits are no whole number of bits (base10,
//     base36, base58) cost the square of its length and read at most kMaxRadixText; the others are linear.
//  3. Failures are dms::Errc::invalid_argument (with the position as place()) and dms::Errc::limit_exceeded.
//
// Specification: the multibase table, of which proquint, base45 and base256emoji are left out; RFC 4648 for
// base16/32/64; Bitcoin's alphabet for base58btc. Where the table says "case-insensitive", only the case of the encoder
// is read (1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms {

/// The default limit of a decoder: 4 MiB, the largest message of this program.
inline constexpr std::size_t kMaxEncodedText = 4 << 20;
/// base10, base36 and base58 are for keys and ids; the largest, an RSA-4096 key, has some 750 digits of base58.
inline constexpr std::size_t kMaxRadixText = 1024;

enum class Base {
  hex,                  ///< base16, lower case; multibase `f`
  base32_upper,         ///< RFC 4648 standard: upper case, padded with `=`; multibase `C`
  base32,               ///< lower case, no padding; multibase `b`
  base58btc,            ///< multibase `z`
  base64,               ///< RFC 4648 standard, padded; multibase `M`
  base64url,            ///< URL alphabet, no padding; multibase `u`
  base2,                ///< multibase `0`
  base8,                ///< multibase `7`
  base10,               ///< multibase `9`
  hex_upper,            ///< multibase `F`
  base32_upper_nopad,   ///< multibase `B`
  base32_pad,           ///< multibase `c`
  base32hex,            ///< RFC 4648 "extended hex": lower case, no padding; multibase `v`
  base32hex_upper,      ///< multibase `V`
  base32hex_pad,        ///< multibase `t`
  base32hex_upper_pad,  ///< multibase `T`
  base32z,              ///< multibase `h`
  base36,               ///< lower case; multibase `k`
  base36_upper,         ///< multibase `K`
  base58flickr,         ///< multibase `Z`
  base64_nopad,         ///< multibase `m`
  base64url_pad,        ///< multibase `U`
};
inline constexpr std::size_t kBases = 22;

/// The encoding's name in the multibase table: "base32padupper".
[[nodiscard]] std::string_view multibase_name(Base base);
/// The encoding of that name, if it is known here.
[[nodiscard]] std::optional<Base> base_named(std::string_view multibase_name);

[[nodiscard]] std::string encode(Base base, BytesView bytes);
Result<Bytes> decode(Base base, std::string_view text, std::size_t max_text = kMaxEncodedText);

// The same, by name.
[[nodiscard]] inline std::string hex_encode(BytesView bytes) { return encode(Base::hex, bytes); }
inline Result<Bytes> hex_decode(std::string_view text) { return decode(Base::hex, text); }
[[nodiscard]] inline std::string base32_encode(BytesView bytes) { return encode(Base::base32_upper, bytes); }
inline Result<Bytes> base32_decode(std::string_view text) { return decode(Base::base32_upper, text); }
[[nodiscard]] inline std::string base58btc_encode(BytesView bytes) { return encode(Base::base58btc, bytes); }
inline Result<Bytes> base58btc_decode(std::string_view text) { return decode(Base::base58btc, text); }
[[nodiscard]] inline std::string base64_encode(BytesView bytes) { return encode(Base::base64, bytes); }
/// Appends what base64_encode() returns.
void append_base64(std::string& text, BytesView bytes);
inline Result<Bytes> base64_decode(std::string_view text) { return decode(Base::base64, text); }

/// The text with its multibase prefix in front.
[[nodiscard]] std::string multibase_encode(Base base, BytesView bytes);

struct Multibase {
  Base base;
  Bytes bytes;
};
/// Reads a text that begins with one of the prefixes above.
Result<Multibase> multibase_decode(std::string_view text, std::size_t max_text = kMaxEncodedText);

}  // namespace dms

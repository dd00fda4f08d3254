#include "base/multibase.hpp"

#include <algorithm>
#include <array>

namespace dms {
namespace {

/// An alphabet whose digits carry `bits` bits each, as RFC 4648 has them.
struct Alphabet {
  std::string_view digits;
  unsigned bits;
  bool padded;
  std::array<std::int8_t, 256> value;

  constexpr Alphabet(std::string_view digits, unsigned bits, bool padded)
      : digits(digits), bits(bits), padded(padded), value{} {
    value.fill(-1);
    for (std::size_t i = 0; i < digits.size(); ++i)
      value[static_cast<std::uint8_t>(digits[i])] = static_cast<std::int8_t>(i);
  }
};

// Digits of a radix that is no power of two: the bytes are one long number.
constexpr Alphabet kBase36("0123456789abcdefghijklmnopqrstuvwxyz", 0, false);
constexpr Alphabet kBase58("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 0, false);
constexpr Alphabet kBase32Upper("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5, true);
constexpr Alphabet kBase32("abcdefghijklmnopqrstuvwxyz234567", 5, false);
constexpr Alphabet kBase64("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 6, true);
constexpr Alphabet kBase64Url("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6, false);
constexpr Alphabet kHex("0123456789abcdef", 4, false);

/// Digits in the smallest run of whole bytes: 2, 8 or 4.
constexpr std::size_t group_digits(unsigned bits) { return bits == 4 ? 2 : bits == 5 ? 8 : 4; }

std::string encode_bits(const Alphabet& alphabet, BytesView bytes) {
  std::string text;
  const std::size_t group = group_digits(alphabet.bits);
  text.reserve((bytes.size() * 8 / alphabet.bits + group) / group * group);
  std::uint32_t pending = 0;
  unsigned pending_bits = 0;
  for (std::uint8_t byte : bytes) {
    pending = (pending << 8) | byte;
    pending_bits += 8;
    for (; pending_bits >= alphabet.bits; pending_bits -= alphabet.bits)
      text += alphabet.digits[(pending >> (pending_bits - alphabet.bits)) & ((1U << alphabet.bits) - 1)];
  }
  if (pending_bits > 0)
    text += alphabet.digits[(pending << (alphabet.bits - pending_bits)) & ((1U << alphabet.bits) - 1)];
  if (alphabet.padded) text.append((group - text.size() % group) % group, '=');
  return text;
}

std::unexpected<Error> bad_digit(std::string_view text, std::size_t at) {
  return fail(Errc::invalid_argument, "byte 0x{:02x} at position {} is not a digit of this encoding",
              static_cast<std::uint8_t>(text[at]), at);
}

Result<Bytes> decode_bits(const Alphabet& alphabet, std::string_view text) {
  const std::size_t group = group_digits(alphabet.bits);
  if (alphabet.padded) {
    if (text.size() % group != 0)
      return fail(Errc::invalid_argument, "length {} is not a multiple of {}: padding is missing", text.size(), group);
    std::size_t padding = 0;
    while (padding < group && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
    text.remove_suffix(padding);
    if (padding == group) return fail(Errc::invalid_argument, "a whole group of padding carries nothing");
  }
  Bytes bytes;
  bytes.reserve(text.size() * alphabet.bits / 8);
  std::uint32_t pending = 0;
  unsigned pending_bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int digit = alphabet.value[static_cast<std::uint8_t>(text[i])];
    if (digit < 0) return bad_digit(text, i);
    pending = (pending << alphabet.bits) | static_cast<std::uint32_t>(digit);
    pending_bits += alphabet.bits;
    if (pending_bits >= 8) {
      pending_bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(pending >> pending_bits));
    }
  }
  // What is left over is less than a digit and zero, or somebody has found a second text for the same bytes.
  if (pending_bits >= alphabet.bits) return fail(Errc::invalid_argument, "length {} ends inside a byte", text.size());
  if ((pending & ((1U << pending_bits) - 1)) != 0)
    return fail(Errc::invalid_argument, "the last digit carries bits that belong to no byte");
  return bytes;
}

std::string encode_radix(const Alphabet& alphabet, BytesView bytes) {
  const auto radix = static_cast<unsigned>(alphabet.digits.size());
  const std::size_t zeros =
      static_cast<std::size_t>(std::ranges::find_if(bytes, [](auto b) { return b != 0; }) - bytes.begin());
  std::vector<std::uint8_t> digits;  // least significant first
  for (std::uint8_t byte : bytes.subspan(zeros)) {
    unsigned carry = byte;
    for (auto& digit : digits) {
      carry += static_cast<unsigned>(digit) << 8;
      digit = static_cast<std::uint8_t>(carry % radix);
      carry /= radix;
    }
    for (; carry > 0; carry /= radix) digits.push_back(static_cast<std::uint8_t>(carry % radix));
  }
  std::string text(zeros, alphabet.digits[0]);
  for (auto it = digits.rbegin(); it != digits.rend(); ++it) text += alphabet.digits[*it];
  return text;
}

Result<Bytes> decode_radix(const Alphabet& alphabet, std::string_view text) {
  const auto radix = static_cast<unsigned>(alphabet.digits.size());
  const std::size_t zeros = std::min(text.find_first_not_of(alphabet.digits[0]), text.size());
  Bytes reversed;  // least significant first
  for (std::size_t i = zeros; i < text.size(); ++i) {
    const int digit = alphabet.value[static_cast<std::uint8_t>(text[i])];
    if (digit < 0) return bad_digit(text, i);
    auto carry = static_cast<unsigned>(digit);
    for (auto& byte : reversed) {
      carry += byte * radix;
      byte = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) reversed.push_back(static_cast<std::uint8_t>(carry));
  }
  Bytes bytes(zeros, 0);
  bytes.insert(bytes.end(), reversed.rbegin(), reversed.rend());
  return bytes;
}

Result<Bytes> decode_hex(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return decode_bits(kHex, lower);
}

struct Prefix {
  char letter;
  Base base;
};
constexpr std::array kPrefixes = {Prefix{'f', Base::hex},       Prefix{'C', Base::base32_upper},
                                  Prefix{'b', Base::base32},    Prefix{'k', Base::base36},
                                  Prefix{'z', Base::base58btc}, Prefix{'M', Base::base64},
                                  Prefix{'u', Base::base64url}};

}  // namespace

std::string encode(Base base, BytesView bytes) {
  switch (base) {
    case Base::hex: return encode_bits(kHex, bytes);
    case Base::base32_upper: return encode_bits(kBase32Upper, bytes);
    case Base::base32: return encode_bits(kBase32, bytes);
    case Base::base36: return encode_radix(kBase36, bytes);
    case Base::base58btc: return encode_radix(kBase58, bytes);
    case Base::base64: return encode_bits(kBase64, bytes);
    case Base::base64url: return encode_bits(kBase64Url, bytes);
  }
  return {};
}

Result<Bytes> decode(Base base, std::string_view text, std::size_t max_text) {
  if (base == Base::base36 || base == Base::base58btc) max_text = std::min(max_text, kMaxRadixText);
  if (text.size() > max_text)
    return fail(Errc::limit_exceeded, "the text has {} characters, at most {} are read", text.size(), max_text);
  switch (base) {
    case Base::hex: return decode_hex(text);
    case Base::base32_upper: return decode_bits(kBase32Upper, text);
    case Base::base32: return decode_bits(kBase32, text);
    case Base::base36: return decode_radix(kBase36, text);
    case Base::base58btc: return decode_radix(kBase58, text);
    case Base::base64: return decode_bits(kBase64, text);
    case Base::base64url: return decode_bits(kBase64Url, text);
  }
  return fail(Errc::invalid_argument, "unknown encoding");
}

std::string multibase_encode(Base base, BytesView bytes) {
  const auto* prefix = std::ranges::find(kPrefixes, base, &Prefix::base);
  return prefix->letter + encode(base, bytes);
}

Result<Multibase> multibase_decode(std::string_view text, std::size_t max_text) {
  if (text.empty()) return fail(Errc::invalid_argument, "a multibase text is empty");
  const auto* prefix = std::ranges::find(kPrefixes, text.front(), &Prefix::letter);
  if (prefix == kPrefixes.end())
    return fail(Errc::unsupported, "multibase prefix 0x{:02x} is not one of f, C, b, k, z, M, u",
                static_cast<std::uint8_t>(text.front()));
  TRY(Bytes bytes, decode(prefix->base, text.substr(1), max_text));
  return Multibase{prefix->base, std::move(bytes)};
}

}  // namespace dms

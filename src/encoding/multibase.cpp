#include "encoding/multibase.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace dms {
namespace {

constexpr std::string_view kBase32Digits = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase32UpperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view kBase32HexDigits = "0123456789abcdefghijklmnopqrstuv";
constexpr std::string_view kBase32HexUpperDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64UrlDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One row of the multibase table. `bits` is what a digit carries, as in RFC 4648; 0 if the text is one big number to the
/// base of as many digits as there are.
struct Alphabet {
  Base base;
  char prefix;
  std::string_view name;
  std::string_view digits;
  unsigned bits;
  bool padded;
  std::array<std::int8_t, 256> value;

  constexpr Alphabet(Base base, char prefix, std::string_view name, std::string_view digits, unsigned bits,
                     bool padded = false)
      : base(base), prefix(prefix), name(name), digits(digits), bits(bits), padded(padded), value{} {
    value.fill(-1);
    for (std::size_t i = 0; i < digits.size(); ++i)
      value[static_cast<std::uint8_t>(digits[i])] = static_cast<std::int8_t>(i);
  }
};

/// In the order of the enumerators.
constexpr std::array<Alphabet, kBases> kAlphabets = {
    Alphabet(Base::hex, 'f', "base16", "0123456789abcdef", 4),
    Alphabet(Base::base32_upper, 'C', "base32padupper", kBase32UpperDigits, 5, true),
    Alphabet(Base::base32, 'b', "base32", kBase32Digits, 5),
    Alphabet(Base::base58btc, 'z', "base58btc", "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 0),
    Alphabet(Base::base64, 'M', "base64pad", kBase64Digits, 6, true),
    Alphabet(Base::base64url, 'u', "base64url", kBase64UrlDigits, 6),
    Alphabet(Base::base2, '0', "base2", "01", 1),
    Alphabet(Base::base8, '7', "base8", "01234567", 3),
    Alphabet(Base::base10, '9', "base10", "0123456789", 0),
    Alphabet(Base::hex_upper, 'F', "base16upper", "0123456789ABCDEF", 4),
    Alphabet(Base::base32_upper_nopad, 'B', "base32upper", kBase32UpperDigits, 5),
    Alphabet(Base::base32_pad, 'c', "base32pad", kBase32Digits, 5, true),
    Alphabet(Base::base32hex, 'v', "base32hex", kBase32HexDigits, 5),
    Alphabet(Base::base32hex_upper, 'V', "base32hexupper", kBase32HexUpperDigits, 5),
    Alphabet(Base::base32hex_pad, 't', "base32hexpad", kBase32HexDigits, 5, true),
    Alphabet(Base::base32hex_upper_pad, 'T', "base32hexpadupper", kBase32HexUpperDigits, 5, true),
    Alphabet(Base::base32z, 'h', "base32z", "ybndrfg8ejkmcpqxot1uwisza345h769", 5),
    Alphabet(Base::base36, 'k', "base36", "0123456789abcdefghijklmnopqrstuvwxyz", 0),
    Alphabet(Base::base36_upper, 'K', "base36upper", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0),
    Alphabet(Base::base58flickr, 'Z', "base58flickr", "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", 0),
    Alphabet(Base::base64_nopad, 'm', "base64", kBase64Digits, 6),
    Alphabet(Base::base64url_pad, 'U', "base64urlpad", kBase64UrlDigits, 6, true),
};
static_assert([] {
  for (std::size_t i = 0; i < kAlphabets.size(); ++i)
    if (static_cast<std::size_t>(kAlphabets[i].base) != i) return false;
  return true;
}());

const Alphabet& alphabet_of(Base base) { return kAlphabets[static_cast<std::size_t>(base)]; }

/// Digits in the smallest run of whole bytes that padding fills up: 8 of base32, 4 of base64.
constexpr std::size_t group_digits(unsigned bits) { return bits == 4 ? 2 : bits == 6 ? 4 : 8; }

// Base64 carries pages of files, so its whole groups of three bytes are taken at once, two by two.

using Pairs = std::array<std::array<char, 2>, 4096>;

constexpr Pairs pairs_of(std::string_view digits) {
  Pairs pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {digits[i >> 6], digits[i & 63]};
  return pairs;
}
constexpr Pairs kBase64Pairs = pairs_of(kBase64Digits);
constexpr Pairs kBase64UrlPairs = pairs_of(kBase64UrlDigits);

std::size_t base64_size(const Alphabet& alphabet, std::size_t bytes) {
  return alphabet.padded ? (bytes + 2) / 3 * 4 : (bytes * 4 + 2) / 3;
}

/// Writes base64_size() digits.
void write_base64(const Alphabet& alphabet, BytesView bytes, char* to) {
  const Pairs& pairs = alphabet.digits == kBase64Digits ? kBase64Pairs : kBase64UrlPairs;
  const auto byte = [&](std::size_t i) { return std::uint32_t{bytes[i]}; };
  const auto write = [&](std::uint64_t pair, std::size_t at) { std::memcpy(to + at, pairs[pair & 4095].data(), 2); };
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 6, to += 8) {
    std::uint64_t groups = 0;
    std::memcpy(&groups, bytes.data() + i, 8);
    if constexpr (std::endian::native == std::endian::little) groups = std::byteswap(groups);
    write(groups >> 52, 0);
    write(groups >> 40, 2);
    write(groups >> 28, 4);
    write(groups >> 16, 6);
  }
  for (; i + 3 <= bytes.size(); i += 3, to += 4) {
    const std::uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    write(group >> 12, 0);
    write(group, 2);
  }
  const std::size_t left = bytes.size() - i;
  if (left == 0) return;
  const std::uint32_t group = byte(i) << 16 | (left == 2 ? byte(i + 1) << 8 : 0);
  write(group >> 12, 0);
  to += 2;
  if (left == 2) *to++ = alphabet.digits[group >> 6 & 63];
  if (alphabet.padded) std::memset(to, '=', 3 - left);
}

void append_base64(std::string& text, const Alphabet& alphabet, BytesView bytes) {
  const std::size_t before = text.size();
  const std::size_t after = before + base64_size(alphabet, bytes.size());
  text.resize_and_overwrite(after, [&](char* buffer, std::size_t) {  // GCC 12 passes the capacity as the size
    write_base64(alphabet, bytes, buffer + before);
    return after;
  });
}

/// What each byte is as the first to fourth digit of a group; kNoDigit if it is none.
using Places = std::array<std::array<std::uint32_t, 256>, 4>;
constexpr std::uint32_t kNoDigit = 1U << 24;

constexpr Places places_of(std::string_view digits) {
  Places places{};
  for (auto& place : places) place.fill(kNoDigit);
  for (std::size_t i = 0; i < digits.size(); ++i)
    for (std::size_t place = 0; place < places.size(); ++place)
      places[place][static_cast<std::uint8_t>(digits[i])] = static_cast<std::uint32_t>(i) << (18 - 6 * place);
  return places;
}
constexpr Places kBase64Places = places_of(kBase64Digits);
constexpr Places kBase64UrlPlaces = places_of(kBase64UrlDigits);

/// The bytes of the whole groups before the first that has another character; how many digits those are.
std::size_t decode_base64_groups(const Alphabet& alphabet, std::string_view text, Bytes& bytes) {
  const Places& places = alphabet.digits == kBase64Digits ? kBase64Places : kBase64UrlPlaces;
  bytes.resize(text.size() / 4 * 3);
  const auto* from = reinterpret_cast<const std::uint8_t*>(text.data());
  std::uint8_t* to = bytes.data();
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4, to += 3) {
    const std::uint32_t group =
        places[0][from[i]] | places[1][from[i + 1]] | places[2][from[i + 2]] | places[3][from[i + 3]];
    if (group >= kNoDigit) break;
    to[0] = static_cast<std::uint8_t>(group >> 16);
    to[1] = static_cast<std::uint8_t>(group >> 8);
    to[2] = static_cast<std::uint8_t>(group);
  }
  bytes.resize(i / 4 * 3);
  return i;
}

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
  return std::unexpected(
      Error(Errc::invalid_argument, fmt::format("byte 0x{:02x} at position {} is not a digit of this encoding",
                                                static_cast<std::uint8_t>(text[at]), at))
          .at_byte(at));
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
  for (std::size_t i = alphabet.bits == 6 ? decode_base64_groups(alphabet, text, bytes) : 0; i < text.size(); ++i) {
    const int digit = alphabet.value[static_cast<std::uint8_t>(text[i])];
    if (digit < 0) return bad_digit(text, i);
    pending = (pending << alphabet.bits) | static_cast<std::uint32_t>(digit);
    pending_bits += alphabet.bits;
    if (pending_bits >= 8) {
      pending_bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(pending >> pending_bits));
    }
  }
  // The remaining bits are less than a digit, and zero: otherwise this would be a second text for the same bytes.
  if (pending_bits >= alphabet.bits) return fail(Errc::invalid_argument, "length {} ends inside a byte", text.size());
  if ((pending & ((1U << pending_bits) - 1)) != 0)
    return fail(Errc::invalid_argument, "the last digit carries bits that belong to no byte");
  return bytes;
}

// A leading zero byte is a leading zero digit; the rest is one number.

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

Result<Bytes> decode_hex(const Alphabet& alphabet, std::string_view text) {
  std::string one_case(text);
  const bool upper = alphabet.base == Base::hex_upper;
  for (char& c : one_case) {
    if (!upper && c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (upper && c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  }
  return decode_bits(alphabet, one_case);
}

}  // namespace

std::string_view multibase_name(Base base) { return alphabet_of(base).name; }

std::optional<Base> base_named(std::string_view name) {
  const auto* found = std::ranges::find(kAlphabets, name, &Alphabet::name);
  if (found == kAlphabets.end()) return std::nullopt;
  return found->base;
}

std::string encode(Base base, BytesView bytes) {
  const Alphabet& alphabet = alphabet_of(base);
  if (alphabet.bits == 0) return encode_radix(alphabet, bytes);
  if (alphabet.bits != 6) return encode_bits(alphabet, bytes);
  std::string text;
  append_base64(text, alphabet, bytes);
  return text;
}

void append_base64(std::string& text, BytesView bytes) { append_base64(text, alphabet_of(Base::base64), bytes); }

Result<Bytes> decode(Base base, std::string_view text, std::size_t max_text) {
  const Alphabet& alphabet = alphabet_of(base);
  if (alphabet.bits == 0) max_text = std::min(max_text, kMaxRadixText);
  if (text.size() > max_text)
    return fail(Errc::limit_exceeded, "the text has {} characters, at most {} are read", text.size(), max_text);
  if (alphabet.bits == 0) return decode_radix(alphabet, text);
  return alphabet.bits == 4 ? decode_hex(alphabet, text) : decode_bits(alphabet, text);
}

std::string multibase_encode(Base base, BytesView bytes) { return alphabet_of(base).prefix + encode(base, bytes); }

Result<Multibase> multibase_decode(std::string_view text, std::size_t max_text) {
  if (text.empty()) return fail(Errc::invalid_argument, "a multibase text is empty");
  const auto* alphabet = std::ranges::find(kAlphabets, text.front(), &Alphabet::prefix);
  if (alphabet == kAlphabets.end())
    return fail(Errc::unsupported, "multibase prefix 0x{:02x} is not known here",
                static_cast<std::uint8_t>(text.front()));
  TRY(Bytes bytes, decode(alphabet->base, text.substr(1), max_text));
  return Multibase{alphabet->base, std::move(bytes)};
}

}  // namespace dms

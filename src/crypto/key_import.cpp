#include "crypto/key_import.hpp"

#include <string.h>

#include <algorithm>
#include <array>
#include <optional>

#include "crypto/key_formats.hpp"
#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

constexpr std::size_t kShort = 32;                    // a seed or a scalar
constexpr std::size_t kLong = 64;                     // an Ed25519 key
constexpr std::size_t kMarshalled[] = {36, 68, 100};  // secp256k1, Ed25519, Ed25519 in its old form

bool is_key_size(std::size_t size) {
  return size == kShort || size == kLong || std::ranges::find(kMarshalled, size) != std::end(kMarshalled);
}

Secret without_space(BytesView text) {
  Secret out(text.size());
  const auto space = [](std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  const auto end = std::ranges::remove_copy_if(text, out.mutable_view().begin(), space).out;
  return Secret(out.view().first(static_cast<std::size_t>(end - out.mutable_view().begin())));
}

/// The decoder of `encoding` leaves a copy that is not wiped.
std::optional<Secret> from_hex(BytesView text) {
  if (as_text(text).starts_with("0x")) text = text.subspan(2);
  if (text.size() % 2 != 0) return std::nullopt;
  const auto digit = [](std::uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    const int letter = c | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
  };
  Secret out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.mutable_view()[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return out;
}

std::optional<Secret> decoded(BytesView text, KeyText form) {
  if (form == KeyText::raw) return Secret(text);
  const Secret digits = without_space(text);
  if (form == KeyText::hex) return from_hex(digits);
  auto bytes = base64_decode(as_text(digits));
  if (!bytes) return std::nullopt;
  return Secret(*std::move(bytes));
}

Result<PrivateKey> from_bytes(BytesView bytes, KeyType of_32_bytes) {
  if (bytes.size() == kShort) return PrivateKey::from_raw(of_32_bytes, bytes);
  if (bytes.size() == kLong) return PrivateKey::from_raw(KeyType::ed25519, bytes);
  return PrivateKey::unmarshal(bytes);
}

Result<PrivateKey> read_key(BytesView text, KeyText form, KeyType of_32_bytes) {
  if (text.size() > kMaxKeyText)
    return fail(dms::Errc::limit_exceeded, "a private key in more than {} bytes", kMaxKeyText);
  if (form == KeyText::recognise)
    if (auto contained = read_contained_key(text)) return *std::move(contained);
  for (const KeyText tried : {KeyText::hex, KeyText::base64, KeyText::raw}) {
    if (form != KeyText::recognise && form != tried) continue;
    const auto bytes = decoded(text, tried);
    if (!bytes || !is_key_size(bytes->size())) continue;
    if (form == KeyText::recognise && tried == KeyText::raw && bytes->size() == kShort)
      return fail(Errc::bad_key,
                  "32 bytes, which could be anything: they are read as a private key only if the format is given "
                  "(--format raw)");
    return from_bytes(*bytes, of_32_bytes);
  }
  return fail(
      Errc::bad_key,
      "expected a private key in PEM, OpenSSH's form, a JWK or a JSON array of 64 numbers; or libp2p's protobuf "
      "(36 or 68 bytes), an Ed25519 key (64 bytes) or a seed (32 bytes) as bytes, hex or base64");
}

/// Overwrites the part of the stack that the reader has used: compilers spill bytes of the key there.
[[gnu::noinline]] void wipe_used_stack() {
  std::array<std::uint8_t, 32 * 1024> used;
  ::explicit_bzero(used.data(), used.size());
}

}  // namespace

Result<PrivateKey> read_private_key(BytesView text, KeyText form, KeyType of_32_bytes) {
  Result<PrivateKey> key = read_key(text, form, of_32_bytes);
  wipe_used_stack();
  return key;
}

}  // namespace dms::crypto

#include "crypto/key_formats.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "crypto/error.hpp"
#include "crypto/openssl_pointers.hpp"
#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

constexpr std::size_t kPart = 32;  // a seed, a scalar, a public key
constexpr std::string_view kSupported = "expected an Ed25519 or secp256k1 key";

std::unexpected<Error> refuse(std::string_view what) { return fail(Errc::bad_key, "{}", what); }

// ---- DER ------------------------------------------------------------------------------------------------------------

using EvpContext = std::unique_ptr<EVP_PKEY_CTX, Release<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Release<BIGNUM, BN_clear_free>>;

Result<PrivateKey> from_ec(EVP_PKEY* key) {
  char group[64] = {};
  (void)EVP_PKEY_get_group_name(key, group, sizeof group, nullptr);
  if (std::string_view(group) != "secp256k1")
    return fail(Errc::bad_key, "a private key on the curve {}: not supported; {}", group, kSupported);
  BIGNUM* scalar = nullptr;
  Secret raw(kPart);
  const bool found = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1;
  const Number owned(scalar);
  if (!found || BN_bn2binpad(scalar, raw.mutable_view().data(), kPart) != static_cast<int>(kPart))
    return refuse("a secp256k1 key without its private part");
  const EvpContext context(EVP_PKEY_CTX_new(key, nullptr));
  if (!context || EVP_PKEY_pairwise_check(context.get()) != 1)
    return refuse("the private and the public part of a secp256k1 key do not belong together");
  return PrivateKey::from_raw(KeyType::secp256k1, raw);
}

/// PKCS#8 or SEC 1.
Result<PrivateKey> from_der(BytesView der) {
  const unsigned char* at = der.data();
  const EvpKey key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
  if (!key || at != der.data() + der.size())
    return fail(Errc::bad_key, "a damaged private key, or one of an unknown type; {}", kSupported);
  const int type = EVP_PKEY_get_base_id(key.get());
  if (type == EVP_PKEY_EC) return from_ec(key.get());
  const char* name = EVP_PKEY_get0_type_name(key.get());
  if (type != EVP_PKEY_ED25519)
    return fail(Errc::bad_key, "a private key of type {}: not supported; {}", name == nullptr ? "?" : name, kSupported);
  Secret seed(kPart);
  std::size_t size = kPart;
  if (EVP_PKEY_get_raw_private_key(key.get(), seed.mutable_view().data(), &size) != 1 || size != kPart)
    return refuse("an Ed25519 key without its private part");
  return PrivateKey::from_raw(KeyType::ed25519, seed);
}

// ---- OpenSSH --------------------------------------------------------------------------------------------------------

/// Reads what SSH writes: numbers of four bytes, and byte strings after their length.
class SshReader {
 public:
  explicit SshReader(BytesView bytes) : rest_(bytes) {}
  std::optional<std::uint32_t> number() {
    if (rest_.size() < 4) return std::nullopt;
    std::uint32_t value = 0;
    for (const auto byte : rest_.first(4)) value = value << 8 | byte;
    rest_ = rest_.subspan(4);
    return value;
  }
  std::optional<BytesView> string() {
    const auto size = number();
    if (!size || *size > rest_.size()) return std::nullopt;
    const auto text = rest_.first(*size);
    rest_ = rest_.subspan(*size);
    return text;
  }
  [[nodiscard]] BytesView rest() const { return rest_; }

 private:
  BytesView rest_;
};

Result<PrivateKey> from_ssh_private(BytesView section, BytesView outer_public) {
  const auto damaged = [] { return refuse("a damaged OpenSSH private key"); };
  SshReader in(section);
  const auto check = in.number();
  const auto check_again = in.number();
  const auto type = in.string();
  if (!check || check != check_again || !type) return damaged();
  if (as_text(*type) != "ssh-ed25519")
    return fail(Errc::bad_key, "an OpenSSH private key of type {:.64}: not supported; expected ssh-ed25519",
                as_text(*type));
  const auto public_key = in.string();
  const auto both = in.string();
  const auto comment = in.string();
  if (!public_key || !both || !comment || both->size() != 2 * kPart) return damaged();
  for (std::size_t i = 0; i < in.rest().size(); ++i)  // padded with 1, 2, 3, ...
    if (in.rest()[i] != static_cast<std::uint8_t>(i + 1)) return damaged();
  if (!std::ranges::equal(*public_key, both->subspan(kPart)) || !std::ranges::equal(*public_key, outer_public))
    return refuse("the public parts of an OpenSSH private key differ");
  return PrivateKey::from_raw(KeyType::ed25519, *both);
}

Result<PrivateKey> from_openssh(BytesView bytes) {
  static constexpr std::string_view kMagic("openssh-key-v1\0", 15);
  const auto damaged = [] { return refuse("a damaged OpenSSH private key"); };
  if (!as_text(bytes).starts_with(kMagic)) return damaged();
  SshReader in(bytes.subspan(kMagic.size()));
  const auto cipher = in.string();
  const auto kdf = in.string();
  const auto kdf_options = in.string();
  const auto keys = in.number();
  const auto public_key = in.string();
  const auto section = in.string();
  if (!cipher || !kdf || !kdf_options || !keys || !public_key || !section || !in.rest().empty()) return damaged();
  if (as_text(*cipher) != "none")
    return refuse(
        "an OpenSSH private key under a passphrase: not supported; remove the passphrase of a copy with "
        "`ssh-keygen -p -N '' -f <copy>` and import that");
  if (*keys != 1) return fail(Errc::bad_key, "an OpenSSH file of {} keys: expected one", *keys);
  SshReader blob(*public_key);
  const auto type = blob.string();
  const auto raw = blob.string();
  // Of other types the private section names the type; it is refused there.
  return from_ssh_private(*section, type && raw && as_text(*type) == "ssh-ed25519" ? *raw : BytesView());
}

// ---- PEM ------------------------------------------------------------------------------------------------------------

struct Block {
  std::string_view label;
  std::string_view body;
};

std::optional<Block> next_block(std::string_view& text) {
  static constexpr std::string_view kBegin = "-----BEGIN ";
  static constexpr std::string_view kDashes = "-----";
  const auto begin = text.find(kBegin);
  if (begin == std::string_view::npos) return std::nullopt;
  const auto label = text.substr(begin + kBegin.size());
  const auto label_end = label.find(kDashes);
  if (label_end == std::string_view::npos) return std::nullopt;
  const auto body = label.substr(label_end + kDashes.size());
  const auto end = body.find("-----END ");
  text = end == std::string_view::npos ? std::string_view() : body.substr(end);
  return Block{label.substr(0, label_end), body.substr(0, end)};
}

Result<PrivateKey> from_block(const Block& block) {
  if (block.label == "ENCRYPTED PRIVATE KEY" || block.body.find("ENCRYPTED") != std::string_view::npos)
    return refuse(
        "a PEM private key under a passphrase: not supported; write a copy without it with "
        "`openssl pkey -in <file> -out <copy>` and import that");
  Secret digits(block.body.size());
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  const auto end = std::ranges::remove_copy_if(block.body, digits.mutable_view().begin(), space).out;
  const auto size = static_cast<std::size_t>(end - digits.mutable_view().begin());
  auto decoded = base64_decode(as_text(digits.view().first(size)));
  if (!decoded) return fail(Errc::bad_key, "a damaged PEM {:.64}: its body is not base64", block.label);
  const Secret bytes(*std::move(decoded));
  return block.label == "OPENSSH PRIVATE KEY" ? from_openssh(bytes) : from_der(bytes);
}

Result<PrivateKey> from_pem(std::string_view text) {
  std::optional<Block> other;
  while (const auto block = next_block(text)) {
    if (block->label.ends_with("PRIVATE KEY")) return from_block(*block);
    if (!other) other = block;
  }
  if (!other) return refuse("a damaged PEM file");
  return fail(Errc::bad_key, "a PEM {:.64}, which is not a private key; {}", other->label, kSupported);
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

/// A small JSON text in buffers that are wiped with it.
class WipedJson {
 public:
  explicit WipedJson(BytesView text)
      : values_(kBuffer), scratch_(kBuffer), memory_(values_.mutable_view().data(), values_.size()) {
    try {
      boost::json::parser parser({}, {}, scratch_.mutable_view().data(), scratch_.size());
      parser.reset(&memory_);
      boost::json::error_code error;
      parser.write(reinterpret_cast<const char*>(text.data()), text.size(), error);
      if (!error) value_ = parser.release();
    } catch (const std::exception&) {  // it takes more than the buffer: no key does
    }
  }
  [[nodiscard]] const boost::json::value& value() const { return value_; }

 private:
  static constexpr std::size_t kBuffer = 64 << 10;
  Secret values_;
  Secret scratch_;
  boost::json::static_resource memory_;
  boost::json::value value_ =
      boost::json::value(boost::json::storage_ptr(&memory_));  // of another storage it would be a copy
};

std::string_view member(const boost::json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

std::optional<Secret> part(const boost::json::object& key, std::string_view name) {
  std::string_view text = member(key, name);
  while (text.ends_with('=')) text.remove_suffix(1);
  auto bytes = decode(Base::base64url, text);
  if (!bytes || bytes->size() != kPart) return std::nullopt;
  return Secret(*std::move(bytes));
}

Result<PrivateKey> from_jwk(const boost::json::object& jwk) {
  const auto kind = member(jwk, "kty");
  const auto curve = member(jwk, "crv");
  const bool ed25519 = kind == "OKP" && curve == "Ed25519";
  if (!ed25519 && !(kind == "EC" && curve == "secp256k1"))
    return fail(Errc::bad_key, "a JWK of kty {:.32}{}{:.32}: not supported; {}", kind, curve.empty() ? "" : ", crv ",
                curve, kSupported);
  if (!jwk.contains("d")) return refuse("a JWK without \"d\" is a public key; the private one is needed");
  const auto secret = part(jwk, "d");
  if (!secret) return refuse("a JWK whose \"d\" is not 32 bytes in base64url");
  TRY(auto key, PrivateKey::from_raw(ed25519 ? KeyType::ed25519 : KeyType::secp256k1, *secret));
  if (!jwk.contains("x")) return key;
  const auto x = part(jwk, "x");
  const BytesView raw = key.public_key().raw();
  if (!x || !std::ranges::equal(x->view(), ed25519 ? raw : raw.subspan(1)))
    return refuse("the \"x\" and the \"d\" of a JWK do not belong together");
  return key;
}

Result<PrivateKey> from_array(const boost::json::array& numbers) {
  if (numbers.size() != 2 * kPart)
    return fail(Errc::bad_key, "a JSON array of {} elements: expected the 64 bytes of an Ed25519 key", numbers.size());
  Secret bytes(numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto* number = numbers[i].if_int64();
    if (number == nullptr || *number < 0 || *number > 255)
      return refuse("a JSON array whose elements are not numbers from 0 to 255");
    bytes.mutable_view()[i] = static_cast<std::uint8_t>(*number);
  }
  return PrivateKey::from_raw(KeyType::ed25519, bytes);
}

std::string_view without_leading_space(BytesView text) {
  std::string_view rest = as_text(text);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
  return rest;
}

/// A sequence of the text's length that begins with a version, as PKCS#8 and SEC 1 do; no text has these bytes.
bool is_der(BytesView text) {
  const std::size_t header = text.size() > 1 && text[1] == 0x81 ? 3 : 2;
  return text.size() > header + 2 && text[0] == 0x30 && text[header - 1] == text.size() - header &&
         text[header] == 0x02 && text[header + 1] == 0x01;
}

bool is_text(BytesView text) {
  return std::ranges::all_of(text, [](std::uint8_t c) { return (c >= 0x20 && c != 0x7f) || (c >= '\t' && c <= '\r'); });
}

}  // namespace

bool is_json_web_key(BytesView text) {
  if (!without_leading_space(text).starts_with('{')) return false;
  const WipedJson json(text);
  return json.value().is_object() && json.value().get_object().contains("kty");
}

std::optional<Result<PrivateKey>> read_contained_key(BytesView text) {
  if (is_der(text)) return from_der(text);
  if (!is_text(text)) return std::nullopt;
  const auto start = without_leading_space(text);
  if (start.find("-----BEGIN ") != std::string_view::npos) return from_pem(start);
  for (const std::string_view type : {"ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-"})
    if (start.starts_with(type)) return refuse("an OpenSSH public key; the private one is in the file without .pub");
  if (start.starts_with("PuTTY-User-Key-File-"))
    return refuse("a PuTTY private key: not supported; `puttygen <file> -O private-openssh -o <copy>` converts it");
  if (!start.starts_with('{') && !start.starts_with('[')) return std::nullopt;
  const WipedJson json(text);
  if (json.value().is_array()) return from_array(json.value().get_array());
  if (json.value().is_object() && json.value().get_object().contains("kty")) return from_jwk(json.value().get_object());
  return refuse("JSON that is neither a JWK with \"kty\" nor an array of 64 numbers");
}

}  // namespace dms::crypto

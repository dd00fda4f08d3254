#include "crypto/keystore.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "base/file.hpp"
#include "crypto/hash.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

constexpr std::size_t kDerivedKey = 64;
constexpr std::size_t kSalt = 64;
constexpr std::size_t kIv = 16;
constexpr std::size_t kMaxName = 128;
constexpr int kVersion = 3;

// The file, member for member.
struct CipherParams {
  std::string iv;
  static constexpr auto json_fields() { return std::tuple(json::field("iv", &CipherParams::iv)); }
};
struct KdfParams {
  std::uint64_t n = 0, r = 0, p = 0, dklen = 0;
  std::string salt;
  static constexpr auto json_fields() {
    return std::tuple(json::field("n", &KdfParams::n), json::field("r", &KdfParams::r), json::field("p", &KdfParams::p),
                      json::field("dklen", &KdfParams::dklen), json::field("salt", &KdfParams::salt));
  }
};
struct CryptoPart {
  std::string cipher, ciphertext;
  CipherParams cipherparams;
  std::string kdf;
  KdfParams kdfparams;
  std::string mac;
  static constexpr auto json_fields() {
    return std::tuple(json::field("cipher", &CryptoPart::cipher), json::field("ciphertext", &CryptoPart::ciphertext),
                      json::field("cipherparams", &CryptoPart::cipherparams), json::field("kdf", &CryptoPart::kdf),
                      json::field("kdfparams", &CryptoPart::kdfparams), json::field("mac", &CryptoPart::mac));
  }
};
struct KeyFile {
  std::string id;
  CryptoPart crypto;
  int version = 0;
  static constexpr auto json_fields() {
    return std::tuple(json::field("id", &KeyFile::id), json::field("crypto", &KeyFile::crypto),
                      json::field("version", &KeyFile::version));
  }
};

Result<Secret> derive(const Secret& passphrase, BytesView salt, ScryptCost cost) {
  Secret key(kDerivedKey);
  // The library also counts its own block: 128 * r * (n + p + 2) bytes in total.
  const std::uint64_t memory = 128 * cost.r * (cost.n + cost.p + 2) + (1 << 20);
  if (EVP_PBE_scrypt(reinterpret_cast<const char*>(passphrase.view().data()), passphrase.size(), salt.data(),
                     salt.size(), cost.n, cost.r, cost.p, memory, key.mutable_view().data(), key.size()) != 1)
    return fail(Errc::library, "scrypt with n={} r={} p={} failed; it needs {} MiB of memory", cost.n, cost.r, cost.p,
                memory >> 20);
  return key;
}

/// AES-256 in counter mode: encrypting and decrypting are the same.
Result<Secret> aes_256_ctr(BytesView key, BytesView iv, BytesView in) {
  std::unique_ptr<EVP_CIPHER_CTX, decltype([](EVP_CIPHER_CTX* c) { EVP_CIPHER_CTX_free(c); })> context(
      EVP_CIPHER_CTX_new());
  Secret out(in.size());
  int size = 0;
  if (!context || EVP_EncryptInit_ex(context.get(), EVP_aes_256_ctr(), nullptr, key.data(), iv.data()) != 1 ||
      EVP_EncryptUpdate(context.get(), out.mutable_view().data(), &size, in.data(), static_cast<int>(in.size())) != 1)
    return fail(Errc::library, "AES-256-CTR failed");
  return out;
}

Digest256 mac_of(BytesView mac_key, BytesView ciphertext) {
  Secret input(mac_key.size() + ciphertext.size());
  std::ranges::copy(mac_key, input.mutable_view().begin());
  std::ranges::copy(ciphertext, input.mutable_view().begin() + static_cast<std::ptrdiff_t>(mac_key.size()));
  return sha3_256(input);
}

/// The encrypted key, its text forms checked and decoded.
struct Sealed {
  Bytes ciphertext, iv, salt, mac;
  ScryptCost cost;
};

template <class... Args>
std::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Errc::damaged_file, "not a usable key file: {}", fmt::format(format, std::forward<Args>(args)...));
}

Result<Bytes> hex_field(std::string_view name, const std::string& text, std::size_t min_size, std::size_t max_size) {
  auto bytes = hex_decode(text);
  if (!bytes) return damaged("{}: {}", name, bytes.error().message());
  if (bytes->size() < min_size || bytes->size() > max_size)
    return damaged("{} has {} bytes, expected {} to {}", name, bytes->size(), min_size, max_size);
  return bytes;
}

Result<Sealed> check(const KeyFile& file, std::uint64_t max_memory) {
  if (file.version != kVersion) return damaged("version: expected {}, found {}", kVersion, file.version);
  if (file.crypto.cipher != "aes-256-ctr")
    return damaged("crypto.cipher: expected aes-256-ctr, found '{}'", file.crypto.cipher);
  if (file.crypto.kdf != "scrypt") return damaged("crypto.kdf: expected scrypt, found '{}'", file.crypto.kdf);
  const KdfParams& k = file.crypto.kdfparams;
  if (k.dklen != kDerivedKey) return damaged("crypto.kdfparams.dklen: expected {}, found {}", kDerivedKey, k.dklen);
  constexpr std::uint64_t kSane = 1ULL << 24;  // prevents overflow of the products below
  if (k.n < 2 || k.n > kSane || (k.n & (k.n - 1)) != 0 || k.r == 0 || k.r > kSane || k.p == 0 || k.p > kSane)
    return damaged("crypto.kdfparams: n={} r={} p={} are not parameters of scrypt", k.n, k.r, k.p);
  if (128 * k.r * k.n > max_memory || k.p > kMaxScryptWork || k.n * k.r > kMaxScryptWork / k.p)
    return fail(dms::Errc::limit_exceeded, "crypto.kdfparams: n={} r={} p={} exceed the limits for one key file", k.n,
                k.r, k.p);
  Sealed sealed;
  sealed.cost = {k.n, k.r, k.p};
  TRY(sealed.ciphertext, hex_field("crypto.ciphertext", file.crypto.ciphertext, 1, kMaxKeyData));
  TRY(sealed.iv, hex_field("crypto.cipherparams.iv", file.crypto.cipherparams.iv, kIv, kIv));
  TRY(sealed.salt, hex_field("crypto.kdfparams.salt", k.salt, 8, 256));
  TRY(sealed.mac, hex_field("crypto.mac", file.crypto.mac, 32, 32));
  return sealed;
}

}  // namespace

Result<std::string> encrypt_key(std::string_view name, const PrivateKey& key, const Secret& passphrase, Random& random,
                                ScryptCost cost) {
  if (passphrase.empty())
    return fail(dms::Errc::invalid_argument, "the passphrase is empty: set DMS_PASSPHRASE or enter one");
  const Bytes salt = random.bytes(kSalt);
  const Bytes iv = random.bytes(kIv);
  TRY(Secret dk, derive(passphrase, salt, cost));
  const Secret plaintext = key.marshal();
  TRY(Secret ciphertext, aes_256_ctr(dk.view().first(32), iv, plaintext));
  KeyFile file;
  file.id = name;
  file.version = kVersion;
  file.crypto = {"aes-256-ctr",
                 hex_encode(ciphertext),
                 {hex_encode(iv)},
                 "scrypt",
                 {cost.n, cost.r, cost.p, kDerivedKey, hex_encode(salt)},
                 hex_encode(mac_of(dk.view().subspan(32), ciphertext))};
  return json::write_pretty(json::to_value(file));
}

Result<PrivateKey> decrypt_key(std::string_view file_text, const Secret& passphrase, std::uint64_t max_memory) {
  if (passphrase.empty())
    return fail(dms::Errc::invalid_argument, "the passphrase is empty: set DMS_PASSPHRASE or enter one");
  auto file = json::decode<KeyFile>(file_text, {.bytes = kMaxKeyFile, .depth = 4});
  if (!file) return std::unexpected(file.error().context(Errc::damaged_file, "not a usable key file"));
  TRY(Sealed sealed, check(*file, max_memory));
  TRY(Secret dk, derive(passphrase, sealed.salt, sealed.cost));
  if (!equal_constant_time(mac_of(dk.view().subspan(32), sealed.ciphertext), sealed.mac))
    return fail(Errc::wrong_passphrase,
                "the passphrase does not open this key (or the file's ciphertext, salt or mac was altered)");
  TRY(Secret plaintext, aes_256_ctr(dk.view().first(32), sealed.iv, sealed.ciphertext));
  auto key = PrivateKey::unmarshal(plaintext);
  if (!key)
    return std::unexpected(
        key.error().context(Errc::damaged_file, "the passphrase fits, but what it opens is not a private key"));
  return key;
}

Result<std::filesystem::path> Keystore::path_of(std::string_view name) const {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (name.empty() || name.size() > kMaxName || name.front() == '.' || !std::ranges::all_of(name, plain))
    return fail(dms::Errc::invalid_argument,
                "'{}' is not a key name: use 1 to {} of a-z A-Z 0-9 - _ . and do not begin with a dot", name, kMaxName);
  return folder_ / (std::string(name) + ".json");
}

Result<std::vector<std::string>> Keystore::list() const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder_, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::filesystem::path& path = entries->path();
    if (path.extension() == ".json" && path_of(path.stem().string())) names.push_back(path.stem().string());
  }
  if (error) return fail(dms::Errc::io, "listing {}: {}", folder_.string(), error.message());
  std::ranges::sort(names);
  return names;
}

bool Keystore::exists(std::string_view name) const {
  auto path = path_of(name);
  std::error_code error;
  return path && std::filesystem::exists(*path, error);
}

Result<std::string> Keystore::read(std::string_view name) const {
  TRY(std::filesystem::path path, path_of(name));
  auto text = read_file(path, kMaxKeyFile);
  if (!text && text.error().is(dms::Errc::not_found))
    return fail(text.error(), "there is no key '{}': create one with 'nunet key new {}'", name, name);
  if (!text) return fail(text.error(), "key '{}'", name);
  return text;
}

Result<PrivateKey> Keystore::load(std::string_view name, const Secret& passphrase) const {
  TRY(std::string text, read(name));
  auto key = decrypt_key(text, passphrase);
  if (!key) return fail(key.error(), "key '{}' in {}", name, path_of(name)->string());
  return key;
}

Result<void> Keystore::save(std::string_view name, const PrivateKey& key, const Secret& passphrase,
                            Random& random) const {
  TRY(std::filesystem::path path, path_of(name));
  TRY(std::string text, encrypt_key(name, key, passphrase, random, cost_));
  TRY_VOID(write_file(path, text, 0600));
  // An existing folder may have a wider mode.
  std::error_code error;
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, error);
  if (error) return fail(dms::Errc::io, "setting the mode of {} to 0700: {}", folder_.string(), error.message());
  return {};
}

}  // namespace dms::crypto

// A folder of private keys, each encrypted under a passphrase, in NuNet's key file format.
//
// Model
//  1. A key `name` is the file `<folder>/<name>.json`: two-space indented JSON {id, crypto{cipher aes-256-ctr,
//     ciphertext, cipherparams{iv}, kdf scrypt, kdfparams{n, r, p, dklen, salt}, mac}, version 3}, byte strings in hex.
//  2. dk = scrypt(passphrase, 64-byte salt, n, r, p, 64). dk[0:32] is the AES key; mac = SHA3-256(dk[32:64] ||
//     ciphertext). The plaintext is the key's libp2p protobuf.
//  3. The folder has mode 0700 and the files 0600. A file appears complete or not at all (written aside, synced,
//     renamed).
//  4. A wrong passphrase (Errc::wrong_passphrase) and a file that is not a key file (Errc::damaged_file) are different
//     errors as far as the format allows: a well-formed file with a wrong mac has another passphrase or a damaged
//     ciphertext, and the message names both.
//
// save() and load() block for about a second (scrypt) and use 256 MiB: call them where blocking is allowed. Secrets,
// derived keys and plaintexts are wiped.
//
// Attacks: a key file may come from another party (`key import`). Its cost parameters are bounded before any work is
// done (kMaxScryptMemory, kMaxScryptWork), its size by kMaxKeyFile, and a name that could leave the folder is refused.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/keys.hpp"

namespace dms::crypto {

inline constexpr std::size_t kMaxKeyFile = 16 << 10;
inline constexpr std::uint64_t kMaxScryptMemory = 1ULL << 30;
/// Limit of n * r * p, to which the time is proportional: four times that of the default.
inline constexpr std::uint64_t kMaxScryptWork = 1ULL << 23;

/// The cost of trying one passphrase.
struct ScryptCost {
  std::uint64_t n = 1 << 18;
  std::uint64_t r = 8;
  std::uint64_t p = 1;

  friend bool operator==(const ScryptCost&, const ScryptCost&) = default;
};

/// The text of a key file. `cost` is for tests; real files keep the default.
Result<std::string> encrypt_key(std::string_view name, const PrivateKey& key, const Secret& passphrase, Random& random,
                                ScryptCost cost = {});
/// Refuses parameters that need more than `max_memory`.
Result<PrivateKey> decrypt_key(std::string_view file_text, const Secret& passphrase,
                               std::uint64_t max_memory = kMaxScryptMemory);

class Keystore {
 public:
  explicit Keystore(std::filesystem::path folder, ScryptCost cost = {}) : folder_(std::move(folder)), cost_(cost) {}

  /// Sorted names of the keys. A missing folder has none.
  [[nodiscard]] Result<std::vector<std::string>> list() const;
  [[nodiscard]] bool exists(std::string_view name) const;
  [[nodiscard]] Result<PrivateKey> load(std::string_view name, const Secret& passphrase) const;
  /// The encrypted key file.
  [[nodiscard]] Result<std::string> read(std::string_view name) const;
  /// Replaces an existing key of that name.
  Result<void> save(std::string_view name, const PrivateKey& key, const Secret& passphrase, Random& random) const;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  [[nodiscard]] Result<std::filesystem::path> path_of(std::string_view name) const;
  std::filesystem::path folder_;
  ScryptCost cost_;
};

}  // namespace dms::crypto

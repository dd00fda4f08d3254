// A folder of private keys, each encrypted under a passphrase, in NuNet's key file format.
//
// Model
//  1. A key `name` is the file `<folder>/<name>.json`: two-space indented JSON {id, crypto{cipher aes-256-ctr,
//     ciphertext, cipherparams{iv}, kdf scrypt, kdfparams{n, r, p, dklen, salt}, mac}, version 3}, byte strings in hex.
//  2. dk = scrypt(passphrase, 64-byte salt, n, r, p, 64). dk[0:32] is the AES key; mac = SHA3-256(dk[32:64] ||
//     ciphertext). The plaintext is the key's libp2p protobuf.
//  3. The folder has mode 0700 and the files 0600. A file appears complete or not at all (written aside, synced,
//     renamed).
//  4. A wrong passphrase (Errc::wrong_passphrase) and a file that is not a key file (Errc::damaged_file) are told apart
//     as far as the format lets: a well-formed file whose mac does not fit is a wrong passphrase, or damage within the
//     ciphertext, and the message says both.
//
// save() and load() block for about a second (scrypt) and use 256 MiB: call them where blocking is allowed. Secrets,
// derived keys and plaintexts are wiped.
//
// Attacks: a key file may come from a stranger (`key import`). Its cost parameters are bounded before any work is done
// (kMaxScryptMemory, kMaxScryptWork), its size by kMaxKeyFile, and a name that could leave the folder is refused.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/keys.hpp"

namespace dms::crypto {

inline constexpr std::size_t kMaxKeyFile = 16 << 10;
inline constexpr std::uint64_t kMaxScryptMemory = 1ULL << 30;
/// n * r * p, which the time is proportional to: four times the usual.
inline constexpr std::uint64_t kMaxScryptWork = 1ULL << 23;

/// How dear it is to try one passphrase.
struct ScryptCost {
  std::uint64_t n = 1 << 18;
  std::uint64_t r = 8;
  std::uint64_t p = 1;

  friend bool operator==(const ScryptCost&, const ScryptCost&) = default;
};

/// The text of a key file. `cost` is for tests; real files keep the default.
Result<std::string> encrypt_key(std::string_view name, const PrivateKey& key, const Secret& passphrase, Random& random,
                                ScryptCost cost = {});
/// Does no work that would take more than `max_memory`.
Result<PrivateKey> decrypt_key(std::string_view file_text, const Secret& passphrase,
                               std::uint64_t max_memory = kMaxScryptMemory);

class Keystore {
 public:
  explicit Keystore(std::filesystem::path folder, ScryptCost cost = {}) : folder_(std::move(folder)), cost_(cost) {}

  /// Names of the keys here, sorted. An absent folder holds none.
  [[nodiscard]] Result<std::vector<std::string>> list() const;
  [[nodiscard]] bool exists(std::string_view name) const;
  [[nodiscard]] Result<PrivateKey> load(std::string_view name, const Secret& passphrase) const;
  /// The key file as it is, encrypted.
  [[nodiscard]] Result<std::string> read(std::string_view name) const;
  /// Replaces a key of that name: ask exists() first.
  Result<void> save(std::string_view name, const PrivateKey& key, const Secret& passphrase, Random& random) const;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  [[nodiscard]] Result<std::filesystem::path> path_of(std::string_view name) const;
  std::filesystem::path folder_;
  ScryptCost cost_;
};

}  // namespace dms::crypto

// A Ledger hardware wallet as the key of a capability context, by NuNet's program `ledger-cli`.
//
// Model
//  1. The contexts `ledger`, `ledger:<n>` and `ledger:<alias>` are those of the wallet's Ethereum account 0, n, and the
//     account of the alias. Aliases are {"alias": account} in `<user_dir>/ledger_aliases.json`, as in the existing
//     nodes.
//  2. The file of such a context is named by what follows the colon: `ledger:user` is `cap/user.cap`. There is no key
//     file, and no passphrase: each signature is shown on the device and confirmed there.
//  3. `ledger-cli key -o <file> -a <account>` writes {"key": public key in hex}, `ledger-cli sign -o <file> -a
//     <account> <data in hex>` writes {"ecdsa": {"r": hex, "s": hex}}. Its output goes to standard error.
//
// Actors cannot have a wallet's key: messages are signed by a generated key, with a delegation from the context
// (client.hpp).
//
// Attacks: an attacker who can put a `ledger-cli` into PATH can replace the user's other commands too. Answers are
// bounded, and a signature is accepted only if it verifies (crypto/signer.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "crypto/signer.hpp"

namespace dms::cli {

class Environment;

[[nodiscard]] bool is_wallet_context(std::string_view context);
/// The context in file names: `user` for `ledger:user`, else `context` itself.
[[nodiscard]] std::string_view context_file_stem(std::string_view context);

Result<std::uint32_t> wallet_account(const std::filesystem::path& user_dir, std::string_view context);
Result<void> set_wallet_alias(const std::filesystem::path& user_dir, std::string_view alias, std::uint32_t account);

/// Reads the public key from the wallet. Each signature is confirmed on the device.
Result<crypto::Signer> open_wallet(Environment& environment, std::uint32_t account);

}  // namespace dms::cli

#include "cli/client/wallet.hpp"

#include <cstdlib>
#include <map>

#include "base/file.hpp"
#include "base/temporary_folder.hpp"
#include "cli/client/session.hpp"
#include "cli/framework/environment.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"

namespace dms::cli {
namespace {

constexpr std::string_view kLedger = "ledger";
constexpr std::string_view kProgram = "ledger-cli";
constexpr std::size_t kMaxAnswer = 64 << 10;
constexpr std::size_t kUncompressed = 65;

struct WalletKey {
  std::string key;
  static constexpr auto json_fields() { return std::tuple(json::field("key", &WalletKey::key)); }
};
struct Numbers {
  std::string r, s;
  static constexpr auto json_fields() {
    return std::tuple(json::field("r", &Numbers::r), json::field("s", &Numbers::s));
  }
};
struct WalletSignature {
  Numbers ecdsa;
  static constexpr auto json_fields() { return std::tuple(json::field("ecdsa", &WalletSignature::ecdsa)); }
};

/// Runs `ledger-cli <verb> -o <file> -a <account> [data]` and reads the file.
template <class Answer>
Result<Answer> ask_wallet(Environment& environment, std::string verb, std::uint32_t account,
                          std::optional<std::string> data = std::nullopt) {
  TRY(const auto folder, TemporaryFolder::make("wallet"));
  const auto file = folder.path() / "answer.json";
  std::vector<std::string> words{std::string(kProgram),  std::move(verb), "-o", file.string(), "-a",
                                 std::to_string(account)};
  if (data) words.push_back(*std::move(data));
  if (auto done = environment.run_program(words); !done)
    return fail(done.error(), "asking the wallet: is {} installed, the wallet connected and its Ethereum app open?",
                kProgram);
  auto text = read_file(file, kMaxAnswer);
  if (!text) return fail(text.error(), "{} wrote no answer", kProgram);
  auto answer = json::decode<Answer>(*text);
  if (!answer) return fail(answer.error(), "the answer of {}", kProgram);
  return answer;
}

/// Wallets give uncompressed points; the first coordinate and the parity of the second are the same point.
Result<crypto::PublicKey> read_point(std::string_view text) {
  TRY(Bytes point, hex_decode(text));
  if (point.size() == kUncompressed && point[0] == 0x04) {
    point[0] = static_cast<std::uint8_t>(0x02 | (point.back() & 1));
    point.resize(33);
  }
  return crypto::PublicKey::from_raw(crypto::KeyType::ethereum, point);
}

using Aliases = std::map<std::string, std::uint32_t>;

std::filesystem::path aliases_file(const std::filesystem::path& user_dir) { return user_dir / "ledger_aliases.json"; }

Result<Aliases> read_aliases(const std::filesystem::path& user_dir) {
  auto text = read_file(aliases_file(user_dir), kMaxAnswer);
  if (!text && text.error().is(dms::Errc::not_found)) return Aliases();
  if (!text) return std::unexpected(text.error());
  auto aliases = json::decode<Aliases>(*text);
  if (!aliases) return fail(aliases.error(), "{}", aliases_file(user_dir).string());
  return aliases;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

bool is_wallet_context(std::string_view context) {
  return context == kLedger || (context.starts_with(kLedger) && context[kLedger.size()] == ':');
}

std::string_view context_file_stem(std::string_view context) {
  if (!is_wallet_context(context) || context.size() <= kLedger.size() + 1) return context;
  return context.substr(kLedger.size() + 1);
}

Result<std::uint32_t> wallet_account(const std::filesystem::path& user_dir, std::string_view context) {
  const std::string name(context_file_stem(context));
  if (name == kLedger) return 0;
  if (is_number(name)) {
    auto account = json::decode<std::uint32_t>(name);
    if (!account) return fail(Errc::usage, "\"{}\": expected the number of an account of the wallet", context);
    return account;
  }
  TRY(auto aliases, read_aliases(user_dir));
  const auto found = aliases.find(name);
  if (found == aliases.end())
    return fail(Errc::failed,
                "\"{}\" is not an account of the wallet; `nunet key ledger-alias set {} 0` makes it an alias of one",
                name, name);
  return found->second;
}

Result<void> set_wallet_alias(const std::filesystem::path& user_dir, std::string_view alias, std::uint32_t account) {
  TRY_VOID(check_name(alias));
  if (is_number(alias)) return fail(Errc::usage, "alias \"{}\": a number is an account already", alias);
  TRY(auto aliases, read_aliases(user_dir));
  aliases.insert_or_assign(std::string(alias), account);
  return write_file(aliases_file(user_dir), json::write_pretty(json::to_value(aliases)) + "\n");
}

Result<crypto::Signer> open_wallet(Environment& environment, std::uint32_t account) {
  TRY(auto answer, ask_wallet<WalletKey>(environment, "key", account));
  auto key = read_point(answer.key);
  if (!key) return fail(key.error(), "the public key of {}", kProgram);
  return crypto::Signer(*std::move(key), [&environment, account](BytesView message) -> Result<Bytes> {
    TRY(auto signature, ask_wallet<WalletSignature>(environment, "sign", account, hex_encode(message)));
    TRY(auto r, hex_decode(signature.ecdsa.r));
    TRY(auto s, hex_decode(signature.ecdsa.s));
    return crypto::secp256k1_der(r, s);
  });
}

}  // namespace dms::cli

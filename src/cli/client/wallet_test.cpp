// Contexts whose key is in a wallet: `ledger-cli` is a function here, which signs with libsecp256k1.
#include "cli/client/wallet.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <secp256k1.h>

#include "cli/client/session.hpp"
#include "cli/framework/fake_environment.hpp"
#include "crypto/keccak.hpp"
#include "encoding/multibase.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;

/// A wallet whose account n has the private key n + 1.
struct Wallet {
  std::unique_ptr<secp256k1_context, void (*)(secp256k1_context*)> curve{
      secp256k1_context_create(SECP256K1_CONTEXT_NONE), secp256k1_context_destroy};
  int confirmed = 0;
  bool refuses = false;
  int account_offset = 0;

  Result<void> operator()(const std::vector<std::string>& words) {
    if (words.size() < 6 || words[0] != "ledger-cli" || words[2] != "-o" || words[4] != "-a")
      return fail(dms::Errc::io, "usage");
    std::array<std::uint8_t, 32> secret{};
    secret[31] = static_cast<std::uint8_t>(std::stoi(words[5]) + 1 + account_offset);
    if (words[1] == "key") return write_file(words[3], key_answer(secret));
    if (refuses) return fail(dms::Errc::io, "ledger-cli ended with status 1");
    ++confirmed;
    return write_file(words[3], signature_answer(secret, hex_decode(words[6]).value()));
  }

  std::string key_answer(const std::array<std::uint8_t, 32>& secret) const {
    secp256k1_pubkey point;
    Bytes bytes(65);
    std::size_t size = bytes.size();
    EXPECT_EQ(secp256k1_ec_pubkey_create(curve.get(), &point, secret.data()), 1);
    secp256k1_ec_pubkey_serialize(curve.get(), bytes.data(), &size, &point, SECP256K1_EC_UNCOMPRESSED);
    return fmt::format(R"({{"key":"{}","address":"0x00"}})", hex_encode(bytes));
  }

  std::string signature_answer(const std::array<std::uint8_t, 32>& secret, const Bytes& message) const {
    std::string framed = fmt::format(
        "\x19"
        "Ethereum Signed Message:\n{}{}",
        message.size(), as_text(message));
    secp256k1_ecdsa_signature signature;
    EXPECT_EQ(secp256k1_ecdsa_sign(curve.get(), &signature, crypto::keccak_256(as_bytes(framed)).data(), secret.data(),
                                   nullptr, nullptr),
              1);
    std::array<std::uint8_t, 64> compact{};
    secp256k1_ecdsa_signature_serialize_compact(curve.get(), compact.data(), &signature);
    const BytesView view(compact);
    return fmt::format(R"({{"ecdsa":{{"v":27,"r":"{}","s":"{}"}}}})", hex_encode(view.first(32)),
                       hex_encode(view.subspan(32)));
  }
};

struct WalletTest : testing::Test {
  FakeEnvironment world;
  Wallet wallet;

  WalletTest() {
    world.program = [this](const std::vector<std::string>& words) { return wallet(words); };
  }
  CommandResult nunet(const std::vector<std::string>& words, const std::string& input = "") {
    return run_in(world, words, input);
  }
  std::string must(const std::vector<std::string>& words) {
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out.substr(0, result.out.find('\n'));
  }
};

TEST_F(WalletTest, AccountsAreNamedByNumberAndAlias) {
  const auto first = must({"key", "did", "ledger"});
  EXPECT_THAT(first, HasSubstr("did:key:zzCHU"));
  EXPECT_EQ(must({"key", "did", "ledger:0"}), first);
  const auto fourth = must({"key", "did", "ledger:3"});
  EXPECT_NE(fourth, first);
  EXPECT_EQ(nunet({"key", "did", "ledger:business"}).code, 1);
  must({"key", "ledger-alias", "set", "business", "3"});
  must({"key", "ledger-alias", "set", "user", "0"});
  EXPECT_EQ(must({"key", "did", "ledger:business"}), fourth);
  EXPECT_EQ(read_file(world.home / ".nunet/ledger_aliases.json", 4096).value(),
            "{\n  \"business\": 3,\n  \"user\": 0\n}\n");
  for (const auto& [alias, index] :
       {std::pair("7", "1"), std::pair("a:b", "1"), std::pair("", "1"), std::pair("x", "-1"), std::pair("x", "one")})
    EXPECT_NE(nunet({"key", "ledger-alias", "set", alias, index}).code, 0) << alias << " " << index;
  EXPECT_NE(nunet({"key", "did", "ledger:99999999999"}).code, 0);
  EXPECT_NE(nunet({"key", "did", "ledgers"}).code, 0) << "that is a key's name";
}

TEST_F(WalletTest, TheWalletSignsOnlyWhatItsContextIssues) {
  must({"key", "ledger-alias", "set", "user", "0"});
  must({"cap", "new", "ledger:user"});
  must({"cap", "new", "dms"});
  const auto user = must({"key", "did", "ledger:user"});
  const auto dms = must({"key", "did", "dms"});
  EXPECT_TRUE(std::filesystem::exists(world.home / ".nunet/cap/user.cap"));
  EXPECT_FALSE(std::filesystem::exists(world.home / ".nunet/key/user.json"));
  world.variables.erase("DMS_PASSPHRASE");
  must({"cap", "anchor", "--context", "dms", "--root", user});
  must({"cap", "list", "-c", "ledger:user"});
  EXPECT_EQ(wallet.confirmed, 0);
  const auto granted = must({"cap", "grant", "-c", "ledger:user", "--cap", "/public", "--duration", "1h", dms});
  EXPECT_EQ(wallet.confirmed, 1);
  must({"cap", "anchor", "-c", "dms", "--require", granted});
  const auto revocation = must({"cap", "revoke", "-c", "ledger:user", granted});
  must({"cap", "anchor", "-c", "dms", "--revoke", revocation});
  EXPECT_EQ(wallet.confirmed, 2);
  EXPECT_EQ(world.prompts.size(), 0U) << "there is no passphrase";
}

TEST_F(WalletTest, AWalletThatRefusesOrChangesIssuesNothing) {
  must({"cap", "new", "ledger"});
  const std::vector<std::string> grant{
      "cap", "grant", "-c", "ledger", "--cap", "/public", "--duration", "1h", must({"key", "did", "ledger"})};
  wallet.refuses = true;
  EXPECT_EQ(nunet(grant).code, 1);
  wallet.refuses = false;
  wallet.account_offset = 1;
  EXPECT_THAT(nunet(grant).err, HasSubstr("use the key that made it"));
  int calls = 0;
  world.program = [&](const std::vector<std::string>& words) {  // changed between request and signature
    wallet.account_offset = calls++;
    return wallet(words);
  };
  EXPECT_THAT(nunet(grant).err, HasSubstr("not by the ethereum key"));
  for (const std::string answer : {"", "{}", "[]", R"({"key":"zz"})", R"({"key":"04"})", R"({"ecdsa":{"r":"00"}})"}) {
    world.program = [&](const std::vector<std::string>& words) { return write_file(words[3], answer); };
    EXPECT_EQ(nunet(grant).code, 1) << answer;
  }
  world.program = nullptr;
  EXPECT_THAT(nunet(grant).err, HasSubstr("ledger-cli"));
}

TEST_F(WalletTest, AWalletsKeyCannotBeExported) {
  EXPECT_THAT(nunet({"run", "-c", "ledger"}).err, HasSubstr("does not leave the wallet"));
  EXPECT_THAT(nunet({"key", "export", "ledger", "--unencrypted", "--force"}).err,
              HasSubstr("does not leave the wallet"));
  EXPECT_EQ(nunet({"key", "new", "ledger:user"}).code, 2);
}

TEST_F(WalletTest, AKeyOfTheSameNameIsIndependent) {
  const auto key = must({"key", "new", "user"});
  must({"key", "ledger-alias", "set", "user", "0"});
  must({"cap", "new", "ledger:user"});
  EXPECT_EQ(must({"key", "did", "user"}), key);
  EXPECT_NE(must({"key", "did", "ledger:user"}), key);
  must({"key", "new", "user", "--force"});
  EXPECT_EQ(nunet({"cap", "list", "-c", "ledger:user"}).code, 0) << "the wallet's context is not that key's";
}

TEST(WalletContext, Names) {
  for (const auto* name : {"ledger", "ledger:user", "ledger:3", "ledger:"})
    EXPECT_TRUE(is_wallet_context(name)) << name;
  for (const auto* name : {"user", "ledgers", "ledge", "", ":ledger"}) EXPECT_FALSE(is_wallet_context(name)) << name;
  EXPECT_EQ(context_file_stem("ledger:user"), "user");
  EXPECT_EQ(context_file_stem("ledger"), "ledger");
  EXPECT_EQ(context_file_stem("ledger:"), "ledger:");
  EXPECT_EQ(context_file_stem("user"), "user");
}

}  // namespace
}  // namespace dms::cli

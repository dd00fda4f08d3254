// key import and key export, in-process, with command lines as a user types them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/client/session.hpp"
#include "cli/framework/fake_environment.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// RFC 8032, test 1.
constexpr std::string_view kSeed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
constexpr std::string_view kDid = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";

struct KeyTransferTest : testing::Test {
  FakeEnvironment world;

  CommandResult nunet(const std::vector<std::string>& words, const std::string& input = "") {
    return run_in(world, words, input);
  }
  std::string must(const std::vector<std::string>& words, const std::string& input = "") {
    const auto result = nunet(words, input);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out.substr(0, result.out.find('\n'));
  }
  std::string file(const std::string& name) { return (world.home / name).string(); }
  static unsigned mode_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
  }
};

TEST_F(KeyTransferTest, ABareKeyIsReadFromAFileOrStandardInput) {
  ASSERT_TRUE(write_file(file("seed"), kSeed));
  EXPECT_EQ(must({"key", "import", "user", file("seed")}), kDid);
  EXPECT_EQ(must({"key", "did", "user"}), kDid);
  EXPECT_EQ(must({"key", "import", "piped", "-"}, std::string(kSeed) + "\n"), kDid);
  EXPECT_EQ(must({"key", "import", "given", "--format", "hex", "-"}, std::string(kSeed)), kDid);
  EXPECT_THAT(must({"key", "import", "secp", "--type", "secp256k1", "-"}, std::string(kSeed)),
              HasSubstr("did:key:zQ3sh"));
  const auto wrong = nunet({"key", "import", "wrong", "--format", "base64", "-"}, std::string(kSeed));
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("expected a private key"));
  EXPECT_EQ(nunet({"key", "import", "wrong", "--format", "pem", "-"}, std::string(kSeed)).code, 2);
  EXPECT_EQ(nunet({"key", "import", "wrong", "--type", "rsa", "-"}, std::string(kSeed)).code, 2);
  EXPECT_EQ(nunet({"key", "import", "wrong", file("none")}).code, 1);
  EXPECT_EQ(nunet({"key", "import", "../wrong", "-"}, std::string(kSeed)).code, 2);
  EXPECT_EQ(nunet({"key", "import", "wrong", "-"}, std::string(1 << 20, '0')).code, 1);
}

TEST_F(KeyTransferTest, KeysOfOtherProgramsAreImportedAndOtherFilesRefused) {
  const auto example = [](const std::string& name) {
    return read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/corpus/crypto_key_import" / name, 8192).value();
  };
  for (const std::string name : {"pem_ed25519", "jwk_ed25519", "array_64"})
    EXPECT_EQ(must({"key", "import", name, "-"}, example(name)), kDid) << name;
  for (const auto& [name, why] : {std::pair("seed_text", "--format raw"), std::pair("openssh_encrypted", "ssh-keygen"),
                                  std::pair("pem_rsa", "RSA: not supported"), std::pair("jwk_p256", "P-256")}) {
    const auto result = nunet({"key", "import", "wrong", "-"}, example(name));
    EXPECT_EQ(result.code, 1) << name;
    EXPECT_THAT(result.err, HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(file(".nunet/key/wrong.json")));
  }
  EXPECT_EQ(nunet({"key", "import", "raw", "--format", "raw", "-"}, example("seed_text")).code, 0);
}

TEST_F(KeyTransferTest, AKeyOnTheCommandLineIsRefusedAndNotRepeated) {
  const auto result = nunet({"key", "import", "user", std::string(kSeed)});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("command line"));
  EXPECT_THAT(result.err, Not(HasSubstr(std::string(kSeed))));
}

TEST_F(KeyTransferTest, AnExportedKeyFileIsImportedUnderItsPassphrase) {
  const auto did = must({"key", "new", "user"});
  must({"key", "export", "user", "--output", file("moved/user.json")});
  EXPECT_EQ(mode_of(file("moved/user.json")), 0600U);
  EXPECT_EQ(nunet({"key", "export", "user"}).out.substr(0, 20),
            read_file(file("moved/user.json"), 4096)->substr(0, 20));

  FakeEnvironment other;
  other.variables["DMS_PASSPHRASE"] = "wrong";
  const std::vector<std::string> words{"key", "import", "me", file("moved/user.json")};
  const auto refused = run_in(other, words);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("passphrase"));
  other.variables.erase("DMS_PASSPHRASE");
  other.secrets = {"secret"};  // prompted once: the new key keeps the passphrase of the file
  EXPECT_EQ(run_in(other, words).out, did + "\n");
  EXPECT_EQ(other.prompts.size(), 1U);
  other.secrets = {"secret"};
  EXPECT_EQ(run_in(other, {"key", "did", "me"}).out, did + "\n");

  const auto text = read_file(file("moved/user.json"), 4096).value();
  EXPECT_EQ(must({"key", "import", "piped", "-"}, text), did);
  auto damaged = nunet({"key", "import", "damaged", "-"}, text.substr(0, text.size() / 2));
  EXPECT_THAT(damaged.err, HasSubstr("not a usable key file"));
  EXPECT_THAT(nunet({"key", "import", "bare", "--format", "keystore", "-"}, std::string(kSeed)).err,
              HasSubstr("not a usable key file"));
}

TEST_F(KeyTransferTest, AnExistingKeyIsReplacedOnlyOnRequestAndItsContextRenamed) {
  must({"cap", "new", "user"});
  const auto before = must({"key", "did", "user"});
  const auto refused = nunet({"key", "import", "user", "-"}, std::string(kSeed));
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(must({"key", "did", "user"}), before);
  const auto done = nunet({"key", "import", "user", "--force", "-"}, std::string(kSeed));
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("user.cap."));
  EXPECT_EQ(must({"key", "did", "user"}), kDid);
  EXPECT_FALSE(std::filesystem::exists(file(".nunet/cap/user.cap")));
  must({"cap", "new", "user"});
  EXPECT_THAT(nunet({"key", "import", "user", "--force", "-"}, std::string(kSeed)).err, Not(HasSubstr("user.cap.")))
      << "the same key again keeps its context";
}

TEST_F(KeyTransferTest, AnUnencryptedKeyIsExportedOnlyAfterConfirmation) {
  must({"key", "import", "user", "-"}, std::string(kSeed));
  const auto refused = nunet({"key", "export", "user", "--unencrypted"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.out, "");
  world.at_terminal = true;
  EXPECT_EQ(nunet({"key", "export", "user", "--unencrypted"}, "n\n").out, "");
  const auto shown = nunet({"key", "export", "user", "--unencrypted"}, "y\n");
  EXPECT_EQ(shown.out,
            "CAESQJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n");
  EXPECT_THAT(shown.err, HasSubstr("act as its owner"));
  EXPECT_EQ(must({"key", "import", "again", "-"}, shown.out), kDid);
  world.at_terminal = false;
  must({"key", "export", "user", "--unencrypted", "--force", "-o", file("open.key")});
  EXPECT_EQ(mode_of(file("open.key")), 0600U);
  EXPECT_EQ(nunet({"key", "export", "user", "-o", file("open.key")}).code, 1) << "would replace a file";
  EXPECT_EQ(nunet({"key", "export", "nobody"}).code, 1);
}

TEST_F(KeyTransferTest, TheDidIsShownWithoutAPassphraseOnlyIfTheContextIsNewerThanTheKey) {
  must({"key", "new", "bare"});
  must({"cap", "new", "user"});
  const auto user = must({"key", "did", "user"});
  world.variables.erase("DMS_PASSPHRASE");
  EXPECT_EQ(must({"key", "did", "user"}), user);
  EXPECT_EQ(nunet({"key", "did", "bare"}).code, 1);
  const auto list = json::parse(nunet({"key", "list", "--json"}).out).value();
  EXPECT_TRUE(list.as_object().at("bare").as_object().at("did").is_null());
  EXPECT_EQ(list.as_object().at("user").as_object().at("did").as_string(), user);
  EXPECT_THAT(nunet({"key", "list"}).out, HasSubstr("bare  unknown\n"));

  // Another program replaces the key: from then on the context does not show the DID, not even after the context changes.
  world.variables["DMS_PASSPHRASE"] = "secret";
  const auto foreign = must({"key", "new", "foreign"});
  const auto key = file(".nunet/key/user.json");
  std::filesystem::copy_file(file(".nunet/key/foreign.json"), key, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::last_write_time(key, std::filesystem::last_write_time(file(".nunet/cap/user.cap")) + 1s);
  EXPECT_EQ(must({"key", "did", "user"}), foreign);
  must({"cap", "anchor", "--root", foreign});
  EXPECT_EQ(must({"key", "did", "user"}), foreign);
}

TEST_F(KeyTransferTest, KeysAndContextsAreReadableByTheirOwnerOnly) {
  std::filesystem::create_directories(file(".nunet/cap"));
  ::chmod(file(".nunet/cap").c_str(), 0755);
  must({"cap", "new", "user"});
  EXPECT_EQ(mode_of(file(".nunet/cap")), 0700U);
  EXPECT_EQ(mode_of(file(".nunet/cap/user.cap")), 0600U);
  EXPECT_EQ(mode_of(file(".nunet/key")), 0700U);
  EXPECT_EQ(mode_of(file(".nunet/key/user.json")), 0600U);
}

TEST_F(KeyTransferTest, AWrongPassphraseAndADamagedFileAreDifferentErrors) {
  must({"key", "new", "user"});
  const auto key = file(".nunet/key/user.json");
  world.variables["DMS_PASSPHRASE"] = "wrong";
  EXPECT_THAT(nunet({"key", "did", "user"}).err, HasSubstr("passphrase does not open"));
  world.variables["DMS_PASSPHRASE"] = "secret";
  ASSERT_TRUE(write_file(key, read_file(key, 4096)->substr(0, 100)));
  const auto damaged = nunet({"key", "did", "user"});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.err, HasSubstr("not a usable key file"));
  EXPECT_THAT(damaged.err, Not(HasSubstr("passphrase")));
}

}  // namespace
}  // namespace dms::cli

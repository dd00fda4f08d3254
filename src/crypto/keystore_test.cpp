#include "crypto/keystore.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/file.hpp"
#include "crypto/testing.hpp"

namespace dms::crypto {
namespace {

constexpr ScryptCost kCheap{.n = 16, .r = 1, .p = 1};

class KeystoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/dms-keys-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    folder_ = std::filesystem::path(pattern);
    store_ = Keystore(folder_ / "key", kCheap);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  static unsigned mode_of(const std::filesystem::path& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
  }
  SeededRandom random_{1};
  std::filesystem::path folder_;
  Keystore store_{"/nonexistent"};
  Secret passphrase_{std::string_view("correct horse")};
};

TEST_F(KeystoreTest, KeysAreEncryptedUnderAPassphrase) {
  EXPECT_EQ(store_.list().value(), std::vector<std::string>{});
  PrivateKey key = PrivateKey::generate(random_);
  ASSERT_TRUE(store_.save("user", key, passphrase_, random_));
  ASSERT_TRUE(store_.save("dms", PrivateKey::generate(KeyType::secp256k1, random_).value(), passphrase_, random_));
  EXPECT_EQ(store_.list().value(), (std::vector<std::string>{"dms", "user"}));
  EXPECT_TRUE(store_.exists("user"));
  auto loaded = store_.load("user", passphrase_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->public_key(), key.public_key());
}

TEST_F(KeystoreTest, FilesHaveModesForTheirOwnerAndNoTemporaryFileIsLeft) {
  std::filesystem::create_directories(folder_ / "key");
  ::chmod((folder_ / "key").c_str(), 0755);
  ASSERT_TRUE(store_.save("user", PrivateKey::generate(random_), passphrase_, random_));
  ASSERT_TRUE(store_.save("user", PrivateKey::generate(random_), passphrase_, random_));
  EXPECT_EQ(mode_of(folder_ / "key"), 0700U);
  EXPECT_EQ(mode_of(folder_ / "key" / "user.json"), 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "key"), {}), 1);
}

TEST_F(KeystoreTest, TheFileHasTheFormOfTheGoImplementation) {
  ASSERT_TRUE(store_.save("user", PrivateKey::generate(random_), passphrase_, random_));
  const std::string text = read_file(folder_ / "key" / "user.json", kMaxKeyFile).value();
  EXPECT_TRUE(text.starts_with(
      "{\n  \"id\": \"user\",\n  \"crypto\": {\n    \"cipher\": \"aes-256-ctr\",\n    \"ciphertext\": \""))
      << text;
  EXPECT_NE(text.find("\",\n    \"cipherparams\": {\n      \"iv\": \""), std::string::npos);
  EXPECT_NE(text.find("\"\n    },\n    \"kdf\": \"scrypt\",\n    \"kdfparams\": {\n      \"n\": 16,\n      \"r\": 1,\n "
                      "     \"p\": 1,\n      \"dklen\": 64,"),
            std::string::npos)
      << text;
  EXPECT_TRUE(text.ends_with("\"\n  },\n  \"version\": 3\n}") || text.ends_with("\"\n  },\n  \"version\": 3\n}\n"))
      << text;
}

TEST_F(KeystoreTest, WrongPassphraseAndDamageAreDifferentErrors) {
  ASSERT_TRUE(store_.save("user", PrivateKey::generate(random_), passphrase_, random_));
  EXPECT_TRUE(store_.load("user", Secret(std::string_view("wrong"))).error().is(Errc::wrong_passphrase));
  EXPECT_TRUE(store_.load("user", Secret()).error().is(dms::Errc::invalid_argument));
  EXPECT_TRUE(store_.load("none", passphrase_).error().is(dms::Errc::not_found));

  const std::string good = read_file(folder_ / "key" / "user.json", kMaxKeyFile).value();
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("{}"), good.substr(0, good.size() / 2), with("aes-256-ctr", "aes-128-ctr"),
        with("scrypt", "pbkdf2"), with("\"version\": 3", "\"version\": 4"), with("\"dklen\": 64", "\"dklen\": 32"),
        with("\"n\": 16", "\"n\": 15"), with("\"n\": 16", "\"n\": 0"), with("\"r\": 1", "\"r\": 0"),
        with("\"p\": 1", "\"p\": 0"), with("\"mac\": \"", "\"mac\": \"00"), with("\"iv\": \"", "\"iv\": \"zz"),
        with("\"ciphertext\": \"", "\"ciphertext\": \"0"), with("\"id\"", "\"id\": \"x\", \"id\"")}) {
    auto key = decrypt_key(text, passphrase_);
    ASSERT_FALSE(key) << text;
    EXPECT_TRUE(key.error().is(Errc::damaged_file)) << key.error().to_string();
  }
  auto altered = decrypt_key(with("\"ciphertext\": \"", "\"ciphertext\": \"00"), passphrase_);
  ASSERT_FALSE(altered);
  EXPECT_TRUE(altered.error().is(Errc::wrong_passphrase));
}

TEST_F(KeystoreTest, CostParametersAreBounded) {
  ASSERT_TRUE(store_.save("user", PrivateKey::generate(random_), passphrase_, random_));
  const std::string good = read_file(folder_ / "key" / "user.json", kMaxKeyFile).value();
  for (auto [from, to] : {std::pair("\"n\": 16", "\"n\": 16777216"), std::pair("\"r\": 1", "\"r\": 16777216"),
                          std::pair("\"p\": 1", "\"p\": 16777216")}) {
    std::string text = good;
    text.replace(text.find(from), std::string_view(from).size(), to);
    auto key = decrypt_key(text, passphrase_);
    ASSERT_FALSE(key);
    EXPECT_TRUE(key.error().is(dms::Errc::limit_exceeded)) << key.error().to_string();
  }
}

TEST_F(KeystoreTest, NamesCannotContainAPath) {
  PrivateKey key = PrivateKey::generate(random_);
  for (std::string_view name : {"", "..", "../x", "a/b", ".hidden", "a b", "a\n", "/etc/x"}) {
    EXPECT_FALSE(store_.save(name, key, passphrase_, random_)) << name;
    EXPECT_FALSE(store_.load(name, passphrase_)) << name;
    EXPECT_FALSE(store_.exists(name)) << name;
  }
}

// Freed memory has no copy either: a core dump or a memory disclosure should not reveal the key.
TEST_F(KeystoreTest, LeavesNoSecretInMemory) {
  Secret passphrase(random_.bytes(24));
  Secret seed(random_.bytes(32));
  const test::Wanted passphrase_wanted(passphrase);
  const test::Wanted seed_wanted(seed);
  EXPECT_EQ(passphrase_wanted.count(), 1U) << "the search works";
  EXPECT_EQ(seed_wanted.count(), 1U);
  {
    const PrivateKey key = PrivateKey::from_raw(KeyType::ed25519, seed).value();
    ASSERT_TRUE(store_.save("user", key, passphrase, random_));
    const PrivateKey loaded = store_.load("user", passphrase).value();
    EXPECT_TRUE(loaded.sign(as_bytes("m")));
    EXPECT_EQ(loaded.marshal().size(), key.marshal().size());
  }
  passphrase = Secret();
  seed = Secret();
  EXPECT_EQ(seed_wanted.count(), 0U);
  EXPECT_EQ(passphrase_wanted.count(), 0U);
}

// Made by tests/vectors/make_ucan_vectors.py with Python's scrypt, AES and SHA-3, at the default cost.
TEST(Keystore, OpensAFileOfAnotherImplementation) {
  const std::string text =
      read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/ucan/alice.json", kMaxKeyFile).value();
  auto key = decrypt_key(text, Secret(std::string_view("open sesame")));
  ASSERT_TRUE(key) << key.error().to_string();
  Bytes seed(32, 1);
  EXPECT_EQ(key->public_key(), PrivateKey::from_raw(KeyType::ed25519, seed)->public_key());
}

}  // namespace
}  // namespace dms::crypto

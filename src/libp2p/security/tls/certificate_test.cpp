#include "libp2p/security/tls/certificate.hpp"

#include "libp2p/security/tls/testing.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

// The specification's test vectors.
constexpr std::string_view kEd25519 =
    "308201ae30820156a0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f31"
    "0a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355"
    "040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c90"
    "1d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d817"
    "3e55bd37e381569ea37c307a3078060a2b0601040183a25a0101046a3068042408011220a77f1d92fedb59dddaea5a1c4abd1ac2fbde"
    "7d7b879ed364501809923d7c11b90440d90d2769db992d5e6195dbb08e706b6651e024fda6cfb8846694a435519941cac215a8207792"
    "e42849cccc6cd8136c6e4bde92a58c5e08cfd4206eb5fe0bf909300a06082a8648ce3d0403020346003043021f50f6b6c52711a88177"
    "8718238f650c9fb48943ae6ee6d28427dc6071ae55e702203625f116a7a454db9c56986c82a25682f7248ea1cb764d322ea983ed36a3"
    "1b77";
constexpr std::string_view kEcdsa =
    "308201f63082019da0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f31"
    "0a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355"
    "040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c90"
    "1d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d817"
    "3e55bd37e381569ea381c23081bf3081bc060a2b0601040183a25a01010481ad3081aa045f0803125b3059301306072a8648ce3d0201"
    "06082a8648ce3d03010703420004bf30511f909414ebdd3242178fd290f093a551cf75c973155de0bb5a96fedf6cb5d52da7563e794b"
    "512f66e60c7f55ba8a3acf3dd72a801980d205e8a1ad29f2044730450220064ea8124774caf8f50e57f436aa62350ce652418c019df5"
    "d98a3ac666c9386a022100aa59d704a931b5f72fb9222cb6cc51f954d04a4e2e5450f8805fe8918f71eaae300a06082a8648ce3d0403"
    "0203470030440220799395b0b6c1e940a7e4484705f610ab51ed376f19ff9d7c16757cfbf61b8d4302206205c03fbb0f95205c779be8"
    "6581d3e31c01871ad5d1f3435bcf375cb0e5088a";
constexpr std::string_view kSecp256k1 =
    "308201ba3082015fa0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f31"
    "0a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355"
    "040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c90"
    "1d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d817"
    "3e55bd37e381569ea38184308181307f060a2b0601040183a25a01010471306f0425080212210206dc6968726765b820f050263ececf"
    "7f71e4955892776c0970542efd689d2382044630440220145e15a991961f0d08cd15425bb95ec93f6ffa03c5a385eedc34ecf464c7a8"
    "ab022026b3109b8a3f40ef833169777eb2aa337cfb6282f188de0666d1bcec2a4690dd300a06082a8648ce3d04030203490030460221"
    "00e1a217eeef9ec9204b3f774a08b70849646b6a1e6b8b27f93dc00ed58545d9fe022100b00dafa549d0f03547878338c7b15e750288"
    "8f6d45db387e5ae6b5d46899cef0";
constexpr std::string_view kMismatch =
    "308201f73082019da0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f31"
    "0a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355"
    "040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c90"
    "1d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d817"
    "3e55bd37e381569ea381c23081bf3081bc060a2b0601040183a25a01010481ad3081aa045f0803125b3059301306072a8648ce3d0201"
    "06082a8648ce3d03010703420004bf30511f909414ebdd3242178fd290f093a551cf75c973155de0bb5a96fedf6cb5d52da7563e794b"
    "512f66e60c7f55ba8a3acf3dd72a801980d205e8a1ad29f204473045022100bb6e03577b7cc7a3cd1558df0da2b117dfdcc0399bc250"
    "4ebe7de6f65cade72802206de96e2a5be9b6202adba24ee0362e490641ac45c240db71fe955f2c5cf8df6e300a06082a8648ce3d0403"
    "020348003045022100e847f267f43717358f850355bdcabbefb2cfbf8a3c043b203a14788a092fe8db022027c1d04a2d41fd6b57a7e8"
    "b3989e470325de4406e52e084e34a3fd56eef0d0df";

Bytes unhex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

std::string peer_of(std::string_view hex) {
  const auto key = verify_certificate(unhex(hex), kNow);
  return key ? crypto::PeerId::from(*key).to_string() : key.error().to_string();
}

TEST(TlsCertificate, SpecificationVectors) {
  EXPECT_EQ(peer_of(kEd25519), "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv");
  EXPECT_EQ(peer_of(kEcdsa), "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE");
  EXPECT_EQ(peer_of(kSecp256k1), "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs");
  const auto mismatch = verify_certificate(unhex(kMismatch), kNow);
  ASSERT_FALSE(mismatch);
  EXPECT_TRUE(mismatch.error().is(Errc::permission_denied));
  EXPECT_NE(mismatch.error().to_string().find("not signed by the identity it claims"), std::string::npos)
      << mismatch.error().to_string();
}

TEST(TlsCertificate, NoBitOfAVectorCanBeChanged) {
  for (std::string_view hex : {kEd25519, kEcdsa, kSecp256k1}) {
    Bytes der = unhex(hex);
    for (std::size_t at = 0; at < der.size(); ++at) {
      const auto bit = static_cast<std::uint8_t>(1U << (at % 8));
      der[at] ^= bit;
      EXPECT_FALSE(verify_certificate(der, kNow)) << at;
      der[at] ^= bit;
    }
    for (std::size_t size = 0; size < der.size(); ++size)
      EXPECT_FALSE(verify_certificate(BytesView(der).first(size), kNow)) << size;
    der.push_back(0);
    EXPECT_FALSE(verify_certificate(der, kNow));
  }
}

TEST(TlsCertificate, MadeCertificatesAreAcceptedAndHaveOneSize) {
  SeededRandom random(3);
  for (crypto::KeyType type : {crypto::KeyType::ed25519, crypto::KeyType::secp256k1}) {
    std::set<std::size_t> sizes;
    for (int i = 0; i < 8; ++i) {
      const auto identity = *crypto::PrivateKey::generate(type, random);
      const auto made = make_certificate(identity, kNow);
      ASSERT_TRUE(made) << made.error().to_string();
      const Bytes der = der_of(*made->x509);
      sizes.insert(der.size());
      const auto key = verify_certificate(der, kNow);
      ASSERT_TRUE(key) << key.error().to_string();
      EXPECT_EQ(*key, identity.public_key());
      EXPECT_TRUE(verify_certificate(der, {kNow.nanos + 99 * 365 * kDay * 1'000'000'000ULL}));
      EXPECT_FALSE(verify_certificate(der, {kNow.nanos + 101 * 366 * kDay * 1'000'000'000ULL}));
      EXPECT_FALSE(verify_certificate(der, {kNow.nanos - kDay * 1'000'000'000ULL}));
    }
    EXPECT_EQ(sizes.size(), 1u);
  }
}

/// Why a certificate is refused; empty if it is accepted.
std::string refusal(const CertificateOptions& certificate_options) {
  const auto key = verify_certificate(der_of(*make_certificate_with(certificate_options).x509), kNow);
  if (key) {
    EXPECT_EQ(*key, make_key(certificate_options.identity).public_key());
  }
  return key ? std::string() : key.error().to_string();
}

constexpr const char* kKeyUsage = "2.5.29.15";
constexpr const char* kBasicConstraints = "2.5.29.19";

/// As py-libp2p up to 0.5 makes them; go-libp2p accepts them.
TEST(TlsCertificate, CriticalKeyUsageAndBasicConstraintsAreUnderstood) {
  EXPECT_EQ(refusal({.another = kKeyUsage, .another_critical = true, .another_content = {3, 2, 7, 0x80}}), "");
  EXPECT_EQ(refusal({.another = kKeyUsage, .another_critical = true, .another_content = {3, 2, 5, 0xa0}}), "");
  EXPECT_EQ(refusal({.another = kBasicConstraints, .another_critical = true, .another_content = {0x30, 0}}), "");
  EXPECT_EQ(refusal({.another = kBasicConstraints, .another_critical = true, .another_content = {0x30, 3, 1, 1, 0xff}}),
            "");
}

TEST(TlsCertificate, WhatIsAccepted) {
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({.make_key = ed25519_key}), "");
  EXPECT_EQ(refusal({.make_key = rsa_key<2048>}), "");
  EXPECT_EQ(refusal({.make_key = [] { return EVP_EC_gen("P-384"); }, .digest = EVP_sha384}), "");
  EXPECT_EQ(refusal({.critical = true}), "");
  EXPECT_EQ(refusal({.another = "1.3.6.1.4.1.53594.9.9"}), "");
}

TEST(TlsCertificate, WhatIsRefusedAndWhy) {
  const Bytes other = SignedKey::create(make_key(2), Bytes(91, 1))->encode();
  const std::pair<CertificateOptions, const char*> cases[] = {
      {{.not_after = -1}, "has expired"},
      {{.not_before = 1}, "is not yet valid"},
      {{.copies = 0}, "lacks libp2p's extension"},
      {{.copies = 2}, "twice"},
      {{.another = "1.3.6.1.4.1.53594.9.9", .another_critical = true}, "not understood: 1.3.6.1.4.1.53594.9.9"},
      {{.another = "2.5.29.30", .another_critical = true},
       "not understood: X509v3 Name Constraints (2.5.29.30); Noise needs no certificate"},
      {{.another = kKeyUsage, .another_critical = true}, "malformed extension: X509v3 Key Usage (2.5.29.15)"},
      {{.another = kKeyUsage, .another_critical = true, .another_content = {3, 2, 5, 0x20}},
       "X509v3 Key Usage (2.5.29.15) that does not allow signatures"},
      {{.another = kBasicConstraints, .another_critical = true}, "malformed extension: X509v3 Basic Constraints"},
      {{.signed_by_another = true}, "is not signed by its own key"},
      {{.digest = EVP_sha1}, "too weak"},
      {{.make_key = rsa_key<1024>}, "RSA key of 1024 bits"},
      {{.make_key = secp256k1_key}, "neither on a NIST curve"},
      {{.version = X509_VERSION_1}, "version 3"},
      {{.content = Bytes{}}, "another ASN.1 type"},
      {{.content = to_bytes("plain text")}, "another ASN.1 type"},
      {{.content = other}, "not signed by the identity it claims"},
      {{.content = Bytes(3000, 0x30)}, "the limit is 2048"},
  };
  for (const auto& [certificate_options, why] : cases) {
    const std::string error = refusal(certificate_options);
    EXPECT_NE(error.find(why), std::string::npos) << "expected '" << why << "', got '" << error << "'";
  }
}

/// `der` with a subjectUniqueID before its extensions, signed again.
X509Ptr with_unique_id(const Certificate& certificate) {
  Bytes der = der_of(*certificate.x509);
  const Bytes id{0x82, 2, 0, 1};
  // Both outer lengths have two bytes; the extensions, a3 81 and a length, are the last field of the inner sequence. The same
  // bytes may occur in keys.
  const std::size_t end = 8 + static_cast<std::size_t>(der[6] << 8 | der[7]);
  std::size_t at = 8;
  while (at + 3 < end && !(der[at] == 0xa3 && der[at + 1] == 0x81 && at + 3 + der[at + 2] == end)) ++at;
  der.insert(der.begin() + static_cast<std::ptrdiff_t>(at), id.begin(), id.end());
  for (std::size_t length : {2U, 6U}) {
    const std::size_t size = static_cast<std::size_t>(der[length] << 8 | der[length + 1]) + id.size();
    der[length] = static_cast<std::uint8_t>(size >> 8);
    der[length + 1] = static_cast<std::uint8_t>(size);
  }
  const unsigned char* from = der.data();
  X509Ptr out(d2i_X509(nullptr, &from, static_cast<long>(der.size())));
  if (out) {
    EXPECT_GT(X509_sign(out.get(), certificate.key.get(), EVP_sha256()), 0);
  }
  return out;
}

TEST(TlsCertificate, UniqueIdsAreRefused) {
  const Bytes long_content = SignedKey{Bytes(100, 1), Bytes(64, 2)}.encode();
  const X509Ptr certificate = with_unique_id(make_certificate_with({.content = long_content}));
  ASSERT_TRUE(certificate);
  const auto key = verify_certificate(*certificate, kNow);
  ASSERT_FALSE(key);
  EXPECT_NE(key.error().to_string().find("unique ids"), std::string::npos) << key.error().to_string();
}

TEST(TlsSignedKey, AcceptsOnlyItsOwnEncoding) {
  for (std::size_t size : {0u, 1u, 60u, 120u, 121u, 127u, 128u, 200u, 255u, 256u, 500u}) {
    const SignedKey key{Bytes(size, 1), Bytes(size / 2, 2)};
    const Bytes der = key.encode();
    const auto back = SignedKey::decode(der);
    ASSERT_TRUE(back) << size << ": " << back.error().to_string();
    EXPECT_EQ(back->public_key, key.public_key);
    EXPECT_EQ(back->signature, key.signature);
    for (std::size_t cut = 0; cut < der.size(); ++cut)
      EXPECT_FALSE(SignedKey::decode(BytesView(der).first(cut))) << size << " " << cut;
  }
  const Bytes refused[] = {
      {0x30, 0x04, 0x04, 0x00, 0x04, 0x00, 0x00},        // a byte after the sequence
      {0x30, 0x05, 0x04, 0x00, 0x04, 0x00, 0x05},        // a byte after the signature
      {0x30, 0x81, 0x04, 0x04, 0x00, 0x04, 0x00},        // a length that is not minimal
      {0x30, 0x82, 0x00, 0x04, 0x04, 0x00, 0x04, 0x00},  //
      {0x30, 0x80, 0x04, 0x00, 0x04, 0x00, 0x00, 0x00},  // an indefinite length
      {0x30, 0x83, 0x00, 0x00, 0x04, 0x04, 0x00, 0x04, 0x00},
      {0x30, 0x04, 0x04, 0x00, 0x03, 0x00},  // a bit string
      {0x31, 0x04, 0x04, 0x00, 0x04, 0x00},  // a set
      {0x30, 0x02, 0x04, 0x00},              // no signature
      {0x30, 0x04, 0x04, 0x7f, 0x04, 0x00},  // longer than the sequence
  };
  EXPECT_TRUE(SignedKey::decode(Bytes{0x30, 0x04, 0x04, 0x00, 0x04, 0x00}));
  for (const Bytes& der : refused) EXPECT_FALSE(SignedKey::decode(der));
}

}  // namespace
}  // namespace dms::libp2p::tls

#include "libp2p/security/tls/record_cipher.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "encoding/multibase.hpp"
#include "base/random.hpp"

namespace dms::libp2p::tls {
namespace {

Bytes hex(std::string_view text) { return *decode(Base::hex, text); }

RecordCipher cipher(std::string_view secret, Suite suite = Suite::aes_128_gcm_sha256) {
  return *RecordCipher::create(suite, crypto::Secret(hex(secret)));
}

Bytes sealed(RecordCipher& with, ContentType type, const Bytes& text) {
  Bytes record(text.size() + RecordCipher::kOverhead);
  EXPECT_TRUE(with.seal(type, text, record));
  return record;
}

Result<RecordCipher::Opened> opened(RecordCipher& with, MutableBytes record) {
  const MutableBytes body = record.subspan(RecordCipher::kHeader);
  return with.open(record.first(RecordCipher::kHeader), body, body);
}

// RFC 8448, section 3, "Simple 1-RTT Handshake": what both sides say after it.
constexpr std::string_view kClient = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
constexpr std::string_view kServer = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
constexpr std::string_view kFromClient =
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a297"
    "70"
    "14bd1e3deae63aeebb21694915e4";
constexpr std::string_view kFromServer =
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c"
    "00"
    "47c2abf332540dd032e167c2955d";
constexpr std::string_view kClientsAlert = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";

TEST(RecordCipher, Rfc8448) {
  Bytes text(50);
  std::iota(text.begin(), text.end(), std::uint8_t{0});
  RecordCipher client = cipher(kClient);
  EXPECT_EQ(encode(Base::hex, sealed(client, ContentType::application_data, text)), kFromClient);
  EXPECT_EQ(encode(Base::hex, sealed(client, ContentType::alert, {1, 0})), kClientsAlert);

  RecordCipher server = cipher(kServer);
  (void)sealed(server, ContentType::handshake, {});  // number 0 was the session ticket
  EXPECT_EQ(encode(Base::hex, sealed(server, ContentType::application_data, text)), kFromServer);

  RecordCipher listener = cipher(kClient);
  Bytes record = hex(kFromClient);
  const auto first = opened(listener, record);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->type, ContentType::application_data);
  EXPECT_EQ(to_bytes(first->text), text);
  Bytes alert = hex(kClientsAlert);
  const auto second = opened(listener, alert);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->type, ContentType::alert);
}

TEST(RecordCipher, EachSuiteReadsBackAndGoesOnWithNewKeys) {
  SeededRandom random(3);
  for (const auto& [suite, size] : {std::pair{Suite::aes_128_gcm_sha256, 32u},
                                    {Suite::aes_256_gcm_sha384, 48u},
                                    {Suite::chacha20_poly1305_sha256, 32u}}) {
    const Bytes secret = random.bytes(size);
    auto ours = RecordCipher::create(suite, crypto::Secret(BytesView(secret)));
    auto theirs = RecordCipher::create(suite, crypto::Secret(BytesView(secret)));
    ASSERT_TRUE(ours && theirs);
    for (int generation = 0; generation < 3; ++generation) {
      for (std::size_t length : {0u, 1u, 1000u, 16384u}) {
        const Bytes text = random.bytes(length);
        Bytes record = sealed(*ours, ContentType::application_data, text);
        const auto back = opened(*theirs, record);
        ASSERT_TRUE(back) << back.error().to_string();
        EXPECT_EQ(to_bytes(back->text), text);
      }
      EXPECT_EQ(ours->records(), 4u);
      ASSERT_TRUE(ours->update());
      Bytes early = sealed(*ours, ContentType::application_data, {1});
      auto behind = RecordCipher::create(suite, crypto::Secret(BytesView(secret)));
      if (generation == 0) {
        Bytes copy = early;
        EXPECT_FALSE(opened(*behind, copy)) << "the keys have changed";
      }
      ASSERT_TRUE(theirs->update());
      EXPECT_TRUE(opened(*theirs, early));
      ASSERT_TRUE(ours->update());
      ASSERT_TRUE(theirs->update());
    }
  }
  EXPECT_FALSE(RecordCipher::create(Suite::aes_256_gcm_sha384, crypto::Secret(std::size_t{32})));
  EXPECT_FALSE(RecordCipher::create(static_cast<Suite>(0x1304), crypto::Secret(std::size_t{32})));
}

/// A record whose inner text is exactly `inner`: its type and padding included.
Bytes with_inner(const Bytes& inner) {
  RecordCipher peer = cipher(kClient);
  // seal() appends the type: the last byte stands for it.
  return sealed(peer, static_cast<ContentType>(inner.back()), Bytes(inner.begin(), inner.end() - 1));
}

TEST(RecordCipher, PaddingIsTakenOffAndMustLeaveAType) {
  Bytes padded = with_inner({'h', 'i', 23, 0, 0, 0});
  RecordCipher ours = cipher(kClient);
  const auto text = opened(ours, padded);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(text->type, ContentType::application_data);
  EXPECT_EQ(as_text(text->text), "hi");

  Bytes zeros = with_inner(Bytes(20, 0));
  RecordCipher again = cipher(kClient);
  EXPECT_FALSE(opened(again, zeros));

  Bytes inner(RecordCipher::kMaxText + 2, 'x');
  inner.back() = 23;
  Bytes long_one = with_inner(inner);
  RecordCipher third = cipher(kClient);
  EXPECT_FALSE(opened(third, long_one)) << "a byte too many";
}

TEST(RecordCipher, AnythingAlteredIsNoticed) {
  RecordCipher peer = cipher(kClient);
  const Bytes record = sealed(peer, ContentType::application_data, {1, 2, 3});
  for (std::size_t at = 0; at < record.size(); ++at) {
    RecordCipher ours = cipher(kClient);
    Bytes altered = record;
    altered[at] ^= 1;
    EXPECT_FALSE(opened(ours, altered)) << at;
  }
}

}  // namespace
}  // namespace dms::libp2p::tls

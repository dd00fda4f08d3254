// Signed envelopes and the peer records in them.
#include "libp2p/records/peer_record.hpp"

#include "base/varint.hpp"
#include "libp2p/protobuf.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using testing::make_key;

constexpr std::array<std::uint8_t, 2> kType{0x12, 0x34};

PeerRecord record_of(const crypto::PrivateKey& key, std::uint64_t seq = 7) {
  PeerRecord record;
  record.peer = crypto::PeerId::from(key.public_key());
  record.seq = seq;
  record.addresses = {*Multiaddr::parse("/ip4/192.0.2.1/tcp/9000"), *Multiaddr::parse("/dns4/a.example/tcp/1")};
  return record;
}

TEST(SignedEnvelope, OpensWhatWasSealed) {
  const auto key = make_key(1);
  const auto sealed = SignedEnvelope::seal(key, "domain", kType, as_bytes("payload"));
  ASSERT_TRUE(sealed);
  const auto opened = SignedEnvelope::open(sealed->marshal(), "domain", kType);
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_EQ(as_text(opened->payload()), "payload");
  EXPECT_EQ(opened->signer(), key.public_key());
}

/// The signed bytes of the specification, assembled by hand.
TEST(SignedEnvelope, TheSignatureCoversDomainTypeAndPayloadWithTheirLengths) {
  const auto key = make_key(1);
  Bytes buffer{6};
  append(buffer, as_bytes("domain"));
  append(buffer, Bytes{2, 0x12, 0x34, 7});
  append(buffer, as_bytes("payload"));
  ProtoWriter out;
  out.bytes(1, key.public_key().marshal());
  out.bytes(2, kType);
  out.text(3, "payload");
  out.bytes(5, *key.sign(buffer));
  EXPECT_TRUE(SignedEnvelope::open(out.take(), "domain", kType));
}

TEST(SignedEnvelope, RefusesOtherPurposesAndAnyChangedBit) {
  const Bytes good = SignedEnvelope::seal(make_key(1), "domain", kType, as_bytes("payload"))->marshal();
  EXPECT_FALSE(SignedEnvelope::open(good, "another", kType));
  EXPECT_FALSE(SignedEnvelope::open(good, "domain", PeerRecord::kType));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(SignedEnvelope::open(bad, "domain", kType)) << "byte " << i;
    EXPECT_FALSE(SignedEnvelope::open(BytesView(good).first(i), "domain", kType)) << "cut at " << i;
  }
}

TEST(SignedEnvelope, UnknownFieldsAreSkippedAndTheSizeIsBounded) {
  Bytes message = SignedEnvelope::seal(make_key(1), "domain", kType, as_bytes("payload"))->marshal();
  ProtoWriter more;
  more.text(99, "a field of a later version");
  append(message, more.take());
  EXPECT_TRUE(SignedEnvelope::open(message, "domain", kType));
  const auto huge = SignedEnvelope::seal(make_key(1), "domain", kType, Bytes(SignedEnvelope::kMaxSize));
  const auto opened = SignedEnvelope::open(huge->marshal(), "domain", kType);
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().is(Errc::limit_exceeded));
}

TEST(PeerRecord, RoundTrips) {
  const auto certified = CertifiedRecord::make(make_key(1), record_of(make_key(1)));
  ASSERT_TRUE(certified);
  const auto opened = CertifiedRecord::open(certified->envelope);
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_EQ(opened->record, record_of(make_key(1)));
  EXPECT_EQ(opened->envelope, certified->envelope);
}

TEST(PeerRecord, OnlyThePeerItselfMaySignIt) {
  EXPECT_FALSE(CertifiedRecord::make(make_key(2), record_of(make_key(1))));
  const auto forged =
      SignedEnvelope::seal(make_key(2), PeerRecord::kDomain, PeerRecord::kType, record_of(make_key(1)).encode());
  const auto opened = CertifiedRecord::open(forged->marshal());
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().is(Errc::permission_denied));
}

TEST(PeerRecord, UnreadableAddressesAreSkippedAndManyAreCut) {
  PeerRecord record = record_of(make_key(1));
  record.addresses.assign(PeerRecord::kMaxAddresses + 10, record.addresses[0]);
  ProtoWriter info;
  info.bytes(1, Bytes{0xff, 0xff, 0x03});
  Bytes message;
  ProtoWriter bad;
  bad.bytes(3, info.take());
  append(message, bad.take());
  append(message, record.encode());
  const auto read = PeerRecord::decode(message);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->addresses.size(), PeerRecord::kMaxAddresses);
  EXPECT_FALSE(PeerRecord::decode(Bytes{}));
}

TEST(RecordIssuer, CountsUpwardsAndOnlyWhenSomethingHasChanged) {
  RecordIssuer issuer(make_key(1));
  const UnixTime now{100'000'000'000};
  const std::vector<Multiaddr> one{*Multiaddr::parse("/ip4/192.0.2.1/tcp/1")}, two{};
  const auto first = issuer.issue(one, now);
  const auto same = issuer.issue(one, now + 1s);
  const auto second = issuer.issue(two, now);  // even if the clock stands still
  ASSERT_TRUE(first && same && second);
  EXPECT_EQ(same->envelope, first->envelope);
  EXPECT_GT(second->record.seq, first->record.seq);
  RecordIssuer restarted(make_key(1));
  EXPECT_GT(restarted.issue(one, now + 1min)->record.seq, second->record.seq);
}

}  // namespace
}  // namespace dms::libp2p

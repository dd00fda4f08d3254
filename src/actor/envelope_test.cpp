#include "actor/envelope.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "encoding/multibase.hpp"
#include "network/network.hpp"

namespace dms::actor {
namespace {

struct Vector {
  std::string name;
  std::uint64_t now = 0;
  std::string verdict;
  std::string wire;
  std::string canonical;
  Bytes signed_bytes;
  static constexpr auto json_fields() {
    return std::tuple(json::field("name", &Vector::name), json::field("now", &Vector::now),
                      json::field("verdict", &Vector::verdict), json::field("wire", &Vector::wire),
                      json::field("canonical", &Vector::canonical), json::field("signed", &Vector::signed_bytes));
  }
};
struct HandleVector {
  std::string pub, did, host, inbox, text;
  static constexpr auto json_fields() {
    return std::tuple(json::field("pub", &HandleVector::pub), json::field("did", &HandleVector::did),
                      json::field("host", &HandleVector::host), json::field("inbox", &HandleVector::inbox),
                      json::field("json", &HandleVector::text));
  }
};
struct Vectors {
  std::vector<HandleVector> handles;
  std::vector<Vector> envelopes;
  static constexpr auto json_fields() {
    return std::tuple(json::field("handles", &Vectors::handles), json::field("envelopes", &Vectors::envelopes));
  }
};

Vectors load() {
  std::ifstream file(DMS_SOURCE_DIR "/tests/vectors/actor/envelopes.json");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  auto vectors = json::decode<Vectors>(text);
  EXPECT_TRUE(vectors) << vectors.error().to_string();
  return vectors ? *std::move(vectors) : Vectors();
}

std::string check(const Vector& vector) {
  auto envelope = Envelope::decode(as_bytes(vector.wire));
  if (!envelope) return envelope.error().is(Errc::malformed) ? "malformed" : "other: " + envelope.error().to_string();
  EXPECT_EQ(as_text(envelope->encode()), vector.canonical) << vector.name;
  EXPECT_EQ(envelope->signed_text(), as_text(vector.signed_bytes)) << vector.name;
  auto verified = envelope->verify({vector.now});
  if (verified) return "ok";
  return verified.error().is(Errc::expired) ? "expired" : "bad signature";
}

TEST(EnvelopeVectors, AreVerifiedAsExpected) {
  const Vectors vectors = load();
  ASSERT_GT(vectors.envelopes.size(), 40u);
  for (const Vector& vector : vectors.envelopes) EXPECT_EQ(check(vector), vector.verdict) << vector.name;
}

TEST(EnvelopeVectors, HandlesAgree) {
  const Vectors vectors = load();
  ASSERT_FALSE(vectors.handles.empty());
  for (const HandleVector& vector : vectors.handles) {
    const Handle handle = json::decode<Handle>(vector.text).value();
    EXPECT_EQ(handle.id.to_string(), vector.pub);
    EXPECT_EQ(handle, Handle::from(did::Did::parse(vector.did).value()).value());
    EXPECT_EQ(handle.address, (Address{vector.host, vector.inbox}));
    EXPECT_EQ(json::encode(handle), vector.text);
  }
}

struct Fixture {
  SeededRandom random{4};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  crypto::PrivateKey other = crypto::PrivateKey::generate(random);
  Envelope envelope;
  Fixture() {
    envelope.from = Handle::from(key.public_key()).value();
    envelope.to = Handle::from(other.public_key()).value();
    envelope.behaviour = "/dms/node/peers/list";
    envelope.nonce = 12;
    envelope.options.expires = 1000;
    envelope.message = to_bytes("{}");
  }
};

TEST(Envelope, IsSignedByItsSenderOnly) {
  Fixture f;
  EXPECT_TRUE(f.envelope.sign(f.other).error().is(Errc::bad_sender));
  ASSERT_TRUE(f.envelope.sign(f.key));
  EXPECT_TRUE(f.envelope.verify({1000}));
  EXPECT_TRUE(f.envelope.verify({1001}).error().is(Errc::expired));
}

TEST(Envelope, RoundTrips) {
  Fixture f;
  ASSERT_TRUE(f.envelope.sign(f.key));
  const auto back = Envelope::decode(f.envelope.encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->encode(), f.envelope.encode());
  EXPECT_TRUE(back->verify({1000}));
}

TEST(Envelope, EveryBitIsSigned) {
  Fixture f;
  ASSERT_TRUE(f.envelope.sign(f.key));
  const Bytes good = f.envelope.encode();
  std::size_t refused = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    auto envelope = Envelope::decode(bad);
    // A flipped letter case of a key ("To") or of base32 never verifies as something else.
    if (envelope && envelope->verify({1000})) {
      EXPECT_EQ(envelope->encode(), good) << "at " << i;
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, good.size() * 9 / 10);
}

TEST(Envelope, ABroadcastHasNoReceiverAndATopic) {
  Envelope envelope;
  EXPECT_FALSE(envelope.is_broadcast());
  envelope.options.topic = "/t";
  EXPECT_TRUE(envelope.is_broadcast());
  envelope.to.address.inbox = "root";
  EXPECT_FALSE(envelope.is_broadcast());
}

TEST(Envelope, IsBounded) {
  Fixture f;
  f.envelope.behaviour.assign(kMaxName + 1, 'b');
  EXPECT_TRUE(Envelope::decode(f.envelope.encode()).error().is(Errc::malformed));
  f.envelope.behaviour = "/b";
  f.envelope.message.assign(network::kMaxMessage, 'x');
  EXPECT_TRUE(Envelope::decode(f.envelope.encode()).error().is(Errc::malformed));
  const std::string deep = R"({"x":)" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_TRUE(Envelope::decode(as_bytes(deep)).error().is(Errc::malformed));
}

struct Ping {
  std::string host;
  static constexpr auto json_fields() { return std::tuple(json::field("Host", &Ping::host)); }
};

TEST(Payload, IsReadAsTheBehavioursType) {
  Envelope envelope;
  envelope.behaviour = "/dms/node/peers/ping";
  envelope.message = to_payload(Ping{"h"});
  EXPECT_EQ(as_text(envelope.message), R"({"Host":"h"})");
  EXPECT_EQ(payload<Ping>(envelope)->host, "h");
  envelope.message = to_bytes(R"({"Host":1})");
  EXPECT_NE(payload<Ping>(envelope).error().to_string().find("/dms/node/peers/ping"), std::string::npos);
  envelope.message.clear();
  EXPECT_FALSE(payload<Ping>(envelope));
}

}  // namespace
}  // namespace dms::actor

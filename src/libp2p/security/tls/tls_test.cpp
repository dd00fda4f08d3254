// Authentication of the peer, and agreement on a muxer.
#include "libp2p/security/tls/tls.hpp"

#include "libp2p/security/tls/testing.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

TEST(Tls, BothSidesAuthenticateEachOther) {
  LaneWorld w;
  auto [a, b] = handshake(w, id_of(2), id_of(1));
  ASSERT_TRUE(a) << a.error().to_string();
  ASSERT_TRUE(b) << b.error().to_string();
  EXPECT_EQ(a->peer, id_of(2));
  EXPECT_EQ(b->peer, id_of(1));
  EXPECT_EQ(a->key, make_key(2).public_key());
  EXPECT_EQ(a->muxer, "/yamux/1.0.0");
  EXPECT_EQ(b->muxer, "/yamux/1.0.0");
}

TEST(Tls, ADialerRefusesAnUnexpectedPeer) {
  LaneWorld w;
  auto [a, b] = handshake(w, id_of(3));
  ASSERT_FALSE(a);
  EXPECT_TRUE(a.error().is(Errc::permission_denied));
  EXPECT_NE(a.error().to_string().find(id_of(3).to_string()), std::string::npos);
  ASSERT_FALSE(b);
  EXPECT_NE(b.error().to_string().find("alert"), std::string::npos) << b.error().to_string();
}

TEST(Tls, AListenerRefusesAnUnexpectedPeerAndTheDialerGetsAnAlert) {
  LaneWorld w;
  auto [a, b] = handshake(w, {}, id_of(3));
  ASSERT_FALSE(b);
  EXPECT_TRUE(b.error().is(Errc::permission_denied));
  ASSERT_TRUE(a) << "a dialer finishes before the listener has verified it";
  const auto read = w.run(read_all(*a->stream));
  ASSERT_FALSE(read);
}

TEST(Tls, MuxersAreAgreedByTheDialersOrder) {
  LaneWorld w;
  auto [a, b] = handshake(w, {}, {}, {"/q/1", "/yamux/1.0.0", "/mplex/1"}, {"/mplex/1", "/yamux/1.0.0"});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->muxer, "/yamux/1.0.0");
  EXPECT_EQ(b->muxer, "/yamux/1.0.0");
  for (const auto& [dialer, listener] :
       {std::pair{std::vector<std::string>{}, yamux()}, {yamux(), {}}, {{"/q/1"}, yamux()}}) {
    auto [c, d] = handshake(w, {}, {}, dialer, listener);
    ASSERT_TRUE(c && d);
    EXPECT_EQ(c->muxer + d->muxer, "") << "multistream-select decides";
  }
  auto [e, f] = handshake(w, {}, {}, {std::string(300, 'x')}, yamux());
  ASSERT_FALSE(e);
  EXPECT_TRUE(e.error().is(Errc::invalid_argument));
}

}  // namespace
}  // namespace dms::libp2p::tls

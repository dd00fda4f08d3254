// Handshakes between two Tls objects, cut off or altered on the way, at every byte.
#include <set>

#include "libp2p/security/tls/testing.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

constexpr std::size_t kNever = static_cast<std::size_t>(-1);

/// Forwards at most `limit` bytes of `from`, with byte `flip` changed.
Task<void> relay(ByteStream& from, ByteStream& to, std::size_t limit, std::size_t flip, Bytes& passed) {
  Bytes buffer(1024);
  for (;;) {
    Result<std::size_t> got = co_await from.read_some(buffer);
    if (!got || *got == 0) break;
    const std::size_t at = passed.size();
    const std::size_t take = std::min(*got, limit - at);
    if (flip >= at && flip < at + take) buffer[flip - at] ^= 1;
    append(passed, BytesView(buffer).first(take));
    Result<void> sent = co_await to.write(BytesView(buffer).first(take));
    if (!sent || take < *got) break;
  }
  (void)co_await to.close_write();
}

struct Tampering {
  std::size_t limit = kNever;
  std::size_t flip = kNever;
  Bytes passed = {};
};

struct Tampered {
  bool dialer = false;
  bool listener = false;
};

/// A handshake through two relays; a side that still waits after a minute is cancelled.
Tampered handshake_through(Tampering& there, Tampering& back) {
  LaneWorld w;
  auto [dialer, wire_a] = make_pipe();
  auto [wire_b, listener] = make_pipe();
  std::optional<Result<Secured>> a, b;
  Nursery nursery(w.lane(), "test");
  nursery.spawn(keep(tls_of(1).secure(std::move(dialer), Side::dialer, {}, yamux()), a));
  nursery.spawn(keep(tls_of(2).secure(std::move(listener), Side::listener, {}, yamux()), b));
  nursery.spawn(relay(*wire_a, *wire_b, there.limit, there.flip, there.passed));
  nursery.spawn(relay(*wire_b, *wire_a, back.limit, back.flip, back.passed));
  w.world.run_for(1min);
  w.run(nursery.close());
  return {a && *a, b && *b};
}

/// The unauthenticated bytes: RFC 8446 has a receiver ignore the version of an unencrypted record.
std::set<std::size_t> free_bytes(BytesView wire) {
  std::set<std::size_t> out;
  for (std::size_t at = 0; at + 5 <= wire.size();) {
    if (wire[at] != 23) out.insert({at + 1, at + 2});
    at += 5 + static_cast<std::size_t>(wire[at + 3] << 8 | wire[at + 4]);
  }
  return out;
}

TEST(TlsHandshake, HasAConstantSize) {
  std::set<std::size_t> there, back;
  for (int i = 0; i < 20; ++i) {
    Tampering t, b;
    const Tampered outcome = handshake_through(t, b);
    ASSERT_TRUE(outcome.dialer && outcome.listener);
    there.insert(t.passed.size());
    back.insert(b.passed.size());
  }
  EXPECT_EQ(there.size(), 1u);
  EXPECT_EQ(back.size(), 1u);
}

TEST(TlsHandshake, CutOffAtAnyByteItEndsCleanly) {
  Tampering whole_there, whole_back;
  handshake_through(whole_there, whole_back);
  ASSERT_GT(whole_there.passed.size(), 700u);
  ASSERT_GT(whole_back.passed.size(), 700u);
  for (std::size_t limit = 0; limit < whole_there.passed.size(); ++limit) {
    Tampering there{.limit = limit}, back;
    EXPECT_FALSE(handshake_through(there, back).listener) << limit;
  }
  for (std::size_t limit = 0; limit < whole_back.passed.size(); ++limit) {
    Tampering there, back{.limit = limit};
    const Tampered outcome = handshake_through(there, back);
    EXPECT_FALSE(outcome.dialer) << limit;
    EXPECT_FALSE(outcome.listener) << limit;
  }
}

TEST(TlsHandshake, WithAnyByteChangedItFails) {
  Tampering whole_there, whole_back;
  handshake_through(whole_there, whole_back);
  const std::set<std::size_t> free_there = free_bytes(whole_there.passed);
  const std::set<std::size_t> free_back = free_bytes(whole_back.passed);
  EXPECT_LE(free_there.size() + free_back.size(), 8u);
  for (std::size_t flip = 0; flip < whole_there.passed.size(); ++flip) {
    if (free_there.contains(flip)) continue;
    Tampering there{.flip = flip}, back;
    EXPECT_FALSE(handshake_through(there, back).listener) << flip;
  }
  for (std::size_t flip = 0; flip < whole_back.passed.size(); ++flip) {
    if (free_back.contains(flip)) continue;
    Tampering there, back{.flip = flip};
    EXPECT_FALSE(handshake_through(there, back).dialer) << flip;
  }
}

}  // namespace
}  // namespace dms::libp2p::tls

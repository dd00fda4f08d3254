// Identify and identify/push between hosts, with forged messages and floods.
#include "libp2p/protocols/identify/identify.hpp"

#include "base/varint.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

bool identified(const Peer& at, const Peer& other) { return at.host->identify().info(other.id()) != nullptr; }

struct Identified : TwoHosts {
  explicit Identified(Host::Options options = {}) : TwoHosts(1, {}, options) {
    EXPECT_TRUE(connect());
    EXPECT_TRUE(world.run_until([&] { return identified(a, b) && identified(b, a); }));
    world.run_for(3s);  // pending pushes are sent
  }
  [[nodiscard]] const IdentifyInfo& what_a_knows() const { return *a.host->identify().info(b.id()); }
};

bool has(const std::vector<std::string>& all, std::string_view one) { return std::ranges::find(all, one) != all.end(); }

TEST(Identify, SignedRecordsAreVerifiedAndKept) {
  Identified w;
  PeerStore& store = w.a.host->peer_store();
  const CertifiedRecord* record = store.certified(w.b.id(), w.world.now());
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->record.peer, w.b.id());
  EXPECT_EQ(record->record.addresses, w.b.address());
  EXPECT_TRUE(CertifiedRecord::open(record->envelope));
  EXPECT_TRUE(has(store.protocols(w.b.id()), kPingProtocol));
  EXPECT_EQ(store.key(w.b.id()), w.b.key.public_key());
  w.b.close();
  w.world.run_for(PeerStore::kRecentlyConnected - 1min);
  EXPECT_FALSE(store.addresses(w.b.id(), w.world.now()).empty());
  w.world.run_for(2min);
  EXPECT_TRUE(store.addresses(w.b.id(), w.world.now()).empty());
}

/// b learns the listen address of a from identify alone: a has dialed from another port.
TEST(Identify, APeerKnownByIdentifyCanBeDialedUntilItsAddressesExpire) {
  Identified w;
  const auto dial_back = [&] { return w.world.run(w.b.node, w.b.host->connect(w.a.id())); };
  const auto part = [&](Duration then) {
    w.a.host->disconnect(w.b.id());
    w.world.run_for(then);
    EXPECT_FALSE(w.b.host->connected(w.a.id()));
  };
  EXPECT_NE(w.b.host->remote_address(w.a.id()), w.a.address()[0]);
  EXPECT_EQ(w.b.host->peer_store().addresses(w.a.id(), w.world.now()), w.a.address());
  w.world.run_for(1h);  // kept while connected
  part(PeerStore::kRecentlyConnected - 1min);
  ASSERT_TRUE(dial_back());
  EXPECT_EQ(w.b.host->remote_address(w.a.id()), w.a.address()[0]);
  w.world.run_for(1h);  // also if the same record is received again
  part(PeerStore::kRecentlyConnected - 1min);
  ASSERT_TRUE(dial_back());
  w.world.run_for(1s);  // the listener has identified too
  part(PeerStore::kRecentlyConnected + 1min);
  const auto forgotten = dial_back();
  ASSERT_FALSE(forgotten);
  EXPECT_TRUE(forgotten.error().is(Errc::not_found)) << forgotten.error().to_string();
  EXPECT_TRUE(w.b.connect(w.a));  // named
}

TEST(Identify, AddedAndRemovedProtocolsArePushed) {
  Identified w;
  int notified = 0;
  w.a.host->identify().on_identified([&](const crypto::PeerId&, const IdentifyInfo&) { ++notified; });
  w.b.host->set_stream_handler("/new/1", echo);
  w.b.host->set_stream_handler("/new/2", echo);
  ASSERT_TRUE(w.world.run_until([&] { return has(w.what_a_knows().protocols, "/new/2"); }, 10s));
  EXPECT_TRUE(has(w.what_a_knows().protocols, "/new/1"));
  EXPECT_TRUE(has(w.a.host->peer_store().protocols(w.b.id()), "/new/1"));
  EXPECT_EQ(notified, 1);  // both together
  w.b.host->remove_stream_handler("/new/1");
  ASSERT_TRUE(w.world.run_until([&] { return !has(w.what_a_knows().protocols, "/new/1"); }, 10s));
  w.world.run_for(10min);
  EXPECT_EQ(notified, 2);  // no push without a change
}

TEST(Identify, ANewListenerIsPushedWithANewerRecord) {
  Identified w;
  const std::uint64_t before = w.a.host->peer_store().certified(w.b.id(), w.world.now())->record.seq;
  ASSERT_TRUE(w.b.host->listen(*Multiaddr::parse("/ip4/0.0.0.0/tcp/9001")));
  ASSERT_TRUE(w.world.run_until([&] { return w.what_a_knows().listen_addresses.size() == 2; }, 10s));
  const CertifiedRecord* record = w.a.host->peer_store().certified(w.b.id(), w.world.now());
  ASSERT_NE(record, nullptr);
  EXPECT_GT(record->record.seq, before);
  EXPECT_EQ(record->record.addresses.size(), 2u);
}

// ---- missing and malformed answers ----------------------------------------------------------------------------------

Task<void> answer_raw(std::unique_ptr<Stream> stream) {
  IdentifyInfo info;
  info.agent_version = "py-libp2p/0.2";
  info.public_key = make_key(2).public_key().marshal();
  info.protocols = {"/ipfs/id/1.0.0"};
  (void)co_await stream->write(info.encode());
  (void)co_await stream->close_write();
}
Task<void> reset(std::unique_ptr<Stream> stream) {
  stream->abort();
  co_return;
}
Task<void> never_answer(std::unique_ptr<Stream> stream) {
  (void)co_await sleep_for(10min);
  stream->abort();
}

struct Refusal {
  std::string why;
  Duration after;
};

/// The result of a dialer that waits for the identify of b, which answers with `handler` (null: no handler).
Refusal identify_of(StreamHandler handler) {
  TwoHosts w(1);
  w.b.host->remove_stream_handler(std::string(kIdentifyProtocol));
  if (handler) w.b.host->set_stream_handler(std::string(kIdentifyProtocol), std::move(handler));
  w.world.run_for(5s);  // a push of the changed protocols would identify b too
  EXPECT_TRUE(w.connect());
  const SteadyTime start = w.world.now();
  auto info = w.world.run(w.a.node, with_timeout(1min, w.a.host->identify().wait_for_info(w.b.id())));
  return {info ? "identified" : info.error().to_string(), w.world.now() - start};
}

TEST(Identify, TheReasonOfAMissingAnswerIsReportedAtOnce) {
  const Refusal raw = identify_of(answer_raw);
  EXPECT_NE(raw.why.find("not length-prefixed"), std::string::npos) << raw.why;
  EXPECT_LT(raw.after, 1s);
  const Refusal na = identify_of(nullptr);
  EXPECT_NE(na.why.find("/ipfs/id/1.0.0"), std::string::npos) << na.why;
  EXPECT_LT(na.after, 1s);
  const Refusal aborted = identify_of(reset);
  EXPECT_NE(aborted.why, "identified");
  EXPECT_LT(aborted.after, 1s);
  const Refusal silent = identify_of(never_answer);
  EXPECT_NE(silent.why, "identified");
  EXPECT_LE(silent.after, IdentifyOptions{}.timeout + 1s);
}

TEST(Identify, WaitingEndsWithTheConnection) {
  TwoHosts w(1);
  w.b.host->set_stream_handler(std::string(kIdentifyProtocol), never_answer);
  w.world.run_for(5s);  // a push of the changed protocols would identify b too
  ASSERT_TRUE(w.connect());
  std::optional<Result<IdentifyInfo>> info;
  Nursery nursery(w.a.node.runtime().lane, "test");
  nursery.spawn(keep(w.a.host->identify().wait_for_info(w.b.id()), info));
  w.world.run_for(1s);
  ASSERT_FALSE(info);
  w.a.host->disconnect(w.b.id());
  ASSERT_TRUE(w.world.run_until([&] { return info.has_value(); }, 1s));
  EXPECT_FALSE(*info);
  w.world.run(w.a.node, nursery.close());
}

/// Sends `message` as an identify push of a.
Task<Result<void>> push_raw(Host& from, crypto::PeerId to, Bytes message) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await from.new_stream(to, std::string(kIdentifyPushProtocol)));
  CO_TRY_VOID(co_await stream->write(message));
  co_return co_await stream->close_write();
}

Bytes pushed(const IdentifyInfo& info) { return info.encode_delimited(); }

TEST(Identify, APartialPushChangesOnlyItsFields) {
  Identified w;
  const IdentifyInfo before = *w.b.host->identify().info(w.a.id());
  IdentifyInfo update;
  update.agent_version = "other/2";
  ASSERT_TRUE(w.world.run(w.a.node, push_raw(*w.a.host, w.b.id(), pushed(update))));
  ASSERT_TRUE(w.world.run_until([&] { return w.b.host->identify().info(w.a.id())->agent_version == "other/2"; }, 10s));
  const IdentifyInfo& after = *w.b.host->identify().info(w.a.id());
  EXPECT_EQ(after.protocols, before.protocols);
  EXPECT_EQ(after.listen_addresses, before.listen_addresses);
  EXPECT_EQ(w.b.host->peer_store().protocols(w.a.id()), before.protocols);
}

TEST(Identify, AForgedPushChangesNothing) {
  Identified w;
  IdentifyInfo forged;
  forged.agent_version = "forged";
  forged.public_key = make_key(77).public_key().marshal();
  const auto refused = [&] { return w.b.host->identify().metrics().refused.value(); };
  ASSERT_TRUE(w.world.run(w.a.node, push_raw(*w.a.host, w.b.id(), pushed(forged))));
  ASSERT_TRUE(w.world.run_until([&] { return refused() == 1; }, 10s));
  EXPECT_NE(w.b.host->identify().info(w.a.id())->agent_version, "forged");
  // A valid record of another peer: the other fields count, the record does not.
  const crypto::PrivateKey other = make_key(77);
  PeerRecord record;
  record.peer = crypto::PeerId::from(other.public_key());
  record.seq = 1;
  record.addresses = w.b.address();
  IdentifyInfo foreign;
  foreign.agent_version = "foreign record";
  foreign.signed_record = CertifiedRecord::make(other, record)->envelope;
  ASSERT_TRUE(w.world.run(w.a.node, push_raw(*w.a.host, w.b.id(), pushed(foreign))));
  ASSERT_TRUE(
      w.world.run_until([&] { return w.b.host->identify().info(w.a.id())->agent_version == "foreign record"; }, 10s));
  EXPECT_EQ(w.b.host->peer_store().certified(record.peer, w.world.now()), nullptr);
  EXPECT_EQ(w.b.host->peer_store().certified(w.a.id(), w.world.now())->record.peer, w.a.id());
}

TEST(Identify, HugeManyAndMalformedPushesAreRefusedAndCostNothingLasting) {
  Identified w;
  const IdentifyInfo before = *w.b.host->identify().info(w.a.id());
  const Amounts held = w.b.host->resources().system();
  Bytes many_parts;
  for (int i = 0; i < 40; ++i) append(many_parts, delimited(Bytes{0x32, 1, 'x'}));
  const std::vector<Bytes> bad{delimited(Bytes(Identify::kMaxMessage + 1)), many_parts, Bytes{5, 1, 2},
                               delimited(Bytes{0xff, 0xff, 0xff}), Bytes(9, 0xff)};
  for (const Bytes& message : bad) {
    (void)w.world.run(w.a.node, push_raw(*w.a.host, w.b.id(), message));
    w.world.run_for(1s);
  }
  EXPECT_EQ(w.b.host->identify().metrics().refused.value(), bad.size());
  EXPECT_EQ(w.b.host->identify().info(w.a.id())->agent_version, before.agent_version);
  EXPECT_TRUE(w.b.host->connected(w.a.id()));
  w.world.run_for(20s);
  EXPECT_EQ(w.b.host->resources().system(), held);
}

TEST(Identify, PushesInBulkAreIgnoredForAWhile) {
  Identified w;
  IdentifyInfo update;
  const std::uint64_t before = w.b.host->identify().metrics().received.value();
  for (int i = 0; i < 100; ++i) {
    update.agent_version = "v" + std::to_string(i);
    ASSERT_TRUE(w.world.run(w.a.node, push_raw(*w.a.host, w.b.id(), pushed(update))));
    w.world.run_for(50ms);
  }
  EXPECT_LE(w.b.host->identify().metrics().received.value() - before, Identify::kMaxPushes);
  w.world.run_for(Identify::kPushWindow);
  update.agent_version = "last";
  ASSERT_TRUE(w.world.run(w.a.node, push_raw(*w.a.host, w.b.id(), pushed(update))));
  EXPECT_TRUE(w.world.run_until([&] { return w.b.host->identify().info(w.a.id())->agent_version == "last"; }, 10s));
}

TEST(Identify, AnAddressSeenBySeveralPeersIsAnnouncedAndPushed) {
  SimWorld world(1);
  Peer hub(world, "hub", 100);
  const Multiaddr mapped = *Multiaddr::parse("/ip4/203.0.113.9/tcp/9000");
  std::vector<std::unique_ptr<Peer>> others;
  const auto announces_it = [&](const Identify& identify) {
    const auto all = identify.announced();
    return std::ranges::find(all, mapped) != all.end();
  };
  for (std::uint64_t i = 1; i <= 3; ++i) {
    EXPECT_FALSE(announces_it(hub.host->identify())) << i;
    others.push_back(std::make_unique<Peer>(world, "peer" + std::to_string(i), i));
    ASSERT_TRUE(others.back()->connect(hub));
    ASSERT_TRUE(world.run_until([&] { return identified(hub, *others.back()) && identified(*others.back(), hub); }));
    world.run_for(3s);
    // As behind port forwarding: the others reach the hub at another address.
    IdentifyInfo observation;
    observation.observed_address = mapped;
    ASSERT_TRUE(world.run(others.back()->node, push_raw(*others.back()->host, hub.id(), pushed(observation))));
    world.run_for(1s);
  }
  EXPECT_TRUE(announces_it(hub.host->identify()));
  ASSERT_TRUE(world.run_until(
      [&] {
        const auto& known = others[0]->host->identify().info(hub.id())->listen_addresses;
        return std::ranges::find(known, mapped) != known.end();
      },
      10s));
  for (auto& peer : others) peer->close();
  hub.close();
}

TEST(IdentifyMessage, ALargeMessageIsSentInTwoParts) {
  IdentifyInfo info;
  for (int i = 0; i < 200; ++i) info.protocols.push_back("/protocol/number/" + std::to_string(i));
  info.agent_version = "a";
  info.signed_record = Bytes(300, 1);
  const Bytes wire = info.encode_delimited();
  const auto first = parse_varint(wire);
  ASSERT_TRUE(first);
  EXPECT_LT(first->value + first->size, wire.size());
  const auto back = IdentifyInfo::decode_delimited(wire, 2);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->protocols, info.protocols);
  EXPECT_EQ(back->signed_record, info.signed_record);
  EXPECT_EQ(back->agent_version, "a");
  EXPECT_FALSE(IdentifyInfo::decode_delimited(wire, 1));
}

}  // namespace
}  // namespace dms::libp2p

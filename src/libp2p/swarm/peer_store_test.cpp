#include "libp2p/swarm/peer_store.hpp"

#include <set>

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using testing::id;
using testing::make_key;

Multiaddr at(std::uint64_t port) { return *Multiaddr::parse("/ip4/192.0.2.1/tcp/" + std::to_string(port)); }

CertifiedRecord record(std::uint64_t seed, std::uint64_t seq, std::vector<Multiaddr> addresses) {
  return *CertifiedRecord::make(make_key(seed), PeerRecord{id(seed), seq, std::move(addresses)});
}

TEST(PeerStore, AddressesExpireAndLearningAgainOnlyExtends) {
  PeerStore store;
  const SteadyTime start{};
  store.add_addresses(id(1), {at(1), at(2)}, 10s, start);
  store.add_addresses(id(1), {at(2)}, 20s, start);
  store.add_addresses(id(1), {at(2)}, 1s, start);
  EXPECT_EQ(store.addresses(id(1), start), (std::vector{at(2), at(1)}));
  EXPECT_EQ(store.addresses(id(1), start + 10s), std::vector{at(2)});
  EXPECT_TRUE(store.addresses(id(1), start + 20s).empty());
}

TEST(PeerStore, AddressesOfAConnectedPeerExpireSomeTimeAfterDisconnecting) {
  PeerStore store;
  const SteadyTime start{};
  store.add_addresses(id(1), {at(1)}, PeerStore::kWhileConnected, start);
  EXPECT_EQ(store.addresses(id(1), start + 9999min).size(), 1u);
  store.release(id(1), 1min, start + 1h);
  EXPECT_EQ(store.addresses(id(1), start + 1h + 59s).size(), 1u);
  EXPECT_TRUE(store.addresses(id(1), start + 1h + 1min).empty());
}

TEST(PeerStore, OnlyANewerRecordReplacesTheCertifiedAddresses) {
  PeerStore store;
  const SteadyTime start{};
  store.add_addresses(id(1), {at(9)}, 1h, start);
  EXPECT_TRUE(store.add_certified(record(1, 5, {at(1), at(2)}), 10min, start));
  EXPECT_EQ(store.addresses(id(1), start), (std::vector{at(1), at(2), at(9)}));
  EXPECT_FALSE(store.add_certified(record(1, 5, {at(3)}), 10min, start));
  EXPECT_FALSE(store.add_certified(record(1, 4, {at(3)}), 10min, start));
  EXPECT_FALSE(store.add_certified(record(1, 5, {}), 10min, start));
  EXPECT_TRUE(store.add_certified(record(1, 6, {at(3)}), 10min, start));
  EXPECT_EQ(store.addresses(id(1), start), (std::vector{at(3), at(9)}));
  ASSERT_NE(store.certified(id(1), start), nullptr);
  EXPECT_EQ(store.certified(id(1), start)->record.seq, 6u);
  EXPECT_EQ(store.certified(id(1), start + 10min), nullptr);
  EXPECT_FALSE(store.add_certified(record(1, 6, {at(4)}), 10min, start + 11min));  // the seq outlives the addresses
}

TEST(PeerStore, TheSameRecordAgainExtendsTheTimeOfItsAddresses) {
  PeerStore store;
  const SteadyTime start{};
  EXPECT_TRUE(store.add_certified(record(1, 5, {at(1)}), 10min, start));
  EXPECT_TRUE(store.add_certified(record(1, 5, {at(1)}), 1min, start));  // does not shorten
  EXPECT_FALSE(store.addresses(id(1), start + 10min - 1s).empty());
  EXPECT_TRUE(store.add_certified(record(1, 5, {at(1)}), 10min, start + 5min));
  EXPECT_NE(store.certified(id(1), start + 15min - 1s), nullptr);
  EXPECT_TRUE(store.addresses(id(1), start + 15min).empty());
  EXPECT_TRUE(store.add_certified(record(1, 5, {at(1)}), 10min, start + 1h));  // also after they had expired
  EXPECT_EQ(store.addresses(id(1), start + 1h), std::vector{at(1)});
}

TEST(PeerStore, AKeyBelongsToItsPeer) {
  PeerStore store;
  EXPECT_TRUE(store.set_key(id(1), make_key(1).public_key()));
  EXPECT_FALSE(store.set_key(id(1), make_key(2).public_key()));
  EXPECT_EQ(store.key(id(1)), make_key(1).public_key());
  EXPECT_EQ(store.key(id(3)), make_key(3).public_key());  // an id of an Ed25519 key contains it
}

TEST(PeerStore, UnconnectedPeersAreEvictedBeforeConnectedOnes) {
  PeerStoreOptions options;
  options.max_peers = 3;
  options.max_addresses = 2;
  PeerStore store(options);
  const SteadyTime start{};
  store.add_addresses(id(1), {at(1)}, PeerStore::kWhileConnected, start);
  for (std::uint64_t i = 2; i < 20; ++i) store.add_addresses(id(i), {at(1), at(2), at(3)}, 1h, start);
  EXPECT_EQ(store.size(), 3u);
  EXPECT_EQ(store.addresses(id(1), start).size(), 1u);
  EXPECT_EQ(store.addresses(id(19), start).size(), 2u);
  EXPECT_TRUE(store.addresses(id(2), start).empty());
}

/// A plain model: the expiry of every (peer, address).
TEST(PeerStore, AgreesWithAPlainModel) {
  SeededRandom random(11);
  PeerStoreOptions options;
  options.max_addresses = 1000;
  PeerStore store(options);
  std::map<std::pair<crypto::PeerId, Multiaddr>, SteadyTime> model;
  SteadyTime now{};
  for (int step = 0; step < 3000; ++step) {
    const crypto::PeerId peer = id(1 + random.below(4));
    const Multiaddr address = at(1 + random.below(6));
    now += std::chrono::seconds(random.below(5));
    if (random.below(8) == 0) {
      store.remove_addresses(peer);
      std::erase_if(model, [&](const auto& item) { return item.first.first == peer; });
    } else {
      const Duration ttl = std::chrono::seconds(1 + random.below(60));
      store.add_addresses(peer, {address}, ttl, now);
      auto& until = model[{peer, address}];
      until = std::max(until, now + ttl);
    }
    std::set<Multiaddr> expected;
    for (const auto& [key, until] : model)
      if (key.first == peer && until > now) expected.insert(key.second);
    const auto got = store.addresses(peer, now);
    ASSERT_EQ(std::set<Multiaddr>(got.begin(), got.end()), expected) << "step " << step;
  }
}

}  // namespace
}  // namespace dms::libp2p

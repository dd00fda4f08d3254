#include "daemon/address_book.hpp"

#include <gtest/gtest.h>

#include "libp2p/testing.hpp"

namespace dms {
namespace {

using libp2p::testing::make_key;
using libp2p::testing::Peer;

/// A host with a book, whose store outlives both.
struct Side {
  Side(SimWorld& world, const std::string& name, std::uint64_t seed)
      : peer(world, name, seed), store(lane(), *db::Store::open(std::string(db::Store::kMemory))) {}

  [[nodiscard]] Lane& lane() { return peer.node.runtime().lane; }
  [[nodiscard]] crypto::PeerId id() const { return peer.id(); }
  void start() {
    book = std::make_unique<AddressBook>(lane(), *peer.host, store, [this] { return partners; });
    ASSERT_TRUE(book->start());
  }
  void stop() {
    if (!std::exchange(open, false)) return;
    if (book) peer.world.run(peer.node, book->close());
    peer.close();
    book.reset();
  }
  /// After stop(): as a daemon that starts again.
  void start_again() {
    peer.host = std::make_unique<libp2p::Host>(peer.node.runtime(), peer.key);
    open = true;
    ASSERT_TRUE(peer.host->listen(*libp2p::Multiaddr::parse("/ip4/0.0.0.0/tcp/9000")));
    start();
  }
  void keep(const crypto::PeerId& other, const std::string& address, Duration ago) {
    KnownPeer known{.addresses = {address}, .seen = lane().unix_now().nanos - static_cast<std::uint64_t>(ago.count())};
    ASSERT_TRUE(
        peer.world.run(peer.node, store.put_value(std::string(AddressBook::kCollection), other.to_string(), known)));
  }
  [[nodiscard]] std::size_t stored() {
    return peer.world.run(peer.node, store.list(std::string(AddressBook::kCollection)))->size();
  }

  Peer peer;
  db::AsyncStore store;
  std::optional<std::set<crypto::PeerId>> partners = std::set<crypto::PeerId>();
  std::unique_ptr<AddressBook> book;
  bool open = true;
};

crypto::PeerId nobody(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

struct AddressBookTest : testing::Test {
  ~AddressBookTest() override {
    for (Side* side : {&a, &b}) {
      side->stop();
      world.run(side->peer.node, side->store.close());
    }
  }
  [[nodiscard]] bool connected() const { return a.peer.host->connected(b.id()) && b.peer.host->connected(a.id()); }

  SimWorld world{3};
  Side a{world, "a", 1};
  Side b{world, "b", 2};
};

TEST_F(AddressBookTest, AfterARestartOfBothAtOnceTheyConnectAgain) {
  b.partners = {a.id()};
  a.start();
  b.start();
  ASSERT_TRUE(a.peer.connect(b.peer));
  ASSERT_TRUE(world.run_until([&] { return a.stored() == 1 && b.stored() == 1; }, 1min));
  a.stop();
  b.stop();
  a.start_again();
  b.start_again();
  EXPECT_TRUE(world.run_until([&] { return connected(); }, 1min));
}

TEST_F(AddressBookTest, WhicheverOfTheTwoKnowsTheOtherFindsIt) {
  b.partners = {a.id()};
  b.start();  // a has no book
  ASSERT_TRUE(a.peer.connect(b.peer));
  ASSERT_TRUE(world.run_until([&] { return b.stored() == 1; }, 1min));
  EXPECT_EQ(b.book->addresses(a.id()), (std::vector<std::string>{a.peer.address()[0].to_string()}))
      << "the listen address, and not the source of the connection";
  b.stop();
  b.start_again();
  EXPECT_TRUE(world.run_until([&] { return connected(); }, 1min));
}

TEST_F(AddressBookTest, AStrangerThatConnectsIsNotKept) {
  a.start();
  b.start();
  ASSERT_TRUE(a.peer.connect(b.peer));
  ASSERT_TRUE(world.run_until([&] { return b.peer.host->identify().info(a.id()) != nullptr; }));
  world.run_for(AddressBook::kLook * 3);
  EXPECT_EQ(a.book->size(), 1U) << "it has dialed b";
  EXPECT_EQ(b.book->size(), 0U);
  b.partners = {a.id()};
  world.run_for(AddressBook::kLook * 2);
  EXPECT_EQ(b.book->size(), 1U) << "now its work is there";
}

TEST_F(AddressBookTest, APartnerThatIsAwayIsDialedWithGrowingPausesUntilItIsBack) {
  a.partners = {b.id()};
  a.start();
  b.start();
  ASSERT_TRUE(a.peer.connect(b.peer));
  ASSERT_TRUE(world.run_until([&] { return a.stored() == 1; }, 1min));
  b.stop();
  world.run_for(1h);
  const auto tries = a.peer.host->dials()[libp2p::DialOutcome::failed].value();
  EXPECT_GE(tries, 60U);
  EXPECT_LE(tries, 150U) << "about one in kPartnerPause";
  b.start_again();
  EXPECT_TRUE(world.run_until([&] { return connected(); }, AddressBook::kPartnerPause * 2));
}

TEST_F(AddressBookTest, OfOthersTheLongestUnconnectedMakesRoom) {
  for (std::uint64_t i = 0; i < AddressBook::kMaxOthers; ++i)
    a.keep(nobody(100 + i), "/ip4/10.0.0.2/tcp/1", i == 7 ? 48h : 1h);
  a.start();
  b.start();
  ASSERT_EQ(a.book->size(), AddressBook::kMaxOthers);
  world.run_for(AddressBook::kOtherPause);  // while an entry is dialed it stays
  ASSERT_TRUE(a.peer.connect(b.peer));
  EXPECT_TRUE(world.run_until([&] { return !a.book->addresses(b.id()).empty(); }, 1min));
  EXPECT_EQ(a.book->size(), AddressBook::kMaxOthers);
  EXPECT_EQ(a.stored(), AddressBook::kMaxOthers);
  EXPECT_TRUE(a.book->addresses(nobody(107)).empty());
}

TEST_F(AddressBookTest, OthersAreForgottenAndPartnersAreNot) {
  a.partners = {nobody(100)};
  a.keep(nobody(100), "/ip4/10.0.0.2/tcp/1", AddressBook::kForget + 1h);
  a.keep(nobody(101), "/ip4/10.0.0.2/tcp/1", AddressBook::kForget + 1h);
  a.keep(nobody(102), "/ip4/10.0.0.2/tcp/1", AddressBook::kForget - 1h);
  a.start();
  world.run_for(AddressBook::kLook);
  EXPECT_EQ(a.book->size(), 2U);
  EXPECT_TRUE(a.book->addresses(nobody(101)).empty());
  EXPECT_EQ(a.stored(), 2U);
}

TEST_F(AddressBookTest, WhileThePartnersAreNotKnownNothingIsForgottenAndAllAreDialed) {
  a.partners.reset();
  for (std::uint64_t i = 0; i < AddressBook::kMaxOthers + 8; ++i)
    a.keep(nobody(100 + i), "/ip4/10.0.0.2/tcp/1", AddressBook::kForget + 1h);
  a.keep(b.id(), b.peer.address()[0].to_string(), 1h);
  a.start();
  EXPECT_TRUE(world.run_until([&] { return connected(); }, 5min));
  world.run_for(AddressBook::kLook * 2);
  EXPECT_EQ(a.book->size(), AddressBook::kMaxOthers + 9);
  a.partners = {nobody(100)};
  EXPECT_TRUE(world.run_until([&] { return a.book->size() == 2; }, 1min));
}

TEST_F(AddressBookTest, ADamagedEntryDoesNotPreventTheStart) {
  ASSERT_TRUE(world.run(
      a.peer.node, a.store.put(std::string(AddressBook::kCollection), nobody(100).to_string(), R"({"addresses": 7})")));
  a.keep(nobody(101), "no address", 1h);
  a.keep(nobody(102), "/ip4/10.0.0.2/tcp/1", 1h);
  a.start();
  world.run_for(AddressBook::kLook);
  EXPECT_EQ(a.book->size(), 2U);
  EXPECT_EQ(a.book->addresses(nobody(102)).size(), 1U);
}

TEST_F(AddressBookTest, AFailedWriteIsRepeated) {
  a.store.set_write_fault([] { return Result<void>(fail(Errc::io, "the disk is full")); });
  a.start();
  ASSERT_TRUE(a.peer.connect(b.peer));
  world.run_for(AddressBook::kLook * 2);
  EXPECT_EQ(a.book->size(), 0U);
  a.store.set_write_fault(nullptr);
  world.run_for(AddressBook::kWriteAgain + AddressBook::kLook * 2);
  EXPECT_EQ(a.book->size(), 1U);
}

}  // namespace
}  // namespace dms

#include "libp2p/protocols/identify/observed_addresses.hpp"

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using testing::id;
using testing::make_key;

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
const Multiaddr kRight = *Multiaddr::parse("/ip4/203.0.113.5/tcp/9000");
const Multiaddr kWrong = *Multiaddr::parse("/ip4/203.0.113.6/tcp/9000");

TEST(ObservedAddresses, ConfirmedBySeveralObserversUntilNoneSeesIt) {
  ObservedAddresses observed(3);
  EXPECT_FALSE(observed.report(id(1), ip("192.0.2.1"), kRight));
  EXPECT_FALSE(observed.report(id(2), ip("192.0.2.2"), kRight));
  EXPECT_FALSE(observed.report(id(2), ip("192.0.2.2"), kRight));  // the same observation again
  EXPECT_TRUE(observed.confirmed().empty());
  EXPECT_TRUE(observed.report(id(3), ip("192.0.2.3"), kRight));
  EXPECT_EQ(observed.confirmed(), std::vector{kRight});
  EXPECT_FALSE(observed.forget(id(1)));
  EXPECT_FALSE(observed.forget(id(2)));
  EXPECT_FALSE(observed.report(id(3), ip("192.0.2.3"), kRight));  // the last one stays
  EXPECT_EQ(observed.confirmed(), std::vector{kRight});
  EXPECT_TRUE(observed.report(id(3), ip("192.0.2.3"), kWrong));  // a new observation
  EXPECT_TRUE(observed.confirmed().empty());
}

TEST(ObservedAddresses, ManyPeersOfOneNetworkAreOneObserver) {
  ObservedAddresses observed(2);
  for (std::uint64_t i = 1; i < 20; ++i) EXPECT_FALSE(observed.report(id(i), ip("192.0.2.1"), kWrong));
  for (std::uint64_t i = 21; i < 40; ++i)
    EXPECT_FALSE(observed.report(id(i), ip("2001:db8::" + std::to_string(i)), kRight));
  EXPECT_EQ(observed.observers(kWrong), 1u);
  EXPECT_EQ(observed.observers(kRight), 1u);
  EXPECT_TRUE(observed.report(id(50), ip("192.0.2.2"), kRight));
}

TEST(ObservedAddresses, ConfirmedAddressesAreBounded) {
  ObservedAddresses observed(1);
  for (std::uint64_t i = 1; i < 30; ++i)
    observed.report(id(i), ip("192.0.2.1"), *Multiaddr::parse("/ip4/203.0.113.5/tcp/" + std::to_string(i)));
  EXPECT_EQ(observed.confirmed().size(), ObservedAddresses::kMaxConfirmed);
  for (std::uint64_t i = 1; i < 30; ++i) observed.forget(id(i));
  EXPECT_TRUE(observed.confirmed().empty());
}

}  // namespace
}  // namespace dms::libp2p

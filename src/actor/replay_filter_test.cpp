#include "actor/replay_filter.hpp"

#include <gtest/gtest.h>

#include <map>

#include "ucan/test_parties.hpp"

namespace dms::actor {
namespace {

using Outcome = ReplayFilter::Outcome;
using ucan::Trust;
using ucan::test::Party;
using namespace ucan::literals;

crypto::PublicKey key(int number) {
  SeededRandom random(static_cast<std::uint64_t>(number));
  return crypto::PrivateKey::generate(random).public_key();
}
Id sender(int number) { return Id::from(key(number)); }
did::Did account(int number) { return did::Did::from(key(number)).value(); }

struct ReplayFilterTest : testing::Test {
  explicit ReplayFilterTest(ReplayFilter::Limits limits =
                                {.senders = 2, .window = 4, .per_account = 2, .reserved_named = 0, .reserved_full = 0})
      : filter(limits) {}

  Outcome accept(const Id& from, std::uint64_t nonce, UnixTime now, UnixTime expiry,
                 const ucan::Authority& authority = {account(1), {}}, Trust trust = Trust::none) {
    const Outcome outcome = filter.check(from, nonce, now);
    return outcome == Outcome::fresh ? filter.remember(from, nonce, expiry, authority, trust) : outcome;
  }
  ReplayFilter filter;
  const Id alice = sender(1);
  const Id bob = sender(2);
  const Id eve = sender(3);
};

TEST_F(ReplayFilterTest, AcceptsAMessageOnce) {
  EXPECT_EQ(accept(alice, 7, {10}, {100}), Outcome::fresh);
  EXPECT_EQ(accept(alice, 7, {11}, {100}), Outcome::seen);
  EXPECT_EQ(accept(alice, 8, {11}, {100}), Outcome::fresh);
  EXPECT_EQ(accept(bob, 7, {11}, {100}), Outcome::fresh) << "each sender counts its own nonces";
}

TEST_F(ReplayFilterTest, RemembersAMessageUntilItExpires) {
  EXPECT_EQ(accept(alice, 7, {10}, {100}), Outcome::fresh);
  EXPECT_EQ(accept(alice, 7, {100}, {100}), Outcome::seen);
  EXPECT_EQ(filter.check(alice, 7, {101}), Outcome::fresh) << "from here on it is refused as expired";
  EXPECT_EQ(filter.senders(), 0u);
}

TEST_F(ReplayFilterTest, ALaterShortLivedMessageDoesNotShortenTheRetention) {
  EXPECT_EQ(accept(alice, 7, {10}, {100}), Outcome::fresh);
  EXPECT_EQ(accept(alice, 8, {10}, {20}), Outcome::fresh);
  EXPECT_EQ(accept(alice, 7, {50}, {100}), Outcome::seen);
}

TEST_F(ReplayFilterTest, BeyondTheWindowOldNoncesCountAsSeen) {
  for (std::uint64_t nonce : {10, 12, 14, 16, 18}) EXPECT_EQ(accept(alice, nonce, {1}, {100}), Outcome::fresh);
  EXPECT_EQ(accept(alice, 10, {1}, {100}), Outcome::seen);
  EXPECT_EQ(accept(alice, 9, {1}, {100}), Outcome::seen) << "older than what is remembered";
  EXPECT_EQ(accept(alice, 11, {1}, {100}), Outcome::fresh) << "late, but within the window";
}

TEST_F(ReplayFilterTest, WhenAllPlacesAreTakenAFurtherSenderIsRefusedUntilOneIsFree) {
  EXPECT_EQ(accept(alice, 1, {1}, {100}), Outcome::fresh);
  EXPECT_EQ(accept(bob, 1, {1}, {200}), Outcome::fresh);
  EXPECT_EQ(accept(eve, 1, {1}, {100}, {account(2), {}}), Outcome::full);
  EXPECT_EQ(accept(alice, 2, {1}, {100}), Outcome::fresh) << "a sender keeps its place";
  EXPECT_EQ(accept(eve, 1, {101}, {200}), Outcome::fresh);
}

struct ReplayFilterQuotas : ReplayFilterTest {
  ReplayFilterQuotas()
      : ReplayFilterTest({.senders = 12, .window = 4, .per_account = 3, .reserved_named = 2, .reserved_full = 2}) {}

  Outcome fresh_key(const did::Did& account, Trust trust = Trust::none, std::vector<std::string> links = {}) {
    return accept(sender(1000 + next_++), 1, {1}, {100}, {account, std::move(links)}, trust);
  }
  int fresh_keys_of(const did::Did& account, Trust trust = Trust::none) {
    int accepted = 0;
    while (accepted < 100 && fresh_key(account, trust) == Outcome::fresh) ++accepted;
    return accepted;
  }

 private:
  int next_ = 0;
};

TEST_F(ReplayFilterQuotas, OneAccountCannotTakeThePlacesOfOthersWithFreshKeys) {
  EXPECT_EQ(fresh_keys_of(account(1)), 3);
  EXPECT_EQ(fresh_key(account(1)), Outcome::over_quota);
  EXPECT_EQ(fresh_key(account(2)), Outcome::fresh);
}

TEST_F(ReplayFilterQuotas, ManyAccountsCannotTakeTheReservedPlaces) {
  for (int i = 1; i <= 4; ++i) (void)fresh_keys_of(account(i));
  EXPECT_EQ(filter.senders(), 8u);
  EXPECT_EQ(fresh_key(account(9)), Outcome::full);
  EXPECT_EQ(fresh_keys_of(account(5), Trust::named), 2);
  EXPECT_EQ(fresh_key(account(5), Trust::named), Outcome::full);
  EXPECT_EQ(fresh_keys_of(account(6), Trust::full), 2);
  EXPECT_EQ(filter.senders(), 12u);
}

TEST_F(ReplayFilterQuotas, TheOperatorMayUseHalfOfThePlaces) {
  EXPECT_EQ(fresh_keys_of(account(1), Trust::full), 6);
  EXPECT_EQ(fresh_key(account(1), Trust::full), Outcome::over_quota);
}

TEST_F(ReplayFilterQuotas, ARevocationFreesThePlacesOfItsToken) {
  Party owner(1);
  const ucan::Token given = ucan::test::make(owner, ucan::Action::delegate, account(1), {}, {"/x"_cap});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(fresh_key(account(1), Trust::none, {"a leaf", given.revocation_key()}), Outcome::fresh);
  EXPECT_EQ(fresh_key(account(2)), Outcome::fresh);
  ucan::RevocationSet revoked;
  filter.forget_revoked(revoked);
  EXPECT_EQ(filter.senders(), 4u);
  revoked.add(owner.context.revoke(given).value());
  filter.forget_revoked(revoked);
  EXPECT_EQ(filter.senders(), 1u);
  EXPECT_EQ(fresh_keys_of(account(1)), 3);
}

TEST_F(ReplayFilterQuotas, ExpiryFreesTheQuota) {
  EXPECT_EQ(fresh_keys_of(account(1)), 3);
  EXPECT_EQ(accept(alice, 1, {101}, {200}), Outcome::fresh);
  EXPECT_EQ(filter.senders(), 1u);
}

// Against an unbounded model: no message is accepted twice.
TEST(ReplayFilterModel, NeverAcceptsAMessageTwice) {
  SeededRandom random(42);
  ReplayFilter filter({.senders = 3, .window = 8, .per_account = 2, .reserved_named = 0, .reserved_full = 0});
  const Id ids[] = {sender(1), sender(2), sender(3), sender(4), sender(5)};
  std::map<std::pair<Id, std::uint64_t>, std::uint64_t> accepted;
  std::uint64_t now = 1000;
  std::size_t fresh = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += random.below(3);
    const Id& id = ids[random.below(5)];
    const std::uint64_t nonce = now / 4 + random.below(12);
    const std::uint64_t expiry = now + random.below(60);
    const auto key = std::pair(id, nonce);
    const Outcome outcome = filter.check(id, nonce, {now});
    const auto before = accepted.find(key);
    const bool must_refuse = before != accepted.end() && before->second >= now;
    if (must_refuse) {
      ASSERT_NE(outcome, Outcome::fresh) << "message " << i;
    }
    if (outcome != Outcome::fresh) continue;
    const did::Did account_of = account(static_cast<int>(random.below(2)));
    if (filter.remember(id, nonce, {expiry}, {account_of, {}}, Trust::none) != Outcome::fresh) continue;
    ++fresh;
    accepted[key] = expiry;
    ASSERT_LE(filter.senders(), 3u);
  }
  EXPECT_GT(fresh, 1000u);
}

}  // namespace
}  // namespace dms::actor

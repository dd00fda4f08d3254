#include "node/revocations.hpp"

#include <unistd.h>

#include "actor/test_world.hpp"
#include "base/file.hpp"
#include "protocol/serve.hpp"

namespace dms::node {
namespace {

constexpr auto kWork = "/dms/work";

/// A test node with what spreads revocations.
struct Spreading {
  Spreading(actor::TestNode& at, std::filesystem::path path)
      : node(at),
        file(std::move(path)),
        capabilities(at.lane(), at.context, file),
        revocations(*at.root, capabilities) {
    EXPECT_TRUE(revocations.start());
  }
  actor::TestNode& node;
  std::filesystem::path file;
  CapabilityFile capabilities;
  Revocations revocations;
};

/// The organisation delegates to the user; the provider accepts what the organisation delegates.
struct RevocationsTest : testing::Test {
  RevocationsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nunet-revocations-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    accept_organisation(provider);
    received = provider.listen(kWork);
    to_user = grant(*organisation.context, user.did(), {});
    ucan::Anchors anchors;
    anchors.provide.tokens.push_back(*to_user);
    EXPECT_TRUE(user.context->anchor(anchors, w.world.unix_now()));
    for (actor::TestNode* node : {&organisation, &provider, &bystander}) spread(*node);
    w.settle(3s);
  }
  ~RevocationsTest() override {
    w.close();
    std::filesystem::remove_all(folder);
  }

  ucan::Token grant(const ucan::CapabilityContext& by, const did::Did& to, std::optional<Duration> lifetime) {
    ucan::Grant grant;
    grant.subject = to;
    grant.capabilities = ucan::parse_capabilities({kWork}).value();
    grant.expires = w.world.unix_now() + lifetime.value_or(3h);
    return by.grant(ucan::Action::delegate, grant).value();
  }
  void accept_organisation(actor::TestNode& node) {
    ucan::Anchors anchors;
    anchors.require.tokens.push_back(grant(*node.context, organisation.did(), Duration(48h)));
    EXPECT_TRUE(node.context->anchor(anchors, w.world.unix_now()));
  }
  Spreading& spread(actor::TestNode& node) {
    spreading.push_back(std::make_unique<Spreading>(node, folder / (std::to_string(spreading.size()) + ".cap")));
    return *spreading.back();
  }
  /// Whether the provider takes a message of the user.
  bool works() {
    const std::size_t before = received->size();
    (void)w.run(user, user.root->send(user.root->message(provider.root->handle(), kWork)));
    w.settle();
    return received->size() > before;
  }
  protocol::CapBroadcastReply broadcast(actor::TestNode& at, std::vector<ucan::Token> revocations) {
    protocol::CapBroadcastRequest request;
    request.token.tokens = std::move(revocations);
    return w.run(at, protocol::call(*at.root, protocol::kCapBroadcast, at.root->handle(), request)).value();
  }
  ucan::Token revocation() { return organisation.context->revoke(*to_user).value(); }
  static std::size_t held(const actor::TestNode& node) { return node.context->revocations().size(); }
  void cut(const actor::TestNode& a, const actor::TestNode& b, bool is_cut = true) {
    w.substrate->cut(a.network->self(), b.network->self(), is_cut);
  }

  actor::MemoryTestWorld w{5};
  actor::TestNode& organisation = w.add("organisation");
  actor::TestNode& user = w.add("user");
  actor::TestNode& provider = w.add("provider");
  actor::TestNode& bystander = w.add("bystander");
  std::optional<ucan::Token> to_user;
  actor::Received received;
  std::filesystem::path folder;
  std::vector<std::unique_ptr<Spreading>> spreading;
};

TEST_F(RevocationsTest, ARevokedTokenIsRefusedByAllPeersAtOnceAndAfterARestart) {
  ASSERT_TRUE(works());
  const auto reply = broadcast(organisation, {revocation()});
  EXPECT_TRUE(reply.ok) << reply.error;
  EXPECT_EQ(reply.tokens_count, 1U);
  w.settle(100ms);
  EXPECT_FALSE(works());
  EXPECT_EQ(held(provider), 1U);
  EXPECT_EQ(held(organisation), 1U);
  EXPECT_EQ(held(bystander), 0U) << "it concerns nothing there";
  SeededRandom random(1);
  const auto again =
      ucan::CapabilityContext::load(spreading[1]->file, std::nullopt, random, w.world.unix_now()).value();
  EXPECT_EQ(again.revocations().size(), 1U);
}

TEST_F(RevocationsTest, WithoutTokensTheRevocationsOfTheNodeAreSpread) {
  ucan::Anchors anchors;
  anchors.revoke.tokens.push_back(revocation());
  ASSERT_TRUE(organisation.context->anchor(anchors, w.world.unix_now()));
  protocol::CapBroadcastRequest request;
  request.context = "other";
  const auto call = [&] {
    return w
        .run(organisation,
             protocol::call(*organisation.root, protocol::kCapBroadcast, organisation.root->handle(), request))
        .value();
  };
  EXPECT_NE(call().error.find("Context"), std::string::npos);
  EXPECT_EQ(held(provider), 0U);
  request.context = "0";  // its file is 0.cap
  EXPECT_EQ(call().tokens_count, 1U);
  w.settle();
  EXPECT_EQ(held(provider), 1U);
}

TEST_F(RevocationsTest, OnlyWithTheCapabilityIsANodeToldToSpread) {
  protocol::CapBroadcastRequest request;
  request.token.tokens = {revocation()};
  EXPECT_FALSE(w.run(user, protocol::call(*user.root, protocol::kCapBroadcast, provider.root->handle(), request)));
  EXPECT_EQ(held(provider), 0U);
}

TEST_F(RevocationsTest, ItIsTakenFromAnybodyByWhatItProves) {
  // The bystander holds no grant of anybody.
  protocol::RevocationsMessage message;
  message.token.tokens = {revocation()};
  ASSERT_TRUE(w.run(bystander, bystander.root->send(protocol::message(*bystander.root, protocol::kRevocations,
                                                                      provider.root->handle(), message))));
  w.settle();
  EXPECT_EQ(held(provider), 1U);
}

TEST_F(RevocationsTest, WhatConcernsNobodyIsNeitherKeptNorWritten) {
  const std::string before = provider.context->serialise();
  protocol::RevocationsMessage message;
  for (int i = 0; i < 64; ++i)
    message.token.tokens.push_back(bystander.context->revoke(grant(*bystander.context, user.did(), {})).value());
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(w.run(bystander, bystander.root->send(protocol::message(*bystander.root, protocol::kRevocations,
                                                                        provider.root->handle(), message))));
  w.settle();
  EXPECT_EQ(provider.context->serialise(), before);
  EXPECT_FALSE(std::filesystem::exists(spreading[1]->file));
  EXPECT_TRUE(works());
}

TEST_F(RevocationsTest, ANodeThatStartsLaterAsksItsPeers) {
  ASSERT_TRUE(broadcast(organisation, {revocation()}).ok);
  w.settle();
  actor::TestNode& late = w.add("late");
  accept_organisation(late);
  spread(late);
  w.settle(5s);
  EXPECT_EQ(held(late), 1U);
}

TEST_F(RevocationsTest, ANodeWhoseAnchorsChangeAsksItsPeers) {
  actor::TestNode& late = w.add("late");
  spread(late);
  w.settle(5s);
  ASSERT_TRUE(broadcast(organisation, {revocation()}).ok);
  w.settle(15s);
  EXPECT_EQ(held(late), 0U) << "it concerns nothing there";
  accept_organisation(late);
  w.settle(kLookForPeers + 1s);
  EXPECT_EQ(held(late), 1U);
}

TEST_F(RevocationsTest, ANodeThatWasCutOffLearnsItLaterAndRepetitionsAreSuppressed) {
  for (const actor::TestNode* other : {&organisation, &user, &bystander}) cut(provider, *other);
  ASSERT_TRUE(broadcast(organisation, {revocation()}).ok);
  w.settle();
  EXPECT_EQ(held(provider), 0U);
  cut(provider, organisation, false);
  cut(provider, user, false);
  w.settle(kRepublish + kLookForPeers);
  EXPECT_EQ(held(provider), 1U);
  EXPECT_FALSE(works());

  // Two nodes have it: together about one publication in an interval, delivered to the three others.
  std::size_t published = 0;
  w.substrate->set_tap([&](network::MemoryMessage& message) {
    if (message.broadcast && message.channel == protocol::kRevocationTopic) ++published;
    return true;
  });
  w.settle(12 * kRepublish);
  EXPECT_GE(published, 3 * 6U);
  EXPECT_LE(published, 3 * 16U);
  w.settle(3h);
  published = 0;
  w.settle(2 * kRepublish);
  EXPECT_EQ(published, 0U) << "it has expired with the token that it revokes";
  EXPECT_EQ(held(provider), 0U);
}

TEST_F(RevocationsTest, ManyTravelInPages) {
  std::vector<ucan::Token> many;
  for (int i = 0; i < 150; ++i)
    many.push_back(organisation.context->revoke(grant(*organisation.context, user.did(), {})).value());
  EXPECT_EQ(broadcast(organisation, many).tokens_count, 150U);
  w.settle();
  EXPECT_EQ(held(provider), 150U);
}

}  // namespace
}  // namespace dms::node

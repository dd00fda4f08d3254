// Commands that send envelopes to a daemon, which is a function of the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "actor/security_context.hpp"
#include "cli/commands/test_daemon.hpp"
#include "protocol/node.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using actor::Handle;
using testing::HasSubstr;

TEST_F(DaemonTest, AnEnvelopeContainsTheUserTheInboxAndTheReplyPath) {
  always(R"({"Peers":[]})");
  ASSERT_EQ(nunet({"actor", "cmd", "/dms/node/peers/list", "-t", "10s"}).code, 0);
  const Envelope& e = requests.at(0);
  EXPECT_EQ(e.to, node);
  EXPECT_EQ(e.behaviour, "/dms/node/peers/list");
  EXPECT_EQ(e.from.id.did().value(), e.from.did);
  EXPECT_EQ(e.from.address.host, node.address.host);
  EXPECT_EQ(e.from.address.inbox, fmt::format("user-{}", e.nonce));
  EXPECT_EQ(e.options.reply_to, fmt::format("/private/user/{}", e.nonce));
  EXPECT_EQ(e.expiry(), world.now() + 10s);
  EXPECT_TRUE(e.message.empty());
  EXPECT_FALSE(ucan::TokenList::parse(as_text(e.capability)).value().empty());
}

TEST_F(DaemonTest, ARefusalOfTheNodeIsPrintedWithExitCode3) {
  always(R"({"error":"not permitted: no token lets the user invoke /dms/node/peers/list","refusal":"not permitted",)"
         R"("capabilities":["/dms/node/peers/list"]})");
  const auto result = nunet({"actor", "cmd", "/dms/node/peers/list"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("not permitted: no token lets the user invoke /dms/node/peers/list"));
}

TEST_F(DaemonTest, ABehaviourThatIsNotServedYetIsRefusedByName) {
  for (const char* name : {"/dms/node/peers/dht", "/dms/node/peers/score", "/dms/volume/create"}) {
    const auto result = nunet({"actor", "cmd", name});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr(fmt::format("{} is not served yet: ", name)));
    EXPECT_THAT(result.err, HasSubstr("nunet actor msg --invoke"));
  }
  EXPECT_TRUE(requests.empty());
  always(R"({"OK":true,"Error":""})");
  EXPECT_EQ(nunet({"actor", "cmd", "/dms/node/logger/config", "--level", "debug"}).code, 0);
  EXPECT_EQ(as_text(requests.at(0).message), R"({"Level":"debug"})");
}

TEST_F(DaemonTest, ABroadcastHasATopicAndNoReceiver) {
  always(R"({"DID":{"uri":"did:key:x"}})");
  const auto result = nunet({"actor", "cmd", "/broadcast/hello"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(requests.at(0).is_broadcast());
  EXPECT_EQ(requests.at(0).options.topic, "/nunet/hello");
  EXPECT_EQ(requests.at(0).options.reply_to, fmt::format("/public/user/{}", requests.at(0).nonce));
  EXPECT_EQ(json::parse(result.out)->as_array().size(), 1U);
}

TEST_F(DaemonTest, FlagsBecomeThePayload) {
  always("{}");
  const auto payload = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"actor", "cmd"});
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return requests.empty() ? "" : std::string(as_text(requests.back().message));
  };
  EXPECT_EQ(payload({"/dms/node/peers/ping", "-H", "12D3"}), R"({"Host":"12D3"})");
  EXPECT_EQ(payload({"/dms/node/deployment/list", "-f", "a=b,c=d"}), R"({"Metadata":{"a":"b","c":"d"}})");
  EXPECT_EQ(
      payload({"/dms/node/onboarding/onboard", "--ram", "1GiB", "--cpu", "0.5", "--disk", "2", "-G", "0:4,1:512MiB"}),
      R"({"Config":{"onboarded_resources":{"ram":{"size":1073741824},"cpu":{"cores":0.5},"disk":{"size":2147483648},)"
      R"("gpus":[{"index":0,"vram":4294967296},{"index":1,"vram":536870912}]}}})");
  EXPECT_EQ(payload({"/dms/cap/anchor", "--root", "--data", "did:key:z1"}), R"({"Root":[{"uri":"did:key:z1"}]})");
  EXPECT_EQ(payload({"/dms/cap/anchor", "--require", "--data", R"({"dms":{}})"}),
            R"({"Require":{"tok":[{"dms":{}}]}})");
  EXPECT_EQ(nunet({"actor", "cmd", "/dms/node/onboarding/onboard", "--ram", "much", "--cpu", "1", "--disk", "1"}).code,
            2);
}

TEST_F(DaemonTest, RepliesArePrintedAndTheirFailuresSetTheExitCode) {
  always(R"({"OK":true,"Error":"","RTT":3})");
  EXPECT_EQ(nunet({"actor", "cmd", "/public/hello"}).out, "{\n  \"OK\": true,\n  \"Error\": \"\",\n  \"RTT\": 3\n}\n");
  always(R"({"OK":false,"Error":"too much"})");
  const auto failed = nunet({"actor", "cmd", "/public/hello"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.err, HasSubstr("too much"));
  EXPECT_THAT(failed.out, HasSubstr("too much")) << "the reply is printed as well";
}

TEST_F(DaemonTest, NoReplyEndsWithThree) {
  const auto result = nunet({"actor", "cmd", "/dms/node/peers/list"});
  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.err, HasSubstr("does not permit it"));
}

TEST_F(DaemonTest, ForgedRepliesAreRefused) {
  always("{}");
  const auto rejected = [&](std::function<void(Envelope&)> change) {
    forge = std::move(change);
    const auto result = nunet({"actor", "cmd", "/public/hello"});
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_EQ(result.out, "");
  };
  const auto other = crypto::PrivateKey::generate(random);
  rejected([](Envelope& e) { e.message = to_bytes(R"({"DID":"forged"})"); });
  rejected([&](Envelope& e) { e.to.address.inbox = "user-1", (void)e.sign(key); });
  rejected([&](Envelope& e) { e.behaviour = "/private/user/1", (void)e.sign(key); });
  rejected([&](Envelope& e) { e.from = Handle::from(other.public_key()).value(), (void)e.sign(other); });
  rejected([&](Envelope& e) { e.from.id = actor::Id::from(other.public_key()), (void)e.sign(other); });
}

TEST_F(DaemonTest, MessagesAreComposedByHandAndSent) {
  const auto made = nunet({"actor", "msg", "-i", "/public/hello", R"({"a":1})"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_TRUE(requests.empty());
  EXPECT_EQ(as_text(Envelope::decode(as_bytes(made.out))->message), R"({"a":1})");
  EXPECT_EQ(nunet({"actor", "send"}, made.out).code, 0);
  always("{}");
  EXPECT_EQ(nunet({"actor", "invoke", made.out}).code, 0);
  const auto text = nunet({"actor", "msg", "-b", "/nunet/hello", "/broadcast/hello", "hi there"});
  EXPECT_EQ(as_text(Envelope::decode(as_bytes(text.out))->message), R"("hi there")");
  EXPECT_EQ(nunet({"actor", "broadcast", text.out}).code, 0);
  world.time = world.time + 1h;
  EXPECT_THAT(nunet({"actor", "send", made.out}).err, HasSubstr("expired"));
  EXPECT_EQ(nunet({"actor", "send", "{}x"}).code, 2);
}

TEST_F(DaemonTest, TheReceiverIsGivenByDidPeerOrHandle) {
  const Handle other = Handle::from(crypto::PrivateKey::generate(random).public_key()).value();
  for (const auto& text : {other.did.uri(), other.address.host, json::encode(other), other.to_string()}) {
    nunet({"actor", "cmd", "--dest", text, "/public/hello"});
    EXPECT_EQ(requests.back().to, other) << text;
  }
  EXPECT_EQ(nunet({"actor", "cmd", "--dest", "nobody", "/public/hello"}).code, 2);
  const std::size_t before = requests.size();
  for (const auto& words : {std::vector<std::string>{"actor", "cmd", "--dest", "", "/public/hello"},
                            std::vector<std::string>{"actor", "msg", "--dest", "", "/public/hello"}}) {
    const auto empty = nunet(words);
    EXPECT_EQ(empty.code, 2);
    EXPECT_THAT(empty.err, HasSubstr("--dest: expected a DID, a peer id or a handle, as did:key:z6Mk..."));
  }
  EXPECT_EQ(requests.size(), before);
}

TEST_F(DaemonTest, RevocationsAreHandedToTheDaemon) {
  ASSERT_EQ(nunet({"cap", "new", "guest"}).code, 0);
  const std::string guest = nunet({"key", "did", "guest"}).out;
  const std::string token =
      nunet({"cap", "grant", "--cap", "/dms", "--duration", "1h", guest.substr(0, guest.find('\n'))}).out;
  always(R"({"OK":true,"Error":"","TokensCount":1})");
  auto result = nunet({"cap", "revoke", "--broadcast", "-"}, token);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("1 revocations were sent"));
  const auto request = json::decode<protocol::CapBroadcastRequest>(requests.at(0).message).value();
  EXPECT_EQ(requests.at(0).behaviour, "/dms/cap/broadcast");
  ASSERT_EQ(request.token.size(), 1U);
  EXPECT_EQ(request.token.tokens[0].text() + "\n", result.out);

  EXPECT_EQ(nunet({"cap", "broadcast", result.out}).code, 0);
  EXPECT_EQ(requests.at(1).message, requests.at(0).message);
  EXPECT_EQ(nunet({"cap", "broadcast"}).code, 0);
  EXPECT_TRUE(json::decode<protocol::CapBroadcastRequest>(requests.at(2).message)->token.empty());
  EXPECT_EQ(nunet({"cap", "broadcast", "-"}, token).code, 2) << "not a revocation";
  always(R"({"OK":false,"Error":"the disk is full"})");
  result = nunet({"cap", "broadcast"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("the disk is full"));
  EXPECT_EQ(requests.size(), 4U);
}

}  // namespace
}  // namespace dms::cli

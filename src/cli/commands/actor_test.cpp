// Commands that send envelopes to a daemon, which is a function of the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>

#include "actor/security_context.hpp"
#include "cli/framework/fake_environment.hpp"
#include "protocol/node.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using actor::Handle;
using testing::HasSubstr;

struct ActorTest : testing::Test {
  FakeEnvironment world;
  SeededRandom random{2};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  Handle node = Handle::from(key.public_key()).value();
  std::vector<Envelope> requests;
  /// The payload of the reply to a behaviour; none: no reply.
  std::function<std::optional<std::string>(const Envelope&)> answer = [](const Envelope&) { return std::nullopt; };
  std::function<void(Envelope&)> forge = [](Envelope&) {};

  ActorTest() {
    world.daemon = [this](const HttpRequest& request) { return serve(request); };
    EXPECT_EQ(nunet({"cap", "new", "user"}).code, 0);
  }
  CommandResult nunet(const std::vector<std::string>& words, const std::string& input = "") {
    return run_in(world, words, input);
  }

  HttpResponse serve(const HttpRequest& request) {
    if (request.target == "/api/v1/actor/handle") return {200, json::encode(node)};
    auto envelope = Envelope::decode(as_bytes(request.body)).value();
    EXPECT_TRUE(envelope.verify(world.now())) << "envelopes are signed";
    requests.push_back(envelope);
    if (request.target == "/api/v1/actor/send") return {200, R"({"message":"message sent"})"};
    const auto payload = answer(envelope);
    const bool broadcast = request.target == "/api/v1/actor/broadcast";
    if (!payload) return broadcast ? HttpResponse(200, "null") : HttpResponse(408, R"({"error":"request timeout"})");
    const Envelope reply = reply_to(envelope, *payload);
    return {200, broadcast ? json::encode(std::vector{reply}) : json::encode(reply)};
  }
  Envelope reply_to(const Envelope& request, const std::string& payload) {
    Envelope reply;
    reply.to = request.from;
    reply.behaviour = request.options.reply_to;
    reply.from = node;
    reply.options.expires = request.options.expires;
    reply.message = to_bytes(payload);
    EXPECT_TRUE(reply.sign(key));
    forge(reply);
    return reply;
  }
  void always(std::string payload) {
    answer = [payload = std::move(payload)](const Envelope&) { return payload; };
  }
};

TEST_F(ActorTest, AnEnvelopeContainsTheUserTheInboxAndTheReplyPath) {
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

TEST_F(ActorTest, ARefusalOfTheNodeIsPrintedWithExitCode3) {
  always(R"({"error":"not permitted: no token lets the user invoke /dms/node/peers/list","refusal":"not permitted",)"
         R"("capabilities":["/dms/node/peers/list"]})");
  const auto result = nunet({"actor", "cmd", "/dms/node/peers/list"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("not permitted: no token lets the user invoke /dms/node/peers/list"));
}

TEST_F(ActorTest, ABroadcastHasATopicAndNoReceiver) {
  always(R"({"DID":{"uri":"did:key:x"}})");
  const auto result = nunet({"actor", "cmd", "/broadcast/hello"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(requests.at(0).is_broadcast());
  EXPECT_EQ(requests.at(0).options.topic, "/nunet/hello");
  EXPECT_EQ(requests.at(0).options.reply_to, fmt::format("/public/user/{}", requests.at(0).nonce));
  EXPECT_EQ(json::parse(result.out)->as_array().size(), 1U);
}

TEST_F(ActorTest, FlagsBecomeThePayload) {
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

TEST_F(ActorTest, RepliesArePrintedAndTheirFailuresSetTheExitCode) {
  always(R"({"OK":true,"Error":"","RTT":3})");
  EXPECT_EQ(nunet({"actor", "cmd", "/public/hello"}).out, "{\n  \"OK\": true,\n  \"Error\": \"\",\n  \"RTT\": 3\n}\n");
  always(R"({"OK":false,"Error":"too much"})");
  const auto failed = nunet({"actor", "cmd", "/public/hello"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.err, HasSubstr("too much"));
  EXPECT_THAT(failed.out, HasSubstr("too much")) << "the reply is printed as well";
}

TEST_F(ActorTest, NoReplyEndsWithThree) {
  const auto result = nunet({"actor", "cmd", "/dms/node/peers/list"});
  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.err, HasSubstr("does not permit it"));
}

TEST_F(ActorTest, ForgedRepliesAreRefused) {
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

TEST_F(ActorTest, MessagesAreComposedByHandAndSent) {
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

TEST_F(ActorTest, TheReceiverIsGivenByDidPeerOrHandle) {
  const Handle other = Handle::from(crypto::PrivateKey::generate(random).public_key()).value();
  for (const auto& text : {other.did.uri(), other.address.host, json::encode(other), other.to_string()}) {
    nunet({"actor", "cmd", "--dest", text, "/public/hello"});
    EXPECT_EQ(requests.back().to, other) << text;
  }
  EXPECT_EQ(nunet({"actor", "cmd", "--dest", "nobody", "/public/hello"}).code, 2);
}

constexpr std::string_view kEnsemble = R"(version: V1
allocations:
  work:
    executor: sandbox
    type: task
    resources: {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}
    execution: {type: sandbox, cmd: [/bin/echo, hello]}
nodes:
  place: {allocations: [work]}
)";

TEST_F(ActorTest, RevocationsAreHandedToTheDaemon) {
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

struct DeployTest : ActorTest {
  std::vector<std::string> states{"Preparing", "Running", "Completed"};
  std::size_t polls = 0;
  std::string file = (world.home / "ensemble.yaml").string();

  DeployTest() {
    (void)write_file(file, kEnsemble);
    (void)write_file(world.home / "logs/stdout.log", "hello\n");
    (void)write_file(world.home / "logs/stderr.log", "");
    answer = [this](const Envelope& e) -> std::optional<std::string> {
      if (e.behaviour.ends_with("/new")) return R"({"Status":"OK","EnsembleID":"abc"})";
      if (e.behaviour.ends_with("/manifest")) return R"({"manifest":{"allocations":{"work":{}}}})";
      if (e.behaviour.ends_with("/logs"))
        return json::write(json::Object{{"LogsWrittenTo", (world.home / "logs").string()}, {"Error", ""}});
      if (e.behaviour.ends_with("/list")) return R"({"Deployments":{"abc":"Running","abcdef":"Completed"}})";
      const auto& state = states[std::min(polls++, states.size() - 1)];
      return json::write(json::Object{{"Status", state}, {"Error", state == "Failed" ? "no bids" : ""}});
    };
  }
};

TEST_F(DeployTest, DeployPrintsTheIdAndSendsTheEnsemble) {
  const auto result = nunet({"deploy", "-f", file, "-t", "2m"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "abc\n");
  EXPECT_EQ(requests.at(0).expiry(), world.now() + 2min);
  const auto payload = json::parse(as_text(requests.at(0).message)).value();
  EXPECT_TRUE(payload.at("Ensemble").at("v1").at("allocations").as_object().contains("work"));
}

TEST_F(DeployTest, AnEnsembleIsReadFromStandardInput) {
  world.variables.erase("DMS_PASSPHRASE");
  world.secrets = {"secret"};
  const auto result = nunet({"deploy", "-f", "-"}, std::string(kEnsemble));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "abc\n");
  EXPECT_EQ(world.prompts.size(), 1U) << "the passphrase comes from the terminal";
  const auto payload = json::parse(as_text(requests.at(0).message)).value();
  EXPECT_TRUE(payload.at("Ensemble").at("v1").at("allocations").as_object().contains("work"));
  world.secrets = {"secret"};
  EXPECT_EQ(nunet({"actor", "cmd", "/dms/node/deployment/new", "-f", "-"}, std::string(kEnsemble)).code, 0);
  EXPECT_EQ(as_text(requests.at(1).message), as_text(requests.at(0).message));
  EXPECT_THAT(nunet({"deploy", "-f", "-"}, "version: V1\n").err, HasSubstr("standard input: "));
  EXPECT_EQ(nunet({"deploy", "-f", "-"}, std::string(2 << 20, ' ')).code, 1) << "bounded";
}

TEST_F(DeployTest, FilesNamedInAPipedEnsembleAreInTheWorkingFolder) {
  const auto pipe = (world.home / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto folder = std::filesystem::current_path();
  ASSERT_TRUE(write_file(world.home / "here/setup.sh", "echo set up"));
  std::filesystem::current_path(world.home / "here");
  std::string yaml = std::string(kEnsemble) + "scripts: {setup: setup.sh}\n";
  yaml.replace(yaml.find("    type: task\n"), 15, "    type: task\n    provision: [setup]\n");
  std::thread writer([&] { std::ofstream(pipe) << yaml; });
  const auto result = nunet({"deploy", "-f", pipe});
  writer.join();
  std::filesystem::current_path(folder);
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(DeployTest, PlaceholdersAreFilledInBeforeTheEnsembleIsSent) {
  (void)write_file(world.home / "token", "s3cret");
  world.variables["TOKEN"] = "t";
  std::string text(kEnsemble);
  text.insert(text.find("cmd:"), "environment: {A: \"${file:token}\", B: \"${env:TOKEN}\"}, ");
  (void)write_file(file, text);
  EXPECT_EQ(nunet({"deploy", "-f", file}).code, 0);
  EXPECT_EQ(nunet({"actor", "cmd", "/dms/node/deployment/new", "-f", file}).code, 0);
  ASSERT_GE(requests.size(), 2U);
  for (const auto& envelope : requests)
    EXPECT_THAT(std::string(as_text(envelope.message)), HasSubstr(R"("environment":["A=s3cret","B=t"])"));
}

TEST_F(DeployTest, EveryPlaceholderThatCannotBeFilledInIsNamedWithItsPlace) {
  std::string text(kEnsemble);
  text.insert(text.find("cmd:"), "environment: {A: \"${file:gone}\", B: \"${env:UNSET}\"}, ");
  (void)write_file(file, text);
  const auto result = nunet({"deploy", "-f", file});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("allocations.work.execution.environment.A: ${file:gone}: "));
  EXPECT_THAT(result.err,
              HasSubstr("allocations.work.execution.environment.B: ${env:UNSET}: the variable UNSET is not set"));
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, WaitingPrintsEachStatusOnceAndTheOutput) {
  const auto result = nunet({"deploy", "-f", file, "--wait"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "abc\nhello\n");
  EXPECT_EQ(result.err, "Preparing\nRunning\nCompleted\n");
}

TEST_F(DeployTest, AFailedDeploymentFailsTheCommand) {
  states = {"Preparing", "Failed"};
  const auto result = nunet({"deploy", "-f", file, "--follow"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("no bids"));
}

TEST_F(DeployTest, AnExitCodeIsNamedOnce) {
  const auto shown = [this](int code, std::string_view reason) {
    const json::Object work{{"status", "failed"}, {"exit_code", code}, {"reason", reason}};
    always(json::write(json::Object{{"Status", "Failed"}, {"Allocations", json::Object{{"work", work}}}}));
    return nunet({"deployment", "status", "abc"}).out;
  };
  EXPECT_EQ(shown(129, "exit code 129, perhaps SIGHUP"), "Failed\n  work: failed, exit code 129, perhaps SIGHUP\n");
  EXPECT_EQ(shown(7, "out of memory"), "Failed\n  work: failed, exit code 7, out of memory\n");
  EXPECT_EQ(shown(7, ""), "Failed\n  work: failed, exit code 7\n");
}

TEST_F(DeployTest, InterruptingDoesNotEndTheDeployment) {
  states = {"Running"};
  world.interrupt_after = 3;
  const auto result = nunet({"deploy", "-f", file, "--wait"});
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.out, "abc\n");
  EXPECT_THAT(result.err, HasSubstr("nunet deployment shutdown abc"));
}

TEST_F(DeployTest, AnInvalidEnsembleIsRefusedBeforeItIsSent) {
  (void)write_file(file, "version: V1\nallocations: {}\n");
  EXPECT_EQ(nunet({"deploy", "-f", file}).code, 1);
  EXPECT_EQ(nunet({"deploy", "-f", file + ".missing"}).code, 1);
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, TextOfOtherMachinesReachesTheTerminalEscaped) {
  const std::string hostile = "\x1b[2J\x1b[Hx\u009b2J\u202e\nCompleted";
  const std::string shown = "\\x1b[2J\\x1b[Hx\\u009b2J\\u202e\\x0aCompleted";
  const auto expect_harmless = [](const std::string& text) {
    for (const std::string_view raw : {"\x1b", "\u009b", "\u202e", "\nCompleted"})
      EXPECT_EQ(text.find(raw), std::string::npos) << text;
  };
  always(json::write(
      json::Object{{"Status", "Failed"},
                   {"Allocations", json::Object{{"work", json::Object{{"status", hostile}, {"reason", hostile}}}}}}));
  auto result = nunet({"deployment", "status", "abc"});
  EXPECT_EQ(result.out, fmt::format("Failed\n  work: failed, {}\n", shown));
  result = nunet({"deployment", "status", "abc", "--json"});
  expect_harmless(result.out);
  EXPECT_EQ(json::parse(result.out)->at("Allocations").at("work").at("reason").as_string(), hostile)
      << "the same value";
  always(json::write(json::Object{{"Status", ""}, {"Error", hostile}}));
  for (const char* command : {"status", "manifest", "logs"}) {
    result = nunet({"deployment", command, "abc"});
    EXPECT_EQ(result.code, 1) << command;
    expect_harmless(result.out + result.err);
  }
  always(json::write(json::Object{{"Deployments", json::Object{{hostile, hostile}}}}));
  result = nunet({"deployment", "list"});
  EXPECT_THAT(result.out, HasSubstr(shown));
  expect_harmless(result.out);
  always(json::write(json::Object{{"OK", false}, {"Error", hostile}}));
  result = nunet({"actor", "cmd", "/public/hello"});
  EXPECT_EQ(result.code, 1);
  expect_harmless(result.out + result.err);
  world.daemon = [&](const HttpRequest&) { return HttpResponse{400, json::write(json::Object{{"error", hostile}})}; };
  expect_harmless(nunet({"actor", "cmd", "/public/hello"}).err);
  expect_harmless(nunet({hostile}).err);
}

TEST_F(DeployTest, LogsAreCopiedByteForByte) {
  const std::string raw("\x1b[1mbold\x1b[0m\n\xff\0\u009b", 17);
  ASSERT_TRUE(write_file(world.home / "logs/stdout.log", raw));
  EXPECT_EQ(nunet({"deployment", "logs", "abc"}).out, raw);
}

TEST_F(DeployTest, DeploymentsAreListedShownAndShutDown) {
  EXPECT_EQ(nunet({"deployment", "list"}).out, "DEPLOYMENT  STATUS\nabc         Running\nabcdef      Completed\n");
  EXPECT_EQ(nunet({"deployment", "list", "--json"}).out, "{\"abc\":\"Running\",\"abcdef\":\"Completed\"}\n");
  EXPECT_EQ(nunet({"deployment", "status", "abc"}).out, "Preparing\n");
  EXPECT_EQ(nunet({"deployment", "status", "-i", "abc"}).out, "Running\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc"}).out, "hello\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "-a", "work"}).out, "hello\n");
  EXPECT_EQ(nunet({"deployment", "status"}).code, 2);
  always(R"({"OK":true,"Error":""})");
  EXPECT_EQ(nunet({"deployment", "shutdown", "abc"}).code, 0);
  always(R"({"OK":false,"Error":"it is over"})");
  EXPECT_EQ(nunet({"deployment", "shutdown", "abc"}).code, 1);
}

}  // namespace
}  // namespace dms::cli

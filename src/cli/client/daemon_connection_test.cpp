// Which daemon the command line accepts. The daemon is a function; the test sets its user.
#include "cli/client/daemon_connection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "actor/envelope.hpp"
#include "cli/framework/fake_environment.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;

class DaemonConnectionTest : public testing::Test {
 protected:
  DaemonConnectionTest() {
    for (const char* context : {"user", "dms"}) EXPECT_EQ(run_in(world, {"cap", "new", context}).code, 0);
    dms = did::Did::parse(run_in(world, {"key", "did", "dms"}).out.substr(0, 56)).value();
    std::filesystem::create_directories(world.home / "nunet");
    handle = actor::Handle::from(dms).value();
    world.daemon = [this](const HttpRequest& request) -> HttpResponse {
      if (request.target == "/api/v1/actor/handle") return {200, json::encode(handle)};
      ++envelopes;
      return {200, R"({"message":"message sent"})"};
    };
  }

  /// Sends a message that needs no reply.
  CommandResult send() {
    envelopes = 0;
    const auto message = run_in(world, {"actor", "msg", "-c", "user", "/public/hello"});
    return message.code == 0 ? run_in(world, {"actor", "send"}, message.out) : message;
  }
  void remove_dms_context() { std::filesystem::remove(world.home / ".nunet/cap/dms.cap"); }
  actor::Handle squatter() { return actor::Handle::from(crypto::PrivateKey::generate(random).public_key()).value(); }

  FakeEnvironment world;
  SeededRandom random{3};
  did::Did dms;
  actor::Handle handle;  // the handle that the daemon reports
  int envelopes = 0;
};

TEST_F(DaemonConnectionTest, TheSocketIsPreferredToThePort) {
  world.socket_user = world.user();
  EXPECT_EQ(send().code, 0);
  EXPECT_EQ(world.called->socket, (world.home / "nunet/nunet.sock").string());
  world.socket_user.reset();
  EXPECT_EQ(send().code, 0);
  EXPECT_EQ(world.called->socket, "");
  EXPECT_EQ(envelopes, 1);
}

TEST_F(DaemonConnectionTest, AGivenAddressIsUsed) {
  world.socket_user = world.user();
  world.variables["DMS_REST_PORT"] = "7000";
  EXPECT_EQ(send().code, 0);
  EXPECT_EQ(world.called->socket, "");
  EXPECT_EQ(world.called->rest.to_string(), "127.0.0.1:7000");
}

TEST_F(DaemonConnectionTest, NothingIsSentToASocketOfAnotherUser) {
  for (const UserId user : {UserId{0}, UserId{1001}}) {
    world.socket_user = user;
    const auto result = send();
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(envelopes, 0);
    EXPECT_THAT(result.err, HasSubstr(fmt::format("user {}", user)));
  }
}

TEST_F(DaemonConnectionTest, ADaemonWithAnotherDidIsRefusedAndBothAreNamed) {
  handle = squatter();
  for (const bool socket : {true, false}) {
    world.socket_user = socket ? std::optional(world.user()) : std::nullopt;
    const auto result = send();
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(envelopes, 0) << "nothing is signed for the daemon";
    EXPECT_THAT(result.err, HasSubstr(handle.did.uri()));
    EXPECT_THAT(result.err, HasSubstr(dms.uri()));
  }
}

TEST_F(DaemonConnectionTest, TheDidAloneIsNotEnough) {
  const auto other = squatter();
  const auto right = handle;
  handle.id = other.id;
  EXPECT_EQ(send().code, 1) << "replies would be signed with another key";
  handle = right;
  handle.address.host = other.address.host;
  EXPECT_EQ(send().code, 1);
  EXPECT_EQ(envelopes, 0);
  handle = right;
  EXPECT_EQ(send().code, 0);
}

TEST_F(DaemonConnectionTest, WithoutAKnownDidTheProcessMustBeThisUsersOrRoots) {
  remove_dms_context();
  for (const auto& [user, code] :
       {std::pair<std::optional<UserId>, int>{world.user(), 0}, {0, 0}, {1001, 1}, {{}, 1}}) {
    world.port_user = user;
    const auto result = send();
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(envelopes, code == 0 ? 1 : 0);
    EXPECT_EQ(code != 0,
              result.err.find("nunet config set rest.did " + (user ? dms.uri() : "DID")) != std::string::npos)
        << result.err;
  }
}

TEST_F(DaemonConnectionTest, AnotherUsersProcessThatClaimsTheDidOfTheContextGetsNoEnvelope) {
  for (const auto& [user, code] : {std::pair<std::optional<UserId>, int>{1001, 1}, {0, 0}, {{}, 0}}) {
    world.port_user = user;
    const auto result = send();
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(envelopes, code == 0 ? 1 : 0) << "an envelope can hold secrets of the ensemble";
    EXPECT_EQ(code != 0, result.err.find("nunet config set rest.did " + dms.uri()) != std::string::npos) << result.err;
  }
}

TEST_F(DaemonConnectionTest, TheUserOfThePortMustNotChange) {
  remove_dms_context();
  const auto right = world.daemon;
  world.daemon = [this, right](const HttpRequest& request) {
    world.port_user = 1001;  // another user's process has the port now
    return right(request);
  };
  EXPECT_EQ(send().code, 1);
  EXPECT_EQ(envelopes, 0);
}

TEST_F(DaemonConnectionTest, AConfiguredDidReplacesTheContext) {
  world.port_user = 1001;
  handle = squatter();
  EXPECT_EQ(run_in(world, {"config", "set", "rest.did", handle.did.uri()}).code, 0);
  EXPECT_EQ(send().code, 0);
  handle = actor::Handle::from(dms).value();
  EXPECT_THAT(send().err, HasSubstr("rest.did"));
  EXPECT_NE(run_in(world, {"config", "set", "rest.did", "me"}).code, 0);
}

TEST_F(DaemonConnectionTest, TheContextOfTheDaemonCanHaveAnotherName) {
  EXPECT_EQ(run_in(world, {"cap", "new", "service"}).code, 0);
  EXPECT_EQ(run_in(world, {"config", "set", "rest.context", "service"}).code, 0);
  EXPECT_EQ(send().code, 1);
  handle =
      actor::Handle::from(did::Did::parse(run_in(world, {"key", "did", "service"}).out.substr(0, 56)).value()).value();
  EXPECT_EQ(send().code, 0);
  EXPECT_EQ(run_in(world, {"run"}).code, 0);
  EXPECT_EQ(world.ran, "service");
}

Task<Result<HttpResponse>> serve_once(Listener& listener, std::string& seen) {
  CO_TRY(Accepted accepted, co_await listener.accept());
  Bytes bytes(4096);
  CO_TRY(const std::size_t got, co_await accepted.stream->read_some(bytes));
  seen = std::string(as_text(BytesView(bytes).first(got)));
  CO_TRY_VOID(co_await accepted.stream->write(as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")));
  co_return HttpResponse();
}
Task<void> serve(Listener& listener, std::string& seen) { (void)co_await serve_once(listener, seen); }

TEST(CallDaemon, NothingIsSentToARefusedPeer) {
  SimWorld world(1);
  SimNode& node = world.add_node("node");
  Net& net = node.runtime().net;
  node.set_user(7);
  auto listener = net.listen_unix("/nunet.sock");
  ASSERT_TRUE(listener);
  Nursery server(node.runtime().lane, "server");
  std::string seen;
  server.spawn(serve(**listener, seen));
  const auto call = [&](UserId wanted) {
    return world.run(node, call_daemon(net, {"/nunet.sock", {}}, HttpRequest("GET", "/health"), {},
                                       [wanted](std::optional<UserId> user) -> Result<void> {
                                         if (user == wanted) return {};
                                         return fail(Errc::failed, "another user");
                                       }));
  };
  EXPECT_FALSE(call(8));
  world.run_for(1s);
  EXPECT_EQ(seen, "");
  server.spawn(serve(**listener, seen));
  const auto answer = call(7);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->body, "ok");
  world.run(node, server.close());
}

TEST(CallDaemon, AnUnknownUserIsQueriedAgain) {
  SimWorld world(1);
  SimNode& node = world.add_node("node");
  auto listener = node.runtime().net.listen_tcp({IpAddress(), 80});
  ASSERT_TRUE(listener);
  int checks = 0;
  const auto refused = world.run(node, call_daemon(node.runtime().net, {"", {node.address(), 80}}, HttpRequest(), {},
                                                   [&checks](std::optional<UserId> user) -> Result<void> {
                                                     EXPECT_EQ(user, std::nullopt);
                                                     ++checks;
                                                     return fail(Errc::failed, "not known");
                                                   }));
  EXPECT_FALSE(refused);
  EXPECT_GT(checks, 3);
}

}  // namespace
}  // namespace dms::cli

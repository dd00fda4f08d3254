#include <gtest/gtest.h>

#include "api/server.hpp"
#include "network/memory_network.hpp"
#include "simulation/sim_world.hpp"

namespace dms::api {
namespace {

using actor::Envelope;
using actor::Handle;
using actor::inbox_protocol;

struct Node {
  Node(SimWorld& world, std::shared_ptr<network::MemorySubstrate> substrate, std::string name)
      : sim(world.add_node(std::move(name))),
        key(crypto::PrivateKey::generate(sim.runtime().lane.random())),
        handle(Handle::from(key.public_key()).value()),
        network(std::move(substrate), sim.runtime().lane, crypto::PeerId::from(key.public_key())) {}

  SimNode& sim;
  crypto::PrivateKey key;
  Handle handle;
  network::MemoryNetwork network;
};

struct ApiTest : testing::Test {
  ApiTest() { EXPECT_TRUE(server.start()); }
  ~ApiTest() override { world.run(home.sim, server.close()); }

  [[nodiscard]] UnixTime in(Duration time) const { return world.unix_now() + time; }

  /// An invocation by the user on `home`.
  Envelope request(const Handle& to, Duration lifetime = 30s) {
    Envelope e;
    e.to = to;
    e.behaviour = "/public/hello";
    e.from = caller;
    e.nonce = ++nonce;
    e.options.expires = in(lifetime).nanos;
    e.options.reply_to = "/private/user/1";
    EXPECT_TRUE(e.sign(user));
    return e;
  }
  Envelope broadcast(Duration lifetime = 5s) {
    Envelope e = request({}, lifetime);
    e.options.topic = "/nunet/hello";
    e.options.reply_to = "/public/user/1";
    EXPECT_TRUE(e.sign(user));
    return e;
  }
  static Envelope reply_to(const Envelope& request, const Node& from) {
    Envelope e;
    e.to = request.from;
    e.behaviour = request.options.reply_to;
    e.from = from.handle;
    e.nonce = 1;
    e.options.expires = request.options.expires;
    e.message = to_bytes(R"({"OK":true})");
    EXPECT_TRUE(e.sign(from.key));
    return e;
  }

  /// `node` replies to every message to its root inbox with the envelopes that `make` returns.
  void answer(Node& node, std::function<std::vector<Envelope>(const Envelope&)> make) {
    ASSERT_TRUE(node.network.handle(inbox_protocol("root"),
                                    [&node, this, make = std::move(make)](const crypto::PeerId&, Bytes message) {
                                      auto received = Envelope::decode(message).value();
                                      ++arrived;
                                      for (Envelope& reply : make(received)) send(node, std::move(reply));
                                    }));
  }
  void send(Node& from, Envelope reply) {
    spawned.push_back(std::make_unique<Nursery>(from.sim.runtime().lane, "reply"));
    spawned.back()->spawn(
        deliver(from.network, home.network.self(), inbox_protocol(reply.to.address.inbox), reply.encode()));
  }
  static Task<void> deliver(network::Network& network, crypto::PeerId to, std::string protocol, Bytes message) {
    (void)co_await network.send(to, std::move(protocol), std::move(message));
  }

  HttpResponse call(HttpRequest http) {
    auto response = world.run(home.sim, http_call(home.sim.runtime().net, server.local(), std::move(http)));
    EXPECT_TRUE(response) << response.error().to_string();
    return response.value_or(HttpResponse());
  }
  HttpResponse post(std::string_view endpoint, const Envelope& envelope) {
    return call(
        HttpRequest("POST", fmt::format("/api/v1/actor/{}", endpoint), std::string(as_text(envelope.encode()))));
  }
  static std::string error_of(const HttpResponse& response) {
    auto body = json::parse(response.body);
    return body && body->is_object() && body->as_object().contains("error")
               ? std::string(body->as_object().at("error").as_string())
               : "";
  }

  SimWorld world{7};
  std::shared_ptr<network::MemorySubstrate> substrate = std::make_shared<network::MemorySubstrate>();
  Node home{world, substrate, "home"};
  Node provider{world, substrate, "provider"};
  Node third{world, substrate, "third"};
  crypto::PrivateKey user = crypto::PrivateKey::generate(home.sim.runtime().lane.random());
  Handle caller = [this] {
    Handle h = Handle::from(user.public_key(), "user-1").value();
    h.address.host = home.network.self().to_string();
    return h;
  }();
  static constexpr UserId kUser = 1000;
  static constexpr UserId kOther = 1001;
  transfer::LocalPages pages{home.sim.runtime().lane};
  Options options = [this] {
    home.sim.set_user(kUser);
    Options o;
    o.socket = "/nunet/nunet.sock";
    o.user = kUser;
    o.pages = &pages;
    return o;
  }();
  Server server{home.sim.runtime(), home.network, home.handle, options};
  std::vector<std::unique_ptr<Nursery>> spawned;
  std::uint64_t nonce = 0;
  int arrived = 0;
};

TEST_F(ApiTest, HealthAndHandleAreAnswered) {
  EXPECT_EQ(call(HttpRequest("GET", "/health")).body, R"({"status":"ok"})");
  const auto handle = call(HttpRequest("GET", "/api/v1/actor/handle"));
  EXPECT_EQ(handle.status, 200);
  EXPECT_EQ(json::decode<Handle>(handle.body).value(), home.handle);
}

TEST_F(ApiTest, SendRelaysTheEnvelopeUnchanged) {
  Envelope got;
  answer(provider, [&](const Envelope& e) {
    got = e;
    return std::vector<Envelope>();
  });
  const Envelope sent = request(provider.handle);
  const auto response = post("send", sent);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"message":"message sent"})");
  world.run_for(1s);
  EXPECT_EQ(got.encode(), sent.encode());
}

TEST_F(ApiTest, InvokeReturnsTheReply) {
  answer(provider, [&](const Envelope& e) { return std::vector{reply_to(e, provider)}; });
  const auto response = post("invoke", request(provider.handle));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(as_text(json::decode<Envelope>(response.body)->message), R"({"OK":true})");
}

TEST_F(ApiTest, TheLocalNodeCanBeInvoked) {
  answer(home, [&](const Envelope& e) { return std::vector{reply_to(e, home)}; });
  EXPECT_EQ(post("invoke", request(home.handle)).status, 200);
}

TEST_F(ApiTest, ADestinationNamedByItsDidMayAnswerWithAChildsKey) {
  Handle by_did = provider.handle;
  answer(provider, [&](const Envelope& e) {
    Envelope reply = reply_to(e, provider);
    const auto child = crypto::PrivateKey::generate(provider.sim.runtime().lane.random());
    reply.from.id = actor::Id::from(child.public_key());
    EXPECT_TRUE(reply.sign(child));
    return std::vector{reply};
  });
  EXPECT_EQ(post("invoke", request(by_did)).status, 200);
}

TEST_F(ApiTest, AnInvocationWithoutReplyEndsAtItsExpiryAndClosesItsInbox) {
  answer(provider, [](const Envelope&) { return std::vector<Envelope>(); });
  const UnixTime start = world.unix_now();
  const auto response = post("invoke", request(provider.handle, 3s));
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(response.body, R"({"error":"request timeout"})");
  EXPECT_GE(world.unix_now() - start, 3s);
  EXPECT_LT(world.unix_now() - start, 4s);
  EXPECT_TRUE(home.network.handle(inbox_protocol("user-1"), [](const crypto::PeerId&, Bytes) {}))
      << "the inbox is still open";
}

/// Each of these is ignored.
TEST_F(ApiTest, WrongRepliesAreIgnoredAndCounted) {
  answer(provider, [&](const Envelope& e) {
    std::vector<Envelope> replies;
    const auto wrong = [&](auto&& change, const crypto::PrivateKey& signer) {
      Envelope r = reply_to(e, provider);
      change(r);
      EXPECT_TRUE(r.sign(signer));
      replies.push_back(std::move(r));
    };
    wrong([](Envelope& r) { r.behaviour = "/private/user/2"; }, provider.key);
    wrong([&](Envelope& r) { r.to.id = third.handle.id; }, provider.key);
    wrong([&](Envelope& r) { r.options.expires = (world.unix_now() + -1s).nanos; }, provider.key);
    wrong([&](Envelope& r) { r.from = third.handle; },
          third.key);  // claims a host that the connection does not prove
    wrong([&](Envelope& r) { r.from.id = third.handle.id, r.from.did = third.handle.did; }, third.key);
    Envelope tampered = reply_to(e, provider);
    tampered.message = to_bytes("{}");
    replies.push_back(tampered);
    Envelope unsigned_reply = reply_to(e, provider);
    unsigned_reply.signature.clear();
    replies.push_back(unsigned_reply);
    return replies;
  });
  EXPECT_EQ(post("invoke", request(provider.handle, 2s)).status, 408);
  EXPECT_EQ(server.metrics().ignored_replies.value(), 7U);
}

TEST_F(ApiTest, AnotherPeerCannotReplyForTheDestination) {
  answer(provider, [](const Envelope&) { return std::vector<Envelope>(); });
  const Envelope sent = request(provider.handle, 2s);
  Envelope forged = reply_to(sent, third);
  Envelope impersonated = reply_to(sent, provider);  // the provider's reply, delivered by another peer
  spawned.push_back(std::make_unique<Nursery>(home.sim.runtime().lane, "later"));
  home.sim.runtime().lane.call_at(home.sim.runtime().lane.now() + 1s, [&] {
    send(third, forged);
    send(third, impersonated);
  });
  EXPECT_EQ(post("invoke", sent).status, 408);
  EXPECT_EQ(server.metrics().ignored_replies.value(), 2U);
}

TEST_F(ApiTest, MalformedAndUnsignedEnvelopesAreRefused) {
  const auto refused = [&](Envelope e, std::string_view why) {
    const auto response = post("invoke", e);
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_NE(error_of(response).find(why), std::string::npos) << response.body;
  };
  EXPECT_EQ(call(HttpRequest("POST", "/api/v1/actor/send", "{not json")).status, 400);
  EXPECT_EQ(call(HttpRequest("POST", "/api/v1/actor/send", "[]")).status, 400);
  Envelope e = request(provider.handle);
  e.signature.clear();
  refused(e, "sign");
  e = request(provider.handle);
  e.behaviour = "/dms/node/peers/list";
  refused(e, "sign");
  refused(request(provider.handle, -1s), "expired");
  e = request(provider.handle);
  e.from.address.host = provider.network.self().to_string();
  ASSERT_TRUE(e.sign(user));
  refused(e, "from.addr.host");
  e = request(provider.handle);
  e.from.address.inbox = "user/1";
  ASSERT_TRUE(e.sign(user));
  refused(e, "from.addr.inbox");
  e = request(provider.handle);
  e.options.reply_to.clear();
  ASSERT_TRUE(e.sign(user));
  refused(e, "opt.cont");
  refused(broadcast(), "broadcast");
  EXPECT_EQ(server.metrics().relayed.value(), 0U);
}

TEST_F(ApiTest, TheInboxOfAnActorOfTheNodeIsRefused) {
  answer(home, [](const Envelope&) { return std::vector<Envelope>(); });
  Envelope e = request(provider.handle);
  e.from.address.inbox = "root";
  ASSERT_TRUE(e.sign(user));
  EXPECT_EQ(post("invoke", e).status, 409);
}

TEST_F(ApiTest, AnotherUserCannotTakeTheInboxOfAFutureActor) {
  answer(provider, [&](const Envelope& e) { return std::vector{reply_to(e, provider)}; });
  Envelope e = request(provider.handle);
  e.from.address.inbox = "0123abcd_web";
  ASSERT_TRUE(e.sign(user));
  home.sim.set_user(kOther);
  const auto refused = post("invoke", e);
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(error_of(refused).find("from.addr.inbox"), std::string::npos) << refused.body;
  EXPECT_EQ(post("invoke", request(provider.handle)).status, 200) << "its own inbox is user-1";
  home.sim.set_user(kUser);
  EXPECT_EQ(post("invoke", e).status, 200) << "the daemon's user names its inboxes";
}

TEST_F(ApiTest, WhichInboxesTheNodeHasIsToldToTheDaemonsUserOnly) {
  Handle nowhere = home.handle;
  nowhere.address.inbox = "0123abcd_web";
  EXPECT_EQ(post("send", request(nowhere)).status, 500);
  EXPECT_EQ(post("invoke", request(nowhere)).status, 500);
  home.sim.set_user(kOther);
  EXPECT_EQ(post("send", request(nowhere)).status, 200);
  const SteadyTime before = world.now();
  EXPECT_EQ(post("invoke", request(nowhere, 10s)).status, 408);
  EXPECT_GE(world.now() - before, Duration(9s)) << "as long as without a reply";
}

TEST_F(ApiTest, AnUnreachablePeerIsAnError) {
  substrate->cut(home.network.self(), provider.network.self());
  const auto response = post("invoke", request(provider.handle));
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(error_of(response).find(provider.network.self().to_string()), std::string::npos);
}

TEST_F(ApiTest, ABroadcastCollectsOneReplyFromEachUntilItsExpiry) {
  for (Node* node : {&provider, &third})
    ASSERT_TRUE(node->network.subscribe(
        "/nunet/hello", [](const network::Broadcast&) { return network::Validation::accept; },
        [this, node](const network::Broadcast& broadcast) {
          const auto e = Envelope::decode(broadcast.message).value();
          for (int i = 0; i < 3; ++i) send(*node, reply_to(e, *node));
        }));
  const UnixTime start = world.unix_now();
  const auto response = post("broadcast", broadcast(5s));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_GE(world.unix_now() - start, 5s);
  EXPECT_EQ(json::decode<std::vector<Envelope>>(response.body)->size(), 2U);
  EXPECT_EQ(server.metrics().ignored_replies.value(), 4U);
}

TEST_F(ApiTest, ABroadcastWithoutRepliesReturnsNull) {
  EXPECT_EQ(post("broadcast", broadcast(2s)).body, "null");
  EXPECT_EQ(post("broadcast", request(provider.handle)).status, 400);
}

TEST_F(ApiTest, OnlyLocalConnectionsAreServed) {
  const IpEndpoint from_outside{home.sim.address(), server.local().port};
  auto response = world.run(third.sim, http_call(third.sim.runtime().net, from_outside, HttpRequest("GET", "/health")));
  EXPECT_FALSE(response);
  EXPECT_EQ(server.metrics().refusals[Refusal::remote].value(), 1U);
  EXPECT_EQ(server.metrics().total_requests(), 0U);
}

Task<Result<HttpResponse>> call_as(Net& net, IpEndpoint to, std::string host, std::string origin) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  HttpClient client(*connection.stream, host);
  HttpRequest request("GET", "/health");
  if (!origin.empty()) request.headers.set("Origin", origin);
  co_return co_await client.send(std::move(request));
}

TEST_F(ApiTest, RequestsOfForeignWebPagesAreRefused) {
  const auto status = [&](std::string host, std::string origin = "") {
    auto response =
        world.run(home.sim, call_as(home.sim.runtime().net, server.local(), std::move(host), std::move(origin)));
    return response ? response->status : 0;
  };
  EXPECT_EQ(status("evil.example:9999"), 403) << "DNS rebinding";
  EXPECT_EQ(status("127.0.0.1.evil.example"), 403);
  EXPECT_EQ(status("127.0.0.1:9999", "http://evil.example"), 403);
  EXPECT_EQ(status("127.0.0.1:9999", "null"), 403);
  EXPECT_EQ(status("127.0.0.1:9999", "http://127.0.0.1:9999"), 200);
  EXPECT_EQ(status("localhost:9999"), 200);
  EXPECT_EQ(status("[::1]:9999"), 200);
}

/// Sends only the head of a request with a body of that size; returns the beginning of the response.
Task<Result<std::string>> send_head(Net& net, IpEndpoint to, std::size_t size) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  const std::string head =
      fmt::format("POST /api/v1/actor/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", size);
  CO_TRY_VOID(co_await connection.stream->write(as_bytes(head)));
  std::string answer(12, ' ');
  const MutableBytes into(reinterpret_cast<std::uint8_t*>(answer.data()), answer.size());
  CO_TRY_VOID(co_await read_exactly(*connection.stream, into));
  co_return std::move(answer);
}

TEST_F(ApiTest, TooLargeUnknownAndWrongMethodRequestsAreRefused) {
  EXPECT_EQ(world.run(home.sim, send_head(home.sim.runtime().net, server.local(), (2 << 20) + 1)).value(),
            "HTTP/1.1 413");
  EXPECT_EQ(call(HttpRequest("GET", "/api/v1/actor/nothing")).status, 404);
  EXPECT_EQ(call(HttpRequest("GET", "/api/v1/actor/send")).status, 405);
  EXPECT_EQ(call(HttpRequest("POST", "/health", "{}")).status, 405);
}

Task<void> open_connections(Net& net, IpEndpoint to, std::vector<std::unique_ptr<ByteStream>>* held, int count) {
  for (int i = 0; i < count; ++i) {
    auto connection = co_await net.connect_tcp(to);
    if (connection) held->push_back(std::move(connection->stream));
  }
  (void)co_await sleep_for(1s);
}

TEST_F(ApiTest, ConnectionsBeyondTheLimitAreAnswered503) {
  std::vector<std::unique_ptr<ByteStream>> held;
  world.run(home.sim, open_connections(home.sim.runtime().net, server.local(), &held, 64));
  EXPECT_EQ(held.size(), 64U);
  EXPECT_EQ(call(HttpRequest("GET", "/health")).status, 503);
  EXPECT_EQ(server.metrics().refusals[Refusal::busy].value(), 1U);
  held.clear();
  world.run_for(1s);
  EXPECT_EQ(call(HttpRequest("GET", "/health")).status, 200);
}

TEST_F(ApiTest, AnotherUserCannotTakeTheConnectionsOfTheDaemonsUser) {
  std::vector<std::unique_ptr<ByteStream>> held;
  home.sim.set_user(kOther);
  world.run(home.sim, open_connections(home.sim.runtime().net, server.local(), &held, 200));
  EXPECT_EQ(server.metrics().connections.value(), 128);
  EXPECT_GT(server.metrics().refusals[Refusal::closed].value(), 0U);
  home.sim.set_user(kUser);
  EXPECT_EQ(call(HttpRequest("GET", "/health")).status, 200);
  held.clear();
}

/// Sends `text` on each of `count` connections, which stay open.
Task<void> begin_requests(Net& net, IpEndpoint to, std::vector<std::unique_ptr<ByteStream>>* held, int count,
                          std::string text) {
  for (int i = 0; i < count; ++i) {
    auto connection = co_await net.connect_tcp(to);
    if (!connection) continue;
    (void)co_await connection->stream->write(as_bytes(text));
    held->push_back(std::move(connection->stream));
  }
  (void)co_await sleep_for(1s);
}

TEST_F(ApiTest, BodiesThatAreHeldStayWithinABudget) {
  options.listen.port = 9998;
  options.max_body = 1000;
  options.quota.bodies = 4000;
  options.quota.all_foreign_bodies = 6000;
  Server strict(home.sim.runtime(), home.network, home.handle, options);
  ASSERT_TRUE(strict.start());
  const std::string head = "POST /api/v1/actor/send HTTP/1.1\r\nHost: localhost\r\n";
  const std::string sized = head + "Content-Length: 1000\r\n\r\n" + std::string(990, 'x');
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n10\r\nx";
  std::vector<std::unique_ptr<ByteStream>> held;
  const auto begin = [&](UserId user, int count, const std::string& text) {
    home.sim.set_user(user);
    world.run(home.sim, begin_requests(home.sim.runtime().net, strict.local(), &held, count, text));
  };
  const auto status = [&](UserId user) {
    home.sim.set_user(user);
    HttpRequest request("POST", "/api/v1/actor/send", std::string(1000, 'x'));
    return world.run(home.sim, http_call(home.sim.runtime().net, strict.local(), std::move(request)))->status;
  };
  begin(kOther, 10, sized);
  EXPECT_EQ(strict.metrics().held_bytes.value(), 4000);
  EXPECT_EQ(strict.metrics().refusals[Refusal::bodies].value(), 6U);
  EXPECT_EQ(status(kOther), 503);
  begin(kOther + 1, 3, chunked);
  EXPECT_EQ(strict.metrics().held_bytes.value(), 6000) << "chunked bodies may become as large";
  EXPECT_EQ(status(kUser), 400) << "it is read";
  held.clear();
  world.run_for(5s);
  EXPECT_EQ(strict.metrics().held_bytes.value(), 0);
  EXPECT_EQ(status(kOther), 400);
  EXPECT_EQ(strict.metrics().held_bytes.value(), 0);
  world.run(home.sim, strict.close());
}

struct FileTest : ApiTest {
  static Task<Result<std::uint64_t>> keep(std::string& file, std::uint64_t offset, Bytes data) {
    if (offset != file.size()) co_return fail(Errc::io, "the disk is full");
    file += as_text(data);
    co_return file.size();
  }
  static Task<Result<Bytes>> show(std::string& file, std::uint64_t offset) {
    co_return to_bytes(std::string_view(file).substr(std::min<std::size_t>(offset, file.size())));
  }
  HttpResponse send(const std::string& ticket, std::string_view query, std::string page) {
    const std::string target = fmt::format("/api/v1/file/{}?{}", ticket, query);
    return call(HttpRequest("POST", target, std::move(page), "application/octet-stream"));
  }
  HttpResponse get(const std::string& ticket, std::string_view query) {
    return call(HttpRequest("GET", fmt::format("/api/v1/file/{}?{}", ticket, query)));
  }
  std::string file;
  std::string put =
      pages.offer_writing([this](std::uint64_t offset, Bytes data) { return keep(file, offset, std::move(data)); });
  std::string take = pages.offer_reading([this](std::uint64_t offset) { return show(file, offset); });
};

TEST_F(FileTest, PagesComeAndGoAsTheyAreWithATicket) {
  const std::string bytes("\0\xff\r\n\x80", 5);
  EXPECT_EQ(send(put, "offset=0", bytes).body, R"({"offset":5})");
  EXPECT_EQ(send(put, "offset=5", "more").body, R"({"offset":9})");
  EXPECT_EQ(get(take, "offset=0").body, bytes + "more");
  EXPECT_EQ(get(take, "offset=9").status, 200);
  EXPECT_EQ(get(take, "offset=9").body, "");
  EXPECT_GT(server.metrics().requests(Route::file, 200).value(), 0U);
}

TEST_F(FileTest, WhatIsRefusedSaysWhy) {
  EXPECT_EQ(send(std::string(64, '0'), "offset=0", "x").status, 404);
  EXPECT_EQ(get(put, "offset=0").status, 404);
  EXPECT_EQ(send(take, "offset=0", "x").status, 404);
  for (const char* wrong : {"", "offset=", "offset=-1", "offset=1x", "offset=99999999999999999999"})
    EXPECT_EQ(send(put, wrong, "x").status, 400) << wrong;
  const auto full = send(put, "offset=7", "x");
  EXPECT_EQ(full.status, 409);
  EXPECT_NE(error_of(full).find("the disk is full"), std::string::npos) << full.body;
  EXPECT_EQ(call(HttpRequest("DELETE", "/api/v1/file/" + put + "?offset=0")).status, 405);
  EXPECT_EQ(file, "");
}

TEST_F(FileTest, APageCountsAsOneRequestOnlyWithATicket) {
  options.listen.port = 9998;
  options.quota.operators = {.rate = 0.001, .burst = 3};
  Server strict(home.sim.runtime(), home.network, home.handle, options);
  ASSERT_TRUE(strict.start());
  const auto status = [&](const std::string& ticket) {
    const std::string target = fmt::format("/api/v1/file/{}?offset={}", ticket, file.size());
    HttpRequest page("POST", target, std::string(3 * UserQuota::kBytesPerCharge, 'x'), "application/octet-stream");
    return world.run(home.sim, http_call(home.sim.runtime().net, strict.local(), std::move(page)))->status;
  };
  EXPECT_EQ(status(put), 200);
  EXPECT_EQ(status(put), 200);
  EXPECT_EQ(status(std::string(64, '0')), 429);
  EXPECT_EQ(status(put), 200);
  EXPECT_EQ(status(put), 429);
  world.run(home.sim, strict.close());
}

TEST_F(ApiTest, AnotherUserCannotUseUpTheRequestsOfTheDaemonsUser) {
  options.listen.port = 9998;
  options.quota.foreign = {.rate = 0.001, .burst = 3};
  Server strict(home.sim.runtime(), home.network, home.handle, options);
  ASSERT_TRUE(strict.start());
  const auto status = [&](UserId user) {
    home.sim.set_user(user);
    auto called = http_call(home.sim.runtime().net, strict.local(), HttpRequest("GET", "/health"));
    return world.run(home.sim, std::move(called))->status;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status(kOther), 200);
  EXPECT_EQ(status(kOther), 429);
  EXPECT_EQ(status(kUser), 200);
  EXPECT_EQ(strict.metrics().refusals[Refusal::rate].value(), 1U);
  world.run(home.sim, strict.close());
}

Task<Result<HttpResponse>> call_socket(Net& net, std::string path) {
  CO_TRY(std::unique_ptr<ByteStream> stream, co_await net.connect_unix(std::move(path)));
  HttpClient client(*stream, "localhost");
  co_return co_await client.send(HttpRequest("GET", "/health"));
}

TEST_F(ApiTest, TheUnixSocketServesTheDaemonsUserAndRoot) {
  const auto served = [&](std::optional<UserId> user) {
    home.sim.set_user(user);
    return world.run(home.sim, call_socket(home.sim.runtime().net, "/nunet/nunet.sock")).has_value();
  };
  EXPECT_TRUE(served(kUser));
  EXPECT_TRUE(served(0));
  EXPECT_FALSE(served(kOther));
  EXPECT_FALSE(served(std::nullopt));
  EXPECT_EQ(server.metrics().refusals[Refusal::foreign_user].value(), 2U);
}

TEST_F(ApiTest, WhereThePortIsTakenTheUnixSocketServes) {
  options.listen = server.local();
  options.socket = "/nunet/other.sock";
  Server second(home.sim.runtime(), home.network, home.handle, options);
  ASSERT_TRUE(second.start());
  EXPECT_FALSE(second.has_port());
  EXPECT_TRUE(server.has_port());
  home.sim.set_user(kUser);
  EXPECT_TRUE(world.run(home.sim, call_socket(home.sim.runtime().net, second.socket())));
  world.run(home.sim, second.close());

  options.socket.clear();
  Server third(home.sim.runtime(), home.network, home.handle, options);
  const Result<void> started = third.start();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::already_exists)) << started.error().to_string();
  world.run(home.sim, third.close());
}

/// Sends the request and closes the connection a second later.
Task<Result<void>> send_and_disconnect(Net& net, IpEndpoint to, std::string request) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  CO_TRY_VOID(co_await connection.stream->write(as_bytes(request)));
  co_return co_await sleep_for(1s);
}

TEST_F(ApiTest, AClientThatDisconnectsReleasesItsInboxAndItsConnection) {
  answer(provider, [](const Envelope&) { return std::vector<Envelope>(); });
  const Envelope e = request(provider.handle, 1h);
  const std::string body(as_text(e.encode()));
  const std::string http = fmt::format(
      "POST /api/v1/actor/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(world.run(home.sim, send_and_disconnect(home.sim.runtime().net, server.local(), http)));
  EXPECT_TRUE(world.run_until([&] { return server.metrics().connections.value() == 0; }, 10s));
  EXPECT_EQ(arrived, 100) << "each inbox was released";
}

TEST_F(ApiTest, RequestsAreCountedByRouteAndStatus) {
  (void)call(HttpRequest("GET", "/health"));
  (void)call(HttpRequest("GET", "/nothing"));
  (void)call(HttpRequest("POST", "/api/v1/actor/send", "{"));
  metrics::Registry registry;
  server.metrics().register_with(registry);
  const auto counted = registry.snapshot();
  EXPECT_EQ(counted.value("nunet_api_requests_total", {{"route", "health"}, {"status", "2xx"}}), 1);
  EXPECT_EQ(counted.value("nunet_api_requests_total", {{"route", "other"}, {"status", "4xx"}}), 1);
  EXPECT_EQ(counted.value("nunet_api_requests_total", {{"route", "send"}, {"status", "4xx"}}), 1);
  EXPECT_EQ(counted.value("nunet_api_received_bytes_total"), 1);
  EXPECT_EQ(registry.conflicts(), 0U);
}

}  // namespace
}  // namespace dms::api

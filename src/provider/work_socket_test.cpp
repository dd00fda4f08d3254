#include "provider/work_socket.hpp"

#include <gmock/gmock.h>

#include "base/file.hpp"
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using ::testing::HasSubstr;

/// What a job does with its socket.
struct Client {
  std::unique_ptr<ByteStream> stream;
  std::string read;

  static Task<std::string> next_line(Client& client) {
    Bytes buffer(4096);
    while (client.read.find('\n') == std::string::npos) {
      const Result<std::size_t> got = co_await with_timeout(2min, client.stream->read_some(MutableBytes(buffer)));
      if (!got && got.error().is(Errc::deadline_exceeded)) co_return "nothing";
      if (!got || *got == 0) co_return "the end";
      client.read += as_text(BytesView(buffer).first(*got));
    }
    const std::size_t end = client.read.find('\n');
    std::string line = client.read.substr(0, end);
    client.read.erase(0, end + 1);
    co_return line;
  }
};

/// One provider with two allocations of an ensemble of alice.
struct WorkSocketTest : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    host->binds_actor_dir = true;
    ASSERT_TRUE(serve(*alice.root, protocol::kWorkGrant, *this, &WorkSocketTest::grant));
    open();
    for (const std::string name : {"other", "task"}) begin_one(name);
  }
  void begin_one(const std::string& name) {
    script("e_" + name, kService);
    ASSERT_TRUE(call(alice, protocol::kBidRequest, bid_request("e")));
    const auto committed = call(alice, protocol::kCommit, commit_request("e", name));
    ASSERT_TRUE(committed && committed->ok);
    const auto made = call(alice, protocol::kAllocate, allocate_request("e", name, 1, 1h));
    ASSERT_TRUE(made && made->ok) << (made ? made->error : made.error().to_string());
    ASSERT_TRUE(made->work.contains(name));
    work[name] = made->work.at(name);
    allocation = made->allocations.at(name);
    const auto started = start();
    ASSERT_TRUE(started && started->ok) << (started ? started->error : started.error().to_string());
  }
  /// As an orchestrator does.
  Task<protocol::WorkGrantReply> grant(protocol::WorkGrantRequest request, const actor::Envelope&) {
    ++asked;
    protocol::WorkGrantReply reply;
    reply.ok = true;
    ucan::Grant grant;
    grant.subject = work.at(std::string(jobs::allocation_name(request.allocation_id))).did;
    grant.capabilities = ucan::parse_capabilities({"/dms/ensemble/e/work"}).value();
    grant.topics = grant.capabilities;
    grant.expires = w.world.unix_now() + 1h;
    grant.depth = 1;
    reply.tokens.tokens.push_back(alice.context->grant(ucan::Action::delegate, grant).value());
    if (work.contains(request.sibling)) reply.sibling = work.at(request.sibling);
    if (auto place = moves.extract(request.sibling)) work[request.sibling] = place.mapped();
    if (!request.sibling.empty() && !reply.sibling) {
      reply.ok = false;
      reply.error = "there is no such allocation";
    }
    grant.capabilities = ucan::parse_capabilities({"/public"}).value();
    grant.topics.clear();
    if (!request.node.empty())
      if (auto open = alice.context->delegate(grant, w.world.unix_now()))
        for (const ucan::Token& token : open->tokens) reply.tokens.tokens.push_back(token);
    co_return reply;
  }
  const executor::Request& request_of(const std::string& name) {
    for (const auto& [id, run] : host->works)
      if (run.request.job_id == "e_" + name) return run.request;
    ADD_FAILURE() << name << " does not run";
    return host->works.begin()->second.request;
  }
  [[nodiscard]] std::string path(const std::string& name) {
    return (request_of(name).actor_dir / "actor.sock").string();
  }
  Client connect(const std::string& name) {
    auto stream = run(node.node.runtime().net.connect_unix(path(name)));
    EXPECT_TRUE(stream) << stream.error().to_string();
    return {stream ? *std::move(stream) : nullptr, ""};
  }
  void write(Client& client, std::string text) { EXPECT_TRUE(run(client.stream->write(as_bytes(text)))); }
  std::string read(Client& client) { return run(Client::next_line(client)); }
  std::string ask(Client& client, const std::string& line) {
    write(client, line + "\n");
    return read(client);
  }

  std::map<std::string, actor::Handle> work;
  std::map<std::string, actor::Handle> moves;  ///< where a sibling is once it was asked for
  int asked = 0;
};

TEST_F(WorkSocketTest, TheWorkIsToldWhereItsActorIsAndWhoItIs) {
  EXPECT_THAT(request_of("task").engine.params.environment,
              ::testing::IsSupersetOf({std::string("NUNET_ACTOR_SOCKET=/run/nunet/actor.sock"),
                                       "NUNET_DID=" + work.at("task").did.uri(), std::string("NUNET_ENSEMBLE=e"),
                                       std::string("NUNET_ALLOCATION=task")}));
  Client task = connect("task");
  const std::string who = ask(task, R"({"id":1,"op":"whoami"})");
  EXPECT_THAT(who, HasSubstr("\"did\":\"" + work.at("task").did.uri() + "\""));
  EXPECT_THAT(who, HasSubstr(R"("namespace":"/dms/ensemble/e/work")"));
  EXPECT_NE(work.at("task").did, node.did()) << "it has nothing of its node's power";
  EXPECT_THAT(ask(task, "nonsense"), HasSubstr(R"({"id":0,"ok":false,"error":)"));
  EXPECT_THAT(ask(task, R"({"id":2,"op":"register","behaviour":"/dms/node/hello"})"),
              HasSubstr(R"({"id":2,"ok":false,"error":"behaviour: expected /work/name)"));
}

TEST_F(WorkSocketTest, ACallReachesTheBehaviourOfASiblingAndItsReplyComesBack) {
  Client task = connect("task");
  Client other = connect("other");
  EXPECT_EQ(ask(other, R"({"id":1,"op":"register","behaviour":"/work/sum"})"), R"({"id":1,"ok":true,"payload":null})");
  write(task, "{\"id\":7,\"op\":\"invoke\",\"to\":\"other\",\"behaviour\":\"/work/sum\",\"payload\":[1,2]}\n");
  EXPECT_EQ(read(other),
            R"({"call":1,"behaviour":"/work/sum","from":")" + work.at("task").did.uri() + R"(","payload":[1,2]})");
  EXPECT_EQ(ask(other, R"({"id":2,"op":"reply","call":1,"payload":{"sum":3}})"),
            R"({"id":2,"ok":true,"payload":null})");
  EXPECT_EQ(read(task), R"({"id":7,"ok":true,"payload":{"sum":3}})");
  EXPECT_THAT(ask(other, R"({"id":3,"op":"reply","call":1,"payload":4})"), HasSubstr("no call 1 waits for a reply"));
  // One way; and what a name is known to be is not asked again.
  const int before = asked;
  EXPECT_EQ(ask(task, R"({"id":8,"op":"send","to":"other","behaviour":"/work/sum","payload":"go"})"),
            R"({"id":8,"ok":true,"payload":null})");
  EXPECT_EQ(read(other), R"({"behaviour":"/work/sum","from":")" + work.at("task").did.uri() + R"(","payload":"go"})");
  EXPECT_EQ(asked, before);
  EXPECT_THAT(ask(task, R"({"id":9,"op":"invoke","to":"third","behaviour":"/work/sum"})"),
              HasSubstr("there is no such allocation"));
}

TEST_F(WorkSocketTest, ACallReachesASiblingWhoseMachineIsGoneAtItsNewPlace) {
  Client task = connect("task");
  Client other = connect("other");
  EXPECT_THAT(ask(other, R"({"id":1,"op":"register","behaviour":"/work/sum"})"), HasSubstr(R"("ok":true)"));
  actor::Handle gone = work.at("other");
  gone.address.host = crypto::PeerId::from(crypto::PrivateKey::generate(node.lane().random()).public_key()).to_string();
  work["moved"] = gone;
  moves["moved"] = work.at("other");
  write(task, "{\"id\":2,\"op\":\"invoke\",\"to\":\"moved\",\"behaviour\":\"/work/sum\"}\n");
  EXPECT_THAT(read(other), HasSubstr("\"call\":1"));
  (void)ask(other, R"({"id":3,"op":"reply","call":1,"payload":3})");
  EXPECT_EQ(read(task), R"({"id":2,"ok":true,"payload":3})");
  // One way; and what is still there where it cannot be reached is not sent twice.
  work["sent"] = work["lost"] = gone;
  moves["sent"] = work.at("other");
  EXPECT_EQ(ask(task, R"({"id":4,"op":"send","to":"sent","behaviour":"/work/sum"})"),
            R"({"id":4,"ok":true,"payload":null})");
  EXPECT_THAT(read(other), HasSubstr("/work/sum"));
  const int before = asked;
  EXPECT_THAT(ask(task, R"({"id":5,"op":"send","to":"lost","behaviour":"/work/sum"})"), HasSubstr("cannot be reached"));
  EXPECT_EQ(asked, before + 2);
}

TEST_F(WorkSocketTest, WhatIsPublishedReachesSiblingsOnTheSameMachineThatHaveRegisteredForIt) {
  Client task = connect("task");
  Client other = connect("other");
  for (Client* each : {&task, &other}) {
    (void)ask(*each, R"({"id":1,"op":"register","behaviour":"/work/on","topic":"/work/news"})");
    (void)ask(*each, R"({"id":2,"op":"register","behaviour":"/work/off","topic":"/work/others"})");
  }
  for (const char* behaviour : {"/work/off", "/work/on"})
    EXPECT_EQ(
        ask(task, fmt::format(R"({{"id":3,"op":"publish","topic":"/work/news","behaviour":"{}","payload":"new"}})",
                              behaviour)),
        R"({"id":3,"ok":true,"payload":null})");
  EXPECT_EQ(read(other), R"({"behaviour":"/work/on","from":")" + work.at("task").did.uri() + R"(","payload":"new"})");
  EXPECT_THAT(ask(task, R"({"id":4,"op":"whoami"})"), HasSubstr(R"({"id":4,)")) << "it is not told itself";
}

TEST_F(WorkSocketTest, ANodeIsCalledByWhatIsDelegatedAndNotByMore) {
  w.grant(bob, alice, {"/public", "/dms/node"}, {}, 24h);
  bob.answer_with("/public/ask", "yes");
  const actor::Received secret = bob.answer_with("/dms/node/ask", "secret");
  const actor::Received own = node.answer_with("/dms/node/ask", "secret");
  Client task = connect("task");
  EXPECT_EQ(ask(task, R"({"id":1,"op":"invoke","to":")" + bob.did().uri() + R"(","behaviour":"/public/ask"})"),
            R"({"id":1,"ok":true,"payload":{"Text":"yes"}})");
  const SteadyTime before = w.world.now();
  EXPECT_THAT(ask(task, R"({"id":2,"op":"invoke","to":")" + bob.did().uri() + R"(","behaviour":"/dms/node/ask"})"),
              HasSubstr("this work has no capability for /dms/node/ask"));
  EXPECT_THAT(ask(task, R"({"id":3,"op":"invoke","to":")" + node.did().uri() + R"(","behaviour":"/dms/node/ask"})"),
              HasSubstr("this work has no capability for /dms/node/ask"));
  EXPECT_LT(w.world.now() - before, 5s) << "it is refused here, before it is sent";
  EXPECT_TRUE(secret->empty());
  EXPECT_TRUE(own->empty());
}

TEST_F(WorkSocketTest, ANodeWhoseClockIsAheadIsCalledAndWaitedForNoLonger) {
  w.grant(bob, alice, {"/public"}, {}, 24h);
  const actor::Received received = bob.answer_with("/public/ask", "yes");
  Client task = connect("task");
  const std::string to = R"("to":")" + bob.did().uri() + R"(","timeout":3000,"behaviour":)";
  const std::string host = bob.network->self().to_string();
  for (const Duration ahead : {Duration(10min), Duration(90min)}) {
    bob.node.set_wall_clock(ahead);
    node.system->clocks.heard(host, bob.lane().unix_now(), node.lane().unix_now(), 0s);
    const std::size_t before = received->size();
    const std::string answer = ask(task, R"({"id":1,"op":"invoke",)" + to + R"("/public/ask"})");
    // After an hour the delegation has expired there.
    EXPECT_THAT(answer, HasSubstr(ahead < 1h ? R"("payload":{"Text":"yes"})" : "no reply to /public/ask"));
    EXPECT_EQ(received->size() - before, ahead < 1h ? 1u : 0u);
    const SteadyTime begun = w.world.now();
    EXPECT_THAT(ask(task, R"({"id":2,"op":"invoke",)" + to + R"("/public/none"})"), HasSubstr("no reply to"));
    EXPECT_LT(w.world.now() - begun, 4s);
  }
}

TEST_F(WorkSocketTest, ABehaviourIsForSiblingsAndTheirOrchestrator) {
  Client other = connect("other");
  (void)ask(other, R"({"id":1,"op":"register","behaviour":"/work/sum"})");
  actor::TestWorld::trust(bob, node);
  actor::MessageOptions soon;
  soon.timeout = 5s;
  const auto refused = w.run(
      bob, bob.root->invoke(bob.root->message(work.at("other"), "/dms/ensemble/e/work/sum", to_bytes("1"), soon)));
  EXPECT_FALSE(refused);
  auto sent = w.run(
      alice, alice.root->send(alice.root->message(work.at("other"), "/dms/ensemble/e/work/sum", to_bytes("2"), soon)));
  ASSERT_TRUE(sent);
  EXPECT_THAT(read(other), HasSubstr(R"("payload":2})")) << "the first one is not bob's";
  // Nor is anything but what is registered reached.
  (void)ask(other, R"({"id":2,"op":"unregister","behaviour":"/work/sum"})");
  EXPECT_FALSE(w.run(alice, alice.root->invoke(alice.root->message(work.at("other"), "/dms/ensemble/e/work/sum",
                                                                   to_bytes("3"), soon))));
}

TEST_F(WorkSocketTest, AConnectionThatEndsLeavesNothing) {
  Client task = connect("task");
  {
    Client other = connect("other");
    (void)ask(other, R"({"id":1,"op":"register","behaviour":"/work/sum"})");
    write(task, "{\"id\":1,\"op\":\"invoke\",\"to\":\"other\",\"behaviour\":\"/work/sum\",\"timeout\":3000}\n");
    EXPECT_THAT(read(other), HasSubstr("\"call\":1"));
  }
  EXPECT_THAT(read(task), HasSubstr("no reply to /dms/ensemble/e/work/sum"));
  Client again = connect("other");
  EXPECT_THAT(ask(again, R"({"id":1,"op":"register","behaviour":"/work/sum"})"), HasSubstr(R"("ok":true)"));
  // A job that has written all and reads the answers: as `nc -N` does.
  Client last = connect("task");
  write(last, "{\"id\":5,\"op\":\"whoami\"}\n");
  EXPECT_TRUE(run(last.stream->close_write()));
  EXPECT_THAT(read(last), HasSubstr(R"({"id":5,"ok":true)"));
  EXPECT_EQ(read(last), "the end");
}

TEST_F(WorkSocketTest, ItIsThereAgainAfterARestartOfTheDaemonAndGoneWithTheAllocation) {
  const std::string before = path("task");
  Client task = connect("task");
  const std::string who = ask(task, R"({"id":1,"op":"whoami"})");
  restart_daemon();
  w.settle(2s);
  EXPECT_EQ(path("task"), before);
  EXPECT_EQ(read(task), "the end");
  Client again = connect("task");
  EXPECT_EQ(ask(again, R"({"id":1,"op":"whoami"})"), who);
  Client other = connect("other");
  (void)ask(other, R"({"id":1,"op":"register","behaviour":"/work/sum"})");
  write(again, "{\"id\":2,\"op\":\"invoke\",\"to\":\"other\",\"behaviour\":\"/work/sum\"}\n");
  EXPECT_THAT(read(other), HasSubstr("\"call\":1"));
  const auto gone = shutdown();
  ASSERT_TRUE(gone && gone->ok);
  EXPECT_FALSE(run(node.node.runtime().net.connect_unix(before)));
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(before).parent_path()));
  EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(path("other")).parent_path()));
}

TEST_F(WorkSocketTest, AStartOfTheDaemonRemovesTheFoldersOfWhatIsGone) {
  const std::filesystem::path left = folder / kActorFolders / "0123456789abcdef";
  std::filesystem::create_directories(left);
  ASSERT_TRUE(write_file(left / "actor.sock", "left"));
  restart_daemon();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(request_of("task").actor_dir));
}

TEST_F(WorkSocketTest, WhatTheWorkCanTakeIsBounded) {
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kMaxWorkConnections; ++i) clients.push_back(connect("task"));
  Client more = connect("task");
  EXPECT_EQ(ask(clients.front(), R"({"id":1,"op":"whoami"})").substr(0, 17), R"({"id":1,"ok":true)");
  EXPECT_EQ(read(more), "the end");
  // Of both: bytes of a line, and calls under way.
  write(clients.back(), std::string(kMaxWorkLine + 1, 'x'));
  EXPECT_THAT(read(clients.back()), HasSubstr("a line of more than 65536 bytes"));
  EXPECT_EQ(read(clients.back()), "the end");
  Client& task = clients.front();
  for (std::size_t i = 0; i <= kMaxWorkCalls; ++i)
    write(task, "{\"id\":9,\"op\":\"invoke\",\"to\":\"other\",\"behaviour\":\"/work/none\"}\n");
  EXPECT_THAT(read(task), HasSubstr("32 calls are under way, which is the limit"));
  const SteadyTime before = w.world.now();
  for (int i = 0; i < 4 * kWorkBurst; ++i) write(task, "{\"op\":\"none\"}\n");
  for (int i = 0; i < 4 * kWorkBurst; ++i) (void)read(task);
  EXPECT_GT(w.world.now() - before, 5s) << "faster requests wait";
}

TEST_F(WorkSocketTest, WhatTheWorkSendsIsReadAtABoundedRateWhateverItIs) {
  Client flooding = connect("task");
  const SteadyTime before = w.world.now();
  write(flooding, std::string(256 * kWorkUnit, '\n'));  // lines that are ignored
  EXPECT_GT(w.world.now() - before, 2s);
  EXPECT_THAT(ask(flooding, R"({"id":1,"op":"whoami"})"), HasSubstr(R"({"id":1,"ok":true)"));
  // What follows a line that is too long is dropped, and not as fast as it comes.
  write(flooding, std::string(kMaxWorkLine + 1, 'x'));
  EXPECT_THAT(read(flooding), HasSubstr("a line of more than 65536 bytes"));
  EXPECT_EQ(read(flooding), "the end");
  const std::string endless(std::size_t{40} << 20, 'x');
  EXPECT_FALSE(run(flooding.stream->write(as_bytes(endless)))) << "the connection is closed before all is read";
}

TEST_F(WorkSocketTest, ConnectionsAreTakenAtABoundedRate) {
  for (int i = 0; i < 4 * kWorkBurst; ++i) (void)connect("task");
  const SteadyTime before = w.world.now();
  Client last = connect("task");
  EXPECT_THAT(ask(last, R"({"id":1,"op":"whoami"})"), HasSubstr(R"("ok":true)"));
  EXPECT_GT(w.world.now() - before, 5s);
}

TEST_F(WorkSocketTest, WorkThatReadsNoAnswersIsReadNoMoreAndHoldsNoMoreThanItsCalls) {
  SimLink narrow;
  narrow.window = 4096;
  w.world.set_link(narrow);
  Client deaf = connect("task");
  Client task = connect("task");
  Client other = connect("other");
  std::string sends;
  const std::string send = R"({"id":2,"op":"send","to":"other","behaviour":"/work/none"})";
  for (int i = 0; i < 1000; ++i) sends += send + "\n";
  const Result<void> written = run(with_timeout(5min, deaf.stream->write(as_bytes(sends))));
  ASSERT_FALSE(written) << "all was read although no answer was";
  EXPECT_TRUE(written.error().is(Errc::deadline_exceeded)) << written.error().to_string();
  // The answers wait as calls that are under way; whatever is no call goes on, and so do others.
  EXPECT_THAT(ask(task, send), HasSubstr("32 calls are under way, which is the limit"));
  EXPECT_THAT(ask(task, R"({"id":3,"op":"whoami"})"), HasSubstr(R"({"id":3,"ok":true)"));
  EXPECT_THAT(ask(other, R"({"id":1,"op":"send","to":"task","behaviour":"/work/none"})"), HasSubstr(R"("ok":true)"));
  deaf.stream.reset();
  w.settle();
  EXPECT_THAT(ask(task, send), HasSubstr(R"({"id":2,"ok":true)")) << "its calls ended with it";
}

TEST_F(WorkSocketTest, WhatIsKnownIsUsedWhileTheOrchestratorIsAway) {
  Client task = connect("task");
  Client other = connect("other");
  (void)ask(other, R"({"id":1,"op":"register","behaviour":"/work/sum"})");
  const std::string send = R"({"id":2,"op":"send","to":"other","behaviour":"/work/sum"})";
  EXPECT_THAT(ask(task, send), HasSubstr(R"("ok":true)"));
  (void)read(other);
  w.substrate->cut(node.network->self(), alice.network->self(), true);
  w.settle(5min);
  EXPECT_THAT(ask(task, send), HasSubstr(R"("ok":true)"));
  EXPECT_THAT(read(other), HasSubstr("/work/sum"));
  EXPECT_THAT(ask(task, R"({"id":3,"op":"send","to":"third","behaviour":"/work/sum"})"),
              HasSubstr("asking the orchestrator what this work may call"));
  w.substrate->cut(node.network->self(), alice.network->self(), false);
}

}  // namespace
}  // namespace dms::provider

// Work that calls work and nodes on other machines, through the sockets of its actors, with a whole network of nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

using ::testing::HasSubstr;

Task<std::string> line_of(ByteStream& stream, std::string& before) {
  Bytes buffer(4096);
  while (before.find('\n') == std::string::npos) {
    const Result<std::size_t> got = co_await with_timeout(2min, stream.read_some(MutableBytes(buffer)));
    if (!got || *got == 0) co_return "nothing";
    before += as_text(BytesView(buffer).first(*got));
  }
  std::string line = before.substr(0, before.find('\n'));
  before.erase(0, line.size() + 1);
  co_return line;
}

struct WorkCalls : testing::Test {
  WorkCalls() {
    bob.bind_actors();
    carol.bind_actors();
    cluster.start();
  }
  ~WorkCalls() override {
    for (auto& [name, job] : clients) job.stream.reset();
    cluster.stop();
  }
  struct Job {
    Machine* at = nullptr;
    std::unique_ptr<ByteStream> stream;
    std::string read;
  };

  /// Two services, `first` at bob and `second` at carol.
  void deploy() {
    jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_SECONDS", "100000"}});
    const jobs::Allocation work = ensemble.allocations.at("task");
    const jobs::Node place = ensemble.nodes.begin()->second;
    ensemble.allocations.clear();
    ensemble.nodes.clear();
    const std::map<std::string, Machine*> places = {{"first", &bob}, {"second", &carol}};
    for (const auto& [name, machine] : places) {
      ensemble.allocations[name] = work;
      ensemble.allocations[name].dns_name = name;
      jobs::Node node = place;
      node.allocations = {name};
      node.peer = machine->peer().to_string();
      ensemble.nodes["at-" + name] = node;
    }
    const auto deployed = cluster.deploy(alice, ensemble);
    ASSERT_TRUE(deployed) << deployed.error().to_string();
    id = *deployed;
    ASSERT_TRUE(cluster.wait_for(alice, id, {"Running"}));
    connect("first", bob);
    connect("second", carol);
  }
  void connect(const std::string& name, Machine& at) {
    for (const auto& [execution, run] : at.work().works) {
      if (jobs::allocation_name(run.request.job_id) != name) continue;
      auto stream = cluster.world().run(
          at.host(), at.host().runtime().net.connect_unix((run.request.actor_dir / executor::kActorSocket).string()));
      ASSERT_TRUE(stream) << stream.error().to_string();
      clients[name] = Job{&at, *std::move(stream), ""};
      return;
    }
    FAIL() << name << " does not run";
  }
  void write(const std::string& name, std::string text) {
    text += "\n";
    EXPECT_TRUE(cluster.world().run(clients.at(name).at->host(), clients.at(name).stream->write(as_bytes(text))));
  }
  std::string read(const std::string& name) {
    Job& job = clients.at(name);
    return cluster.world().run(job.at->host(), line_of(*job.stream, job.read));
  }
  std::string ask(const std::string& name, std::string line) {
    write(name, std::move(line));
    return read(name);
  }
  void second_adds() {
    EXPECT_THAT(ask("second", R"({"op":"register","behaviour":"/work/add","topic":"/work/news"})"),
                HasSubstr(R"("ok":true)"));
  }
  void first_calls_second() {
    write("first", R"({"id":1,"op":"invoke","to":"second","behaviour":"/work/add","payload":[1,2]})");
    const std::string called = read("second");
    EXPECT_THAT(called, HasSubstr(R"("payload":[1,2])"));
    const auto call = json::parse(called);
    ASSERT_TRUE(call && call->get_object().contains("call")) << called;
    EXPECT_THAT(ask("second", fmt::format(R"({{"op":"reply","call":{},"payload":3}})",
                                          json::write(call->get_object().at("call")))),
                HasSubstr(R"("ok":true)"));
    EXPECT_EQ(read("first"), R"({"id":1,"ok":true,"payload":3})");
  }

  Cluster cluster{43};
  Machine& alice = cluster.add("alice", 0, 0);
  Machine& bob = cluster.add("bob", 4, 8);
  Machine& carol = cluster.add("carol", 4, 8);
  std::map<std::string, Job> clients;
  std::string id;
};

TEST_F(WorkCalls, AJobCallsASiblingOnAnotherMachine) {
  deploy();
  second_adds();
  first_calls_second();
}

TEST_F(WorkCalls, AJobPublishesToItsSiblings) {
  deploy();
  second_adds();
  first_calls_second();  // now the two machines are connected
  cluster.world().run_for(10s);
  EXPECT_THAT(ask("first", R"({"id":2,"op":"publish","topic":"/work/news","behaviour":"/work/add","payload":"new"})"),
              HasSubstr(R"("ok":true)"));
  EXPECT_THAT(read("second"), HasSubstr(R"("payload":"new")"));
}

TEST_F(WorkCalls, AJobCallsThePublicBehavioursOfNodesAndNoOthers) {
  deploy();
  for (Machine* machine : {&alice, &bob}) {
    const std::string did = machine->node().root().handle().did.uri();
    EXPECT_THAT(ask("first", R"({"id":1,"op":"invoke","to":")" + did + R"(","behaviour":"/public/hello"})"),
                HasSubstr(R"({"id":1,"ok":true,"payload":{)"));
    EXPECT_THAT(ask("first", R"({"id":2,"op":"invoke","to":")" + did + R"(","behaviour":"/dms/node/peers/list"})"),
                HasSubstr("this work has no capability for /dms/node/peers/list"));
  }
}

TEST_F(WorkCalls, AfterTheDaemonsWereKilledTheWorkCallsAgain) {
  deploy();
  cluster.kill_daemon(bob);
  cluster.kill_daemon(carol);
  cluster.restart(bob);
  cluster.restart(carol);
  cluster.world().run_for(1min);
  connect("first", bob);
  connect("second", carol);
  second_adds();
  first_calls_second();
}

}  // namespace
}  // namespace dms::sim

#include "protocol/refused.hpp"

#include <gtest/gtest.h>

#include <set>

#include "actor/test_world.hpp"
#include "protocol/allocation.hpp"
#include "protocol/serve.hpp"
#include "protocol/table.hpp"

namespace dms::protocol {
namespace {

TEST(RefusedBehaviours, APathIsDeclaredOrRefusedAndARefusalSaysWhatToUseInstead) {
  std::set<std::string_view> paths;
  for (const TableEntry& entry : behaviour_table()) paths.insert(entry.declaration->path);
  for (const RefusedBehaviour& refused : refused_behaviours()) {
    EXPECT_TRUE(paths.insert(refused.path).second) << refused.path;
    EXPECT_EQ(refused.path.find("{ensemble}") != std::string_view::npos, refused.holder == Holder::ensemble)
        << refused.path;
    EXPECT_NE(refused.reason.find(';'), std::string_view::npos) << refused.path;
  }
}

struct RefusedTest : testing::Test {
  ~RefusedTest() override { w.close(); }

  Result<Ack> invoke(const std::string& path, const std::string& payload = "{}") {
    actor::Envelope request = a.root->message(b.root->handle(), path, to_bytes(payload));
    return w.run(a, a.root->call<Ack>(std::move(request)));
  }

  actor::MemoryTestWorld w{5};
  actor::TestNode& a = w.add("caller");
  actor::TestNode& b = w.add("node");
};

TEST_F(RefusedTest, WhoMayInvokeOneIsToldWhyWhateverThePayload) {
  actor::TestWorld::trust(b, a);
  ASSERT_TRUE(refuse_behaviours(*b.root, Holder::node));
  ASSERT_TRUE(refuse_behaviours(*b.root, Holder::ensemble, "e1"));
  ASSERT_TRUE(refuse_behaviours(*b.root, Holder::allocation));
  for (const RefusedBehaviour& refused : refused_behaviours()) {
    const std::string path = path_of(Declaration{.path = refused.path, .help = {}}, "e1");
    const Result<Ack> reply = invoke(path, R"({"EnsembleID":"e1","S":"a","T":"b","RTT":5})");
    ASSERT_TRUE(reply) << path << ": " << reply.error().to_string();
    EXPECT_FALSE(reply->ok);
    EXPECT_EQ(reply->error, refusal_of(path, refused));
  }
  EXPECT_TRUE(invoke("/dms/ensemble/e1/node/subnet/create", "not JSON")->error.find("subnets") != std::string::npos);
  stop_refusing(*b.root, Holder::ensemble, "e1");
  EXPECT_FALSE(b.root->has_behaviour("/dms/ensemble/e1/node/subnet/create"));
  EXPECT_TRUE(b.root->has_behaviour("/dms/node/subnet/create"));
}

TEST_F(RefusedTest, AStrangerGetsNoReply) {
  ASSERT_TRUE(refuse_behaviours(*b.root, Holder::node));
  const Result<Ack> reply = invoke("/dms/node/peers/dht");
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().is(Errc::deadline_exceeded)) << reply.error().to_string();
}

}  // namespace
}  // namespace dms::protocol

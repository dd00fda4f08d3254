#include "provider/results.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"
#include "base/remove_tree.hpp"
#include "network/memory_network.hpp"
#include "simulation/sim_world.hpp"
#include "transfer/fetch.hpp"

namespace dms::provider {
namespace {

struct ResultsTest : testing::Test {
  ResultsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "results-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    EXPECT_TRUE(server.open());
  }
  ~ResultsTest() override {
    world.run(here, results->close());
    world.run(here, server.close());
    EXPECT_TRUE(remove_tree(folder));
  }
  static crypto::PeerId id_of(SimNode& node) {
    return crypto::PeerId::from(crypto::PrivateKey::generate(node.runtime().lane.random()).public_key());
  }
  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(write_file(folder / "work" / path, text));
  }
  Results::Source source(std::vector<std::string> paths, std::uint64_t limit = 0) const {
    Results::Source wanted;
    wanted.work = folder / "work";
    wanted.run = folder / "run";
    wanted.declared.paths = std::move(paths);
    wanted.declared.limit = limit;
    return wanted;
  }
  Result<std::vector<protocol::ResultFile>> list(Results::Source wanted) {
    return world.run(here, results->list(std::move(wanted), network_there.self()));
  }
  /// What the orchestrator gets for a ticket.
  std::string fetched(const protocol::ResultFile& file) {
    const Result<transfer::Ticket> ticket = transfer::Ticket::parse(file.ticket);
    if (!ticket) return "(no ticket)";
    transfer::FetchOptions options;
    options.retries = 0;
    const auto got = world.run(
        there, transfer::fetch(network_there, network_here.self(), *ticket, folder / "got", std::move(options)));
    return got ? read_file(folder / "got", 1 << 20).value() : "(" + got.error().to_string() + ")";
  }

  SimWorld world{3};
  SimNode& here = world.add_node("provider");
  SimNode& there = world.add_node("orchestrator");
  std::shared_ptr<network::MemorySubstrate> substrate = std::make_shared<network::MemorySubstrate>();
  network::MemoryNetwork network_here{substrate, here.runtime().lane, id_of(here)};
  network::MemoryNetwork network_there{substrate, there.runtime().lane, id_of(there)};
  static transfer::ServerOptions few_tickets() {
    transfer::ServerOptions options;
    options.max_tickets_per_peer = 3;
    return options;
  }
  transfer::Server server{here.runtime().lane, network_here, few_tickets()};
  std::unique_ptr<Results> results = std::make_unique<Results>(here.runtime().lane, server);
  std::filesystem::path folder;
};

TEST_F(ResultsTest, WhatIsDeclaredIsPackedOnceAndOffered) {
  write("report", "first");
  write("out/a", "a");
  const auto files = list(source({"report", "out/", "absent"}));
  ASSERT_TRUE(files) << files.error().to_string();
  ASSERT_EQ(files->size(), 3u);
  EXPECT_EQ(fetched((*files)[0]), "first");
  EXPECT_TRUE((*files)[1].folder);
  EXPECT_EQ((*files)[1].name, "out/");
  EXPECT_EQ((*files)[2].error, "there is no such file or folder") << "who reads it has the name";
  EXPECT_EQ((*files)[2].ticket, "");

  // The next start of the daemon offers the same, whatever has become of the work folder.
  write("report", "second");
  results = std::make_unique<Results>(here.runtime().lane, server);
  const auto again = list(source({"report", "out/", "absent"}));
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)[0].digest, (*files)[0].digest);
  EXPECT_EQ(fetched((*again)[0]), "first");
}

TEST_F(ResultsTest, WhatThePackingNeedsIsDoneOnceBeforeIt) {
  int times = 0;
  Results::Source wanted = source({"report"});
  const auto prepare = [](ResultsTest& test, int& count) -> Task<Result<void>> {
    if (++count == 1) co_return fail(Errc::unsupported, "the engine is away");
    test.write("report", "readable now");
    co_return Result<void>();
  };
  wanted.prepare = [&] { return prepare(*this, times); };
  const auto refused = list(wanted);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("the engine is away"), std::string::npos) << refused.error().to_string();
  const auto files = list(wanted);
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ(fetched(files->front()), "readable now");
  EXPECT_TRUE(list(wanted));
  EXPECT_EQ(times, 2) << "what is packed is not packed again";
}

TEST_F(ResultsTest, WhatCannotBePreparedIsPackedAsItIs) {
  write("report", "text");
  Results::Source wanted = source({"report", "absent"});
  const auto prepare = []() -> Task<Result<void>> {
    co_return fail(Errc::io, "exit code 1: secret: Operation not permitted");
  };
  wanted.prepare = prepare;
  const auto files = list(wanted);
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ(fetched((*files)[0]), "text");
  EXPECT_NE((*files)[1].error, "");
}

TEST_F(ResultsTest, APreparationHoldsNoPlaceAndEndsWithItsPacking) {
  write("report", "text");
  const auto prepare = []() -> Task<Result<void>> { co_return co_await sleep_for(24h); };
  for (std::size_t i = 0; i < kPackers; ++i) {
    Results::Source slow = source({"report"});
    slow.run = folder / "slow" / std::to_string(i);
    slow.prepare = prepare;
    EXPECT_TRUE(list(slow).error().is(Errc::already_exists)) << "it goes on";
  }
  const SteadyTime before = world.now();
  EXPECT_TRUE(list(source({"report"})));
  world.run(here, results->forget(folder / "slow"));
  EXPECT_LT(world.now() - before, 1min);
  EXPECT_FALSE(std::filesystem::exists(folder / "slow"));
}

TEST_F(ResultsTest, NothingIsPackedOfARunThatHasBeenReplaced) {
  write("report", "text");
  Results::Source wanted = source({"report"});
  wanted.is_current = [] { return false; };
  EXPECT_TRUE(list(wanted).error().is(Errc::closed));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_F(ResultsTest, PackingThatWasInterruptedBeginsAnew) {
  write("report", "text");
  ASSERT_TRUE(write_file(folder / "run/results/0", "a part"));
  const auto files = list(source({"report"}));
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ(fetched((*files)[0]), "text");
}

TEST_F(ResultsTest, TheLimitCountsForAllTogether) {
  write("a", std::string(600, 'a'));
  write("b", std::string(600, 'b'));
  write("c", std::string(300, 'c'));
  const auto files = list(source({"a", "b", "c"}, 1000));
  ASSERT_TRUE(files);
  EXPECT_EQ((*files)[0].error, "");
  EXPECT_NE((*files)[1].error.find("larger than the limit"), std::string::npos) << (*files)[1].error;
  EXPECT_EQ((*files)[2].error, "");
}

TEST_F(ResultsTest, TheReplyFitsAMessageWhateverWasLeftOut) {
  std::vector<std::string> paths;
  for (int i = 0; i < 110; ++i) {
    std::string path = fmt::format("{}", i);
    paths.push_back(path);
    path += "/" + std::string(200, 'x') + "/" + std::string(200, 'y');
    std::filesystem::create_directories(folder / "work" / path);
    for (int j = 0; j < 16; ++j)
      std::filesystem::create_symlink("/etc", folder / "work" / path / (std::to_string(j) + std::string(200, 'z')));
  }
  (void)list(source(paths));  // there are too few tickets; the index says what would be sent
  const auto index = read_file(folder / "run/results/index.json", network::kMaxMessage);
  ASSERT_TRUE(index) << index.error().to_string();
  EXPECT_LT(index->size(), network::kMaxMessage / 2);
  EXPECT_NE(index->find("outside"), std::string::npos);
}

TEST_F(ResultsTest, ListsThatAreRepeatedTakeNoMoreTickets) {
  write("a", "a");
  write("b", "b");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(list(source({"a", "b"})));
  EXPECT_EQ(server.tickets(), 2u);
}

TEST_F(ResultsTest, WithoutRoomForTicketsNoResultIsTakenForAbsent) {
  for (const std::string name : {"a", "b", "c", "d"}) write(name, name);
  const auto files = list(source({"a", "b", "c", "d"}));
  ASSERT_FALSE(files);
  EXPECT_TRUE(files.error().is(Errc::limit_exceeded)) << files.error().to_string();
}

TEST_F(ResultsTest, ManyPackingsTakeTurnsAndOneThatWaitsCanBeForgotten) {
  write("report", "text");
  Nursery nursery(here.runtime().lane, "test");
  std::vector<std::string> outcomes;
  const auto ask = [](Results& from, Results::Source wanted, crypto::PeerId to,
                      std::vector<std::string>& into) -> Task<void> {
    const auto files = co_await from.list(std::move(wanted), to);
    into.push_back(files ? "packed" : files.error().to_string());
  };
  for (std::size_t i = 0; i < 3 * kPackers; ++i) {
    Results::Source wanted = source({"report"});
    wanted.run = folder / std::to_string(i);
    nursery.spawn(ask(*results, std::move(wanted), network_there.self(), outcomes));
  }
  const std::filesystem::path last = folder / std::to_string(3 * kPackers - 1);
  here.runtime().lane.post([&] { nursery.spawn(results->forget(last)); });
  world.run(here, nursery.join());
  ASSERT_EQ(outcomes.size(), 3 * kPackers);
  EXPECT_GE(std::ranges::count(outcomes, "packed"), static_cast<std::ptrdiff_t>(kPackers));
}

TEST_F(ResultsTest, WhatIsForgottenIsNotServed) {
  write("report", "text");
  const auto files = list(source({"report"}));
  ASSERT_TRUE(files);
  world.run(here, results->forget(folder));
  EXPECT_NE(fetched((*files)[0]).find("does not accept the ticket"), std::string::npos);
}

}  // namespace
}  // namespace dms::provider

#include "provider/leases.hpp"

#include "provider/testing.hpp"

namespace dms::provider {
namespace {

struct LeasesTest : ProviderTest {
  void SetUp() override { open("boot"); }
  void TearDown() override { run(tasks.close()); }
  void open(const std::string& boot) {
    run(tasks.join());
    leases = std::make_unique<Leases>(node.lane(), *store, boot, LeaseBounds{10s, 1h, 5min, 24h},
                                      [this](const std::string& name) { over.push_back(name); });
    watching.emplace(node.lane(), "watching");
    watching->spawn(leases->watch());
  }
  void close() {
    run(watching->close());
    watching.reset();
    leases.reset();
  }
  Lease add(const std::string& name, std::int64_t requested_ns) {
    Lease lease = leases->grant(requested_ns);
    leases->add(name, alice.did(), lease);
    EXPECT_TRUE(store->blocking().put_value(kLeaseCollection, name, lease));
    return lease;
  }
  Result<void> renew(std::vector<std::string> names) { return run(leases->renew(std::move(names))); }
  Lease stored(const std::string& name) { return **store->blocking().get_value<Lease>(kLeaseCollection, name); }
  static std::int64_t ns(Duration time) { return time.count(); }
  ~LeasesTest() override {
    if (watching) close();
  }

  Nursery tasks{node.lane(), "tasks"};
  std::optional<Nursery> watching;
  std::unique_ptr<Leases> leases;
  std::vector<std::string> over;
};

TEST_F(LeasesTest, ALengthIsGrantedWithinTheBounds) {
  EXPECT_EQ(leases->grant(ns(1min)).length(), 1min);
  EXPECT_EQ(leases->grant(ns(1s)).length(), 10s);
  EXPECT_EQ(leases->grant(ns(100h)).length(), 1h);
  EXPECT_EQ(leases->grant(std::numeric_limits<std::int64_t>::max()).length(), 1h);
  EXPECT_EQ(leases->grant(-1).length(), 5min) << "the provider chooses";
  EXPECT_EQ(leases->grant(0).length(), 24h);
  EXPECT_TRUE(leases->grant(0).by_contact);
}

TEST_F(LeasesTest, ALeaseEndsOnceUnlessItIsRenewed) {
  add("a", ns(1min));
  add("b", ns(1min));
  w.settle(40s);
  ASSERT_TRUE(renew({"a"}));
  w.settle(19s);
  EXPECT_TRUE(over.empty());
  EXPECT_EQ(leases->left("b"), 1s);
  w.settle(1s);
  EXPECT_EQ(over, std::vector<std::string>{"b"});
  EXPECT_TRUE(leases->is_over("b"));
  w.settle(1h);
  EXPECT_EQ(over, (std::vector<std::string>{"b", "a"}));
}

TEST_F(LeasesTest, ARenewalCountsFromTheClockThatItNamesAndNeverMovesAnEndBack) {
  add("a", ns(1min));
  const SteadyTime clock = w.world.now() + 10s;
  w.settle(40s);
  ASSERT_TRUE(run(leases->renew({"a"}, clock)));
  EXPECT_EQ(leases->left("a"), 30s) << "a renewal that was 30 s on its way";
  ASSERT_TRUE(run(leases->renew({"a"}, clock - 5s)));
  EXPECT_EQ(leases->left("a"), 30s);
  ASSERT_TRUE(run(leases->renew({"a"}, w.world.now() + 1h)));
  EXPECT_EQ(leases->left("a"), 1min) << "a clock of the future";
}

TEST_F(LeasesTest, ARestartNeitherExtendsNorShortensALease) {
  add("a", ns(1min));
  w.settle(30s);
  ASSERT_TRUE(renew({"a"}));
  const Lease lease = stored("a");
  w.settle(20s);
  close();
  w.settle(20s);
  open("boot");
  leases->add("a", alice.did(), lease);
  EXPECT_EQ(leases->left("a"), 20s);
  w.settle(19s);
  EXPECT_TRUE(over.empty());
  w.settle(1s);
  EXPECT_EQ(over.size(), 1U);
}

TEST_F(LeasesTest, ALeaseOfAnotherBootOrADamagedOneIsNotLongerThanItsLength) {
  const Lease lease = add("a", ns(1min));
  close();
  open("second boot");
  leases->add("a", alice.did(), lease);
  EXPECT_TRUE(leases->is_over("a"));
  leases->add("b", alice.did(), Lease{"second boot", std::numeric_limits<std::int64_t>::max(), ns(1min), false});
  EXPECT_EQ(leases->left("b"), 1min);
  leases->add("c", alice.did(), Lease{"second boot", std::numeric_limits<std::int64_t>::min(), -5, false});
  w.settle(1s);
  EXPECT_EQ(std::set<std::string>(over.begin(), over.end()), (std::set<std::string>{"a", "c"}));
  EXPECT_TRUE(renew({"c"}));
}

TEST_F(LeasesTest, ARenewalThatCannotBeStoredHasNotHappened) {
  add("a", ns(1min));
  w.settle(30s);
  store->set_write_fault([]() -> Result<void> { return fail(Errc::io, "no space left"); });
  EXPECT_TRUE(renew({"a"}).error().is(Errc::io));
  store->set_write_fault({});
  EXPECT_EQ(leases->left("a"), 30s);
  EXPECT_EQ(stored("a").end(), leases->find("a")->end());
  w.settle(30s);
  EXPECT_EQ(over.size(), 1U);
}

TEST_F(LeasesTest, RenewalsThatArriveTogetherAreWrittenTogether) {
  for (int i = 0; i < 100; ++i) add("n" + std::to_string(i), ns(1min));
  w.settle(30s);
  const auto before = store->metrics().operations.value();
  const auto ignore = [](Task<Result<void>> task) -> Task<void> { (void)co_await std::move(task); };
  for (int i = 0; i < 100; ++i) tasks.spawn(ignore(leases->renew({"n" + std::to_string(i)})));
  run(tasks.join());
  EXPECT_LE(store->metrics().operations.value() - before, 2U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(stored("n" + std::to_string(i)).end(), w.world.now() + 1min);
}

TEST_F(LeasesTest, ARemovedLeaseDoesNotComeBackByARenewal) {
  add("a", ns(1min));
  const auto ignore = [](Task<Result<void>> task) -> Task<void> { (void)co_await std::move(task); };
  tasks.spawn(ignore(leases->renew({"a"})));
  leases->remove("a");
  run(store->erase(std::string(kLeaseCollection), "a")).value();
  run(tasks.join());
  EXPECT_FALSE(*store->blocking().get(kLeaseCollection, "a"));
  EXPECT_TRUE(renew({"a", "unknown"})) << "nothing of them exists";
  w.settle(1h);
  EXPECT_TRUE(over.empty());
}

TEST_F(LeasesTest, ContactRenewsALeaseOfSilenceInSteps) {
  add("silent", 0);
  add("renewed", ns(1h));
  EXPECT_TRUE(leases->silent_owners().empty());
  const auto before = store->metrics().operations.value();
  w.settle(30min);
  EXPECT_TRUE(run(leases->heard_from(alice.did())).empty()) << "within a step nothing is written";
  EXPECT_EQ(store->metrics().operations.value(), before);
  w.settle(31min);
  EXPECT_EQ(over, std::vector<std::string>{"renewed"}) << "contact does not renew it";
  EXPECT_EQ(leases->silent_owners(), std::set<did::Did>{alice.did()});
  EXPECT_TRUE(run(leases->heard_from(bob.did())).empty());
  EXPECT_EQ(run(leases->heard_from(alice.did())), std::vector<std::string>{"silent"});
  EXPECT_EQ(leases->left("silent"), 24h);
  w.settle(24h);
  EXPECT_EQ(over.size(), 2U);
}

/// Random additions, renewals, removals and times against the plain model: the end is the last renewal and the length.
TEST_F(LeasesTest, BehavesAsItsModel) {
  SeededRandom random(5);
  std::map<std::string, std::pair<SteadyTime, Duration>> model;  // end, length
  std::set<std::string> ended;
  for (int step = 0; step < 2000; ++step) {
    const std::string name = "n" + std::to_string(random() % 8);
    const auto known = model.find(name);
    switch (random() % 4) {
      case 0:
        if (known == model.end()) model[name] = {w.world.now() + 1min, add(name, ns(1min)).length()};
        break;
      case 1:
        ASSERT_TRUE(renew({name}));
        if (known != model.end()) known->second.first = w.world.now() + 1min, ended.erase(name);
        break;
      case 2:
        leases->remove(name);
        model.erase(name);
        ended.erase(name);
        break;
      default: w.settle(Duration(static_cast<std::int64_t>(random() % 30'000'000'000)));
    }
    for (const std::string& each : std::exchange(over, {})) {
      ASSERT_TRUE(model.contains(each)) << each;
      ASSERT_TRUE(ended.insert(each).second) << each << " ended twice";
    }
    for (const auto& [each, lease] : model)
      ASSERT_EQ(ended.contains(each), lease.first <= w.world.now()) << each << " at step " << step;
    ASSERT_EQ(leases->size(), model.size());
  }
}

}  // namespace
}  // namespace dms::provider

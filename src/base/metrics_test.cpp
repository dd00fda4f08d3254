#include "base/metrics.hpp"

#include <gtest/gtest.h>
#include <atomic>

#include "base/log.hpp"

namespace dms::metrics {
namespace {

enum class Outcome : std::uint8_t { accepted, refused };
std::string_view to_string(Outcome outcome) { return outcome == Outcome::accepted ? "accepted" : "refused"; }

/// What a module declares.
struct ModuleMetrics {
  CounterArray<Outcome, 2> envelopes;
  Gauge queued;
  Histogram handling{kSeconds};

  void register_with(Registry& registry) {
    group_.in(registry)
        .counters("nunet_test_envelopes_total", "Envelopes by outcome.", "outcome", envelopes)
        .gauge("nunet_test_queued", "Envelopes that wait.", queued)
        .histogram("nunet_test_handling_seconds", "Time to handle one.", handling);
  }

 private:
  Group group_;
};

class MetricsRegistry : public testing::Test {
 protected:
  void SetUp() override {
    log::set_sink([](const log::Line&) {});
  }
  void TearDown() override { log::set_sink({}); }
};

TEST(Metrics, AModuleCountsWithoutARegistry) {
  ModuleMetrics module;
  ++module.envelopes[Outcome::accepted];
  module.envelopes[Outcome::refused].add(3);
  module.queued.add(5);
  module.queued.sub();
  EXPECT_EQ(module.envelopes[Outcome::refused].value(), 3U);
  EXPECT_EQ(module.envelopes.total(), 4U);
  EXPECT_EQ(module.queued.value(), 4);
}

TEST_F(MetricsRegistry, ASnapshotHoldsWhatWasCountedBeforeAndAfterRegistration) {
  Registry registry;
  ModuleMetrics module;
  ++module.envelopes[Outcome::accepted];
  module.register_with(registry);
  ++module.envelopes[Outcome::accepted];
  module.queued.set(-2);
  module.handling.observe(2ms);
  const Snapshot before = registry.snapshot();
  EXPECT_EQ(before.value("nunet_test_envelopes_total", {{"outcome", "accepted"}}), 2);
  EXPECT_EQ(before.value("nunet_test_envelopes_total", {{"outcome", "refused"}}), 0) << "a series starts at 0";
  EXPECT_EQ(before.value("nunet_test_queued"), -2);
  EXPECT_EQ(before.value("nunet_test_handling_seconds"), 1);
  EXPECT_EQ(before.value("nunet_test_unknown"), std::nullopt);
  ++module.envelopes[Outcome::accepted];
  EXPECT_EQ(before.value("nunet_test_envelopes_total", {{"outcome", "accepted"}}), 2) << "a snapshot does not change";
  EXPECT_EQ(registry.snapshot().value("nunet_test_envelopes_total", {{"outcome", "accepted"}}), 3);
}

TEST_F(MetricsRegistry, AHistogramCountsAValueAtTheFirstBoundThatIsNotBelowIt) {
  constexpr std::array<double, 3> kBounds = {1, 2, 4};
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 4.0, 9.0}) histogram.observe(value);
  EXPECT_EQ(std::vector(histogram.counts().begin(), histogram.counts().end()),
            (std::vector<std::uint64_t>{2, 1, 1, 1}));
  EXPECT_EQ(histogram.count(), 5U);
  EXPECT_DOUBLE_EQ(histogram.sum(), 16);
}

TEST_F(MetricsRegistry, FunctionsAreReadAtTheSnapshot) {
  Registry registry;
  std::vector<int> queue = {1, 2, 3};
  std::atomic<std::uint64_t> dropped = 7;
  Group group;
  group.in(registry)
      .gauge("nunet_test_queue", "Length.", [&] { return static_cast<std::int64_t>(queue.size()); })
      .counter("nunet_test_dropped_total", "Of another thread.", [&] { return dropped.load(); });
  queue.pop_back();
  EXPECT_EQ(registry.snapshot().value("nunet_test_queue"), 2);
  EXPECT_EQ(registry.snapshot().value("nunet_test_dropped_total"), 7);
}

TEST_F(MetricsRegistry, MetricsAreWithdrawnWithTheirModule) {
  Registry registry;
  {
    ModuleMetrics module;
    module.register_with(registry);
    EXPECT_EQ(registry.snapshot().families.size(), 3U);
  }
  EXPECT_TRUE(registry.snapshot().families.empty());
  ModuleMetrics again;
  again.register_with(registry);
  EXPECT_EQ(registry.conflicts(), 0U);
}

TEST_F(MetricsRegistry, TheRegistryMayBeDestroyedFirst) {
  ModuleMetrics module;
  {
    Registry registry;
    module.register_with(registry);
  }
  ++module.envelopes[Outcome::accepted];
  Group group;
  group.gauge("nunet_test_nowhere", "Registered nowhere.", module.queued);
}

TEST_F(MetricsRegistry, ASecondRegistrationIsRefusedAndCounted) {
  Registry registry;
  ModuleMetrics first;
  first.register_with(registry);
  first.queued.set(1);
  Counter wrong;
  {
    ModuleMetrics second;
    second.register_with(registry);
    EXPECT_EQ(registry.conflicts(), 4U) << "one for each series";
    Group group;
    group.in(registry).counter("nunet_test_envelopes_total", "Other labels.", wrong, {{"sender", "x"}});
    EXPECT_EQ(registry.conflicts(), 5U);
  }
  EXPECT_EQ(registry.snapshot().value("nunet_test_queued"), 1) << "the first stays when the second goes";
}

TEST_F(MetricsRegistry, TheTextIsPrometheusFormat) {
  Registry registry;
  constexpr std::array<double, 2> kBounds = {0.5, 1};
  Histogram histogram(kBounds);
  histogram.observe(0.25);
  histogram.observe(8);
  Counter counter;
  counter.add(3);
  Gauge gauge;
  gauge.set(-1);
  Group group;
  group.in(registry)
      .histogram("nunet_test_wait_seconds", "Wait.", histogram)
      .counter("nunet_test_b_total", "By path.", counter, {{"path", "a\"b\\c\nd"}, {"kind", "x"}})
      .gauge("nunet_test_a", "Level.", gauge);
  EXPECT_EQ(registry.snapshot().to_text(),
            "# HELP nunet_test_a Level.\n"
            "# TYPE nunet_test_a gauge\n"
            "nunet_test_a -1\n"
            "# HELP nunet_test_b_total By path.\n"
            "# TYPE nunet_test_b_total counter\n"
            "nunet_test_b_total{path=\"a\\\"b\\\\c\\nd\",kind=\"x\"} 3\n"
            "# HELP nunet_test_wait_seconds Wait.\n"
            "# TYPE nunet_test_wait_seconds histogram\n"
            "nunet_test_wait_seconds_bucket{le=\"0.5\"} 1\n"
            "nunet_test_wait_seconds_bucket{le=\"1\"} 1\n"
            "nunet_test_wait_seconds_bucket{le=\"+Inf\"} 2\n"
            "nunet_test_wait_seconds_sum 8.25\n"
            "nunet_test_wait_seconds_count 2\n");
}

}  // namespace
}  // namespace dms::metrics

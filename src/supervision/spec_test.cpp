#include <gtest/gtest.h>

#include "supervision/test_world.hpp"

namespace dms::supervision {
namespace {

/// The place of the error; "" if there is none.
std::string place(const Spec& spec) {
  const Result<void> checked = check(spec);
  return checked ? "" : checked.error().place();
}
std::string place(const Flags& flags) { return place(tree_of(flags, {})); }
std::string place_of_child(const Spec& child, AutoShutdown when = AutoShutdown::never) {
  return place(tree_of({.auto_shutdown = when}, {child}));
}

TEST(SpecTest, HasTheDefaultsOfOtp) {
  const Flags flags;
  EXPECT_EQ(flags.strategy, Strategy::one_for_one);
  EXPECT_EQ(flags.intensity, 1U);
  EXPECT_EQ(flags.period, 5s);
  EXPECT_EQ(flags.auto_shutdown, AutoShutdown::never);
  EXPECT_EQ(flags.pauses, Pauses{});
  EXPECT_EQ(Spec().restart, Restart::permanent);
  EXPECT_EQ(shutdown_of(worker("a")), Shutdown::after(5s));
  EXPECT_EQ(shutdown_of(supervisor("a", {}, {})), Shutdown::infinity());
}

TEST(SpecTest, RefusesFlags) {
  EXPECT_EQ(place(Flags{}), "");
  EXPECT_EQ(place({.intensity = 0}), "");
  EXPECT_EQ(place({.intensity = kMaxIntensity + 1}), "supervisor.intensity");
  EXPECT_EQ(place({.period = 0s}), "supervisor.period");
  EXPECT_EQ(place({.period = kMaxDuration + 1ns}), "supervisor.period");
  EXPECT_EQ(place({.strategy = static_cast<Strategy>(3)}), "supervisor.strategy");
  EXPECT_EQ(place({.auto_shutdown = static_cast<AutoShutdown>(-1)}), "supervisor.auto_shutdown");
  EXPECT_EQ(place({.pauses = {.first = 1s, .most = 1s, .healthy = 1s}}), "");
  EXPECT_EQ(place({.pauses = {.first = 0s, .most = 1s, .healthy = 1s}}), "supervisor.pauses.first");
  EXPECT_EQ(place({.pauses = {.first = 2s, .most = 1s, .healthy = 1s}}), "supervisor.pauses.most");
  EXPECT_EQ(place({.pauses = {.first = 1s, .most = 1s, .healthy = 0s}}), "supervisor.pauses.healthy");
}

TEST(SpecTest, RefusesSignificantChildrenThatAreNone) {
  Spec child = worker("a", Restart::transient);
  child.significant = true;
  EXPECT_EQ(place_of_child(child), "children.a.significant");
  EXPECT_EQ(place_of_child(child, AutoShutdown::any_significant), "");
  EXPECT_EQ(place_of_child(child, AutoShutdown::all_significant), "");
  child.restart = Restart::temporary;
  EXPECT_EQ(place_of_child(child, AutoShutdown::any_significant), "");
  child.restart = Restart::permanent;
  EXPECT_EQ(place_of_child(child, AutoShutdown::any_significant), "children.a.significant");
}

TEST(SpecTest, RefusesTemporaryChildrenThatEscalate) {
  Spec child = worker("a", Restart::transient);
  child.escalates = true;
  EXPECT_EQ(place_of_child(child), "");
  child.restart = Restart::temporary;
  EXPECT_EQ(place_of_child(child), "children.a.escalates");
}

TEST(SpecTest, RefusesChildren) {
  for (const std::string& id :
       {std::string(), std::string(kMaxId + 1, 'a'), std::string("a/b"), std::string("a\x1b[2J"), std::string("a\nb")})
    EXPECT_TRUE(place(tree_of({}, {worker(id)})).ends_with(".id")) << id;
  EXPECT_EQ(place(tree_of({}, {worker("a"), worker("a")})), "children.a");
  EXPECT_EQ(place(tree_of({}, {supervisor("s", {}, {worker("x"), supervisor("t", {.period = -1s}, {})})})),
            "children.s.children.t.supervisor.period");
  Spec child = worker("a");
  child.shutdown = Shutdown::after(-1s);
  EXPECT_EQ(place_of_child(child), "children.a.shutdown.timeout");
  child = worker("a", static_cast<Restart>(7));
  EXPECT_EQ(place_of_child(child), "children.a.restart");
  child = worker("a");
  child.children = {worker("b")};
  EXPECT_EQ(place_of_child(child), "children.a.children");
}

TEST(SpecTest, RefusesRoots) {
  EXPECT_EQ(place(worker("")), "supervisor");
  EXPECT_EQ(place(supervisor("a", {}, {})), "id");
  Spec root = tree_of({}, {});
  root.restart = Restart::transient;
  EXPECT_EQ(place(root), "restart");
  root = tree_of({}, {});
  root.escalates = true;
  EXPECT_EQ(place(root), "restart");
}

TEST(SpecTest, RefusesTreesThatAreTooLarge) {
  Spec root = tree_of({}, {});
  for (std::size_t i = 1; i < kMaxSize; ++i) root.children.push_back(worker(std::to_string(i)));
  EXPECT_EQ(place(root), "");
  root.children.push_back(worker("more"));
  EXPECT_EQ(place(root), "children");
}

}  // namespace
}  // namespace dms::supervision

#include "provider/local_names.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace dms::provider {
namespace {

TEST(LocalNames, ANameIsTheIdUnlessItIsTaken) {
  LocalNames names;
  std::optional<LocalName> first = names.take("e_task");
  LocalName second = names.take("e_task");
  LocalName third = names.take("e_task");
  EXPECT_EQ(first->text(), "e_task");
  EXPECT_EQ(second.text(), "e_task.2");
  EXPECT_EQ(third.text(), "e_task.3");
  EXPECT_EQ(names.take("e_task.2").text(), "e_task.2.2") << "an id that equals the local name of another";
  first.reset();
  EXPECT_EQ(names.take("e_task").text(), "e_task");
}

TEST(LocalNames, AMovedNameIsReleasedOnce) {
  LocalNames names;
  {
    LocalName a = names.take("a");
    LocalName b = std::move(a);
    EXPECT_EQ(names.size(), 1U);
    b = names.take("b");
    EXPECT_EQ(names.size(), 1U);
    EXPECT_EQ(b.text(), "b");
  }
  EXPECT_EQ(names.size(), 0U);
}

}  // namespace
}  // namespace dms::provider

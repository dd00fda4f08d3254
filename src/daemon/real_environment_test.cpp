#include "daemon/real_environment.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace dms {
namespace {

TEST(RealEnvironment, AnInterruptBetweenTwoCallsCancelsTheNext) {
  RealEnvironment environment;
  environment.catch_interrupts();
  ASSERT_TRUE(environment.pause(1ms));
  for (const int number : {SIGINT, SIGTERM}) {
    ASSERT_EQ(::raise(number), 0);  // without a handler the test ends here
    const Result<void> paused = environment.pause(1min);
    ASSERT_FALSE(paused) << number;
    EXPECT_TRUE(paused.error().is(Errc::cancelled)) << paused.error().to_string();
    EXPECT_TRUE(environment.pause(1ms)) << "it cancels one call";
  }
}

}  // namespace
}  // namespace dms

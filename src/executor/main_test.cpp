// The main() of this module's tests: the test program is its own helper, as the daemon is.
#include <gmock/gmock.h>

#include "executor/helper.hpp"

int main(int argc, char** argv) {
  if (const std::optional<int> helped = dms::executor::run_helper(argc, argv)) return *helped;
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}

// The main() of this module's tests: the test program is its own helper, as the daemon is, and a daemon that is killed.
#include <gmock/gmock.h>

#include "executor/helper.hpp"
#include "executor/sandbox/test_sandbox.hpp"

int main(int argc, char** argv) {
  if (const std::optional<int> helped = dms::executor::run_helper(argc, argv)) return *helped;
  if (argc == 3 && std::string_view(argv[1]) == "--daemon") return dms::executor::run_test_daemon(argv[2]);
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}

#include <iostream>

#include "cli/cli.hpp"
#include "daemon/real_environment.hpp"
#include "executor/helper.hpp"

int main(int argc, char** argv) {
  if (const std::optional<int> helped = dms::executor::run_helper(argc, argv)) return *helped;
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  dms::RealEnvironment environment;
  return dms::cli::run(words, {std::cin, std::cout, std::cerr}, environment);
}

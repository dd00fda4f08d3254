// The reserved entry of the program: the small processes that executors need beside the daemon are the program itself,
// run again with kHelperArgument as its first argument.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dms::executor {

inline constexpr std::string_view kHelperArgument = "executor-helper";

/// The exit code if the arguments ask for a helper; one that enters the namespaces of an execution ends the process
/// itself. main() calls it before anything else.
std::optional<int> run_helper(int argc, char** argv);

/// How this program runs itself as a helper, also after its file has been replaced.
std::vector<std::string> helper_command();

}  // namespace dms::executor

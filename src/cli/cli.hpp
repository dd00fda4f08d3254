// The command line as a function of words and streams that returns an exit code (framework/error.hpp).
#pragma once

#include <span>
#include <string>

#include "cli/framework/command.hpp"
#include "cli/framework/environment.hpp"

namespace dms::cli {

/// `words` are without the program's name.
int run(std::span<const std::string> words, Streams streams, Environment& environment);

/// The root of all commands.
const Command& command_tree();

}  // namespace dms::cli

// The command line as a function: words in, text out, an exit code back (error.hpp).
#pragma once

#include <span>
#include <string>

#include "cli/framework/command.hpp"
#include "cli/framework/environment.hpp"

namespace dms::cli {

/// `words` are without the program's name.
int run(std::span<const std::string> words, Streams streams, Environment& environment);

/// Everything that can be typed.
const Command& command_tree();

}  // namespace dms::cli

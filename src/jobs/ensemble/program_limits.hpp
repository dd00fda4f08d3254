// What Linux takes to start a program. Work beyond it would be accepted and then fail at each start.
//
// Threads: values. Cost: linear in the parameters. Failure: Errc::invalid_argument with the parameter's name.
// Specification: execve(2) (MAX_ARG_STRLEN: 32 pages), path_resolution(7) (NAME_MAX, PATH_MAX).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "encoding/json.hpp"

namespace dms::jobs {

inline constexpr std::size_t kMaxArgument = 128 * 1024 - 1;  ///< bytes of an argument or a variable, its NUL apart
inline constexpr std::size_t kMaxFolderName = 255;           ///< bytes of one part of a path
inline constexpr std::size_t kMaxFolderPath = 4095;          ///< bytes of a path, its NUL apart

inline constexpr std::size_t kMaxCheckCommand = 64 * 1024;  ///< bytes of the command of a health check, with NULs

/// The entrypoint, cmd, environment and working_directory of the parameters of an execution, which are found at `at`.
/// Values of another kind than text are not looked at: others refuse them.
Result<void> check_program_limits(std::string_view at, const json::Object& params);
/// The command of a health check, which is found at `at`.
Result<void> check_command_limits(std::string_view at, const std::vector<std::string>& words);

}  // namespace dms::jobs

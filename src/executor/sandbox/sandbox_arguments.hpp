// From the engine specification of a request to the arguments of bubblewrap. Pure but for the names of the machine's
// system folders, so that a test can read the arguments.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "executor/executor.hpp"

namespace dms::executor {

/// Refuses what a sandbox cannot honour.
Result<void> check_sandbox_engine(const EngineSpec& engine);
/// The absolute form of `working_directory` inside the sandbox. Errc::invalid_argument if it is not below /work or
/// /tmp.
Result<std::string> inner_directory(const std::string& wanted);
/// The environment with PATH and HOME.
std::vector<std::string> full_environment(std::vector<std::string> environment);

struct SandboxPlan {
  std::vector<std::string> command;
  std::vector<std::string> environment;  // exactly
  std::filesystem::path work_dir;        // of the machine, becomes /work
  std::filesystem::path actor_dir;       // of the machine, becomes kActorFolder; empty: none
  std::string working_directory = "/work";
  std::uint64_t tmp_bytes = 0;
  bool network = false;
  std::optional<std::uint32_t> uid;  // set: run by root under this number; not set: in a user namespace
  int status_fd = -1;
  int seccomp_fd = -1;
  int passwd_fd = -1;
  int group_fd = -1;
  int hosts_fd = -1;
  int nsswitch_fd = -1;
  int host_conf_fd = -1;
};
std::vector<std::string> sandbox_arguments(const SandboxPlan& plan);

}  // namespace dms::executor

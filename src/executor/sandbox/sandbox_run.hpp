// The record of a sandboxed execution, shared by the parts of Sandbox.
#pragma once

#include "executor/sandbox/sandbox.hpp"

namespace dms::executor {

struct Sandbox::Run : Execution {
  std::filesystem::path dir;   // below state_dir
  std::filesystem::path work;  // becomes /work
  std::uint32_t uid = 0;
  std::optional<Cgroup> cgroup;
  Fd shim;
};

}  // namespace dms::executor

// What the tests of the docker executor share.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>

#include "executor/docker/docker.hpp"

namespace dms::executor {

inline Request docker_request(const std::filesystem::path& dir, std::vector<std::string> cmd, std::string id = "e1") {
  Request r;
  r.job_id = "job";
  r.execution_id = ExecutionId(id);
  r.engine.type = "docker";
  r.engine.params.image = "nunet-test:busybox";
  r.engine.params.cmd = std::move(cmd);
  r.results_dir = dir / id;
  return r;
}

}  // namespace dms::executor

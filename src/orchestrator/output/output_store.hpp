// The output of a deployment's allocations, stored on the orchestrator's disk.
//
// Model
//  1. An allocation's output is two files, stdout.log and stderr.log, in
//     `<work_dir>/deployments/<deployment>/<allocation>`. Each is replaced whole: a reader sees the old or the new
//     output.
//  2. The output of a deployment is removed with its record.
//
// Threads: every call is awaited on the orchestrator's lane; the files are read and written on worker threads. Failure:
// Errc::io names the file. Attacks: both parts of the path are ids that the ensemble's and the deployment's checks have
// limited to safe file names.
#pragma once

#include <filesystem>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "runtime/task.hpp"

namespace dms::orchestrator {

class OutputStore {
 public:
  explicit OutputStore(const std::filesystem::path& work_dir) : root_(work_dir / "deployments") {}

  [[nodiscard]] std::filesystem::path folder(std::string_view deployment, std::string_view allocation) const;
  Task<Result<void>> write(std::string deployment, std::string allocation, Bytes out, Bytes err);
  /// Errc::not_found if none is stored.
  Task<Result<std::filesystem::path>> find(std::string deployment, std::string allocation);
  Task<Result<void>> remove(std::string deployment);

 private:
  std::filesystem::path root_;
};

}  // namespace dms::orchestrator

// Which files of this machine an ensemble may name: in placeholders, as scripts and keys, as inputs.
//
// Model: they are sent to a provider, and the ensemble may be of another author. So a file has to be in the folder of
// the ensemble or below it, also where links lead. A user who trusts the ensemble allows every file (`--any-file`).
// Relative names count from the folder. See docs/decisions/0501-placeholders.md.
#pragma once

#include <filesystem>

#include "cli/framework/command.hpp"

namespace dms::cli {

class EnsembleFiles {
 public:
  /// Empty: the working folder.
  EnsembleFiles(std::filesystem::path folder, bool any) : folder_(std::move(folder)), any_(any) {}
  /// Of an ensemble in that file. What is no regular file, such as `-` and pipes, has no folder.
  EnsembleFiles(const std::filesystem::path& ensemble, const Arguments& arguments);

  /// The path without links. Errc::failed if there is no such file or it is elsewhere.
  [[nodiscard]] Result<std::filesystem::path> find(const std::filesystem::path& name) const;

 private:
  std::filesystem::path folder_;
  bool any_;
};

[[nodiscard]] Option any_file_option();

}  // namespace dms::cli

// References of an ensemble to the submitter's machine are resolved before the ensemble is sent.
//
// Model
//  1. `${file:PATH}` is replaced by the contents of a file, byte for byte, `${env:NAME}` by an environment variable.
//     Both may be anywhere in any value, several in one, one inside the other. `${file:PATH:-TEXT}` and
//     `${env:NAME:-TEXT}` give TEXT where the file cannot be read or the variable is unset or empty; without it that is
//     an error, and all of them are reported together, each with its place.
//  2. What is filled in is not read again: a file may contain `${env:HOME}` and keeps it.
//  3. Everything else in `${...}` stays as it is (`${HOME}`, `${x:-y}`, `${file:-y}`, `${file:0:3}`): it is for a shell
//     at the provider. The existing implementation takes `${NAME}` for a variable of the submitter; see
//     docs/decisions/0501-placeholders.md.
//  4. A script, or a key of an allocation, of one line without a placeholder is the name of a file.
//
// Threads: pure but for the functions given. Cost: linear in the document and the files. Failure:
// Errc::invalid_argument. What is not UTF-8 cannot be part of a text and is refused; only a script named by (4) may
// hold any bytes.
#pragma once

#include <functional>

#include "encoding/json.hpp"

namespace dms::jobs {

struct References {
  /// The contents of a file; a relative path counts from the folder of the ensemble.
  std::function<Result<std::string>(const std::string& path)> file;
  std::function<std::optional<std::string>(const std::string& name)> variable;
};

/// In place. With empty functions (4) does nothing and a placeholder without a default is an error.
Result<void> resolve_references(json::Value& document, const References& references);

}  // namespace dms::jobs

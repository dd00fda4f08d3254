// `nunet actor cmd`: a command for each behaviour that src/protocol declares as offered on the command line. Its flags
// and its payload are generated from the declaration's parameters.
#pragma once

#include <filesystem>

#include "cli/client/session.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/declaration.hpp"

namespace dms::cli {

/// The behaviours that have a command, in the order of the table.
[[nodiscard]] std::vector<const protocol::Declaration*> offered_behaviours();

/// The flags of a behaviour's command, and the groups of which exactly one is given.
[[nodiscard]] std::vector<Option> parameter_options(const protocol::Declaration& behaviour);
[[nodiscard]] std::vector<std::vector<std::string>> option_groups(const protocol::Declaration& behaviour);

/// The payload as JSON; empty for a behaviour without parameters.
Result<std::string> make_payload(Session& session, const protocol::Declaration& behaviour, const Arguments& arguments);

/// An ensemble from YAML, with the files and variables that it refers to (jobs/ensemble/references.hpp). `-` is
/// standard input. Which files: cli/client/ensemble_files.hpp. The passphrase is no variable.
Result<jobs::Ensemble> read_ensemble(Session& session, const std::filesystem::path& file, const Arguments& arguments);

}  // namespace dms::cli

// The groups of commands; each is built by the file of its name.
#pragma once

#include "cli/framework/command.hpp"

namespace dms::cli {

Command key_commands();
Command key_import_command();
Command key_export_command();
Command cap_commands();
Command config_commands();
Command actor_commands();
Command deploy_command();
Command deployment_commands();
Command net_commands();
Command run_command();
Command sim_command();
Command version_command();
Command completion_command();

}  // namespace dms::cli

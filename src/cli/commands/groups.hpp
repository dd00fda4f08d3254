// The groups of commands; each is built by the file of its name.
#pragma once

#include "cli/framework/command.hpp"

namespace dms::cli {

Command init_command();
Command key_commands();
Command key_import_command();
Command key_export_command();
Command cap_commands();
Command config_commands();
Command actor_commands();
Command actor_tree_command();
Command deploy_command();
Command plan_command();
Command deployment_commands();
Command allocation_commands();
Command status_command();
/// For completion: the ids of deployments, the allocations of the one that `arguments` name, or those on this machine.
/// The daemon has to be asked, which needs a signature: empty unless the passphrase is in the environment.
std::vector<std::string> list_deployed(Session& session, Known kind, const Arguments& arguments);
Command net_commands();
Command run_command();
Command sim_command();
Command help_command();
Command version_command();
Command completion_command();

}  // namespace dms::cli

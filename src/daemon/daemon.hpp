// The daemon: all modules wired together, started in order, stopped in the reverse order.
//
// Model
//  1. Start: folders (mode 0700), the lock on the work directory, the log, the capability context (made if missing),
//     the database, the network, the address book, hardware, resources, executors, the node, the REST API. A failure
//     ends the start with an error that says what to do; the modules started before are stopped.
//  2. At the first start it offers the share that the settings name (resources/share.hpp). With RunOptions::dev it
//     dials nobody, and offers a share whenever there is none: one that is proposed, if no setting names one.
//  3. When all of it listens, a human-readable summary and one line `ready` go to standard output.
//  4. A closed standard output or error does not end the daemon (SIGPIPE).
//  5. SIGINT and SIGTERM stop it in order; a second one ends it at once. SIGHUP and SIGUSR1 read the capability context
//     again; a broken file is reported and changes nothing. A SIGHUP because the terminal in which the daemon was
//     started is closed stops it, unless it was started by nohup.
#pragma once

#include <filesystem>

#include "cli/framework/environment.hpp"
#include "config/config.hpp"
#include "crypto/keys.hpp"

namespace dms {

/// Returns when the daemon has stopped; an error if it could not start.
Result<void> run_daemon(const config::Loaded& settings, const cli::RunOptions& options, crypto::PrivateKey key);

/// This machine; its disk is that of `folder`. What cannot be determined counts as absent.
Result<resources::Machine> this_machine(const std::filesystem::path& folder);

}  // namespace dms

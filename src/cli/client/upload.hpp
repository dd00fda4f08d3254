// Sends the files that an ensemble names as inputs to the daemon, before the ensemble is deployed.
//
// Model
//  1. A file is sent as it is, a folder as a tar archive (transfer/archive.hpp) that is made in a temporary folder. One
//     that a killed command has left is removed by the next that has inputs to send.
//     The input then names size and SHA-256 of what is sent: the daemon finds it by them.
//  2. The daemon says where to go on, so an interrupted upload continues and a file that it has already is not sent
//     again. It is asked once more when it does not take a page.
//  3. An interrupt ends it also while a file is read or a folder is packed: between two blocks.
//  4. What is sent was read when its digest was computed; a file that changes meanwhile is refused by the daemon.
#pragma once

#include "cli/client/client.hpp"
#include "cli/client/ensemble_files.hpp"
#include "jobs/ensemble/ensemble.hpp"

namespace dms::cli {

/// Tells on standard error what a folder has that cannot be sent.
Result<void> upload_inputs(Session& session, Client& client, jobs::Ensemble& ensemble, const EnsembleFiles& files);

/// Whether the files and folders that the ensemble names as inputs are there and can be read; nothing is sent. An error
/// names the input.
Result<void> check_input_files(const jobs::Ensemble& ensemble, const EnsembleFiles& files);

}  // namespace dms::cli

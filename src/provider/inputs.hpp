// The inputs of an allocation, brought into its work folder before its work starts.
//
// Model
//  1. For each input the orchestrator names a ticket (protocol::kOrchestratorInput); the file is fetched to
//     `<allocation>/inputs/<n>` and unpacked below `<allocation>/work`. What was fetched is kept until all are
//     unpacked, so a start of the daemon in between goes on there; unpacking begins anew in an empty work folder.
//  2. It is a patient step: while the orchestrator cannot be reached, does not answer or does not accept the ticket
//     (its daemon was restarted), another ticket is asked for after 1 s to 10 s, and the fetch goes on where it was,
//     also after a restart of this daemon. It goes on for as long as something comes, with kInputPatience without
//     anything. The end of the lease, a stop and a removal cancel it.
//  3. When all are there, that is stored (`inputs/done`): a restart of the work finds its folder as the previous run
//     left it.
//  4. An input must have the digest and the size that the ensemble declares, or, of another allocation's results, those
//     that the orchestrator names; together they are at most the disk of the allocation, where it reserves some.
//  5. The archive of an image (image_input()) is not unpacked: it stays where it was fetched to, for the executor.
//
// Threads: the node's lane; workers write, and stop at the next block or entry when the start is given up. Failure: an
// error names the input: it is refused by the orchestrator, its bytes are wrong, too many, or cannot be written, or
// nothing came for too long; Errc::cancelled if the start is given up.
// Attacks: an archive of a stranger is unpacked: see transfer/archive.hpp. Its files can be read and written by every
// user, in a folder that only the work and the daemon can enter.
#pragma once

#include <filesystem>
#include <functional>

#include "actor/actor.hpp"
#include "network/network.hpp"
#include "provider/record.hpp"

namespace dms::provider {

/// How long nothing of an input may come before the start fails.
inline constexpr Duration kInputPatience = 10min;

/// Where an input is fetched to; of the archive of an image, where it stays.
std::filesystem::path input_file(const std::filesystem::path& folder, std::size_t index);
/// Called on the lane after each chunk: bytes that are here, and of all inputs as far as their sizes are known.
using OnBrought = std::function<void(std::uint64_t here, std::uint64_t of_all)>;
/// `folder` is the allocation's own. `actor` is the allocation's actor, which its orchestrator knows.
Task<Result<void>> bring_inputs(network::Network& network, actor::Actor& actor, AllocationRecord record,
                                std::filesystem::path folder, OnBrought on_brought);

}  // namespace dms::provider

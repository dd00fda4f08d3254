// What a task leaves for its orchestrator: packed once when it is asked for, kept in the folder of the run, offered by
// ticket.
//
// Model
//  1. list() packs the declared paths into `<run>/results`: `0`, `1`, ... and, written last, `index.json` with what
//     they are. A start of the daemon finds the index, or packs again what has none: the work folder is there until
//     release.
//  2. A path that is missing, too large, or no file or folder is reported by name; the others are not affected. The
//     limit counts for all paths together, in their order. What is told of them is bounded, so that a reply holds it
//     (kMaxReason, kMaxLeftOut).
//  3. Tickets are given for all results or for none: list() fails while the server has no room for them, so an
//     orchestrator comes again and takes none of them for absent.
//  4. kPackers run at once; the others wait for their turn, so packing leaves workers to the rest of the node. What has
//     to be prepared is before its turn.
//  5. Packing takes as long as it takes: list() waits kPackPatience for it, then Errc::already_exists asks to come
//     again.
//
// Threads: the node's lane; workers read and write. forget() ends preparation and packing before the folder is removed
// or another run begins.
// Attacks: the work folder was written by an untrusted program: see transfer/archive.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>

#include "jobs/ensemble/ensemble.hpp"
#include "protocol/transfer.hpp"
#include "runtime/nursery.hpp"
#include "transfer/server.hpp"

namespace dms::provider {

inline constexpr std::size_t kMaxReason = 512;                     ///< bytes of an error
inline constexpr std::size_t kMaxLeftOut = std::size_t{64} << 10;  ///< bytes about what is left out, together
inline constexpr std::size_t kPackers = 2;
inline constexpr Duration kPackPatience = 10s;
inline constexpr Duration kTicketLifetime = 1h;

/// In the folder of a run.
std::filesystem::path folder_of_results(const std::filesystem::path& run);

class Results {
 public:
  Results(Lane& lane, transfer::Server& server) : server_(server), work_(lane, "results") {}

  struct Source {
    std::filesystem::path work;  ///< the folder that the paths are below
    std::filesystem::path run;   ///< where they are packed
    jobs::Results declared;
    /// Before packing: makes what is in `work` readable. What it has tried without success is packed as it is.
    std::function<Task<Result<void>>()> prepare;
    std::function<bool()> is_current;  ///< false: the run has been replaced or removed, and nothing is packed any more
  };
  /// With a ticket for `to` in each that is there.
  Task<Result<std::vector<protocol::ResultFile>>> list(Source source, crypto::PeerId to);
  /// Ends what is done for the results below `folder`.
  Task<void> forget(std::filesystem::path folder);
  Task<void> close();

 private:
  struct Packing {
    std::stop_source stop;
    CancelScope* preparing = nullptr;  ///< while `prepare` runs
    bool done = false;
    Result<void> result;
    Notify ended;
  };
  void stop(Packing& packing);
  Task<Result<void>> prepare(Source source, std::shared_ptr<Packing> packing);
  Task<void> pack(Source source, std::shared_ptr<Packing> packing);
  Task<Result<void>> packed(Source source);
  Result<void> offer(protocol::ResultFile& file, const std::filesystem::path& path, const crypto::PeerId& to);

  transfer::Server& server_;
  std::map<std::filesystem::path, std::shared_ptr<Packing>> packing_;  ///< by the folder of the run
  std::size_t packers_ = 0;                                            ///< at work
  Notify turn_;
  Nursery work_;
};

}  // namespace dms::provider

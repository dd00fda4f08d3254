#include "provider/inputs.hpp"

#include <algorithm>
#include <optional>
#include <stop_token>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "base/text.hpp"
#include "protocol/serve.hpp"
#include "protocol/transfer.hpp"
#include "provider/admission.hpp"
#include "runtime/stoppable.hpp"
#include "transfer/announced.hpp"
#include "transfer/archive.hpp"

namespace dms::provider {
namespace {

struct Fetched {
  std::filesystem::path file;
  bool folder = false;
};

constexpr Duration kFirstPause = 1s;
constexpr Duration kLongestPause = 10s;

/// One input. What it refers to outlives it.
class Bringing {
 public:
  Bringing(network::Network& network, actor::Actor& actor, const AllocationRecord& record, const jobs::Input& input,
           std::filesystem::path to, std::uint64_t& left, const OnBrought& on_brought)
      : network_(network),
        actor_(actor),
        record_(record),
        input_(input),
        to_(std::move(to)),
        left_(left),
        on_brought_(on_brought) {}

  Task<Result<Fetched>> run() {
    const Lane& lane = actor_.lane();
    CO_TRY(const crypto::PeerId peer, record_.orchestrator.address.peer());
    progress_ = lane.now();
    Duration pause = kFirstPause;
    for (;;) {
      const SteadyTime before = progress_;
      Task<Result<Fetched>> trying = attempt(peer);
      Result<Fetched> got = co_await std::move(trying);
      if (got || refused_) co_return std::move(got);
      if (progress_ > before) pause = kFirstPause;
      if (lane.now() - progress_ >= kInputPatience)
        co_return fail(Errc::io, "nothing of it has come for {} min: {}", kInputPatience / 1min,
                       got.error().to_string());
      log::debug("provider", "{}: the input \"{}\": {}; trying again in {} s", record_.id, printable(input_.to),
                 got.error().to_string(), pause / 1s);
      const Result<void> slept = co_await sleep_for(pause);
      if (!slept) co_return fail(Errc::cancelled, "the start is given up");
      pause = std::min(2 * pause, kLongestPause);
    }
  }

 private:
  /// With a ticket of its own: the one before may have ended, or the orchestrator's daemon may have been restarted.
  Task<Result<Fetched>> attempt(crypto::PeerId peer) {
    protocol::InputRequest request;
    request.allocation_id = record_.id;
    request.to = input_.to;
    Task<Result<protocol::InputReply>> asking =
        call(actor_, protocol::kOrchestratorInput, record_.orchestrator, request);
    CO_TRY(const protocol::InputReply reply, co_await std::move(asking));
    const Result<void> checked = check(reply);
    refused_ = !checked;
    if (!checked) co_return std::unexpected(checked.error());
    transfer::Announced file(reply.size, reply.digest, reply.ticket);
    transfer::FetchOptions options;
    options.max_pause = kLongestPause;
    options.on_progress = [this](std::uint64_t here, std::uint64_t of_all) {
      progress_ = actor_.lane().now();
      on_brought_(here, of_all);
    };
    Task<Result<void>> fetching = transfer::fetch_announced(network_, peer, std::move(file), to_, std::move(options));
    const Result<void> fetched = co_await std::move(fetching);
    if (!fetched) {  // the disk of this machine, and wrong bytes, are the same for the next attempt
      refused_ = fetched.error().is(Errc::io) || fetched.error().is(Errc::invalid_argument);
      co_return std::unexpected(fetched.error());
    }
    left_ -= reply.size;
    Fetched done;
    done.file = to_;
    done.folder = reply.folder;
    co_return std::move(done);
  }

  /// What the ensemble declares counts.
  [[nodiscard]] Result<void> check(const protocol::InputReply& reply) const {
    if (!reply.ok) return fail(Errc::not_found, "{}", printable(reply.error.substr(0, 512)));
    if (!input_.digest.empty() &&
        (reply.digest != input_.digest || reply.size != input_.size || reply.folder != input_.folder))
      return fail(Errc::invalid_argument, "the orchestrator offers another content than the declared one");
    if (reply.size > left_)
      return fail(Errc::limit_exceeded, "{} bytes are more than the disk of the allocation has left", reply.size);
    return {};
  }

  network::Network& network_;
  actor::Actor& actor_;
  const AllocationRecord& record_;
  const jobs::Input& input_;
  std::filesystem::path to_;
  std::uint64_t& left_;  ///< of the disk, in bytes
  const OnBrought& on_brought_;
  SteadyTime progress_{};
  bool refused_ = false;  ///< another attempt would end the same way
};

/// Blocks on the disk.
Result<void> unpack_all(const AllocationRecord& record, const std::vector<Fetched>& fetched,
                        const std::filesystem::path& folder, std::uint64_t limit, const std::stop_token& stop) {
  const std::filesystem::path work = folder / "work";
  TRY_VOID(remove_tree(work));
  std::error_code failed;
  std::filesystem::create_directories(work, failed);
  if (!failed) std::filesystem::permissions(work, std::filesystem::perms::owner_all, failed);
  if (failed) return fail(Errc::io, "making {}: {}", work.string(), failed.message());
  transfer::ArchiveLimits left;  // for all of them
  left.max_bytes = limit;
  const std::optional<std::size_t> image = image_input(record.config);
  for (std::size_t i = 0; i < fetched.size(); ++i) {
    if (i == image && fetched[i].folder)
      return fail(Errc::invalid_argument, "the image is a folder; expected an archive, a file");
    if (i == image) continue;
    const std::string& to = record.config.inputs[i].to;
    const Result<void> unpacked =
        transfer::unpack(fetched[i].file, fetched[i].folder, work, to, left, transfer::Access::everyone, stop);
    if (!unpacked) return fail(unpacked.error(), "the input \"{}\"", printable(to));
  }
  TRY_VOID(write_file(folder / "inputs/done", record.id));
  for (std::size_t i = 0; i < fetched.size(); ++i)
    if (i != image) std::filesystem::remove(fetched[i].file, failed);
  return {};
}

/// The caller tells a start that is given up by Errc::cancelled and closed; a stream that was closed is none.
Error failure(const Error& error, const std::string& to) {
  if (error.is(Errc::cancelled)) return error;
  return {Errc::io, fmt::format("the input \"{}\": {}", printable(to), error.to_string())};
}

}  // namespace

std::filesystem::path input_file(const std::filesystem::path& folder, std::size_t index) {
  return folder / "inputs" / std::to_string(index);
}

Task<Result<void>> bring_inputs(network::Network& network, actor::Actor& actor, AllocationRecord record,
                                std::filesystem::path folder, OnBrought on_brought) {
  const auto preparing = [&]() -> Result<bool> {
    std::error_code failed;
    if (std::filesystem::exists(folder / "inputs/done", failed)) return true;
    std::filesystem::create_directories(folder / "inputs", failed);
    if (failed) return fail(Errc::io, "making the folder of the inputs: {}", failed.message());
    return false;
  };
  CO_TRY(const bool done, co_await offload(preparing));
  if (done) co_return Result<void>();
  const std::uint64_t limit = record.config.resources.disk.size.bytes;
  std::uint64_t left = limit;
  std::vector<Fetched> fetched;
  for (std::size_t i = 0; i < record.config.inputs.size(); ++i) {
    const jobs::Input& input = record.config.inputs[i];
    const std::uint64_t before = limit - left;
    std::uint64_t after = 0;  // those of other allocations' results are not known yet
    for (std::size_t next = i + 1; next < record.config.inputs.size(); ++next) after += record.config.inputs[next].size;
    const OnBrought told = [&on_brought, before, after](std::uint64_t here, std::uint64_t of_all) {
      if (on_brought) on_brought(before + here, before + of_all + after);
    };
    Bringing bringing(network, actor, record, input, input_file(folder, i), left, told);
    Result<Fetched> one = co_await bringing.run();
    if (!one) co_return std::unexpected(failure(one.error(), input.to));
    fetched.push_back(std::move(*one));
  }
  const Stoppable unpacking = [&](const std::stop_token& stop) {
    return unpack_all(record, fetched, folder, limit, stop);
  };
  Result<void> unpacked = co_await offload_stoppable(unpacking);
  co_return std::move(unpacked);
}

}  // namespace dms::provider

// The disk of an allocation: what its stats tell of it, and the end of a run that takes more than it has.
#include "base/log.hpp"
#include "provider/allocation.hpp"
#include "runtime/stoppable.hpp"

namespace dms::provider {

Task<std::optional<std::uint64_t>> Allocation::disk_now() {
  const auto is_known = [this] { return disk_ && lane_.now() - disk_->at < kDiskKnown; };
  if (is_known()) co_return disk_->bytes;
  const Result<Mutex::Lock> lock = co_await parts_.counting.lock_unless_cancelled();
  if (!lock) co_return std::nullopt;
  if (is_known()) co_return disk_->bytes;
  DiskUse use;
  const Stoppable counting = [&](const std::stop_token& stop) -> Result<void> {
    TRY(use, disk_use(parts_.folder, 0, stop));
    return {};
  };
  const Result<void> counted = co_await offload_stoppable(counting);
  if (!counted && counted.error().is(Errc::cancelled)) co_return std::nullopt;
  Disk disk;
  disk.at = lane_.now();
  if (counted && use.all)
    disk.bytes = use.bytes;
  else
    log::debug("provider", "the disk that {} uses is not known: {}", record_.id,
               counted ? "it cannot be counted in full" : counted.error().to_string());
  disk_ = disk;
  co_return disk.bytes;
}

Task<Result<DiskUse>> Allocation::count_folder(std::filesystem::path folder, std::uint64_t enough, Mutex& turn,
                                               Duration& took) {
  CO_TRY(const Mutex::Lock lock, co_await turn.lock_unless_cancelled());
  const SteadyTime begun = lane_.now();
  DiskUse use;
  const Stoppable counting = [&](const std::stop_token& stop) -> Result<void> {
    TRY(use, disk_use(folder, enough, stop));
    return {};
  };
  const Result<void> counted = co_await offload_stoppable(counting);
  took += lane_.now() - begun;
  if (!counted) co_return std::unexpected(counted.error());
  co_return use;
}

/// What has more entries than a short count finds waits for others of its kind only.
Task<Result<std::uint64_t>> Allocation::bytes_in(std::filesystem::path folder, Duration& took) {
  const std::uint64_t limit = disk_limit();
  CO_TRY(const DiskUse few, co_await count_folder(folder, 0, parts_.counting, took));
  if (!few.cut || few.bytes > limit) co_return few.bytes;
  CO_TRY(const DiskUse many, co_await count_folder(folder, limit, parts_.counting_many, took));
  co_return many.bytes;
}

std::uint64_t Allocation::disk_limit() const {
  const std::uint64_t declared = record_.config.resources.disk.size.bytes;
  return declared > 0 ? declared : kUndeclaredDisk;
}

Task<Allocation::Look> Allocation::look_at_disk() {
  Look look;
  const Result<std::uint64_t> counted = co_await bytes_in(parts_.folder / "work", look.took);
  look.bytes = elsewhere_ + counted.value_or(0);
  look.given_up = !counted && counted.error().is(Errc::cancelled);
  if (!counted && !look.given_up)
    log::debug("provider", "the disk that {} takes is not known: {}", record_.id, counted.error().to_string());
  if (!counted && counted.error().is(Errc::limit_exceeded))
    look.over = fmt::format("disk limit: the work folder cannot be counted, {}", counted.error().message());
  if (look.bytes > disk_limit())
    look.over = fmt::format(
        "disk limit: the files of the work take {} bytes, {} {} bytes", look.bytes,
        record_.config.resources.disk.size.empty() ? "without a declared disk it has" : "its disk is", disk_limit());
  co_return look;
}

/// Beside guard_disk(), of the same run, which does not wait for an engine that takes long, or does not answer.
Task<void> Allocation::count_elsewhere(std::string incarnation) {
  elsewhere_ = 0;
  for (;;) {
    const SteadyTime begun = lane_.now();
    Result<std::optional<executor::Elsewhere>> found =
        co_await parts_.engine->written_elsewhere(executor::ExecutionId(incarnation));
    Duration took = lane_.now() - begun;
    if (found && !*found) co_return;
    std::uint64_t bytes = found ? (*found)->bytes : elsewhere_;
    if (found)
      for (const std::filesystem::path& folder : (*found)->folders) {
        const Result<std::uint64_t> counted = co_await bytes_in(folder, took);
        bytes += counted.value_or(0);
        if (!counted && counted.error().is(Errc::limit_exceeded))
          co_await end_for_disk(incarnation, fmt::format("disk limit: a volume of the work cannot be counted, {}",
                                                         counted.error().message()));
      }
    elsewhere_ = bytes;
    const Duration rest = std::clamp<Duration>(kDiskRest * took, kLongestDiskPause, kLongestDiskRest);
    const Result<void> slept = co_await sleep_for(rest);
    if (!slept || record_.incarnation != incarnation || !active()) co_return;
  }
}

/// Of the run that watch() waits for.
Task<void> Allocation::guard_disk(std::string incarnation) {
  std::optional<std::uint64_t> before;
  Duration pause = kFirstDiskPause;
  for (;;) {
    Look look;
    if (record_.over_disk.empty()) look = co_await look_at_disk();
    if (!look.over.empty()) {  // a file or folder that is renamed meanwhile may have counted twice
      const Duration first = look.took;
      look = co_await look_at_disk();
      look.took += first;
    }
    const bool ending = record_.incarnation == incarnation && !record_.over_disk.empty();
    if (ending || !look.over.empty()) co_await end_for_disk(incarnation, look.over);
    pause = before == look.bytes ? std::min(2 * pause, kLongestDiskPause) : kFirstDiskPause;
    before = look.bytes;
    const Result<void> slept = co_await sleep_for(std::max(pause, std::min(kDiskRest * look.took, kLongestDiskRest)));
    if (!slept || record_.incarnation != incarnation || !active()) co_return;
  }
}

/// The disk of the machine may be full, too: then the reason is told as long as this daemon runs.
Task<void> Allocation::end_for_disk(std::string incarnation, std::string reason) {
  Change enter = [incarnation, reason](AllocationRecord& record) -> Result<void> {
    if (record.incarnation != incarnation || record.phase != Phase::running)
      return fail(Errc::cancelled, "the run {} of {} does not run", incarnation, record.id);
    record.over_disk = reason;
    return {};
  };
  if (record_.incarnation != incarnation || record_.phase != Phase::running) co_return;
  if (record_.over_disk.empty()) {
    log::warn("provider", {{"allocation", record_.id}}, "allocation {} is ended: {}", record_.id, reason);
    const Result<void> stored = co_await update(enter);
    AllocationRecord told = record_;
    if (!stored && enter(told)) set_record(std::move(told));
  }
  if (record_.over_disk.empty()) co_return;  // it has ended
  const Result<void> stopped = co_await parts_.engine->stop(executor::ExecutionId(incarnation), kDiskGrace);
  if (!stopped && !stopped.error().is(Errc::cancelled))
    log::warn("provider", "ending {}, which is tried again: {}", record_.id, stopped.error().to_string());
}

}  // namespace dms::provider

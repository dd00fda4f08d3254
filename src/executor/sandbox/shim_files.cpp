#include "executor/sandbox/shim_files.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxSpec = 8 * 1024 * 1024;  // validate() bounds its texts
constexpr std::size_t kMaxStatus = 64 * 1024;

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

int holder(const Fd& file) {
  struct flock lock = whole_file(F_WRLCK);
  if (!file || ::fcntl(file.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid;
}

/// The pid is that of the holder before and after it is opened: it has not been reused in between.
Result<Fd> open_holder(const Fd& file) {
  for (;;) {
    const int pid = holder(file);
    if (pid <= 0) return Fd();
    Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process && errno != ESRCH) return fail(Errc::io, "open process {}: {}", pid, std::strerror(errno));
    if (process && holder(file) == pid) return process;
  }
}

Fd open_lock(const fs::path& folder) {
  return Fd(::open((folder / kLockFile).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
}

}  // namespace

Limits ShimSpec::limits() const {
  Limits limits;
  limits.cpu_cores = cpu_cores;
  limits.memory_bytes = memory_bytes;
  limits.pids = pids;
  return limits;
}

std::vector<std::string> list_folders(const fs::path& state_dir, bool (*is_meant)(std::string_view)) {
  std::vector<std::string> names;
  std::error_code ec;
  for (fs::directory_iterator it(state_dir, ec), end; !ec && it != end; it.increment(ec))
    if (std::string name = it->path().filename(); is_meant(name)) names.push_back(std::move(name));
  return names;
}

Result<void> write_spec(const fs::path& folder, const ShimSpec& spec) {
  return write_file(folder / kSpecFile, json::encode(spec));
}

Result<ShimSpec> parse_spec(std::string_view text) {
  json::Limits limits;
  limits.bytes = kMaxSpec;
  TRY(ShimSpec spec, json::decode<ShimSpec>(text, limits));
  if (spec.execution.empty()) return fail(Errc::invalid_argument, "execution: expected an id");
  for (const std::string* path : {&spec.results_dir, &spec.work_dir})
    if (!fs::path(*path).is_absolute()) return fail(Errc::invalid_argument, "'{}': expected an absolute path", *path);
  if (!spec.actor_dir.empty() && !fs::path(spec.actor_dir).is_absolute())
    return fail(Errc::invalid_argument, "actor_dir '{}': expected an absolute path", spec.actor_dir);
  for (const std::string& folder : spec.cgroups)
    if (!fs::path(folder).is_absolute() || fs::path(folder).filename() != spec.execution ||
        fs::path(folder).lexically_normal() != folder)
      return fail(Errc::invalid_argument, "cgroups: '{}' is not a control group of the execution", folder);
  return spec;
}

Result<ShimSpec> read_spec(const fs::path& folder) {
  TRY(const std::string text, read_file(folder / kSpecFile, kMaxSpec));
  Result<ShimSpec> spec = parse_spec(text);
  if (!spec) return fail(spec.error(), "{}", (folder / kSpecFile).string());
  return spec;
}

Result<ShimStatus> parse_status(std::string_view text) { return json::decode<ShimStatus>(text); }

Result<ShimStatus> read_status(const fs::path& folder) {
  TRY(const std::string text, read_file(folder / kStatusFile, kMaxStatus));
  return parse_status(text);
}

Result<Fd> hold_lock(const fs::path& folder) {
  Fd file = open_lock(folder);
  struct flock lock = whole_file(F_WRLCK);
  struct stat opened {};
  struct stat there {};
  if (!file || ::fcntl(file.get(), F_SETLK, &lock) != 0 || ::fstat(file.get(), &opened) != 0 ||
      ::lstat((folder / kLockFile).c_str(), &there) != 0 || opened.st_ino != there.st_ino ||
      opened.st_dev != there.st_dev)
    return fail(Errc::closed, "the execution is not wanted any more");
  return file;
}

Task<Result<void>> end_shim(ProcessLauncher& processes, fs::path folder) {
  for (;;) {
    CO_TRY(const Fd shim, seize_shim(folder));
    if (!shim) co_return Result<void>();
    (void)tell_shim(shim, ShimSignal::kill);
    const Result<void> ended = co_await with_timeout(kShimPatience, processes.until_ended(shim.get()));
    if (ended) continue;
    (void)::syscall(SYS_pidfd_send_signal, shim.get(), SIGKILL, nullptr, 0);
    CO_TRY_VOID(co_await processes.until_ended(shim.get()));
  }
}

Result<Fd> find_shim(const fs::path& folder) { return open_holder(open_lock(folder)); }

int shim_pid(const fs::path& folder) { return holder(open_lock(folder)); }

Result<Fd> seize_shim(const fs::path& folder) {
  for (;;) {
    const Fd file = open_lock(folder);
    if (!file && errno == ENOENT) return Fd();
    if (!file) return fail(Errc::io, "open {}: {}", (folder / kLockFile).string(), std::strerror(errno));
    struct flock lock = whole_file(F_WRLCK);
    if (::fcntl(file.get(), F_SETLK, &lock) == 0) {
      (void)::unlink((folder / kLockFile).c_str());
      return Fd();
    }
    TRY(Fd shim, open_holder(file));
    if (shim) return shim;
  }
}

int number_of(ShimSignal signal) { return SIGRTMIN + 1 + static_cast<int>(signal); }

bool tell_shim(const Fd& shim, ShimSignal signal, std::int64_t value) {
  siginfo_t info{};
  info.si_signo = number_of(signal);
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(value);  // NOLINT: the value travels as 64 bits
  return ::syscall(SYS_pidfd_send_signal, shim.get(), info.si_signo, &info, 0) == 0;
}

}  // namespace dms::executor

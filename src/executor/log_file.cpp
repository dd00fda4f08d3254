#include "executor/log_file.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace dms::executor {

Result<LogFile> LogFile::open(const std::filesystem::path& path, std::uint64_t limit) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!fd) return fail(Errc::io, "open log {}: {}", path.string(), std::strerror(errno));
  return LogFile(std::move(fd), limit);
}

bool LogFile::put(BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

void LogFile::write(BytesView bytes) {
  const std::size_t keep = full_ ? 0 : std::min<std::uint64_t>(bytes.size(), left_);
  if (keep < bytes.size()) dropped_ += bytes.size() - keep;
  if (full_) return;
  const bool written = put(bytes.first(keep));
  left_ -= keep;
  if (written && keep == bytes.size()) return;
  full_ = true;
  (void)put(as_bytes(fmt::format("\n[the log ends here: its limit of {} bytes is reached]\n", limit_)));
}

Task<std::uint64_t> copy_to_log(std::unique_ptr<ByteStream> from, LogFile log) {
  Bytes chunk(64 * 1024);
  for (;;) {
    Result<std::size_t> got = co_await from->read_some(chunk);
    if (!got || *got == 0) co_return log.dropped();
    if (log.full()) {
      log.write(BytesView(chunk).first(*got));  // only counts
      continue;
    }
    auto writing = [&log, part = BytesView(chunk).first(*got)] { return log.write(part), true; };
    (void)co_await offload(writing);
  }
}

}  // namespace dms::executor

#include "orchestrator/inputs/blobs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.hpp"
#include "encoding/multibase.hpp"
#include "transfer/files.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

Error failure(std::string_view doing, const std::filesystem::path& path) {
  const int code = errno;
  return {Errc::io,
          fmt::format("{} {}: {}", doing, path.string(),
                      code == ENOSPC ? "the disk is full; free some space and try again" : std::strerror(code))};
}

constexpr std::string_view kPart = ".part";

bool is_digest(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_complete(const std::filesystem::path& path, std::uint64_t size) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) == size;
}

struct Use {
  std::uint64_t bytes = 0;
  std::size_t parts = 0;
};

Use use_of(const std::filesystem::path& folder) {
  Use use;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code unknown;
    const std::uint64_t size = it->file_size(unknown);
    if (!unknown) use.bytes += size;
    if (it->path().extension() == kPart) ++use.parts;
  }
  return use;
}

/// Whether a page may be written to a part that has `there` bytes; `is_new`: the part is not there yet.
Result<void> check_room(const std::filesystem::path& root, const DeploymentInputRequest& request, std::uint64_t there,
                        bool is_new, std::uint64_t max_bytes) {
  const Use use = use_of(root);
  if (is_new && use.parts >= kMaxParts)
    return fail(Errc::limit_exceeded,
                "{} files have been begun and are not complete, which is the limit; finish one, or wait until one has "
                "not been written to for {} min",
                use.parts, kUploadGrace / 1min);
  const std::uint64_t needed = there == 0 ? request.size : request.data.size();
  if (use.bytes > max_bytes || max_bytes - use.bytes < needed)
    return fail(Errc::limit_exceeded,
                "the files for deployments would be larger than {} bytes; wait for deployments to end", max_bytes);
  return {};
}

Result<void> complete(const std::filesystem::path& part, const DeploymentInputRequest& request) {
  TRY(const transfer::Content content, transfer::content_of(part));
  if (encode(Base::hex, content.digest) != request.digest) {
    ::unlink(part.c_str());
    return fail(Errc::invalid_argument, "the bytes that were uploaded do not have the digest {}; upload the file again",
                request.digest);
  }
  const Fd fd(::open(part.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return std::unexpected(failure("syncing", part));
  const std::filesystem::path whole = part.parent_path() / request.digest;
  if (::rename(part.c_str(), whole.c_str()) != 0) return std::unexpected(failure("renaming", part));
  return transfer::sync_folder(part.parent_path());
}

Result<void> append_page(const Fd& part, const std::filesystem::path& path, BytesView left, std::uint64_t& offset) {
  while (!left.empty()) {
    const ssize_t put = ::pwrite(part.get(), left.data(), left.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return std::unexpected(failure("writing", path));
    left = left.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<DeploymentInputReply> write_page(const std::filesystem::path& root, const DeploymentInputRequest& request,
                                        std::uint64_t max_bytes) {
  DeploymentInputReply reply;
  const std::filesystem::path whole = root / request.digest;
  if (is_complete(whole, request.size)) {
    reply.offset = request.size;
    reply.complete = true;
    return reply;
  }
  std::error_code failed;
  std::filesystem::create_directories(root, failed);
  if (failed) return fail(Errc::io, "making {}: {}", root.string(), failed.message());
  const std::filesystem::path part = root / fmt::format("{}{}", request.digest, kPart);
  Fd fd(::open(part.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  const bool is_new = !fd && errno == ENOENT;
  if (is_new) {
    if (request.offset > 0 || (request.data.empty() && request.size > 0)) return reply;
    TRY_VOID(check_room(root, request, 0, true, max_bytes));
    fd = Fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  }
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return std::unexpected(failure("opening", part));
  reply.offset = static_cast<std::uint64_t>(info.st_size);
  if (reply.offset > request.size) {
    if (::ftruncate(fd.get(), 0) != 0) return std::unexpected(failure("emptying", part));
    reply.offset = 0;
  }
  if (request.offset == reply.offset && !request.data.empty()) {
    if (!is_new) TRY_VOID(check_room(root, request, reply.offset, false, max_bytes));
    TRY_VOID(append_page(fd, part, request.data, reply.offset));
  }
  if (reply.offset < request.size) return reply;
  TRY_VOID(complete(part, request));
  reply.complete = true;
  return reply;
}

/// Blocks on the disk.
std::set<std::string> digests_in(const std::filesystem::path& folder) {
  std::set<std::string> digests;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    digests.insert(it->path().stem().string());
  return digests;
}

}  // namespace

Task<Result<DeploymentInputReply>> Blobs::put(DeploymentInputRequest request, std::size_t max_page) {
  if (!is_digest(request.digest))
    co_return fail(Errc::invalid_argument, "digest: expected a SHA-256 as 64 hexadecimal digits in lower case");
  if (request.size > kMaxBlob) co_return fail(Errc::limit_exceeded, "size: at most {} bytes are accepted", kMaxBlob);
  if (request.data.size() > max_page)
    co_return fail(Errc::limit_exceeded, "data: at most {} bytes are accepted in a page", max_page);
  if (request.offset > request.size || request.data.size() > request.size - request.offset)
    co_return fail(Errc::invalid_argument, "data: it goes beyond the size of the file");
  unreferred_.erase(request.digest);
  const Mutex::Lock lock = co_await writing_.lock();
  const auto writing = [&] { return write_page(root_, request, max_bytes_); };
  co_return co_await offload(writing);
}

Task<Result<std::filesystem::path>> Blobs::find(std::string digest, std::uint64_t size) {
  if (!is_digest(digest)) co_return fail(Errc::invalid_argument, "expected a SHA-256 as 64 hexadecimal digits");
  const std::filesystem::path path = root_ / digest;
  const Mutex::Lock lock = co_await removing_.lock();
  unreferred_.erase(digest);
  const auto looking = [&] { return is_complete(path, size); };
  const bool there = co_await offload(looking);
  if (!there) co_return fail(Errc::not_found, "its content, {}, has not been uploaded to this node", digest);
  co_return path;
}

Task<void> Blobs::keep_only(std::set<std::string> referred) {
  const TaskContext context = co_await this_task();
  const Mutex::Lock lock = co_await writing_.lock();
  const auto listing = [&] { return digests_in(root_); };
  const std::set<std::string> present = co_await offload(listing);
  const Mutex::Lock deciding = co_await removing_.lock();
  const SteadyTime now = context.lane->now();
  std::erase_if(unreferred_,
                [&](const auto& entry) { return !present.contains(entry.first) || referred.contains(entry.first); });
  std::vector<std::string> unwanted;
  for (const std::string& digest : present) {
    if (referred.contains(digest)) continue;
    const auto [entry, is_new] = unreferred_.try_emplace(digest, now);
    if (!is_new && now - entry->second >= kUploadGrace) unwanted.push_back(digest);
  }
  if (unwanted.empty()) co_return;
  const auto removing = [&] {
    for (const std::string& digest : unwanted) {
      ::unlink((root_ / digest).c_str());
      ::unlink((root_ / fmt::format("{}{}", digest, kPart)).c_str());
    }
    return unwanted.size();
  };
  (void)co_await offload(removing);
  log::debug("orchestrator", "{} uploaded files to which no deployment refers are removed", unwanted.size());
}

}  // namespace dms::orchestrator

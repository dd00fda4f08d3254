#include "orchestrator/output/output_store.hpp"

#include "base/file.hpp"
#include "orchestrator/output/stream_file.hpp"

namespace dms::orchestrator {
namespace {

Result<void> write_files(const std::filesystem::path& folder, BytesView out, BytesView err) {
  for (const Stream stream : {Stream::out, Stream::err}) TRY_VOID(StreamFile(folder, stream).forget_gaps());
  TRY_VOID(write_file(folder / "stdout.log", as_text(out)));
  return write_file(folder / "stderr.log", as_text(err));
}

constexpr std::size_t kMaxRunName = 1024;

std::filesystem::path previous_in(const std::filesystem::path& folder) {
  return folder / OutputStore::kPrevious.substr(1);
}

Result<bool> any_output(const std::filesystem::path& folder) {
  bool any = false;
  for (const Stream stream : {Stream::out, Stream::err}) {
    const Result<std::uint64_t> end = StreamFile(folder, stream).position();
    if (!end && end.error().is(Errc::not_found)) continue;
    if (!end && end.error().is(Errc::io)) return std::unexpected(end.error());
    any = any || !end || *end > 0;  // a damaged stream is set aside as it is
  }
  return any;
}

/// See output_store.hpp, 7. The folder gets its name when it is complete; one that was left incomplete is continued.
Result<void> set_aside(const std::filesystem::path& folder, const std::string& run) {
  const std::filesystem::path previous = previous_in(folder);
  const std::filesystem::path next = std::filesystem::path(previous) += ".new";
  TRY(const bool any, any_output(folder));  // finishes a shortening, too
  const Result<std::string> begun = read_file(next / "run", kMaxRunName);
  const bool resumed = begun && *begun == run;
  if (!any && !resumed) return {};
  std::error_code ec;
  if (!resumed) {
    std::filesystem::remove_all(next, ec);
    if (!ec) std::filesystem::create_directory(next, ec);
    if (ec) return fail(Errc::io, "{}: {}", next.string(), ec.message());
    TRY_VOID(write_file(next / "run", run));
  }
  for (const Stream stream : {Stream::out, Stream::err})
    for (const char* suffix : {"log", "gaps"}) {
      const std::string name = fmt::format("{}.{}", to_string(stream), suffix);
      std::filesystem::rename(folder / name, next / name, ec);
      if (ec && ec != std::errc::no_such_file_or_directory)
        return fail(Errc::io, "{}: {}", (next / name).string(), ec.message());
    }
  std::filesystem::remove_all(previous, ec);
  if (!ec) std::filesystem::rename(next, previous, ec);
  if (ec) return fail(Errc::io, "{}: {}", previous.string(), ec.message());
  return {};
}

/// See output_store.hpp, 8.
Result<void> prepare_late(const std::filesystem::path& late, const std::string& run) {
  if (const Result<std::string> begun = read_file(late / "run", kMaxRunName); begun && *begun == run) return {};
  std::error_code ec;
  std::filesystem::remove_all(late, ec);
  if (ec) return fail(Errc::io, "{}: {}", late.string(), ec.message());
  TRY_VOID(write_files(late, {}, {}));
  return write_file(late / "run", run);
}

Result<void> finish_late(const std::filesystem::path& folder) {
  const std::filesystem::path late = folder / OutputStore::kLate.substr(1);
  const std::filesystem::path previous = previous_in(folder);
  TRY(const bool any, any_output(late));
  std::error_code ec;
  std::filesystem::remove_all(any ? previous : late, ec);
  if (!ec && any) std::filesystem::rename(late, previous, ec);
  if (ec) return fail(Errc::io, "{}: {}", late.string(), ec.message());
  return {};
}

}  // namespace

std::string_view to_string(Stream stream) { return stream == Stream::out ? "stdout" : "stderr"; }

Result<Stream> parse_stream(std::string_view name) {
  if (name == "stdout") return Stream::out;
  if (name == "stderr") return Stream::err;
  return fail(Errc::invalid_argument, "stream: expected stdout or stderr, found '{}'", name.substr(0, 64));
}

std::filesystem::path OutputStore::folder(std::string_view deployment, std::string_view allocation) const {
  return root_ / deployment / allocation;
}

Task<Result<void>> OutputStore::write(std::string deployment, std::string allocation, Bytes out, Bytes err) {
  const std::filesystem::path target = folder(deployment, allocation);
  const auto writing = [&] { return write_files(target, out, err); };
  co_return co_await offload(writing);
}

Task<Result<void>> OutputStore::begin(std::string deployment, std::string allocation, std::string before) {
  const std::filesystem::path target = folder(deployment, allocation);
  const auto emptying = [&]() -> Result<void> {
    TRY_VOID(set_aside(target, before));
    return write_files(target, {}, {});
  };
  co_return co_await offload(emptying);
}

Task<Result<void>> OutputStore::begin_late(std::string deployment, std::string allocation, std::string run) {
  const std::filesystem::path late = folder(deployment, allocation + std::string(kLate));
  const auto preparing = [&] { return prepare_late(late, run); };
  co_return co_await offload(preparing);
}

Task<Result<void>> OutputStore::end_late(std::string deployment, std::string allocation) {
  const std::filesystem::path target = folder(deployment, allocation);
  const auto finishing = [&] { return finish_late(target); };
  co_return co_await offload(finishing);
}

Task<Result<bool>> OutputStore::has_output(std::string deployment, std::string allocation) {
  const std::filesystem::path target = folder(deployment, allocation);
  const auto looking = [&] { return any_output(target); };
  co_return co_await offload(looking);
}

Task<Result<std::string>> OutputStore::previous_run(std::string deployment, std::string allocation) {
  const std::filesystem::path path = previous_in(folder(deployment, allocation)) / "run";
  const auto reading = [&] { return read_file(path, kMaxRunName); };
  co_return co_await offload(reading);
}

Task<Result<std::uint64_t>> OutputStore::position(std::string deployment, std::string allocation, Stream stream) {
  const StreamFile file(folder(deployment, allocation), stream, max_stored_);
  const auto looking = [&] { return file.position(); };
  co_return co_await offload(looking);
}

Task<Result<void>> OutputStore::append(std::string deployment, std::string allocation, Stream stream,
                                       std::uint64_t offset, Bytes data) {
  const StreamFile file(folder(deployment, allocation), stream, max_stored_);
  const auto appending = [&] { return file.append(offset, data); };
  co_return co_await offload(appending);
}

Task<Result<void>> OutputStore::sync(std::string deployment, std::string allocation, Stream stream) {
  const StreamFile file(folder(deployment, allocation), stream, max_stored_);
  const auto syncing = [&] { return file.sync(); };
  co_return co_await offload(syncing);
}

Task<Result<StoredPage>> OutputStore::read(std::string deployment, std::string allocation, Stream stream,
                                           std::uint64_t offset, std::size_t max_bytes) {
  const StreamFile file(folder(deployment, allocation), stream, max_stored_);
  const auto reading = [&] { return file.read(offset, max_bytes); };
  co_return co_await offload(reading);
}

Task<Result<std::filesystem::path>> OutputStore::find(std::string deployment, std::string allocation) {
  const std::filesystem::path wanted = folder(deployment, allocation);
  const auto looking = [&] {
    std::error_code ec;
    return std::filesystem::is_directory(wanted, ec);
  };
  const bool found = co_await offload(looking);
  if (!found) co_return fail(Errc::not_found, "no output of {} is stored", allocation);
  co_return wanted;
}

Task<Result<void>> OutputStore::remove(std::string deployment) {
  const std::filesystem::path target = root_ / deployment;
  const auto removing = [&]() -> Result<void> {
    std::error_code ec;
    std::filesystem::remove_all(target, ec);
    if (ec) return fail(Errc::io, "remove {}: {}", target.string(), ec.message());
    return {};
  };
  co_return co_await offload(removing);
}

Task<void> OutputStore::remove_unfinished(std::string deployment) {
  const std::filesystem::path target = root_ / deployment;
  const auto removing = [&] { return remove_unfinished_writes(target); };
  (void)co_await offload(removing);
}

}  // namespace dms::orchestrator

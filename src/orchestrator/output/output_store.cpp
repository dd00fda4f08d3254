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

/// See output_store.hpp, 7.
Result<bool> set_aside(const std::filesystem::path& folder) {
  std::error_code ec;
  bool any = false;
  for (const Stream stream : {Stream::out, Stream::err}) {
    const auto size = std::filesystem::file_size(folder / fmt::format("{}.log", to_string(stream)), ec);
    any = any || (!ec && size > 0);
  }
  if (!any) return false;
  const std::filesystem::path previous = folder / OutputStore::kPrevious.substr(1);
  std::filesystem::remove_all(previous, ec);
  if (!ec) std::filesystem::create_directory(previous, ec);
  if (ec) return fail(Errc::io, "{}: {}", previous.string(), ec.message());
  for (const Stream stream : {Stream::out, Stream::err})
    for (const char* suffix : {"log", "gaps"}) {
      const std::string name = fmt::format("{}.{}", to_string(stream), suffix);
      std::filesystem::rename(folder / name, previous / name, ec);
      if (ec && ec != std::errc::no_such_file_or_directory)
        return fail(Errc::io, "{}: {}", (previous / name).string(), ec.message());
    }
  return true;
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

Task<Result<bool>> OutputStore::begin(std::string deployment, std::string allocation) {
  const std::filesystem::path target = folder(deployment, allocation);
  const auto emptying = [&]() -> Result<bool> {
    TRY(const bool moved, set_aside(target));
    TRY_VOID(write_files(target, {}, {}));
    return moved;
  };
  co_return co_await offload(emptying);
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

}  // namespace dms::orchestrator

#include "orchestrator/output/output_store.hpp"

#include "base/file.hpp"

namespace dms::orchestrator {
namespace {

Result<void> write_files(const std::filesystem::path& folder, BytesView out, BytesView err) {
  TRY_VOID(write_file(folder / "stdout.log", as_text(out)));
  return write_file(folder / "stderr.log", as_text(err));
}

}  // namespace

std::filesystem::path OutputStore::folder(std::string_view deployment, std::string_view allocation) const {
  return root_ / deployment / allocation;
}

Task<Result<void>> OutputStore::write(std::string deployment, std::string allocation, Bytes out, Bytes err) {
  const std::filesystem::path target = folder(deployment, allocation);
  const auto writing = [&] { return write_files(target, out, err); };
  co_return co_await offload(writing);
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

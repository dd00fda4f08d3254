// Unpacks arbitrary bytes. Nothing may appear outside of the folder; what was unpacked can be packed again.
#include <cstdlib>

#include "base/file.hpp"
#include "base/remove_tree.hpp"
#include "base/temporary_folder.hpp"
#include "transfer/archive.hpp"

namespace {

const std::filesystem::path& folder() {
  static const auto made = dms::TemporaryFolder::in_memory("archive-fuzz");
  return made.path();
}

std::size_t entries(const std::filesystem::path& path) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::transfer;
  const std::filesystem::path root = folder() / "root";
  if (!dms::write_file(folder() / "packed", dms::as_text({data, size}))) std::abort();
  std::filesystem::create_directory(root);
  const ArchiveLimits limits{.max_bytes = 1 << 20, .max_entries = 64};
  const auto done = unpack(folder() / "packed", true, root, "in", limits);
  if (entries(folder()) != 2 || entries(root) != 1) std::abort();
  if (done) {
    const auto again = pack(root, "in", folder() / "again", {});
    if (!again || again->left_out_count != 0) std::abort();
  }
  if (!dms::remove_tree(root)) std::abort();
  std::filesystem::remove(folder() / "packed");
  std::filesystem::remove(folder() / "again");
  return 0;
}

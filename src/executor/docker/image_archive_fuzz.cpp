// Rewrites arbitrary bytes as the archive of an image. What comes out has no tag, and is rewritten to the same.
#include <cstdlib>
#include <filesystem>

#include "base/bytes.hpp"
#include "base/file.hpp"
#include "base/temporary_folder.hpp"
#include "executor/docker/image_archive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  static const auto folder = TemporaryFolder::in_memory("image-fuzz");
  const std::filesystem::path given = folder.path() / "given";
  const std::filesystem::path made = folder.path() / "made";
  const std::filesystem::path again = folder.path() / "again";
  if (!write_file(given, as_text({data, size}))) std::abort();
  const auto id = executor::rewrite_image(given, made);
  if (std::filesystem::exists(made) != id.has_value()) std::abort();
  if (id) {
    const auto repeated = executor::rewrite_image(made, again);
    if (!repeated || *repeated != *id) std::abort();
    if (read_file(made, 1 << 26).value_or("a") != read_file(again, 1 << 26).value_or("b")) std::abort();
  }
  std::filesystem::remove(made);
  std::filesystem::remove(again);
  return 0;
}

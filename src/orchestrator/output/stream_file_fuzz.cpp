// A list of gaps of any content beside a stream of 64 bytes: it is read, and output can still be appended.
#include <cstdlib>

#include "base/file.hpp"
#include "base/temporary_folder.hpp"
#include "orchestrator/output/stream_file.hpp"

namespace {

const std::filesystem::path& stream_folder() {
  static const auto made = dms::TemporaryFolder::in_memory("stream-file-fuzz");
  return made.path();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view gaps(reinterpret_cast<const char*>(data), size);
  if (!write_file(stream_folder() / "stdout.log", std::string(63, 'x') + "\n") ||
      !write_file(stream_folder() / "stdout.gaps", gaps))
    std::abort();
  const orchestrator::StreamFile file(stream_folder(), orchestrator::Stream::out);
  const auto position = file.position();
  if (!position) return 0;
  for (const std::uint64_t from : {std::uint64_t{0}, *position / 2, *position}) {
    const auto page = file.read(from, 16);
    if (page && (page->total_size != *position || page->data.size() > 16)) std::abort();
  }
  if (!file.append(*position, to_bytes(std::string("y")))) std::abort();
  const auto after = file.position();
  if (!after || *after != *position + 1) std::abort();
  return 0;
}

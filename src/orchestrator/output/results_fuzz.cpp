// An index of results of any content beside the file of one result: it is read, and a page stays within the file.
#include <algorithm>
#include <cstdlib>

#include "base/file.hpp"
#include "base/temporary_folder.hpp"
#include "orchestrator/output/results.hpp"
#include "simulation/sim_world.hpp"

namespace {

constexpr std::string_view kContent = "word\n";
constexpr std::size_t kPage = 3;
constexpr std::size_t kAsked = 8;  // results: each page reads the index

const std::filesystem::path& folder() {
  static const auto made = dms::TemporaryFolder::in_memory("results-fuzz");
  return made.path();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view index(reinterpret_cast<const char*>(data), size);
  if (!write_file(folder() / "results" / "0", kContent) || !write_file(folder() / "results" / "index.json", index))
    std::abort();
  SimWorld world(1);
  SimNode& node = world.add_node("orchestrator");
  const auto files = world.run(node, orchestrator::stored_results(folder()));
  for (std::size_t i = 0; files && i < std::min(files->size(), kAsked); ++i)
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4}, UINT64_MAX}) {
      protocol::DeploymentLogsRequest request;
      request.stream = fmt::format("{}{}", orchestrator::kResultStream, (*files)[i].name);
      request.offset = offset;
      const auto page = world.run(node, orchestrator::result_page(folder(), std::move(request), kPage));
      if (!page) continue;
      if (page->total_size != kContent.size() || page->next_offset > kContent.size()) std::abort();
      if (as_text(page->data) != kContent.substr(page->offset, kPage)) std::abort();
    }
  return 0;
}

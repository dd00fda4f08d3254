#include "cli/client/ensemble_files.hpp"

#include <algorithm>

namespace dms::cli {
namespace fs = std::filesystem;

EnsembleFiles::EnsembleFiles(const fs::path& ensemble, const Arguments& arguments) : any_(arguments.has("any-file")) {
  std::error_code ignored;
  if (fs::is_regular_file(ensemble, ignored)) folder_ = ensemble.parent_path();
}

Result<fs::path> EnsembleFiles::find(const fs::path& name) const {
  std::error_code error;
  const fs::path path = fs::canonical(folder_ / name, error);
  if (error) return fail(Errc::failed, "{}: {}", (folder_ / name).string(), error.message());
  if (any_) return path;
  const fs::path folder = fs::canonical(folder_.empty() ? fs::path(".") : folder_, error);
  if (error) return fail(Errc::failed, "{}: {}", folder_.string(), error.message());
  if (std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end()) return path;
  return fail(Errc::failed,
              "{} is not in the folder of the ensemble, {}; if you trust who wrote the ensemble, --any-file sends it",
              path.string(), folder.string());
}

Option any_file_option() {
  return {.name = "any-file", .help = "send files that the ensemble names outside of its folder, too"};
}

}  // namespace dms::cli

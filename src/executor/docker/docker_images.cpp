// Where a Docker gets the images of its containers from: registries, and archives that come with the work.
#include <filesystem>

#include "base/file.hpp"
#include "base/log.hpp"
#include "executor/docker/docker_run.hpp"
#include "executor/docker/image_archive.hpp"
#include "executor/docker/image_stream.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMarker = "image-";
constexpr Duration kListTime = 10s;

/// Until the engine has told all.
Task<Result<void>> read_image_stream(HttpBody& body, ImageStream& stream, Execution& run) {
  Bytes chunk(16 * 1024);
  for (;;) {
    CO_TRY(const std::size_t got, co_await body.read_some(chunk));
    const Result<void> taken = got == 0 ? stream.end() : stream.feed(BytesView(chunk).first(got));
    if (const std::optional<ImageProgress> progress = stream.progress()) run.progress = progress;
    CO_TRY_VOID(taken);
    if (got == 0) co_return Result<void>();
  }
}

/// "Loaded image ID: sha256:<hex>", as the engine says it of an image without a tag.
Result<std::string> loaded_id(std::string_view said) {
  constexpr std::string_view kLoaded = "Loaded image ID: sha256:";
  const auto at = said.find(kLoaded);
  std::string id(at == std::string_view::npos ? std::string_view() : said.substr(at + kLoaded.size(), 64));
  if (id.size() != 64 || !is_container_id(id))
    return fail(Errc::io, "Docker engine: it did not say which image it has loaded: {}", said.substr(0, 200));
  return id;
}

/// The images of archives that may be in the engine.
std::vector<std::string> list_markers(const fs::path& state_dir) {
  std::vector<std::string> ids;
  std::error_code ec;
  for (fs::directory_iterator it(state_dir, ec), end; !ec && it != end; it.increment(ec))
    if (const std::string name = it->path().filename();
        name.starts_with(kMarker) && is_container_id(name.substr(kMarker.size())))
      ids.push_back(name.substr(kMarker.size()));
  return ids;
}

bool is_empty(const json::Value& details, std::string_view list) {
  const json::Value* found = json_at(details, {list});
  return found == nullptr || found->is_null() || (found->is_array() && found->get_array().empty());
}

}  // namespace

std::string image_id(const std::string& text) {
  if (!text.starts_with(kImagePrefix)) return {};
  std::string id = text.substr(kImagePrefix.size());
  return is_container_id(id) ? id : std::string();
}

Task<Result<void>> Docker::ensure_image(RunPtr run) {
  const std::string image = tagged_image(run->request.engine.params.image);
  const std::string path = "/images/" + image + "/json";
  Result<json::Value> there = co_await api_.call("GET", path);
  if (there) co_return Result<void>();
  if (!there.error().is(Errc::not_found)) co_return std::unexpected(there.error());
  log::info("executor", "pulling image {}", image);
  const std::string pull = "/images/create?fromImage=" + url_encode(image);
  run->progress = ImageProgress();
  CO_TRY(DockerApi::Stream answer, co_await api_.stream("POST", pull));
  ImageStream stream(fmt::format("pull image '{}'", image), ImageProgress::Phase::pulling);
  co_return co_await read_image_stream(*answer.body, stream, *run);
}

fs::path Docker::image_marker(const std::string& id) const {
  return options_.state_dir / fmt::format("{}{}", kMarker, id);
}

/// The image of the run's archive, in the engine, and its id in the run. The marker comes before the image: what a daemon
/// that is killed has loaded is found by it.
Task<Result<void>> Docker::load_image(RunPtr run) {
  const fs::path archive = run->request.image_archive;
  const fs::path safe = fs::path(archive).concat(".load");
  auto rewriting = [&]() -> Result<std::string> {
    TRY(std::string id, rewrite_image(archive, safe));
    std::error_code ec;
    if (options_.state_dir.empty()) return id;
    fs::create_directories(options_.state_dir, ec);
    TRY_VOID(write_file(image_marker(id), ""));
    return id;
  };
  CO_TRY(run->image, co_await offload(rewriting));
  std::string said;
  const Result<void> loaded = co_await send_image(run, safe, said);
  auto removing = [&safe] {
    std::error_code ignored;
    return fs::remove(safe, ignored);
  };
  (void)co_await offload(removing);
  CO_TRY_VOID(loaded);
  CO_TRY(const std::string id, loaded_id(said));
  if (id == run->image) co_return Result<void>();
  // An engine that names images otherwise.
  auto renaming = [this, from = run->image, id] {
    std::error_code ignored;
    fs::rename(image_marker(from), image_marker(id), ignored);
    return !ignored;
  };
  (void)co_await offload(renaming);
  run->image = id;
  co_return Result<void>();
}

Task<Result<void>> Docker::send_image(RunPtr run, fs::path file, std::string& said) {
  DockerApi::OnSent sending = [run](std::uint64_t sent, std::uint64_t size) {
    run->progress = ImageProgress{ImageProgress::Phase::loading, sent, size};
  };
  Task<Result<DockerApi::Stream>> uploading = api_.upload("/images/load?quiet=0", std::move(file), std::move(sending));
  CO_TRY(DockerApi::Stream answer, co_await std::move(uploading));
  const std::uint64_t size = run->progress ? run->progress->total : 0;
  ImageStream stream("load the archive of the image", ImageProgress::Phase::loading, size);
  const Result<void> told = co_await read_image_stream(*answer.body, stream, *run);
  said = stream.said();
  co_return told;
}

/// Removes an image that came with the work, unless a container uses it or it has got a tag.
Task<Result<void>> Docker::release_image(std::string id) {
  if (id.empty()) co_return Result<void>();
  const Mutex::Lock lock = co_await loading_.lock();
  for (const auto& [execution, run] : runs_)
    if (static_cast<const Run&>(*run).image == id) co_return Result<void>();
  const std::string path = fmt::format("/images/{}{}", kImagePrefix, id);
  const std::string details_path = path + "/json";
  const Result<json::Value> details = co_await api_.call("GET", details_path);
  if (!details && !details.error().is(Errc::not_found)) co_return std::unexpected(details.error());
  if (details && is_empty(*details, "RepoTags") && is_empty(*details, "RepoDigests")) {
    const Result<json::Value> gone = co_await api_.call("DELETE", path);
    // Another daemon's container uses it: that daemon removes it.
    if (!gone && !gone.error().is(Errc::not_found) && !gone.error().is(Errc::already_exists))
      co_return std::unexpected(gone.error());
  }
  auto forgetting = [marker = image_marker(id)] {
    std::error_code ignored;
    return fs::remove(marker, ignored);
  };
  (void)co_await offload(forgetting);
  co_return Result<void>();
}

/// What is not removed now is found by its marker at the next start.
Task<void> Docker::release_image_logged(std::string id) {
  const Result<void> released = co_await release_image(id);
  if (!released) log::warn("executor", "image {} may remain: {}", id, released.error().to_string());
}

/// Those of containers that give files, by their label. One that a container uses stays.
Task<Result<void>> Docker::release_empty_images() {
  const std::string path = "/images/json?filters=" + own_label();
  CO_TRY(const json::Value images, co_await api_.call("GET", path, "", kListTime));
  const json::Array* list = images.if_array();
  if (list == nullptr) co_return fail(Errc::io, "Docker engine: expected a list of images");
  Result<void> all;
  for (const json::Value& image : *list) {
    std::string id = image_id(json_text(image, {"Id"}));
    Result<void> released = co_await release_image(std::move(id));
    if (!released) all = std::move(released);
  }
  co_return all;
}

/// What an earlier daemon has left: those of archives are found by their markers.
Task<void> Docker::release_images() {
  std::vector<std::string> ids;
  if (!options_.state_dir.empty()) ids = list_markers(options_.state_dir);
  const Result<void> released = co_await release_empty_images();
  if (!released) log::warn("executor", "images of an earlier daemon may remain: {}", released.error().to_string());
  for (std::string& id : ids) co_await release_image_logged(std::move(id));
}

}  // namespace dms::executor

#include "executor/docker/image_stream.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "executor/docker/docker_api.hpp"

namespace dms::executor {

namespace {

std::uint64_t size_at(const json::Value& line, std::string_view name) {
  const std::int64_t size = json_int(line, {"progressDetail", name});
  return std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(size, 0)), ImageStream::kMaxLayer);
}

}  // namespace

Result<void> ImageStream::feed(BytesView bytes) {
  pending_.append(as_text(bytes));
  std::size_t from = 0;
  for (auto end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n', from)) {
    TRY_VOID(take(std::string_view(pending_).substr(from, end - from)));
    from = end + 1;
  }
  pending_.erase(0, from);
  if (pending_.size() > kMaxLine) return fail(Errc::limit_exceeded, "{}: a progress line without end", what_);
  return {};
}

Result<void> ImageStream::take(std::string_view line) {
  if (line.size() > kMaxLine) return fail(Errc::limit_exceeded, "{}: a progress line without end", what_);
  const Result<json::Value> parsed = json::parse(line);
  if (!parsed) return {};
  if (const std::string error = json_text(*parsed, {"error"}); !error.empty())
    return fail(Errc::not_found, "{}: {}", what_, error.substr(0, 500));
  log::debug("executor", "{}: {}", what_, json_text(*parsed, {"status"}));
  said_ += json_text(*parsed, {"stream"});
  if (said_.size() > kMaxSaid) return fail(Errc::limit_exceeded, "{}: no end", what_);
  count(*parsed);
  return {};
}

ImageStream::Layer* ImageStream::find_layer(const std::string& id) {
  if (id.empty() || id.size() > kMaxLayerId) return nullptr;
  if (layers_.size() >= kMaxLayers && !layers_.contains(id)) return nullptr;
  return &layers_[id];
}

/// By the words of the engine. The id of other lines is no layer's, as "Pulling from" has the tag.
void ImageStream::count(const json::Value& line) {
  const std::string status = json_text(line, {"status"});
  const std::string id = json_text(line, {"id"});
  const bool fetches = status == "Downloading";
  const bool extracts = status == "Extracting" || status == "Loading layer";
  const bool is_whole = status == "Pull complete";
  const bool is_here = extracts || is_whole || status == "Download complete" || status == "Verifying Checksum" ||
                       status == "Already exists";
  const bool waits = status == "Pulling fs layer" || status == "Waiting";
  if (!fetches && !is_here && !waits) return;
  Layer* const counted = find_layer(id);
  if (counted == nullptr) return;
  // Some engines count the seconds of an extraction.
  const std::string units = json_text(line, {"progressDetail", "units"});
  const std::uint64_t total = units.empty() || units == "bytes" ? size_at(line, "total") : 0;
  if ((fetches || extracts) && total > 0) {
    counted->total = total;
    (fetches ? counted->fetched : counted->extracted) = std::min(size_at(line, "current"), total);
  }
  if (waits) counted->fetched = 0;
  counted->here = is_here;
  if (is_here) counted->fetched = counted->total;
  if (is_whole) counted->extracted = counted->total;
}

std::optional<ImageProgress> ImageStream::progress() const {
  if (layers_.empty()) return std::nullopt;
  const bool all_here = std::ranges::all_of(layers_, [](const auto& entry) { return entry.second.here; });
  ImageProgress progress;
  progress.phase = all_here ? ImageProgress::Phase::extracting : first_;
  for (const auto& [id, layer] : layers_) {
    progress.total += layer.total;
    progress.done += std::min(all_here ? layer.extracted : layer.fetched, layer.total);
  }
  if (first_ == ImageProgress::Phase::loading) progress.total = std::max(progress.total, size_);
  return progress;
}

}  // namespace dms::executor

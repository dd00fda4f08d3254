#include "sim/scenario/outputs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/ensemble/ensemble.hpp"
#include "orchestrator/output/stream_file.hpp"

namespace dms::sim {
namespace {

constexpr std::size_t kPage = 64 * 1024;
constexpr std::array kStreams = {orchestrator::Stream::out, orchestrator::Stream::err};

/// All that is stored, in parts between which something was dropped.
Result<std::vector<orchestrator::StoredPage>> read_all(const orchestrator::StreamFile& file) {
  std::vector<orchestrator::StoredPage> parts;
  for (std::uint64_t offset = 0;;) {
    TRY(orchestrator::StoredPage page, file.read(offset, kPage));
    offset = page.offset + page.data.size();
    const bool last = page.data.empty();
    parts.push_back(std::move(page));  // the last one has the size of the stream
    if (last) return parts;
  }
}

bool is_part_of(const std::vector<orchestrator::StoredPage>& parts, std::string_view text) {
  return std::ranges::all_of(parts, [&](const orchestrator::StoredPage& part) {
    return part.total_size <= text.size() && text.substr(part.offset, part.data.size()) == as_text(part.data);
  });
}

/// Empty if it is what one of the runs has printed.
std::string compare(const orchestrator::StreamFile& file, const std::map<std::string, std::string>& printed) {
  const Result<std::vector<orchestrator::StoredPage>> parts = read_all(file);
  if (!parts) return parts.error().to_string();
  const bool found = std::ranges::any_of(printed, [&](const auto& run) { return is_part_of(*parts, run.second); });
  if (found) return {};
  return fmt::format("{} bytes are stored, which none of {} runs has printed", parts->back().total_size,
                     printed.size());
}

}  // namespace

void Outputs::begins(const std::string& allocation_id, const std::string& run, std::string out, std::string err) {
  Deployment& deployment = deployments_[std::string(jobs::ensemble_id(allocation_id))];
  std::array<Stream, 2>& streams = deployment.allocations[std::string(jobs::allocation_name(allocation_id))];
  streams[0].printed[run] = std::move(out);
  streams[1].printed[run] = std::move(err);
}

void Outputs::deploys(const std::string& deployment, const std::filesystem::path& work_dir) {
  deployments_[deployment].work_dir = work_dir;
}

std::optional<std::string> Outputs::missing(const std::string& run, const std::filesystem::path& folder) const {
  const auto ended = ended_.find(run);
  if (ended == ended_.end()) return std::nullopt;
  std::string wrong;
  for (const orchestrator::Stream kind : kStreams) {
    const std::string& text = ended->second[kind == orchestrator::Stream::out ? 0 : 1];
    if (text.empty()) continue;  // that of the run before may be there
    const Result<std::vector<orchestrator::StoredPage>> parts = read_all(orchestrator::StreamFile(folder, kind));
    const std::uint64_t stored = parts ? parts->back().total_size : 0;
    if (stored != text.size() || !is_part_of(*parts, text))
      wrong += fmt::format("{}{} has {} of {} bytes{}", wrong.empty() ? "" : ", ", orchestrator::to_string(kind),
                           stored, text.size(), stored == text.size() ? ", and others than it has printed" : "");
  }
  return wrong;
}

void Outputs::has_ended(const std::string& deployment, SteadyTime now) {
  if (const auto found = deployments_.find(deployment); found != deployments_.end())
    found->second.last_look = now + kLastLook;
}

std::map<std::string, std::string> Outputs::check(SteadyTime now) {
  Findings findings;
  for (auto next = deployments_.begin(); next != deployments_.end();) {
    const auto current = next++;
    auto& [id, deployment] = *current;
    const bool last = deployment.last_look && now >= *deployment.last_look;
    if (deployment.work_dir) check(id, deployment, last, findings);
    if (last) deployments_.erase(current);
  }
  return findings;
}

void Outputs::check(const std::string& id, Deployment& deployment, bool all, Findings& findings) {
  const orchestrator::OutputStore store(*deployment.work_dir);
  for (auto& [name, streams] : deployment.allocations) {
    const std::filesystem::path folder = store.folder(id, name);
    for (const orchestrator::Stream kind : kStreams) {
      Stream& stream = streams[kind == orchestrator::Stream::out ? 0 : 1];
      std::error_code missing;
      const std::uintmax_t size =
          std::filesystem::file_size(folder / fmt::format("{}.log", orchestrator::to_string(kind)), missing);
      if (missing || (size == stream.seen && !all)) continue;
      stream.seen = size;
      const std::string wrong = compare(orchestrator::StreamFile(folder, kind), stream.printed);
      if (!wrong.empty())
        findings.emplace(fmt::format("{} {}", jobs::allocation_id(id, name), orchestrator::to_string(kind)), wrong);
    }
  }
}

}  // namespace dms::sim

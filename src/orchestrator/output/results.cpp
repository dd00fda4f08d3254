#include "orchestrator/output/results.hpp"

#include <algorithm>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "base/text.hpp"
#include "jobs/ensemble/work_path.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "protocol/serve.hpp"
#include "transfer/announced.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

constexpr std::size_t kMaxIndex = std::size_t{4} << 20;
constexpr std::size_t kMaxReason = 512;
constexpr int kRetries = 2;  // the caller repeats the whole

/// The content of index.json.
struct Index {
  std::string run;
  std::vector<ResultFile> results;
  static constexpr auto json_fields() {
    return std::tuple(json::field("run", &Index::run), json::field("results", &Index::results));
  }
};

/// Blocks on the disk.
Result<Index> read_index(const std::filesystem::path& folder) {
  TRY(const std::string text, read_file(folder / "index.json", kMaxIndex));
  return json::decode<Index>(text);
}

/// The folder for the results of `run`, without those of another one. Blocks on the disk.
Result<void> prepare(const std::filesystem::path& folder, const std::string& run) {
  if (const auto current = read_file(folder / "run", 1024); current && *current == run) return {};
  TRY_VOID(remove_tree(folder));
  return write_file(folder / "run", run);
}

/// For the declared paths, in their order; what the provider says beyond them is dropped.
std::vector<ResultFile> declared_only(const jobs::Results& declared, std::vector<ResultFile> reported) {
  std::vector<ResultFile> files;
  std::uint64_t left = declared.max_bytes();
  for (const std::string& path : declared.paths) {
    const auto found = std::ranges::find(reported, path, &ResultFile::name);
    ResultFile file;
    if (found != reported.end()) file = *found;
    file.name = path;
    if (found == reported.end())
      file.error = "the provider does not report it";
    else if (file.error.empty() && file.size > left)
      file.error = fmt::format("the results are larger than their limit of {} bytes", declared.max_bytes());
    if (file.error.empty()) left -= file.size;
    file.error = file.error.substr(0, kMaxReason);
    files.push_back(std::move(file));
  }
  return files;
}

/// Tells the user what did not come. Repeated, it changes nothing.
Task<Result<void>> report_absent(Parts& parts, std::string allocation, std::string run,
                                 const std::vector<ResultFile>& files) {
  std::string text;
  const auto add = [&](const ResultFile& file, std::string_view what) {
    add_reason(text, fmt::format("result \"{}\": {}", file.name, what));
  };
  for (const ResultFile& file : files) {
    if (!file.error.empty()) add(file, file.error);
    if (!file.left_out.empty())
      add(file, fmt::format("without {}{}",
                            shortened(printable(fmt::format("{}", fmt::join(file.left_out, ", "))), kMaxReason),
                            file.left_out.size() > 1 ? fmt::format(" ({} entries)", file.left_out.size()) : ""));
  }
  json::StringMap absent;
  for (const ResultFile& file : files)
    if (!file.error.empty()) absent[file.name] = printable(file.error);
  if (text.empty() && !parts.record->absent.contains(allocation)) co_return Result<void>();
  if (!text.empty()) log::warn("orchestrator", "{}: {}: {}", parts.id(), allocation, printable(text));
  const auto change = [&](DeploymentRecord& record) {
    const auto found = record.manifest.allocations.find(allocation);
    if (found == record.manifest.allocations.end() || found->second.incarnation != run) return;
    record.absent.erase(allocation);
    if (!absent.empty()) record.absent[allocation] = absent;
    std::string& reason = found->second.reason;
    if (reason.find(text) == std::string::npos) add_reason(reason, text);
  };
  co_return co_await parts.record.update(change);
}

}  // namespace

Task<Result<void>> fetch_results(Parts parts, std::string allocation, std::string run, actor::Handle provider,
                                 std::function<void()> reached) {
  const std::optional<jobs::Results> granted = granted_results(parts.record.get(), allocation);
  if (!granted) co_return Result<void>();
  const jobs::Results declared = *granted;
  const std::filesystem::path folder = parts.output.folder(parts.id(), allocation) / "results";
  const auto preparing = [&]() -> Result<bool> {
    if (const Result<Index> there = read_index(folder); there && there->run == run) return true;
    TRY_VOID(prepare(folder, run));
    return false;
  };
  CO_TRY(const bool complete, co_await offload(preparing));
  if (complete) co_return Result<void>();

  CO_TRY(const crypto::PeerId peer, provider.address.peer());
  AllocationResultsRequest request;
  request.allocation_name = allocation;
  Task<Result<AllocationResultsReply>> asking =
      call(parts.actor, kAllocationResults, provider, request, std::nullopt, path_of(kAllocationResults, parts.id()));
  CO_TRY(AllocationResultsReply reply, co_await std::move(asking));
  if (reply.packing) reached();
  if (!reply.ok)
    co_return fail(Errc::not_found, "the results of {}: {}", allocation, printable(reply.error.substr(0, kMaxReason)));

  Index index;
  index.run = run;
  index.results = declared_only(declared, std::move(reply.results));
  for (std::size_t i = 0; i < index.results.size(); ++i) {
    ResultFile& file = index.results[i];
    if (!file.error.empty()) continue;
    transfer::Announced announced(file.size, file.digest, file.ticket);
    transfer::FetchOptions options;
    options.retries = kRetries;
    options.on_progress = [&reached](std::uint64_t, std::uint64_t) { reached(); };
    Task<Result<void>> fetching = transfer::fetch_announced(parts.services.network, peer, std::move(announced),
                                                            folder / std::to_string(i), std::move(options));
    const Result<void> fetched = co_await std::move(fetching);
    if (!fetched) co_return fail(fetched.error(), "the result \"{}\" of {}", file.name, allocation);
    file.ticket.clear();
  }
  // Before the index: what has one is not looked at again.
  CO_TRY_VOID(co_await report_absent(parts, allocation, run, index.results));
  const auto storing = [&] { return write_file(folder / "index.json", json::encode(index)); };
  CO_TRY_VOID(co_await offload(storing));
  co_return Result<void>();
}

void give_up_results(DeploymentRecord& record, const std::string& allocation, const std::string& reason) {
  const auto spec = record.ensemble.allocations.find(allocation);
  if (spec == record.ensemble.allocations.end() || !spec->second.results) return;
  for (const std::string& path : spec->second.results->paths) record.absent[allocation].try_emplace(path, reason);
}

Task<Result<std::vector<ResultFile>>> stored_results(std::filesystem::path output_folder) {
  const auto reading = [&] { return read_index(output_folder / "results"); };
  CO_TRY(Index index, co_await offload(reading));
  co_return std::move(index.results);
}

Task<Result<std::filesystem::path>> stored_result(std::filesystem::path output_folder, std::string name,
                                                  ResultFile& about) {
  const Result<std::vector<ResultFile>> files = co_await stored_results(output_folder);
  if (!files && files.error().is(Errc::not_found))
    co_return fail(Errc::not_found, "the results are not here yet, or none are declared");
  if (!files) co_return std::unexpected(files.error());
  for (std::size_t i = 0; i < files->size(); ++i) {
    about = (*files)[i];
    if (jobs::without_slash(about.name) != jobs::without_slash(name)) continue;
    if (!about.error.empty()) co_return fail(Errc::not_found, "result \"{}\": {}", about.name, about.error);
    co_return output_folder / "results" / std::to_string(i);
  }
  co_return fail(Errc::not_found, "there is no result \"{}\"", printable(name.substr(0, 64)));
}

Task<Result<DeploymentLogsReply>> result_page(std::filesystem::path output_folder, DeploymentLogsRequest request,
                                              std::size_t max_page) {
  std::string name = request.stream.substr(kResultStream.size());
  ResultFile about;
  CO_TRY(const std::filesystem::path path, co_await stored_result(std::move(output_folder), std::move(name), about));
  const std::size_t most = request.max_bytes == 0 ? max_page : std::min<std::uint64_t>(request.max_bytes, max_page);
  DeploymentLogsReply page;
  page.digest = about.digest;
  page.folder = about.folder;
  page.total_size = about.size;
  page.offset = std::min(request.offset, about.size);
  page.data.resize(static_cast<std::size_t>(std::min<std::uint64_t>(most, about.size - page.offset)));
  const auto reading = [&]() -> Result<void> {
    TRY(const transfer::SourceFile file, transfer::SourceFile::open(path, about.size));
    return file.read(page.offset, page.data);
  };
  CO_TRY_VOID(co_await offload(reading));
  page.next_offset = page.offset + page.data.size();
  page.eof = page.next_offset == page.total_size;
  co_return std::move(page);
}

}  // namespace dms::orchestrator

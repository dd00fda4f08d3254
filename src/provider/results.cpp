#include "provider/results.hpp"

#include <algorithm>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "base/text.hpp"
#include "encoding/multibase.hpp"
#include "executor/executor.hpp"
#include "transfer/archive.hpp"

namespace dms::provider {

using protocol::ResultFile;

namespace {

constexpr std::size_t kMaxIndex = std::size_t{4} << 20;

/// The content of index.json.
struct Index {
  std::vector<ResultFile> results;
  static constexpr auto json_fields() { return std::tuple(json::field("results", &Index::results)); }
};

/// Blocks on the disk.
Result<std::vector<ResultFile>> read_index(const std::filesystem::path& run) {
  TRY(const std::string text, read_file(folder_of_results(run) / "index.json", kMaxIndex));
  TRY(const json::Value value, json::parse(text));
  TRY(Index index, json::from_value<Index>(value));
  return std::move(index.results);
}

/// Without the declared path, which its reader knows.
std::string why_absent(const Error& error, const std::string& path) {
  std::string text = error.to_string();
  const std::string name = fmt::format("\"{}\"", printable(path));
  if (const std::string opening = fmt::format("opening {}: ", name); text.starts_with(opening))
    text.erase(0, opening.size());
  else if (text.starts_with(name))
    text.replace(0, name.size(), "it");
  return text;
}

/// Blocks on the disk.
Result<void> pack_all(const Results::Source& source, const std::stop_token& stop) {
  const std::filesystem::path folder = folder_of_results(source.run);
  TRY_VOID(remove_tree(folder));  // of a packing that was interrupted
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return fail(Errc::io, "making {}: {}", folder.string(), failed.message());
  Index index;
  std::size_t told = 0;
  transfer::ArchiveLimits limits;
  limits.max_bytes = source.declared.max_bytes();
  for (const std::string& path : source.declared.paths) {
    ResultFile file;
    file.name = path;
    const std::filesystem::path to = folder / std::to_string(index.results.size());
    Result<transfer::Packed> packed = transfer::pack(source.work, path, to, limits, stop);
    if (stop.stop_requested()) return fail(Errc::cancelled, "packing was cancelled");
    if (!packed && packed.error().is(Errc::io))
      return std::unexpected(packed.error());  // a full disk has room again later
    if (packed) {
      limits.max_bytes -= packed->content.size;
      file.folder = packed->folder;
      file.size = packed->content.size;
      file.digest = encode(Base::hex, packed->content.digest);
      for (std::string& text : packed->left_out)
        if ((told += text.size()) <= kMaxLeftOut) file.left_out.push_back(std::move(text));
    } else {
      file.error = shortened(why_absent(packed.error(), path), kMaxReason);
      if (packed.error().is(Errc::limit_exceeded))
        file.error += fmt::format("; all results together may have {} bytes", source.declared.max_bytes());
    }
    index.results.push_back(std::move(file));
  }
  return write_file(folder / "index.json", json::encode(index));
}

}  // namespace

std::filesystem::path folder_of_results(const std::filesystem::path& run) { return run / "results"; }

Task<Result<void>> Results::prepare(Source source, std::shared_ptr<Packing> packing) {
  if (!source.prepare || packing->stop.stop_requested()) co_return Result<void>();
  const TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  Task<Result<void>> preparing = source.prepare();
  preparing.set_context({context.lane, &scope});
  packing->preparing = &scope;
  const Result<void> ready = co_await std::move(preparing);
  packing->preparing = nullptr;
  if (ready || executor::is_not_tried(ready.error())) co_return ready;
  log::warn("provider", "packing the results in {}: {}", source.work.string(), ready.error().to_string());
  co_return Result<void>();
}

Task<void> Results::pack(Source source, std::shared_ptr<Packing> packing) {
  const std::stop_token stop = packing->stop.get_token();
  const Result<void> ready = co_await prepare(source, packing);
  while (ready && packers_ >= kPackers && !stop.stop_requested()) (void)co_await turn_.wait_shielded();
  if (stop.stop_requested()) {
    packing->result = fail(Errc::cancelled, "packing was cancelled");
  } else if (!ready) {
    packing->result = ready;
  } else {
    ++packers_;
    auto work = [&]() -> Result<void> { return pack_all(source, stop); };
    packing->result = co_await offload(work);
    --packers_;
    turn_.notify_all();
  }
  packing->done = true;
  packing_.erase(source.run);
  packing->ended.notify_all();
}

void Results::stop(Packing& packing) {
  packing.stop.request_stop();
  if (packing.preparing != nullptr) packing.preparing->cancel();
  turn_.notify_all();
}

Task<Result<void>> Results::packed(Source source) {
  if (source.is_current && !source.is_current())
    co_return fail(Errc::closed, "the run has been replaced or is being removed");
  std::shared_ptr<Packing>& entry = packing_[source.run];
  if (!entry) {
    entry = std::make_shared<Packing>();
    work_.spawn(pack(source, entry));
  }
  const std::shared_ptr<Packing> packing = entry;
  while (!packing->done) CO_TRY_VOID(co_await packing->ended.wait());
  co_return packing->result;
}

Task<Result<std::vector<ResultFile>>> Results::list(Source source, crypto::PeerId to) {
  auto reading = [&] { return read_index(source.run); };
  Result<std::vector<ResultFile>> files = co_await offload(reading);
  if (!files) {
    Task<Result<void>> packing = packed(source);
    const Result<void> done = co_await with_timeout(kPackPatience, std::move(packing));
    if (!done && done.error().is(Errc::deadline_exceeded))
      co_return fail(Errc::already_exists, "the results are being packed; ask again");
    if (!done) co_return fail(done.error(), "packing the results");
    files = co_await offload(reading);
  }
  if (!files) co_return std::move(files);
  for (std::size_t i = 0; i < files->size(); ++i)
    CO_TRY_VOID(offer((*files)[i], folder_of_results(source.run) / std::to_string(i), to));
  co_return std::move(files);
}

Result<void> Results::offer(ResultFile& file, const std::filesystem::path& path, const crypto::PeerId& to) {
  if (!file.error.empty()) return {};
  transfer::Content content;
  content.size = file.size;
  const Result<Bytes> digest = decode(Base::hex, file.digest);
  if (!digest || digest->size() != content.digest.size()) {
    file.error = "the index of the results is damaged";
    return {};
  }
  std::ranges::copy(*digest, content.digest.begin());
  TRY(const transfer::Ticket ticket, server_.offer(to, path, content, kTicketLifetime));
  file.ticket = ticket.to_string();
  return {};
}

Task<void> Results::forget(std::filesystem::path folder) {
  server_.revoke_below(folder);
  const auto below = [&](const std::filesystem::path& run) {
    return std::mismatch(folder.begin(), folder.end(), run.begin(), run.end()).first == folder.end();
  };
  std::vector<std::shared_ptr<Packing>> ending;
  for (const auto& [run, packing] : packing_)
    if (below(run)) ending.push_back(packing);
  for (const auto& packing : ending) stop(*packing);
  for (const auto& packing : ending)
    while (!packing->done) (void)co_await packing->ended.wait_shielded();
}

Task<void> Results::close() {
  for (const auto& [run, packing] : packing_) stop(*packing);
  co_await work_.close();
}

}  // namespace dms::provider

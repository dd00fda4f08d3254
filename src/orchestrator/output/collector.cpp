#include "orchestrator/output/collector.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/output/results.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<Result<LogPage>> stored_page(OutputStore& output, const DeploymentRecord& record, DeploymentLogsRequest request) {
  std::string run;
  if (const auto kept = record.outputs.find(request.allocation_name); kept != record.outputs.end()) run = kept->second;
  CO_TRY(const Stream stream, parse_stream(request.stream));
  const std::size_t most = request.max_bytes == 0 ? kLogPage : std::min<std::uint64_t>(request.max_bytes, kLogPage);
  Result<StoredPage> found =
      co_await output.read(request.ensemble_id, request.allocation_name, stream, request.offset, most);
  if (!found && found.error().is(Errc::not_found)) {
    const std::string name = request.allocation_name.substr(0, request.allocation_name.find('/'));  // without kPrevious
    const bool has_run = name != request.allocation_name || record.outputs.contains(name);
    if (has_run) co_return fail(Errc::not_found, "no output of {} is stored", name);
    co_return fail(Errc::not_found, "{} has written nothing: it has not run", name);
  }
  CO_TRY(StoredPage stored, std::move(found));
  LogPage page;
  page.offset = stored.offset;
  page.next_offset = stored.offset + stored.data.size();
  page.total_size = stored.total_size;
  page.eof = page.next_offset == page.total_size;
  page.data = std::move(stored.data);
  page.incarnation = std::move(run);
  co_return std::move(page);
}

std::string why_incomplete(const Rest& rest) {
  return rest.missing.empty() ? "it has not come from its provider yet" : printable(rest.missing);
}

/// The files hold the run before until the next fetch.
Task<Result<LogPage>> previous_page(OutputStore& output, const DeploymentRecord& record,
                                    DeploymentLogsRequest request) {
  const std::string allocation = request.allocation_name;
  request.stream.erase(0, kPreviousStream.size());
  CO_TRY_VOID(parse_stream(request.stream));
  const auto kept = record.outputs.find(allocation);
  const auto current = record.manifest.allocations.find(allocation);
  const std::string now = current == record.manifest.allocations.end() ? "" : current->second.incarnation;
  const bool is_ended = current != record.manifest.allocations.end() && is_final(current->second.status);
  // The next run has not begun: that one is the last.
  const bool is_last = is_ended && current->second.collected && record.unbegun.contains(allocation);
  std::string run;
  bool is_kept = kept != record.outputs.end() && current != record.manifest.allocations.end() &&
                 kept->second != current->second.incarnation && !is_last;
  if (is_kept) {
    run = kept->second;
    CO_TRY(is_kept, co_await output.has_output(request.ensemble_id, allocation));
  }
  if (!is_kept) {
    Result<std::string> aside = co_await output.previous_run(request.ensemble_id, allocation);
    const auto rest = std::ranges::find(record.rests.rbegin(), record.rests.rend(), allocation, &Rest::allocation);
    const Superseded* left = find_awaited(record, allocation);
    if (!aside && aside.error().is(Errc::not_found) && left != nullptr && left->allocations.at(allocation) != now)
      co_return fail(Errc::not_found, "the output of the run of {} before is still to be fetched from {}", allocation,
                     left->peer);
    if (!aside && aside.error().is(Errc::not_found) && rest != record.rests.rend())
      co_return fail(Errc::not_found, "the output of the run of {} before is not here: {}", allocation,
                     why_incomplete(*rest));
    if (!aside && aside.error().is(Errc::not_found))
      co_return fail(Errc::not_found, "no output of an earlier run of {} is kept", allocation);
    CO_TRY(run, std::move(aside));
    request.allocation_name += OutputStore::kPrevious;
  }
  Task<Result<LogPage>> reading = stored_page(output, record, std::move(request));
  CO_TRY(LogPage page, co_await std::move(reading));
  if (const Rest* rest = find_rest(record, allocation, run)) page.incomplete = why_incomplete(*rest);
  if (const Superseded* left = find_awaited(record, allocation);
      left != nullptr && left->allocations.at(allocation) == run)
    page.incomplete = fmt::format("it is still to be fetched from {}", left->peer);
  page.incarnation = std::move(run);
  co_return std::move(page);
}

std::unexpected<Error> without_machine(const std::string& allocation) {
  return fail(Errc::not_found, "{} has no machine at this moment", allocation);
}

Result<actor::Handle> Collector::provider_of(const std::string& allocation) const {
  const AllocationManifest* entry = parts_.allocation(allocation);
  const NodeManifest* node = entry == nullptr ? nullptr : parts_.node(entry->node_id);
  if (node == nullptr) return without_machine(allocation);
  return node->handle;
}

Task<Result<Collector::Hold>> Collector::hold(std::string allocation) {
  while (held_.contains(allocation)) {
    const std::uint64_t seen = let_go_.count();
    CO_TRY_VOID(co_await let_go_.wait_past(seen));
  }
  held_.insert(allocation);
  co_return Hold(*this, std::move(allocation));
}

void Collector::let_go(const std::string& allocation) {
  held_.erase(allocation);
  let_go_.raise();
}

Task<void> Collector::close() {
  closed_ = true;
  const Mutex::Lock written = co_await writing_.lock();
}

Result<void> Collector::check_open() const {
  if (closed_) return fail(Errc::closed, "deployment {} is not held any more", parts_.id());
  return {};
}

Task<Result<void>> Collector::append(std::string files, Stream stream, std::uint64_t offset, Bytes data, bool durably) {
  {
    const Mutex::Lock writing = co_await writing_.lock();
    CO_TRY_VOID(check_open());
    CO_TRY_VOID(co_await parts_.output.append(parts_.id(), files, stream, offset, std::move(data)));
  }
  if (!durably) co_return Result<void>();
  Task<Result<void>> syncing = sync(std::move(files), stream);
  co_return co_await std::move(syncing);
}

Task<Result<void>> Collector::sync(std::string files, Stream stream) {
  const Mutex::Lock writing = co_await writing_.lock();
  CO_TRY_VOID(check_open());
  co_return co_await parts_.output.sync(parts_.id(), std::move(files), stream);
}

Task<Result<void>> Collector::fetch(std::string allocation, bool whole) {
  CO_TRY(const Hold held, co_await hold(allocation));
  const AllocationManifest* entry = parts_.allocation(allocation);
  if (entry == nullptr) co_return fail(Errc::not_found, "there is no allocation '{}'", allocation);
  if (is_final(entry->status) && entry->collected) co_return Result<void>();  // meanwhile
  Source source;
  source.run = entry->incarnation;
  CO_TRY(source.provider, provider_of(allocation));
  source.files = allocation;
  source.allocation = std::move(allocation);
  co_return co_await fetch_files(source, whole);
}

Task<Result<void>> Collector::fetch_superseded(std::string allocation, std::string run, actor::Handle provider,
                                               bool whole, SteadyTime until) {
  CO_TRY(const Hold held, co_await hold(allocation));
  if (!is_awaited(parts_.record.get(), allocation, run)) co_return Result<void>();  // a later run is, meanwhile
  Source source;
  source.run = std::move(run);
  source.provider = std::move(provider);
  source.allocation = std::move(allocation);
  source.until = std::max(until, parts_.now() + kPageAnswer);  // others may have held the files for long
  co_return co_await fetch_earlier(source, whole);
}

Task<Result<void>> Collector::fetch_rest(std::string allocation, std::string run) {
  CO_TRY(const Hold held, co_await hold(allocation));
  const Rest* rest = find_rest(parts_.record.get(), allocation, run);
  if (rest == nullptr || !rest->missing.empty()) co_return Result<void>();
  const auto left = std::ranges::find(parts_.record->superseded, rest->number, &Superseded::number);
  const AllocationManifest* entry = parts_.allocation(allocation);
  Source source;
  if (left != parts_.record->superseded.end()) {
    source.provider = left->handle;
    if (const auto next = left->allocations.find(allocation); next != left->allocations.end())
      source.next = next->second;
  } else if (rest->number > 0 || entry == nullptr || (is_final(entry->status) && entry->collected)) {
    co_return fail(Errc::unsupported, "its provider was asked to release {}", allocation);
  } else {
    CO_TRY(source.provider, provider_of(allocation));
  }
  source.run = std::move(run);
  source.allocation = std::move(allocation);
  source.replaced = true;
  source.until = parts_.now() + kPageAnswer;  // others wait for the files; the next call goes on
  co_return co_await fetch_earlier(source, true);
}

/// Where the output of a run belongs that may not be the last one.
Task<Result<void>> Collector::fetch_earlier(Source& source, bool whole) {
  source.files = source.allocation;
  const AllocationManifest* entry = parts_.allocation(source.allocation);
  const auto kept = parts_.record->outputs.find(source.allocation);
  const auto is_kept = [&](const std::string& run) {
    return !run.empty() && run != source.run && kept != parts_.record->outputs.end() && kept->second == run;
  };
  const bool is_late = (entry != nullptr && is_kept(entry->incarnation)) || is_kept(source.next);
  if (!is_late) co_return co_await fetch_files(source, whole);
  const Result<std::string> aside = co_await parts_.output.previous_run(parts_.id(), source.allocation);
  const bool is_aside = aside && *aside == source.run;
  source.files += is_aside ? OutputStore::kPrevious : OutputStore::kLate;
  if (is_aside) co_return co_await fetch_streams(source, whole);
  co_return co_await fetch_late(source, whole);
}

/// What has come of it is kept, if that is not all.
Task<Result<void>> Collector::fetch_late(const Source& source, bool whole) {
  {
    const Mutex::Lock writing = co_await writing_.lock();
    CO_TRY_VOID(check_open());
    CO_TRY_VOID(co_await parts_.output.begin_late(parts_.id(), source.allocation, source.run));
  }
  const Result<void> fetched = co_await fetch_streams(source, whole);
  const Mutex::Lock writing = co_await writing_.lock();
  CO_TRY_VOID(check_open());
  CO_TRY_VOID(co_await parts_.output.end_late(parts_.id(), source.allocation));
  co_return fetched;
}

Task<Result<void>> Collector::begin(std::string allocation, std::string run) {
  const Mutex::Lock writing = co_await writing_.lock();
  CO_TRY_VOID(check_open());
  std::string before;
  if (const auto kept = parts_.record->outputs.find(allocation); kept != parts_.record->outputs.end())
    before = kept->second;
  CO_TRY_VOID(co_await parts_.output.begin(parts_.id(), allocation, std::move(before)));
  const auto change = [&](DeploymentRecord& record) { record.outputs[allocation] = run; };
  co_return co_await parts_.record.update(change);
}

bool Collector::is_wanted(const std::string& allocation, const std::string& run) const {
  const AllocationManifest* entry = parts_.allocation(allocation);
  const Rest* rest = find_rest(parts_.record.get(), allocation, run);
  return (entry != nullptr && entry->incarnation == run) || is_awaited(parts_.record.get(), allocation, run) ||
         (rest != nullptr && rest->missing.empty());
}

Task<Result<void>> Collector::fetch_files(const Source& source, bool whole) {
  if (const auto kept = parts_.record->outputs.find(source.allocation);
      kept == parts_.record->outputs.end() || kept->second != source.run) {
    Task<Result<void>> beginning = begin(source.allocation, source.run);
    CO_TRY_VOID(co_await std::move(beginning));
  }
  CO_TRY_VOID(co_await fetch_streams(source, whole));
  const AllocationManifest* entry = parts_.allocation(source.allocation);
  if (!whole || entry == nullptr || entry->incarnation != source.run) co_return Result<void>();
  co_return co_await fetch_all_results(source);
}

Task<Result<void>> Collector::fetch_all_results(const Source& source) {
  if (!granted_results(parts_.record.get(), source.allocation)) co_return Result<void>();
  const SteadyTime begun = parts_.now();
  CO_TRY(const Places::Place place, co_await results_.take(source.provider.address.host));
  if (const auto sent = sent_.find(source.provider.address.host); sent != sent_.end() && sent->second > begun)
    reached_[source.allocation] = sent->second;
  std::function<void()> reached = [this, &source] { note_sent(source); };
  co_return co_await fetch_results(parts_, source.allocation, source.run, source.provider, std::move(reached));
}

void Collector::note_sent(const Source& source) {
  reached_[source.allocation] = sent_[source.provider.address.host] = parts_.now();
}

Task<Result<void>> Collector::fetch_streams(const Source& source, bool whole) {
  CO_TRY_VOID(co_await fetch_stream(source, Stream::out, whole));
  co_return co_await fetch_stream(source, Stream::err, whole);
}

SteadyTime Collector::reached(const std::string& allocation) const {
  const auto found = reached_.find(allocation);
  return found == reached_.end() ? SteadyTime() : found->second;
}

Task<Result<void>> Collector::fetch_stream(const Source& source, Stream stream, bool whole) {
  const TaskContext context = co_await this_task();
  Nursery writer(*context.lane, "output", context.scope);
  std::optional<Result<void>> written;
  Task<Result<void>> fetching = fetch_pages(source, stream, whole, writer, written);
  const Result<void> fetched = co_await std::move(fetching);
  co_await writer.join();
  if (written) CO_TRY_VOID(*std::move(written));
  if (!written && !(fetched && whole)) co_return fetched;
  Task<Result<void>> syncing = sync(source.files, stream);  // if whole, also of what an earlier fetch has written
  const Result<void> synced = co_await std::move(syncing);
  co_return fetched ? synced : fetched;
}

/// While `writer` stores a page, the next one is requested; `written` is how that ended.
Task<Result<void>> Collector::fetch_pages(const Source& source, Stream stream, bool whole, Nursery& writer,
                                          std::optional<Result<void>>& written) {
  const std::string name(to_string(stream));
  const std::string& allocation = source.allocation;
  CO_TRY(std::uint64_t position, co_await parts_.output.position(parts_.id(), source.files, stream));
  const SteadyTime begun = parts_.now();
  int poor = 0;
  std::size_t unsynced = 0;
  Duration patience = kPageAnswer;
  for (std::uint64_t fetched = 0;;) {
    std::string run = source.replaced ? source.run : "";
    Task<Result<AllocationLogsResponse>> asking = parts_.providers.page(
        ProviderClient::Reader::collector, source.provider, allocation, name, position, kLogPage, std::move(run));
    const SteadyTime until = std::min(source.until, parts_.now() + patience);
    Result<AllocationLogsResponse> answered = co_await with_deadline(until, std::move(asking));
    if (!answered && answered.error().is(Errc::deadline_exceeded) && patience == kPageAnswer &&
        parts_.now() < source.until) {
      patience = kLongestFetch;  // a request has its own limit
      continue;
    }
    CO_TRY(AllocationLogsResponse page, std::move(answered));
    const bool another = !page.incarnation.empty() && page.incarnation != source.run;
    if (another || !is_wanted(allocation, source.run))
      co_return fail(Errc::not_found, "{} was started anew while its output was fetched", allocation);
    const bool gap = page.offset > position;  // also at the end
    position = page.next_offset;
    fetched += page.data.size();
    const bool sent = !page.data.empty();
    if (page.data.size() < kPoorPage) ++poor;
    co_await writer.join();
    if (written && !*written) co_return *written;
    if (sent || gap) {
      unsynced += page.data.size();
      const bool durably = unsynced >= kSyncEvery;
      if (durably) unsynced = 0;
      Task<Result<void>> appending = append(source.files, stream, page.offset, std::move(page.data), durably);
      writer.spawn(dms::detail::store_result(std::move(appending), written));
    }
    if (sent) note_sent(source);
    const bool more = position < page.total_size && fetched < kMaxStored;
    if (more && poor >= kMaxPoorPages)
      co_return fail(Errc::invalid_argument, "the provider sends the {} of {} in pages of a few bytes", name,
                     allocation);
    if (more && parts_.now() - begun >= kLongestFetch)
      co_return fail(Errc::deadline_exceeded, "the {} of {} is not here completely after {} min", name, allocation,
                     kLongestFetch / 1min);
    if (more && parts_.now() >= source.until)
      co_return fail(Errc::deadline_exceeded, "the {} of {} is longer than there is time for", name, allocation);
    if (more) continue;
    if (position < page.total_size && whole)
      co_return fail(Errc::invalid_argument, "the {} of {} has no end after {} bytes", name, allocation, fetched);
    if (whole && !page.eof)
      co_return fail(Errc::not_found, "the provider has not stored the end of the {} of {} yet", name, allocation);
    co_return Result<void>();
  }
}

Task<Result<void>> Collector::keep(const Hold& hold, std::string run, Bytes out, Bytes err) {
  const auto kept = parts_.record->outputs.find(hold.allocation_);
  if (kept != parts_.record->outputs.end() && kept->second != run) {
    Task<Result<void>> beginning = begin(hold.allocation_, run);
    CO_TRY_VOID(co_await std::move(beginning));
  }
  const Mutex::Lock writing = co_await writing_.lock();
  CO_TRY_VOID(check_open());
  co_return co_await parts_.output.write(parts_.id(), hold.allocation_, std::move(out), std::move(err));
}

Task<Result<void>> Collector::tail(std::string allocation) {
  CO_TRY(const actor::Handle provider, provider_of(allocation));
  CO_TRY(AllocationLogsResponse reply, co_await parts_.providers.logs(provider, allocation));
  CO_TRY(const Hold held, co_await hold(allocation));
  // If it ended while the reply was in transit, the notice contained the whole output.
  const AllocationManifest* entry = parts_.allocation(allocation);
  if (entry == nullptr || is_final(entry->status)) co_return Result<void>();
  std::string run = entry->incarnation;
  co_return co_await keep(held, std::move(run), std::move(reply.out), std::move(reply.err));
}

Task<Result<std::filesystem::path>> Collector::folder(std::string allocation) {
  const AllocationManifest* entry = parts_.allocation(allocation);
  CO_TRY_VOID(check_allocation(parts_.record.get(), allocation));
  if (entry == nullptr) co_return co_await parts_.output.find(parts_.id(), allocation);  // an update has removed it
  const bool pages = entry->lease_ns > 0;
  const bool earlier = !is_placed(*entry) && parts_.record->outputs.contains(allocation);  // of a run before
  if (!earlier && !is_placed(*entry) && !is_final(entry->status)) co_return without_machine(allocation);
  if (!earlier && (!is_final(entry->status) || (pages && !entry->collected))) {
    Task<Result<void>> fetching = pages ? fetch(allocation, false) : tail(allocation);
    CO_TRY_VOID(co_await std::move(fetching));
  }
  co_return co_await parts_.output.find(parts_.id(), allocation);
}

/// A page of what is stored of work that has not ended: more comes.
static Task<Result<LogPage>> stored_so_far(OutputStore& output, const DeploymentRecord& record,
                                           DeploymentLogsRequest request) {
  Task<Result<LogPage>> reading = stored_page(output, record, std::move(request));
  CO_TRY(LogPage page, co_await std::move(reading));
  page.eof = false;
  co_return std::move(page);
}

Task<Result<LogPage>> Collector::tail_page(DeploymentLogsRequest request) {
  const std::string allocation = request.allocation_name;
  if (request.offset == 0) {
    Task<Result<void>> fetching = tail(allocation);
    CO_TRY_VOID(co_await std::move(fetching));
  }
  CO_TRY(LogPage page, co_await stored_page(parts_.output, parts_.record.get(), std::move(request)));
  const AllocationManifest* entry = parts_.allocation(allocation);
  if (entry == nullptr || !is_final(entry->status)) page.eof = false;
  co_return std::move(page);
}

Task<Result<LogPage>> Collector::page(DeploymentLogsRequest request) {
  CO_TRY_VOID(parse_stream(request.stream));
  const AllocationManifest* entry = parts_.allocation(request.allocation_name);
  CO_TRY_VOID(check_allocation(parts_.record.get(), request.allocation_name));
  if (entry == nullptr || (is_final(entry->status) && entry->collected)) {  // or an update has removed it
    Task<Result<LogPage>> reading = stored_page(parts_.output, parts_.record.get(), std::move(request));
    co_return co_await std::move(reading);
  }
  const auto kept = parts_.record->outputs.find(request.allocation_name);
  if (!is_placed(*entry) && kept != parts_.record->outputs.end()) {
    const Superseded* left = find_awaited(parts_.record.get(), request.allocation_name);
    if (left != nullptr && left->allocations.at(request.allocation_name) != kept->second)
      co_return fail(Errc::not_found,
                     "{} has no machine at this moment; the output of its last run is still to be fetched from {}",
                     request.allocation_name, left->peer);
    Task<Result<LogPage>> reading = stored_so_far(parts_.output, parts_.record.get(), std::move(request));
    co_return co_await std::move(reading);  // it runs again once it has a machine
  }
  if (!is_placed(*entry) && !is_final(entry->status)) co_return without_machine(request.allocation_name);
  if (entry->lease_ns == 0) {
    Task<Result<LogPage>> reading = tail_page(std::move(request));
    co_return co_await std::move(reading);
  }
  const std::string run = entry->incarnation;
  CO_TRY(const actor::Handle provider, provider_of(request.allocation_name));
  const bool ends = parts_.record->restarting.contains(request.allocation_name);  // its provider may have the next one
  std::string named = ends ? run : "";
  Task<Result<AllocationLogsResponse>> asking =
      parts_.providers.page(ProviderClient::Reader::user, provider, request.allocation_name, request.stream,
                            request.offset, request.max_bytes, std::move(named));
  Result<AllocationLogsResponse> answered = co_await with_timeout(kPageAnswer, std::move(asking));
  entry = parts_.allocation(request.allocation_name);
  const auto stored = parts_.record->outputs.find(request.allocation_name);
  if (!answered && ends && entry != nullptr && entry->incarnation == run && stored != parts_.record->outputs.end() &&
      stored->second == run) {
    Task<Result<LogPage>> reading = stored_so_far(parts_.output, parts_.record.get(), std::move(request));
    co_return co_await std::move(reading);
  }
  if (!answered && answered.error().is(Errc::deadline_exceeded))
    co_return fail(answered.error(), "the provider has sent no page of the output of {}", request.allocation_name);
  CO_TRY(AllocationLogsResponse reply, std::move(answered));
  if (reply.incarnation.empty()) reply.incarnation = run;
  if (ends) reply.eof = false;  // the next one comes
  co_return static_cast<LogPage&&>(std::move(reply));
}

}  // namespace dms::orchestrator

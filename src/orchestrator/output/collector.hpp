// Brings the output of allocations to this disk, and serves it.
//
// Model
//  1. fetch() requests pages from the provider, from where the files end (output_store.hpp) to the end of what was
//     written, or as far as the run has come; at most kMaxStored bytes of a stream at once. A page is stored while the
//     next one is requested, so a crash in between costs at most two, and one of the machine kSyncEvery more; what has
//     come is durable at the end of a fetch. A fetch fails after kMaxPoorPages pages with less than kPoorPage bytes
//     that are not the last one, and after kLongestFetch; what came is kept, the next fetch goes on from there. The
//     first page that has not come after kPageAnswer is requested again, and from then on pages may take as long as
//     their requests last.
//  2. The files hold the output of one run, DeploymentRecord::outputs says which. fetch() for another run begins anew;
//     what they held is set aside (output_store.hpp, 7).
//  3. page() serves the pages of a run that has ended from the disk, once all of it is there, and those of another from
//     its provider. While an allocation has no machine, page() serves what is stored of the run before, and an error
//     while only that of an older one is; of one that an update has removed, what was stored.
//     While a restart is requested, the run is asked for by its name, since its provider may have the next one; if its
//     provider does not send the page, what is stored of it is served.
//  4. A page names the run that it is of. What a provider's page says of another run than the record's is not stored:
//     the renewals find out which one counts.
//  5. A provider without leases serves no pages: tail() stores the last bytes of both streams instead. Their pages are
//     served from the disk; the first one fetches anew.
//  6. The files of an allocation are changed by the holder of its Hold only. Who stores output that came whole holds
//     them until the record says so, so that no fetch begins anew what is complete.
//  7. Of a run that is superseded, fetch_superseded() brings the output where it belongs: to that of its allocation if
//     nothing newer is stored there, otherwise in the place of that of the run before.
//     fetch_rest() does so with what a run has written last that was restarted; that belongs to what was set aside, if
//     the next run's is stored already.
//  8. After close() no file is written; it waits for the write that has begun.
//  9. The results of kRequestsAtOnce allocations of a machine are fetched at the same time, those of the others wait
//     for their turn; so do pages (provider_client.hpp). What waits counts as sent while its provider sends others.
//
// Threads: the deployment's lane; fetches of one allocation wait for each other. Failure: Errc::io is this node's disk,
// everything else the provider's. Attacks: each page costs a round trip and a write, so a provider that sends a few
// bytes in each fails with Errc::invalid_argument, which does not count as progress (endings.hpp).
#pragma once

#include <set>

#include "orchestrator/deployment/parts.hpp"
#include "protocol/deployment.hpp"
#include "runtime/mutex.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kPoorPage = 4096;
inline constexpr int kMaxPoorPages = 64;
inline constexpr std::size_t kSyncEvery = std::size_t{8} << 20;  ///< bytes, since a sync takes as long as many pages
inline constexpr Duration kLongestFetch = 1h;                    ///< of one stream
/// How long a user waits for a page from a provider, and a fetch for its first late one: a reply that was lost with a
/// connection does not come.
inline constexpr Duration kPageAnswer = 20s;

class Collector {
 public:
  explicit Collector(Parts parts) : parts_(parts) {}

  /// See (6). Does not outlive the collector.
  class Hold {
   public:
    Hold(Hold&& other) noexcept
        : collector_(std::exchange(other.collector_, nullptr)), allocation_(std::move(other.allocation_)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (collector_ != nullptr) collector_->let_go(allocation_);
    }

   private:
    friend class Collector;
    Hold(Collector& collector, std::string allocation) : collector_(&collector), allocation_(std::move(allocation)) {}
    Collector* collector_;
    std::string allocation_;
  };
  Task<Result<Hold>> hold(std::string allocation);
  Task<void> close();
  [[nodiscard]] bool is_held(const std::string& allocation) const { return held_.contains(allocation); }

  /// A success without a request if all of it is here, as the record says. `whole`: the run has ended, a stream without
  /// an end is an error, and results are fetched too (results.hpp).
  Task<Result<void>> fetch(std::string allocation, bool whole);
  /// The output of a run that a Superseded entry names in `unfetched`; as far as `until`. Results are fetched if the
  /// manifest still has the run.
  Task<Result<void>> fetch_superseded(std::string allocation, std::string run, actor::Handle provider, bool whole,
                                      SteadyTime until);
  /// All of a run that a restart has ended, and of which the record has a rest; from the provider of the superseded
  /// entry that the rest names, if it does. Errc::permission_denied and unsupported: it will not come.
  Task<Result<void>> fetch_rest(std::string allocation, std::string run);
  /// When its provider has last sent a part of the output, or said that it is packing the results.
  [[nodiscard]] SteadyTime reached(const std::string& allocation) const;
  /// Stores the output of `run` that came whole.
  Task<Result<void>> keep(const Hold& hold, std::string run, Bytes out, Bytes err);
  /// The folder with the files, brought up to date.
  Task<Result<std::filesystem::path>> folder(std::string allocation);
  Task<Result<protocol::LogPage>> page(protocol::DeploymentLogsRequest request);

 private:
  /// A run's output, and where it is stored.
  struct Source {
    std::string allocation;
    std::string run;
    actor::Handle provider;
    std::string files;  ///< as OutputStore names them: the allocation, or what is kept beside it
    SteadyTime until = SteadyTime::max();
    bool replaced = false;  ///< by a restart: its pages are asked for by its name
    std::string next;       ///< the run that has replaced it, if both are superseded
  };
  void let_go(const std::string& allocation);
  [[nodiscard]] Result<void> check_open() const;
  Task<Result<void>> begin(std::string allocation, std::string run);
  Task<Result<void>> append(std::string files, Stream stream, std::uint64_t offset, Bytes data, bool durably);
  Task<Result<void>> sync(std::string files, Stream stream);
  [[nodiscard]] bool is_wanted(const std::string& allocation, const std::string& run) const;
  Task<Result<void>> fetch_earlier(Source& source, bool whole);
  Task<Result<void>> fetch_late(const Source& source, bool whole);
  Task<Result<void>> fetch_files(const Source& source, bool whole);
  Task<Result<void>> fetch_streams(const Source& source, bool whole);
  Task<Result<void>> fetch_all_results(const Source& source);
  void note_sent(const Source& source);
  Task<Result<void>> fetch_stream(const Source& source, Stream stream, bool whole);
  Task<Result<void>> fetch_pages(const Source& source, Stream stream, bool whole, Nursery& writer,
                                 std::optional<Result<void>>& written);
  Task<Result<void>> tail(std::string allocation);
  Task<Result<protocol::LogPage>> tail_page(protocol::DeploymentLogsRequest request);
  [[nodiscard]] Result<actor::Handle> provider_of(const std::string& allocation) const;

  Parts parts_;
  std::set<std::string> held_;
  std::map<std::string, SteadyTime> reached_;
  std::map<std::string, SteadyTime> sent_;  ///< when a machine has last sent a part of any output
  Places results_{kRequestsAtOnce};
  Signal let_go_;
  Mutex writing_;  ///< held while files are changed
  bool closed_ = false;
};

/// What follows it in DeploymentLogsRequest::stream is a stream of the run before the current one.
inline constexpr std::string_view kPreviousStream = "previous:";
/// A page of it, as far as it has been fetched; Errc::not_found if nothing of an earlier run is kept, or is here.
Task<Result<protocol::LogPage>> previous_page(OutputStore& output, const DeploymentRecord& record,
                                              protocol::DeploymentLogsRequest request);

/// A page of what is stored of an allocation that has ended.
Task<Result<protocol::LogPage>> stored_page(OutputStore& output, const DeploymentRecord& record,
                                            protocol::DeploymentLogsRequest request);

}  // namespace dms::orchestrator

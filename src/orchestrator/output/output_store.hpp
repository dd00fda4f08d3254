// The output of a deployment's allocations, stored on the orchestrator's disk.
//
// Model
//  1. An allocation's output is two files, stdout.log and stderr.log, in
//     `<work_dir>/deployments/<deployment>/<allocation>`: of one run at a time, the caller's record says which.
//  2. A stream grows by pages, which sync() makes durable. position() is the offset of the stream from which the next
//     page is wanted; it follows from the length of the file, so it survives a crash at any instant. A crash of the
//     daemon takes no page; one of the machine takes those at the end that were not durable.
//  3. Bytes that the provider no longer has are marked in the file by a line "[N bytes were dropped here]". Where those
//     marks are is kept beside it (`<stream>.gaps`), written before the mark: offsets of the stream and of the file
//     differ behind one. read() answers in offsets of the stream and leaves the marks out: a page that starts after the
//     requested offset says the same.
//  4. A stream that grows above kMaxStored, or a list of gaps above 8,192 entries, is shortened to its newest half,
//     behind a mark. A crash meanwhile costs nothing.
//  5. write() replaces both files whole: for providers whose output comes in one message.
//  6. The output of a deployment is removed with its record.
//  7. Of the runs before, the output of the last one that wrote something is kept beside it, in `previous`, with the
//     name of that run in `run`. It is set aside in `previous.new`, which begin() for the same run continues after a
//     crash or a failure at any instant.
//  8. The output of a run that comes when that of the next one is stored already is collected in `late`, with the name
//     of its run: begin_late() for the same run continues it. end_late() puts it in the place of `previous`, unless it
//     is empty.
//
// Threads: every call is awaited on the orchestrator's lane; the files are read and written on worker threads. Changes
// of one stream are made one at a time. Failure: Errc::io names the file; a page of which only a part fitted on the
// disk continues behind that part. Attacks: both parts of the path are ids that the ensemble's and the deployment's
// checks have limited to safe file names; a stream is one of two. A provider that writes without end, or leaves a gap
// before each byte, fills no more than (4) allows.
#pragma once

#include <filesystem>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "runtime/task.hpp"

namespace dms::orchestrator {

enum class Stream { out, err };
/// Bytes of a stream; a provider keeps fewer.
inline constexpr std::uint64_t kMaxStored = std::uint64_t{256} << 20;
/// "stdout" or "stderr".
std::string_view to_string(Stream stream);
/// Errc::invalid_argument for another name.
Result<Stream> parse_stream(std::string_view name);

/// A part of a stored stream, in its own offsets.
struct StoredPage {
  std::uint64_t offset = 0;
  std::uint64_t total_size = 0;
  Bytes data;
};

class OutputStore {
 public:
  /// In an allocation's folder; behind an allocation's name, the allocation of read() for what is set aside.
  static constexpr std::string_view kPrevious = "/previous";

  /// Likewise, of (8).
  static constexpr std::string_view kLate = "/late";

  explicit OutputStore(const std::filesystem::path& work_dir, std::uint64_t max_stored = kMaxStored)
      : root_(work_dir / "deployments"), max_stored_(max_stored) {}

  [[nodiscard]] std::filesystem::path folder(std::string_view deployment, std::string_view allocation) const;
  Task<Result<void>> write(std::string deployment, std::string allocation, Bytes out, Bytes err);
  /// Makes empty files for a run's output; what the run `before` has written is set aside (7).
  Task<Result<void>> begin(std::string deployment, std::string allocation, std::string before);
  Task<Result<void>> begin_late(std::string deployment, std::string allocation, std::string run);
  Task<Result<void>> end_late(std::string deployment, std::string allocation);
  /// Whether the current files hold anything.
  Task<Result<bool>> has_output(std::string deployment, std::string allocation);
  /// The run whose output is set aside; Errc::not_found if there is none.
  Task<Result<std::string>> previous_run(std::string deployment, std::string allocation);
  Task<Result<std::uint64_t>> position(std::string deployment, std::string allocation, Stream stream);
  /// `data` begins at `offset` of the stream, which is not before position().
  Task<Result<void>> append(std::string deployment, std::string allocation, Stream stream, std::uint64_t offset,
                            Bytes data);
  /// What was appended is on disk then.
  Task<Result<void>> sync(std::string deployment, std::string allocation, Stream stream);
  Task<Result<StoredPage>> read(std::string deployment, std::string allocation, Stream stream, std::uint64_t offset,
                                std::size_t max_bytes);
  /// Errc::not_found if none is stored.
  Task<Result<std::filesystem::path>> find(std::string deployment, std::string allocation);
  Task<Result<void>> remove(std::string deployment);
  /// Removes what a daemon that was killed while it wrote has left of a deployment. Before anything else is called for it.
  Task<void> remove_unfinished(std::string deployment);

 private:
  std::filesystem::path root_;
  std::uint64_t max_stored_;
};

}  // namespace dms::orchestrator

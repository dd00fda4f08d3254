// One output stream of an execution, kept on disk in segments: the newest bytes are kept, the oldest are dropped.
//
// Model
//  1. The log `stdout.log` of a folder is its files `stdout.log.<offset>`: a segment each, named by the offset of its
//     first byte, counted from the first byte of the run. `stdout.log` itself is another name (a hard link) of the
//     newest segment, for people. Nothing is ever copied: rotation begins a new file and removes the oldest.
//  2. At least the newest `limit` bytes are kept, and at most one segment (an eighth of the limit) more.
//  3. Where bytes are missing between two segments they were not written (a full disk). They count in the total.
//  4. Of a writer that was killed, what it had not copied yet is lost: the reader cannot tell, so mark_lost_end() says it
//     in the log.
//  5. Reading needs no agreement with the writer, which may be another process: a page is read from the segments that
//     exist now.
//
// Threads: any, one at a time per LogFile; reading from any thread. All block on the disk, so a lane offloads them.
// Failure: writing never fails: what cannot be written is counted. Attacks: the folder may be writable by the work: no
// link is followed, only regular files are read, and names that are no offsets are ignored.
#pragma once

#include <deque>
#include <filesystem>
#include <string>

#include "executor/executor.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

inline constexpr std::string_view kOutLog = "stdout.log";
inline constexpr std::string_view kErrLog = "stderr.log";

class LogFile {
 public:
  /// fresh: removes what an earlier run left. resume: goes on where the newest segment ends.
  enum class Begin { fresh, resume };
  static Result<LogFile> open(const std::filesystem::path& folder, std::string_view name, std::uint64_t limit,
                              Begin begin = Begin::fresh);

  void write(BytesView bytes);
  /// Counts bytes that were not written.
  void miss(std::uint64_t bytes);
  /// Of the run so far, dropped bytes included.
  [[nodiscard]] std::uint64_t total() const { return total_; }
  /// Bytes that are no longer in the files, or never were.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Segment {
    std::uint64_t start = 0;
    std::uint64_t size = 0;
  };
  LogFile(Fd folder, std::string_view name, std::uint64_t limit);
  Result<void> clear();
  Result<void> resume();
  bool begin_segment();
  void drop_oldest();
  [[nodiscard]] std::string file_of(const Segment& segment) const;

  Fd folder_;
  std::string name_;
  std::uint64_t limit_;
  std::uint64_t segment_bytes_;
  Fd file_;                       // the newest segment
  std::deque<Segment> segments_;  // oldest first
  std::uint64_t kept_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t dropped_ = 0;
  bool gap_ = false;  // the last bytes were not written
};

/// At most `max_bytes` of a log from `offset` on, or from the next byte that is kept. Empty if there is no such log.
LogPage read_log_page(const std::filesystem::path& folder, std::string_view name, std::uint64_t offset,
                      std::size_t max_bytes);
/// The line that ends the log of a writer that was killed.
inline constexpr std::string_view kLostEnd = "[the end of the output may be missing: its writer was killed]\n";
/// Ends a log with that line, once. Only while it has no writer. The bytes of the log since its begin; 0 if there is none.
std::uint64_t mark_lost_end(const std::filesystem::path& folder, std::string_view name, std::uint64_t limit);
/// The last `limit` bytes, without those that were dropped.
std::string read_log_tail(const std::filesystem::path& folder, std::string_view name, std::size_t limit);

}  // namespace dms::executor

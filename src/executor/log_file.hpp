// One output stream of an execution, written to a file up to a limit. Beyond it output is dropped and a last line in
// the file reports that.
//
// Threads: any, one at a time. write() blocks on the disk, so a lane offloads it.
#pragma once

#include <filesystem>
#include <memory>

#include "runtime/process.hpp"

namespace dms::executor {

class LogFile {
 public:
  /// Creates or empties the file. Never follows a link: the folder may be writable by the work.
  static Result<LogFile> open(const std::filesystem::path& path, std::uint64_t limit);

  /// Writes what fits. A full disk counts as the limit. Never fails: a full disk must not stop the execution.
  void write(BytesView bytes);
  [[nodiscard]] bool full() const { return full_; }
  /// Bytes that were dropped.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  LogFile(Fd fd, std::uint64_t limit) : fd_(std::move(fd)), limit_(limit), left_(limit) {}
  bool put(BytesView bytes);
  Fd fd_;
  std::uint64_t limit_;
  std::uint64_t left_;
  std::uint64_t dropped_ = 0;
  bool full_ = false;
};

/// Copies a stream to its end into the log; the bytes dropped.
Task<std::uint64_t> copy_to_log(std::unique_ptr<ByteStream> from, LogFile log);

}  // namespace dms::executor

// From the engine's log of a container to the two logs of its execution, without loss or duplication over restarts.
//
// Model
//  1. The engine sends entries, a frame each (docker_stream.hpp), that begin with their time: "<RFC 3339> <bytes>". The
//     time is not part of the log.
//  2. A position of a stream is (time, offset): the entries of that time and later begin at that offset of the log. It
//     is stored after what it refers to, in `engine.position`; it may be older than the log.
//  3. After a restart the engine is asked for what is since a quarter of an hour before the older position. Entries
//     before the position are left out, and of the others as many bytes as the log has beyond it. Without a position
//     everything is replayed. If the machine's clock goes back, the position is that of the beginning from then on; the
//     quarter of an hour is what it may go back between the position and a restart.
//  4. The engine keeps a bounded log. What it dropped while no daemon ran is lost without a trace.
//
// Threads: feed() blocks on the disk. Failure: of feed(): Errc::invalid_argument on an invalid frame. An entry without
// a time, of an engine that sends none, is taken whole. Attacks: the container chooses the bytes of its entries, not
// their times.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "executor/docker/docker_stream.hpp"
#include "executor/log_file.hpp"

namespace dms::executor {

struct DockerLogPosition {
  std::int64_t time = 0;  // nanoseconds since 1970
  std::uint64_t offset = 0;
};

/// Of both streams, stdout first.
using DockerLogPositions = std::array<DockerLogPosition, 2>;

/// "2026-11-28T10:00:00.123456789Z"; nothing if it is none.
std::optional<std::int64_t> parse_log_time(std::string_view text);
/// The engine's parameter `since`: a quarter of an hour before the older position.
std::string since_of(const DockerLogPositions& positions);

/// The stored positions; those of the beginning if there are none.
DockerLogPositions read_positions(const std::filesystem::path& folder);
std::optional<DockerLogPositions> parse_positions(std::string_view text);

class DockerLog {
 public:
  /// The logs are fresh, or resumed with the stored positions.
  static Result<DockerLog> open(const std::filesystem::path& folder, std::uint64_t limit, LogFile::Begin begin);

  Result<void> feed(BytesView bytes);
  [[nodiscard]] const DockerLogPositions& positions() const { return positions_; }
  [[nodiscard]] const LogFile& log(LogStream stream) const { return stream == LogStream::out ? out_ : err_; }

 private:
  struct Entry {
    std::string head;  // its time, as far as it has arrived
    bool in_head = false;
    bool old = false;      // before the position
    bool passed = false;   // an entry that is not old has come
    bool ordered = true;   // no time was before an earlier one
    std::uint64_t at = 0;  // of the next byte in the log
  };
  DockerLog(LogFile out, LogFile err, Fd file, DockerLogPositions positions);
  void take(std::size_t stream, BytesView part, bool begins);
  void end_head(std::size_t stream);
  void write(std::size_t stream, BytesView payload);
  void store();

  LogFile out_;
  LogFile err_;
  Fd file_;  // engine.position
  DockerLogPositions positions_;
  std::array<Entry, 2> entries_;
  std::unique_ptr<DockerDemux> demux_;
};

}  // namespace dms::executor

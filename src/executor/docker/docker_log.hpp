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
//  4. The engine keeps a bounded log, and may lose the end of it when the machine fails. Where it does not have the
//     entry of a position any more, nobody knows how much is missing: a line in the log says that something is. What
//     follows is taken whole then; of what was written after the last position was stored, some may be there twice.
//  5. mark_end() says so behind what there is: of a container that the engine has lost, or does not send the log of.
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
  /// All that the engine has was fed: marks the logs whose position it has not reached.
  void mark_unreached();
  void mark_end();
  [[nodiscard]] const DockerLogPositions& positions() const { return positions_; }
  [[nodiscard]] const LogFile& log(LogStream stream) const { return stream == LogStream::out ? out_ : err_; }

 private:
  struct Entry {
    std::string head;  // its time, as far as it has arrived
    bool in_head = false;
    bool old = false;         // before the position
    bool passed = false;      // an entry that is not old has come
    bool ordered = true;      // no time was before an earlier one
    bool resumed = false;     // from a position, whose entry the engine is expected to have
    std::uint64_t at = 0;     // of the next byte in the log
    std::uint64_t begun = 0;  // the size of the log when it was opened
    std::string tail;         // of it then
  };
  DockerLog(LogFile out, LogFile err, Fd file, DockerLogPositions positions);
  void take(std::size_t stream, BytesView part, bool begins);
  void end_head(std::size_t stream);
  void write(std::size_t stream, BytesView payload);
  void mark(std::size_t stream, std::string_view line);
  void store();

  LogFile out_;
  LogFile err_;
  Fd file_;  // engine.position
  DockerLogPositions positions_;
  std::array<Entry, 2> entries_;
  std::unique_ptr<DockerDemux> demux_;
};

}  // namespace dms::executor

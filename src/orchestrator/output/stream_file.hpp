// One stream of a run's output as a file, and the gaps in it: what output_store.hpp (2) to (4) say.
//
// Model
//  1. A stream is shortened in new files: the log first (`.log.new`), then its gaps (`.gaps.new`), which then replace
//     the old ones in the same order. Killed at any instant it is the old stream or the new one: new gaps count, and
//     replace the old ones at the next look, exactly when the new log is not there, and so has replaced the old one.
//
// Threads: any, one change of a stream at a time; read() and position() may run beside it, and then see the stream
// before it, behind it, or fail with Errc::io. Calls block on the disk.
#pragma once

#include <vector>

#include "encoding/json.hpp"
#include "orchestrator/output/output_store.hpp"

namespace dms::orchestrator {

class StreamFile {
 public:
  StreamFile(std::filesystem::path folder, Stream stream, std::uint64_t max_size = kMaxStored);

  [[nodiscard]] Result<std::uint64_t> position() const;
  [[nodiscard]] Result<void> append(std::uint64_t offset, BytesView data) const;
  [[nodiscard]] Result<void> sync() const;
  [[nodiscard]] Result<StoredPage> read(std::uint64_t offset, std::size_t max_bytes) const;
  [[nodiscard]] Result<void> forget_gaps() const;

 private:
  struct Gap {
    std::uint64_t at = 0;      ///< where the mark begins in the file
    std::uint64_t mark = 0;    ///< its length
    std::uint64_t offset = 0;  ///< of the stream, behind the mark
    static constexpr auto json_fields() {
      return std::tuple(json::field("at", &Gap::at), json::field("mark", &Gap::mark),
                        json::field("offset", &Gap::offset));
    }
  };
  struct State {
    std::uint64_t size = 0;  ///< of the file
    std::vector<Gap> gaps;
    bool stale = false;  ///< the stored list names another one, whose mark a crash has cut short
    [[nodiscard]] std::uint64_t position() const {
      return gaps.empty() ? size : gaps.back().offset + (size - gaps.back().at - gaps.back().mark);
    }
  };
  /// A mark that a crash has cut short is not counted.
  [[nodiscard]] Result<State> state() const;
  [[nodiscard]] Result<void> drop_oldest(State& now) const;
  [[nodiscard]] Result<void> finish_shortening() const;

  std::filesystem::path log_;
  std::filesystem::path gaps_;
  std::filesystem::path next_log_;
  std::filesystem::path next_gaps_;
  std::uint64_t max_size_;
};

}  // namespace dms::orchestrator

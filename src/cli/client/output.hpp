// A stream of an allocation (its standard output or error, or a result), read from the daemon in pages: of a
// deployment, or of what runs on this machine, for its owner.
//
// Model
//  1. Offsets count from the first byte that the current run of the work has written. next() returns what follows
//     position() and moves it. The daemon keeps the newest output only: a page that starts later says how many bytes
//     between are gone.
//  2. A page names its run. That of another run than the first one, and of a daemon that names none a stream that has
//     become shorter, is not taken: reading starts again at the first byte of the new run, and the first piece of that
//     says so, also if the run before had written nothing. A run that was read before the present one is never gone
//     back to: its pages are as good as none. One of the present run that ends before position(), as what the daemon
//     has stored of it may, has nothing new.
//  3. The daemon of a deployment offers a ticket with a page that more follows: that comes as it is, without a signed
//     message for each page (transfer/local_pages.hpp). Once a page does not come in this way, all come in messages,
//     and the next one says why.
//  4. Every page makes progress or ends the reading: one whose offsets contradict each other is refused. Failure: what
//     the daemon replies as an error is cli::Errc::failed, no reply cli::Errc::refused; a page that cannot be used has
//     another code.
//
// Cost: one request of the daemon for a page of at most protocol::kLogPage bytes.
#pragma once

#include <set>

#include "cli/client/client.hpp"
#include "protocol/deployment.hpp"

namespace dms::cli {

class OutputStream {
 public:
  struct Piece {
    Bytes data;
    std::uint64_t missing = 0;  ///< bytes before `data` that are gone
    bool restarted = false;     ///< `data` is of a new run
  };

  /// `stream`: "stdout", "stderr", one of these behind "previous:", or "result:<name>".
  OutputStream(Client& client, std::string deployment, std::string allocation, std::string stream)
      : client_(client), request_{std::move(deployment), std::move(allocation), std::move(stream)} {}
  /// Of what runs on this machine: `name` as in protocol::AllocationInfo; `stream`: "stdout" or "stderr".
  static OutputStream of_held(Client& client, std::string name, std::string stream) {
    OutputStream held(client, "", std::move(name), std::move(stream));
    held.held_ = true;
    return held;
  }

  [[nodiscard]] const std::string& deployment() const { return request_.ensemble_id; }
  [[nodiscard]] const std::string& allocation() const { return request_.allocation_name; }
  /// Whether it is of standard error.
  [[nodiscard]] bool is_error() const { return request_.stream.ends_with("stderr"); }
  /// "the standard output of work"
  [[nodiscard]] std::string title() const {
    return fmt::format("the standard {} of {}", is_error() ? "error" : "output", allocation());
  }
  [[nodiscard]] std::uint64_t position() const { return position_; }
  /// Of the last page: the bytes written so far, and whether no more will be.
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] bool ended() const { return ended_; }
  /// Of a run before: why more of it may be missing behind the end; empty if nothing is.
  [[nodiscard]] const std::string& incomplete() const { return incomplete_; }
  /// Of a result: its SHA-256 in hex, if the daemon knows it, and whether it is a tar archive of a folder.
  [[nodiscard]] const std::string& digest() const { return digest_; }
  [[nodiscard]] bool folder() const { return folder_; }

  /// Empty data: nothing more is there yet, or the stream has ended.
  Result<Piece> next();
  /// Asks what a result is: total(), digest() and folder() are known then. The same as folder().
  Result<bool> probe_folder();
  void seek(std::uint64_t position) { position_ = position; }
  /// To the start of the last `lines` lines; returns where the last of them ends. A line without a line feed at the end
  /// of the stream counts.
  Result<std::uint64_t> seek_lines(std::uint64_t lines);

 private:
  Result<protocol::DeploymentLogsReply> ask();
  Result<protocol::DeploymentLogsReply> page(std::uint64_t offset, std::uint64_t max_bytes);
  /// What follows position(), by the ticket. Empty: nothing comes in this way. Errc::cancelled is the only error.
  Result<Bytes> next_raw();
  /// [from, to), or less at its start if that is gone. Lowers `to` if the end is not there yet.
  Result<Bytes> read_back(std::uint64_t from, std::uint64_t& to);
  [[nodiscard]] bool is_new_run(const protocol::DeploymentLogsReply& reply) const {
    if (run_.empty() || reply.incarnation.empty()) return reply.total_size < position_;
    return reply.incarnation != run_;
  }
  [[nodiscard]] bool is_past(const protocol::DeploymentLogsReply& reply) const {
    return past_.contains(reply.incarnation);
  }

  Client& client_;
  protocol::DeploymentLogsRequest request_;
  bool held_ = false;  ///< on this machine; then there is no deployment
  std::uint64_t position_ = 0;
  std::uint64_t total_ = 0;
  bool ended_ = false;
  std::string run_;             ///< that is read
  std::set<std::string> past_;  ///< runs that were read before it
  bool is_anew_ = false;        ///< nothing of it was returned yet, and the run before had nothing
  std::string incomplete_;
  std::string digest_;
  bool folder_ = false;
  std::string ticket_;  ///< for more of the last page's run, up to total()
  bool is_raw_ = true;  ///< tickets are asked for
};

/// Says how many bytes before the piece are gone, if some are.
void note_missing(Session& session, const OutputStream& stream, const OutputStream::Piece& piece);
/// To standard error what is of standard error.
void print_text(Session& session, const OutputStream& stream, std::string_view text);

}  // namespace dms::cli

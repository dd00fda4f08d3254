#include "cli/client/output.hpp"

#include <algorithm>
#include <utility>

#include "protocol/node.hpp"

namespace dms::cli {

Result<protocol::DeploymentLogsReply> OutputStream::ask() {
  if (!held_) return client_.call(protocol::kDeploymentLogs, request_);
  const protocol::OwnerLogsRequest request{request_.allocation_name, request_.stream, request_.offset,
                                           request_.max_bytes};
  TRY(auto held, client_.call(protocol::kAllocationsLogs, request));
  protocol::DeploymentLogsReply reply;
  reply.error = std::move(held.error);
  static_cast<protocol::LogPage&>(reply) = std::move(held);
  return reply;
}

Result<protocol::DeploymentLogsReply> OutputStream::page(std::uint64_t offset, std::uint64_t max_bytes) {
  request_.offset = offset;
  request_.max_bytes = max_bytes;
  request_.local = is_raw_ && max_bytes == 0;
  TRY(auto reply, ask());
  if (!reply.error.empty()) return fail(Errc::failed, "the output of {}: {}", allocation(), reply.error);
  if (!reply.written_to.empty() && reply.total_size == 0 && !reply.eof)
    return fail(dms::Errc::unsupported,
                "the daemon is of another version: it sends no output, but wrote that of {} to {}", allocation(),
                reply.written_to);
  const bool consistent = reply.data.empty() || (reply.offset >= offset && reply.next_offset <= reply.total_size &&
                                                 reply.next_offset == reply.offset + reply.data.size() &&
                                                 (max_bytes == 0 || reply.data.size() <= max_bytes));
  if (!consistent)
    return fail(dms::Errc::invalid_argument, "the output of {}: the daemon sent a page that contradicts itself",
                allocation());
  total_ = reply.total_size;
  ended_ = reply.eof;
  incomplete_ = reply.incomplete;
  digest_ = reply.digest;
  folder_ = reply.folder;
  if (run_.empty()) run_ = reply.incarnation;
  return reply;
}

Result<OutputStream::Piece> OutputStream::next() {
  Piece piece;
  TRY(piece.data, next_raw());
  if (!piece.data.empty()) return piece;
  ticket_.clear();
  auto reply = page(position_, 0);
  if (reply && is_past(*reply)) return piece;
  // A daemon may refuse to read behind the end of a new run.
  const bool another = reply && is_new_run(*reply);
  if (position_ > 0 && (another || (!reply && reply.error().is(Errc::failed)))) {
    auto first = page(0, 0);
    if (another && !first) return std::unexpected(first.error());
    if (first && is_past(*first)) return piece;
    if (first && (another || is_new_run(*first))) {
      piece.restarted = true;
      position_ = 0;
      reply = std::move(first);
    } else {
      ended_ = false;  // what was read was the beginning
    }
  }
  if (!reply) return std::unexpected(reply.error());
  if (!reply->incarnation.empty() && reply->incarnation != run_) {
    if (!run_.empty()) {
      past_.insert(run_);
      is_anew_ = !piece.restarted;
    }
    run_ = reply->incarnation;
  }
  if (!reply->data.empty() || ended_) {
    const std::uint64_t start = reply->data.empty() ? std::max(total_, position_) : reply->offset;
    piece.missing = start - position_;
    position_ = start + reply->data.size();
  }
  piece.data = std::move(reply->data);
  if (!piece.data.empty() || piece.missing > 0) piece.restarted |= std::exchange(is_anew_, false);
  ticket_ = std::move(reply->ticket);
  return piece;
}

Result<Bytes> OutputStream::next_raw() {
  if (ticket_.empty() || position_ >= total_) return Bytes();
  auto data = client_.read_page(ticket_, position_);
  if (!data && data.error().is(dms::Errc::cancelled)) return data;
  if (!data || data->size() > total_ - position_) {
    is_raw_ = false;
    return Bytes();
  }
  position_ += data->size();
  return data;
}

Result<bool> OutputStream::probe_folder() {
  TRY([[maybe_unused]] const auto first, page(0, 1));
  return folder_;
}

Result<Bytes> OutputStream::read_back(std::uint64_t from, std::uint64_t& to) {
  Bytes window;
  for (std::uint64_t at = from; at < to;) {
    TRY(const auto reply, page(at, to - at));
    if (reply.offset > at) window.clear();
    if (reply.data.empty()) {
      to = at;  // the rest is not there yet
      break;
    }
    window.insert(window.end(), reply.data.begin(), reply.data.end());
    at = reply.next_offset;
  }
  return window;
}

Result<std::uint64_t> OutputStream::seek_lines(std::uint64_t lines) {
  TRY([[maybe_unused]] const auto probe, page(0, 1));
  std::uint64_t end = total_;
  std::uint64_t to = end;
  std::uint64_t found = 0;
  while (to > 0 && lines > 0) {
    const std::uint64_t from = to > protocol::kLogPage ? to - protocol::kLogPage : 0;
    const bool last = to == end;
    TRY(const Bytes window, read_back(from, to));
    if (last) end = to;
    for (std::size_t i = window.size(); i > 0; --i) {
      const std::uint64_t at = to - window.size() + i;  // behind window[i - 1]
      if (window[i - 1] != '\n' || at == end) continue;
      if (++found == lines) {
        seek(at);
        return end;
      }
    }
    to -= window.size();
    if (to > from) break;  // what is before is gone
  }
  seek(to);
  return end;
}

void note_missing(Session& session, const OutputStream& stream, const OutputStream::Piece& piece) {
  if (piece.missing > 0)
    session.note(fmt::format("({} bytes of {} are missing here: only the newest output is kept)", piece.missing,
                             stream.title()));
}

void print_text(Session& session, const OutputStream& stream, std::string_view text) {
  if (stream.is_error())
    session.note_raw(text);
  else
    session.print_raw(text);
}

}  // namespace dms::cli

#include "cli/client/download.hpp"

#include "base/remove_tree.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"
#include "jobs/ensemble/work_path.hpp"
#include "transfer/archive.hpp"

namespace dms::cli {
namespace fs = std::filesystem;

namespace {

constexpr Duration kPause = std::chrono::milliseconds(200);
/// A result without progress for this long is given up; its part stays.
constexpr Duration kPatience = std::chrono::seconds(30);

/// From the end of `part` to the end of the stream.
Result<void> receive(Session& session, OutputStream& stream, transfer::PartFile& part, const DownloadOptions& options) {
  Duration waited{0};
  stream.seek(part.size());
  while (!stream.ended() || stream.position() < stream.total()) {
    TRY(const auto piece, stream.next());
    if (piece.restarted) TRY_VOID(part.restart());
    if (piece.missing > 0) return fail(Errc::failed, "{} bytes of it are missing at the daemon", piece.missing);
    TRY_VOID(part.append(piece.data));
    if (options.on_progress) options.on_progress(part.size(), stream.total());
    for (;;) {
      TRY(const Bytes more, stream.next_raw());
      if (more.empty()) break;
      TRY_VOID(part.append(more));
      if (options.on_progress) options.on_progress(part.size(), stream.total());
    }
    if (!piece.data.empty()) {
      waited = {};
      continue;
    }
    if (stream.ended()) break;
    if (waited >= kPatience) return fail(Errc::refused, "the daemon has sent nothing for {} s", waited / 1s);
    TRY_VOID(session.environment().pause(kPause));
    waited += kPause;
  }
  return {};
}

bool is_whole(const OutputStream& stream, const transfer::PartFile& part) {
  if (part.size() != stream.total()) return false;
  return stream.digest().empty() || encode(Base::hex, part.digest()) == stream.digest();
}

/// No name that a user or a result has; the same in each attempt.
fs::path staging(const fs::path& folder, std::string_view name) {
  const crypto::Digest256 digest = crypto::sha256(as_bytes(name));
  return folder / (".nunet-" + encode(Base::hex, BytesView(digest).first(16)));
}

Result<void> refuse_existing(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(target, error))) return {};
  return fail(dms::Errc::already_exists,
              "{} exists already; --force replaces it and continues what was "
              "interrupted, --output names another folder",
              target.string());
}

/// A folder is not compared: it may have been changed since it was unpacked.
bool is_there(const OutputStream& stream, const fs::path& target) {
  std::error_code error;
  if (stream.folder() || stream.digest().empty() || !fs::is_regular_file(fs::symlink_status(target, error)))
    return false;
  if (fs::file_size(target, error) != stream.total()) return false;
  const auto content = transfer::content_of(target);
  return content && encode(Base::hex, content->digest) == stream.digest();
}

/// What has arrived and is whole gets its name, or is unpacked.
Result<void> place(const fs::path& staged, const std::string& name, bool folder, const fs::path& target,
                   const DownloadOptions& options) {
  std::error_code error;
  if (!options.replace) TRY_VOID(refuse_existing(target));
  if (options.replace && (folder || fs::is_directory(fs::symlink_status(target, error)))) TRY_VOID(remove_tree(target));
  if (folder) {
    const fs::path root = options.folder.empty() ? fs::path(".") : options.folder;
    TRY_VOID(transfer::unpack(staged, true, root, jobs::without_slash(name), {}));
    fs::remove(staged, error);
    return {};
  }
  fs::rename(staged, target, error);
  if (error) return fail(dms::Errc::io, "renaming {} to {}: {}", staged.string(), target.string(), error.message());
  return transfer::sync_folder(target.has_parent_path() ? target.parent_path() : fs::path("."));
}

}  // namespace

Result<Downloaded> download(Session& session, OutputStream& stream, const std::string& name,
                            const DownloadOptions& options) {
  if (!jobs::is_work_path(name)) return fail(Errc::failed, "\"{}\" is not the name of a result", name);
  const fs::path target = options.folder / jobs::without_slash(name);
  TRY(const bool folder, stream.probe_folder());
  if (is_there(stream, target))
    return Downloaded{.path = target, .size = stream.total(), .folder = false, .was_there = true};
  if (!options.replace) TRY_VOID(refuse_existing(target));
  std::error_code error;
  fs::create_directories(target.has_parent_path() ? target.parent_path() : fs::path("."), error);
  if (error) return fail(dms::Errc::io, "making {}: {}", target.parent_path().string(), error.message());
  const fs::path staged = staging(options.folder, jobs::without_slash(name));
  TRY(auto part, transfer::PartFile::open(staged));
  const bool continued = part.size() > 0;
  TRY_VOID(receive(session, stream, part, options));
  if (!is_whole(stream, part) && continued) {
    TRY_VOID(part.restart());
    TRY_VOID(receive(session, stream, part, options));
  }
  if (!is_whole(stream, part)) {
    part.discard();
    return fail(Errc::failed, "what arrived has another SHA-256 than the daemon says; repeat the command");
  }
  TRY_VOID(part.finish());
  TRY_VOID(place(staged, name, folder, target, options));
  return Downloaded{.path = target, .size = stream.total(), .folder = folder, .was_there = false};
}

}  // namespace dms::cli

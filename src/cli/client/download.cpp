#include "cli/client/download.hpp"

#include <map>

#include "base/remove_tree.hpp"
#include "base/text.hpp"
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

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(path, error));
}

/// `why` it is not the result, if that is known.
Result<void> refuse_existing(const fs::path& target, std::string_view why = {}) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(target, error))) return {};
  return fail(dms::Errc::already_exists,
              "{} exists already{}; --force replaces it and continues what was interrupted, --output names another "
              "folder",
              target.string(), why);
}

/// Of what is below the folder.
Result<std::map<fs::path, fs::file_status>> entries_of(const fs::path& folder) {
  std::map<fs::path, fs::file_status> entries;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    entries[it->path().lexically_relative(folder)] = it->symlink_status(error);
  if (error) return fail(dms::Errc::io, "reading {}: {}", folder.string(), error.message());
  return entries;
}

/// The first path by which two folders differ in their files, in the content of one or in a link; empty if there is
/// none.
Result<std::string> first_difference(const fs::path& made, const fs::path& there) {
  TRY(const auto wanted, entries_of(made));
  TRY(const auto found, entries_of(there));
  for (const auto& [path, status] : found)
    if (!wanted.contains(path)) return path.string();
  for (const auto& [path, status] : wanted) {
    const auto other = found.find(path);
    if (other == found.end() || other->second.type() != status.type()) return path.string();
    std::error_code error;
    if (fs::is_symlink(status) && fs::read_symlink(made / path, error) != fs::read_symlink(there / path, error))
      return path.string();
    if (!fs::is_regular_file(status)) continue;
    if (((status.permissions() ^ other->second.permissions()) & fs::perms::owner_exec) != fs::perms::none)
      return path.string();
    TRY(const auto content, transfer::content_of(made / path));
    TRY(const auto present, transfer::content_of(there / path));
    if (content != present) return path.string();
  }
  return std::string();
}

/// A folder is compared when its archive is here (place_folder()).
bool is_there(const OutputStream& stream, const fs::path& target) {
  std::error_code error;
  if (stream.folder() || stream.digest().empty() || !fs::is_regular_file(fs::symlink_status(target, error)))
    return false;
  if (fs::file_size(target, error) != stream.total()) return false;
  const auto content = transfer::content_of(target);
  return content && encode(Base::hex, content->digest) == stream.digest();
}

Result<void> move_durably(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return fail(dms::Errc::io, "renaming {} to {}: {}", from.string(), to.string(), error.message());
  return transfer::sync_folder(to.has_parent_path() ? to.parent_path() : fs::path("."));
}

/// A file that has arrived and is whole gets its name.
Result<void> place_file(const fs::path& staged, const fs::path& target, const DownloadOptions& options) {
  if (!options.replace) TRY_VOID(refuse_existing(target));
  if (is_folder(target)) TRY_VOID(remove_tree(target));
  return move_durably(staged, target);
}

/// A folder whose archive has arrived and is whole is unpacked beside its place. True if it was there already.
Result<bool> place_folder(const fs::path& staged, const fs::path& target, const DownloadOptions& options) {
  const fs::path root = options.folder.empty() ? fs::path(".") : options.folder;
  const std::string name = staged.filename().string() + ".folder";
  const fs::path made = root / name;
  TRY_VOID(remove_tree(made));  // what was interrupted
  TRY_VOID(transfer::unpack(staged, true, root, name, {}));
  std::error_code error;
  fs::remove(staged, error);
  std::string why;
  if (is_folder(target)) {
    const Result<std::string> difference = first_difference(made, target);
    if (difference && difference->empty()) {
      TRY_VOID(remove_tree(made));
      return true;
    }
    why = difference ? fmt::format(" and differs from the result in \"{}\"", printable(*difference))
                     : fmt::format(" and cannot be compared ({})", difference.error().to_string());
  }
  if (!options.replace) {
    if (const Result<void> refused = refuse_existing(target, why); !refused) {
      TRY_VOID(remove_tree(made));
      return std::unexpected(refused.error());
    }
  }
  TRY_VOID(remove_tree(target));
  TRY_VOID(move_durably(made, target));
  return false;
}

}  // namespace

Result<Downloaded> download(Session& session, OutputStream& stream, const std::string& name,
                            const DownloadOptions& options) {
  if (!jobs::is_work_path(name)) return fail(Errc::failed, "\"{}\" is not the name of a result", name);
  const fs::path target = options.folder / jobs::without_slash(name);
  TRY(const bool folder, stream.probe_folder());
  if (is_there(stream, target))
    return Downloaded{.path = target, .size = stream.total(), .folder = false, .was_there = true};
  if (!options.replace && !(folder && is_folder(target))) TRY_VOID(refuse_existing(target));
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
  Downloaded done{.path = target, .size = stream.total(), .folder = folder, .was_there = false};
  if (!folder) {
    TRY_VOID(place_file(staged, target, options));
  } else {
    TRY(done.was_there, place_folder(staged, target, options));
  }
  return done;
}

}  // namespace dms::cli

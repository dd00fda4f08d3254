#include "cli/client/upload.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/temporary_folder.hpp"
#include "encoding/multibase.hpp"
#include "protocol/transfer.hpp"
#include "runtime/stoppable.hpp"
#include "transfer/archive.hpp"
#include "transfer/local_pages.hpp"

namespace dms::cli {
namespace fs = std::filesystem;

namespace {

constexpr Duration kUploadReport = std::chrono::seconds(2);  ///< between two lines about an upload
/// Pages in a row that the daemon does not take.
constexpr int kMaxStuck = 3;
constexpr std::string_view kTemporary = "inputs";

class Uploader {
 public:
  Uploader(Session& session, Client& client) : session_(session), client_(client) {}

  Result<void> send(const std::string& at, jobs::Input& input, const EnsembleFiles& files) {
    const auto found = files.find(input.file);
    if (!found) return fail(found.error(), "{}.file", at);
    const fs::path& path = *found;
    auto sent = fs::is_directory(path) ? archive(path, input) : plain(path, input);
    if (!sent) return fail(sent.error(), "{}.file: {}", at, path.string());
    if (!done_.insert(input.digest).second) return {};
    auto uploaded = upload(*sent, input);
    if (!uploaded) return fail(uploaded.error(), "{}.file: sending {}", at, path.string());
    return {};
  }

 private:
  static void describe(jobs::Input& input, const transfer::Content& content, bool folder) {
    input.digest = encode(Base::hex, content.digest);
    input.size = content.size;
    input.folder = folder;
  }

  /// Until the user interrupts.
  Result<void> run(const Stoppable& work) {
    return session_.environment().with_runtime([&work](const Runtime&) { return offload_stoppable(work); });
  }

  Result<fs::path> plain(const fs::path& path, jobs::Input& input) {
    transfer::Content content;
    const Stoppable reading = [&](const std::stop_token& stop) -> Result<void> {
      TRY(content, transfer::content_of(path, stop));
      return {};
    };
    TRY_VOID(run(reading));
    describe(input, content, false);
    return path;
  }

  Result<fs::path> archive(const fs::path& path, jobs::Input& input) {
    if (!temporary_) {
      TRY(auto made, TemporaryFolder::make(kTemporary));
      temporary_.emplace(std::move(made));
    }
    const fs::path to = temporary_->path() / fmt::format("{}.tar", done_.size());
    std::error_code ignored;
    fs::remove(to, ignored);
    transfer::Packed packed;
    const Stoppable packing = [&](const std::stop_token& stop) -> Result<void> {
      TRY(packed, transfer::pack(path.parent_path(), path.filename().string(), to, {}, stop));
      return {};
    };
    TRY_VOID(run(packing));
    describe(input, packed.content, true);
    for (const auto& left : packed.left_out) session_.note(fmt::format("{} is not sent: {}", path.string(), left));
    if (packed.left_out_count > packed.left_out.size())
      session_.note(
          fmt::format("{} is not sent: {} more", path.string(), packed.left_out_count - packed.left_out.size()));
    return to;
  }

  Result<void> upload(const fs::path& file, const jobs::Input& input) {
    TRY(const auto source, transfer::SourceFile::open(file, input.size));
    const protocol::DeploymentInputRequest question{
        .digest = input.digest, .size = input.size, .offset = 0, .data = {}, .local = true};
    std::optional<std::uint64_t> before;
    std::optional<std::uint64_t> failed_from;
    for (int stuck = 0; stuck < kMaxStuck;) {
      TRY(const auto reply, client_.call(protocol::kDeploymentInput, question));
      if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
      if (reply.complete) return {};
      if (reply.offset > input.size) return fail(Errc::failed, "the daemon asks for bytes behind the end");
      if (reply.ticket.empty()) return fail(Errc::failed, "the daemon is of another version: it takes no files");
      stuck = before == reply.offset ? stuck + 1 : 0;
      before = reply.offset;
      // The ticket may have ended; that the user interrupts is final.
      if (const auto sent = send_pages(source, input, reply.offset, reply.ticket); !sent) {
        if (sent.error().is(dms::Errc::cancelled) || failed_from == reply.offset) return sent;
        failed_from = reply.offset;
      }
    }
    return fail(Errc::failed, "the daemon does not take what is sent; repeat the command");
  }

  /// From the offset on, until the daemon wants another one.
  Result<void> send_pages(const transfer::SourceFile& source, const jobs::Input& input, std::uint64_t offset,
                          const std::string& ticket) {
    UnixTime reported = session_.environment().now();
    Bytes page;
    for (std::uint64_t next = offset; offset < input.size; offset = next) {
      page.resize(std::min<std::uint64_t>(transfer::kLocalPage, input.size - offset));
      TRY_VOID(source.read(offset, page));
      TRY(next, client_.write_page(ticket, offset, page));
      if (next <= offset || next > input.size) return {};
      if (const UnixTime now = session_.environment().now(); now - reported >= kUploadReport) {
        reported = now;
        session_.note(fmt::format("Sending {}: {} of {}", input.file, capability::ByteSize{next}.to_string(),
                                  capability::ByteSize{input.size}.to_string()));
      }
    }
    return {};
  }

  Session& session_;
  Client& client_;
  std::optional<TemporaryFolder> temporary_;  ///< for archives
  std::set<std::string> done_;
};

Result<void> check_access(const fs::path& path, bool folder) {
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK | (folder ? X_OK : 0), AT_EACCESS) == 0) return {};
  return fail(dms::Errc::io, "{} cannot be read: {}", path.string(), std::strerror(errno));
}

/// Of a folder, with what is below it and would be sent.
Result<void> check_readable(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    const std::uintmax_t size = fs::file_size(path, error);
    const auto opened = transfer::SourceFile::open(path, error ? 0 : size);
    if (!opened) return std::unexpected(opened.error());
    return {};
  }
  TRY_VOID(check_access(path, true));
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const fs::file_status status = it->symlink_status(error);
    if (fs::is_directory(status) || fs::is_regular_file(status))
      TRY_VOID(check_access(it->path(), fs::is_directory(status)));
  }
  if (error) return fail(dms::Errc::io, "reading {}: {}", path.string(), error.message());
  return {};
}

/// Calls `use` with each input that is a file or folder of this machine, and where the ensemble has it.
template <class Ensemble, class Use>
Result<void> for_each_file(Ensemble& ensemble, Use use) {
  for (auto& [name, allocation] : ensemble.allocations)
    for (std::size_t i = 0; i < allocation.inputs.size(); ++i)
      if (!allocation.inputs[i].file.empty())
        TRY_VOID(use(fmt::format("allocations.{}.inputs[{}]", name, i), allocation.inputs[i]));
  return {};
}

}  // namespace

Result<void> check_input_files(const jobs::Ensemble& ensemble, const EnsembleFiles& files) {
  return for_each_file(ensemble, [&](const std::string& at, const jobs::Input& input) -> Result<void> {
    const auto found = files.find(input.file);
    if (!found) return fail(found.error(), "{}.file", at);
    if (const auto readable = check_readable(*found); !readable)
      return fail(readable.error(), "{}.file: {}", at, found->string());
    return {};
  });
}

Result<void> upload_inputs(Session& session, Client& client, jobs::Ensemble& ensemble, const EnsembleFiles& files) {
  const auto has_file = [](const jobs::Input& input) { return !input.file.empty(); };
  if (std::ranges::none_of(ensemble.allocations,
                           [&](const auto& entry) { return std::ranges::any_of(entry.second.inputs, has_file); }))
    return {};
  TemporaryFolder::remove_left(kTemporary);
  Uploader uploader(session, client);
  return for_each_file(ensemble, [&](const std::string& at, jobs::Input& input) -> Result<void> {
    return uploader.send(at, input, files);
  });
}

}  // namespace dms::cli

#include "executor/docker/give_back.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "runtime/process.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

class Giver {
 public:
  explicit Giver(const struct stat& owner) : owner_(owner) {}

  /// The entries of `at`, beginning with one of them. `at` moves down and up in the tree, so that its depth takes no
  /// descriptors.
  Result<void> give_all(Fd at, std::string first) {
    std::vector<std::vector<std::string>> pending(1);  // folders of each level that are not entered yet
    give(at.get(), first.c_str());
    pending.back().push_back(std::move(first));
    while (!pending.empty()) {
      if (pending.back().empty()) {
        pending.pop_back();
        if (pending.empty()) break;
        at = Fd(::openat(at.get(), "..", kFolder));
        if (!at) return fail(Errc::io, "go up again: {}", std::strerror(errno));
        continue;
      }
      const std::string name = std::move(pending.back().back());
      pending.back().pop_back();
      Fd inside = enter(at.get(), name.c_str());
      if (!inside) continue;
      pending.push_back(give_entries(inside.get()));
      at = std::move(inside);
    }
    if (!obstacle_.empty()) return fail(Errc::io, "{}", obstacle_);
    return {};
  }

 private:
  void give(int parent, const char* name) {
    if (::fchownat(parent, name, owner_.st_uid, owner_.st_gid, AT_SYMLINK_NOFOLLOW) != 0) note(name);
  }
  /// None for what is no folder, or one of another file system.
  Fd enter(int parent, const char* name) {
    Fd folder(::openat(parent, name, kFolder));
    struct stat info {};
    if (!folder || ::fstat(folder.get(), &info) != 0) {
      if (errno != ENOTDIR && errno != ELOOP) note(name);
      return {};
    }
    return info.st_dev == owner_.st_dev ? std::move(folder) : Fd();
  }
  /// The folders among them.
  std::vector<std::string> give_entries(int folder) {
    std::vector<std::string> folders;
    const int copy = ::openat(folder, ".", kFolder);
    const std::unique_ptr<DIR, CloseFolder> list(copy < 0 ? nullptr : ::fdopendir(copy));
    if (!list) {
      note("list a folder");
      return folders;
    }
    while (const dirent* entry = ::readdir(list.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      give(folder, entry->d_name);
      if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) folders.emplace_back(name);
    }
    return folders;
  }
  void note(const char* what) {
    if (obstacle_.empty()) obstacle_ = fmt::format("{}: {}", what, std::strerror(errno));
  }

  struct stat owner_;
  std::string obstacle_;
};

}  // namespace

Result<void> give_back(const fs::path& folder) {
  struct stat owner {};
  Fd above(::open(folder.parent_path().c_str(), kFolder));
  if (!above || ::fstat(above.get(), &owner) != 0)
    return fail(Errc::io, "open {}: {}", folder.parent_path().string(), std::strerror(errno));
  return Giver(owner).give_all(std::move(above), folder.filename());
}

int run_give_back(const fs::path& folder) {
  const Result<void> given = give_back(folder);
  if (given) return 0;
  (void)std::fprintf(stderr, "%s\n", given.error().to_string().c_str());
  return 1;
}

}  // namespace dms::executor

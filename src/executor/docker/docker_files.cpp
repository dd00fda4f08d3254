// How a Docker gives the files of a container to a daemon that is not root: by a container of its own, with the program
// itself on an empty image.
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "base/log.hpp"
#include "executor/docker/docker_run.hpp"
#include "executor/docker/docker_stream.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr Duration kGivingTime = 2min;  // the next try begins with what this one has done
constexpr int kLookedAt = 16;           // levels of folders, each takes a descriptor
constexpr std::uint64_t kMemory = 512ULL << 20;
constexpr std::size_t kMaxWords = 4096;
constexpr std::string_view kProgramFolder = "/.nunet";
constexpr std::string_view kTree = "/tree";

/// Whether something belongs to another user, or may: what is deep or cannot be listed is not looked at.
bool holds_foreign(const fs::path& folder, std::uint32_t user) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return errno != ENOENT;
  if (info.st_uid != user) return true;
  std::error_code ec;
  fs::recursive_directory_iterator it(folder, ec);
  for (const fs::recursive_directory_iterator end; !ec && it != end; it.increment(ec))
    if (it.depth() >= kLookedAt || ::lstat(it->path().c_str(), &info) != 0 || info.st_uid != user) return true;
  return static_cast<bool>(ec);
}

struct Mount {
  std::string from;
  std::string to;
  bool writable = false;
};

int add_library(dl_phdr_info* info, std::size_t, void* mounts) {
  const fs::path library(info->dlpi_name);
  std::error_code ec;
  const fs::path file = fs::canonical(library, ec);
  if (!library.is_absolute() || ec) return 0;  // the program itself, or what the kernel maps
  const std::string name = library.filename();
  // The loader is found by its path, all others by LD_LIBRARY_PATH.
  const bool loader = name.starts_with("ld-") || name.starts_with("ld.");
  const fs::path to = loader ? library : fs::path(kProgramFolder) / name;
  static_cast<std::vector<Mount>*>(mounts)->push_back({file, to, false});
  return 0;
}

/// What this program needs to run on an image that has nothing; `program` gets its path there.
Result<std::vector<Mount>> program_mounts(std::string& program) {
  std::error_code ec;
  std::string self = fs::read_symlink("/proc/self/exe", ec);
  if (ec) return fail(Errc::io, "find the program's file: {}", ec.message());
  constexpr std::string_view kReplaced = " (deleted)";
  if (self.ends_with(kReplaced)) self.resize(self.size() - kReplaced.size());
  program = fmt::format("{}/program", kProgramFolder);
  std::vector<Mount> mounts;
  mounts.push_back({self, program, false});
  ::dl_iterate_phdr(add_library, &mounts);
  return mounts;
}

/// `argv`: of the program there. It may change owners and nothing else, without a network.
std::string create_body(const std::string& image, const std::vector<std::string>& argv,
                        const std::vector<Mount>& mounts, const DockerOptions& options) {
  json::Writer w;
  w.begin_object();
  w.key("Image").string(fmt::format("{}{}", kImagePrefix, image));
  w.key("User").string("0");
  w.key("Entrypoint");
  json::write(w, argv);
  w.key("Env");
  json::write(w, std::vector<std::string>{fmt::format("LD_LIBRARY_PATH={}", kProgramFolder)});
  w.key("Labels").begin_object().key("nunet-executor").string(options.id).end_object();
  w.key("HostConfig").begin_object();
  w.key("NetworkMode").string("none");
  w.key("PidsLimit").unsigned_integer(16);
  w.key("Memory").unsigned_integer(kMemory).key("MemorySwap").unsigned_integer(kMemory);
  w.key("SecurityOpt");
  json::write(w, std::vector<std::string>{"no-new-privileges"});
  w.key("CapDrop");
  json::write(w, std::vector<std::string>{"ALL"});
  w.key("CapAdd");
  json::write(w, std::vector<std::string>{"CHOWN", "DAC_OVERRIDE"});
  if (!options.cgroup_parent.empty()) w.key("CgroupParent").string(options.cgroup_parent);
  w.key("LogConfig").begin_object().key("Type").string("json-file").end_object();
  w.key("Mounts").begin_array();
  for (const Mount& mount : mounts) {
    w.begin_object().key("Type").string("bind").key("Source").string(mount.from).key("Target").string(mount.to);
    w.key("ReadOnly").boolean(!mount.writable).end_object();
  }
  w.end_array().end_object().end_object();
  return w.take();
}

}  // namespace

Task<Result<void>> Docker::take_files(fs::path folder) {
  if (options_.user == 0) co_return Result<void>();
  auto looking = [&folder, user = options_.user] { return holds_foreign(folder, user); };
  const bool foreign = co_await offload(looking);
  if (!foreign) co_return Result<void>();
  const Result<void> given = co_await run_giver(folder);
  if (!given) co_return fail(given.error(), "taking over the files that containers have left in {}", folder.string());
  co_return Result<void>();
}

/// An image without a file, which nobody else has: its id in the run.
Task<Result<void>> Docker::import_empty_image(RunPtr run) {
  std::string archive(1024, '\0');  // without an entry
  CO_TRY(const json::Value made, co_await api_.call("POST", "/images/create?fromSrc=-", std::move(archive)));
  run->image = image_id(json_text(made, {"status"}));
  if (run->image.empty()) co_return fail(Errc::io, "Docker engine: it did not say which image it has made");
  auto marking = [this, id = run->image]() -> Result<void> {
    std::error_code ec;
    if (options_.state_dir.empty()) return {};
    fs::create_directories(options_.state_dir, ec);
    return write_file(image_marker(id), "");
  };
  co_return co_await offload(std::move(marking));
}

Task<Result<void>> Docker::run_giver(fs::path folder) {
  auto run = std::make_shared<Run>();
  Result<void> given = co_await give_in_container(run, std::move(folder));
  if (!run->container.empty()) {
    const Result<void> gone = co_await delete_container(run->container);
    if (!gone) log::warn("executor", "container {} may remain: {}", run->container, gone.error().to_string());
  }
  co_await release_image_logged(run->image);
  co_return given;
}

/// The container and the image that it has made are in the run, also if it fails.
Task<Result<void>> Docker::give_in_container(RunPtr run, fs::path folder) {
  std::string program;
  CO_TRY(std::vector<Mount> mounts, program_mounts(program));
  Mount tree;
  tree.from = folder.parent_path();
  tree.to = kTree;
  tree.writable = true;
  mounts.push_back(std::move(tree));
  std::vector<std::string> argv{program};
  argv.insert(argv.end(), options_.helper.begin() + 1, options_.helper.end());
  argv.emplace_back("give-back");
  argv.push_back(fs::path(kTree) / folder.filename());
  {
    const Mutex::Lock lock = co_await loading_.lock();
    CO_TRY_VOID(co_await import_empty_image(run));
    std::string body = create_body(run->image, argv, mounts, options_);
    CO_TRY(const json::Value created, co_await api_.call("POST", "/containers/create", std::move(body)));
    run->container = json_text(created, {"Id"});
    if (!is_container_id(run->container)) co_return fail(Errc::io, "Docker engine: a container without an id");
  }
  const std::string path = "/containers/" + run->container;
  const std::string begin = path + "/start";
  const std::string wait = path + "/wait";
  CO_TRY_VOID(co_await api_.call("POST", begin));
  CO_TRY(const json::Value ended, co_await api_.call("POST", wait, "", kGivingTime));
  if (json_at(ended, {"StatusCode"}) != nullptr && json_int(ended, {"StatusCode"}) == 0) co_return Result<void>();
  const std::string words = co_await words_of(run->container);
  co_return fail(Errc::io, "exit code {}: {}", json_int(ended, {"StatusCode"}), words);
}

/// What a container that has ended has written to standard error.
Task<std::string> Docker::words_of(std::string container) {
  std::string words;
  const std::string path = fmt::format("/containers/{}/logs?stderr=1", container);
  Result<DockerApi::Stream> stream = co_await api_.stream("GET", path);
  if (!stream) co_return words;
  const Result<std::string> text = co_await stream->body->read_all(64 * 1024);
  if (!text) co_return words;
  DockerDemux demux([&words](DockerDemux::Channel, BytesView part, bool) { words.append(as_text(part)); });
  (void)demux.feed(as_bytes(*text));
  words = words.substr(0, std::min(kMaxWords, words.find_last_not_of('\n') + 1));
  co_return words;
}

}  // namespace dms::executor

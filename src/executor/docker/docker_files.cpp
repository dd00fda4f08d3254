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

constexpr Duration kProgressTime = 2min;  // in which a container that gives files must get on
constexpr std::size_t kGivers = 8;        // containers at a time
constexpr int kLookedAt = 16;             // levels of folders, each takes a descriptor
constexpr int kLookedAtOnce = 1024;       // entries, without a look at whether it is still wanted
constexpr std::uint64_t kMemory = 512ULL << 20;
constexpr std::size_t kMaxWords = 4096;
constexpr Duration kWordsTime = 60s;  // to read them
constexpr std::string_view kProgramFolder = "/.nunet";
constexpr std::string_view kTree = "/tree";

/// Whether something belongs to another user, or may: what is deep or cannot be listed is not looked at.
class ForeignSearch {
 public:
  ForeignSearch(fs::path folder, std::uint32_t user) : folder_(std::move(folder)), user_(user) {}

  /// Looks at some more; none while it has seen nothing foreign and there is more.
  std::optional<bool> look() {
    if (!begun_) {
      begun_ = true;
      struct stat info {};
      if (::lstat(folder_.c_str(), &info) != 0) return errno != ENOENT;
      if (info.st_uid != user_) return true;
      it_ = fs::recursive_directory_iterator(folder_, ec_);
    }
    const fs::recursive_directory_iterator end;
    for (int i = 0; i < kLookedAtOnce && !ec_ && it_ != end; ++i, it_.increment(ec_)) {
      struct stat info {};
      if (it_.depth() >= kLookedAt || ::lstat(it_->path().c_str(), &info) != 0 || info.st_uid != user_) return true;
    }
    if (ec_) return true;
    return it_ == end ? std::optional(false) : std::nullopt;
  }

 private:
  fs::path folder_;
  std::uint32_t user_;
  bool begun_ = false;
  std::error_code ec_;
  fs::recursive_directory_iterator it_;
};

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
  w.key("LogConfig").begin_object().key("Type").string("json-file").key("Config").begin_object();
  w.key("max-size").string("1m").key("max-file").string("2").end_object().end_object();
  w.key("Mounts").begin_array();
  for (const Mount& mount : mounts) {
    w.begin_object().key("Type").string("bind").key("Source").string(mount.from).key("Target").string(mount.to);
    w.key("ReadOnly").boolean(!mount.writable).end_object();
  }
  w.end_array().end_object().end_object();
  return w.take();
}

/// Of the container that gives the files in a folder: known before the engine is asked for it, and the same at each
/// attempt.
std::string giver_name(const DockerOptions& options, const fs::path& folder) {
  return fmt::format("{}-give-{:016x}", options.id, fs::hash_value(folder));
}

}  // namespace

Task<Result<void>> Docker::take_files(fs::path folder) {
  if (options_.user == 0) co_return Result<void>();
  CO_TRY(const bool foreign, co_await holds_foreign(folder));
  if (!foreign) co_return Result<void>();
  // recover() removes what it does not know.
  if (awaits_engine_)
    co_return fail(Errc::unsupported, "taking over the files in {}: the Docker engine has not answered yet",
                   folder.string());
  const std::string name = giver_name(options_, folder);
  while (givers_ >= kGivers || giving_.contains(name)) CO_TRY_VOID(co_await giver_left_.wait());
  ++givers_;
  giving_.insert(name);
  const Result<void> given = co_await run_giver(name, folder);
  giving_.erase(name);
  --givers_;
  giver_left_.notify_all();
  if (given) co_return Result<void>();
  std::string doing = fmt::format("taking over the files that containers have left in {}", folder.string());
  // An engine that hangs is tried again, as one that does not answer.
  if (given.error().is(Errc::deadline_exceeded))
    co_return std::unexpected(given.error().context(Errc::unsupported, std::move(doing)));
  co_return std::unexpected(given.error().context(std::move(doing)));
}

/// In steps, as the tree may have millions of entries.
Task<Result<bool>> Docker::holds_foreign(fs::path folder) {
  const TaskContext context = co_await this_task();
  ForeignSearch search(std::move(folder), options_.user);
  auto looking = [&search] { return search.look(); };
  for (;;) {
    const std::optional<bool> found = co_await offload(looking);
    if (found) co_return *found;
    if (context.scope != nullptr && context.scope->reason())
      co_return fail(*context.scope->reason(), "looking for files of other users");
  }
}

/// An image without a file, which nobody else has: its id in the run. It carries the mark of this executor, by which it
/// is found to be removed: also if the engine has made it without an answer, or a daemon that was killed has left it.
Task<Result<void>> Docker::import_empty_image(RunPtr run) {
  std::string archive(1024, '\0');  // without an entry
  const std::string mark = url_encode(fmt::format("LABEL nunet-executor={}", options_.id));
  const std::string path = fmt::format("/images/create?fromSrc=-&changes={}", mark);
  CO_TRY(const json::Value made, co_await api_.call("POST", path, std::move(archive)));
  run->image = image_id(json_text(made, {"status"}));
  if (run->image.empty()) co_return fail(Errc::io, "Docker engine: it did not say which image it has made");
  co_return Result<void>();
}

Task<Result<void>> Docker::run_giver(std::string name, fs::path folder) {
  auto run = std::make_shared<Run>();
  run->name = name;
  Result<void> given = co_await give_in_container(run, std::move(folder));
  const Result<void> gone = co_await remove_giver(name);
  // Also if this is cancelled.
  if (!gone && removing_.insert(name).second) nursery_.spawn(remove_giver_later(std::move(name)));
  co_return given;
}

/// The container of that name, and images that no container uses: the engine may have made them without an answer.
Task<Result<void>> Docker::remove_giver(std::string name) {
  CO_TRY_VOID(co_await delete_container(std::move(name)));
  co_return co_await release_empty_images();
}

/// Of an engine that has gone away meanwhile, or cannot remove them now. The next start finds both by their marks.
Task<void> Docker::remove_giver_later(std::string name) {
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    // Its container would have the same name.
    while (giving_.contains(name)) {
      const Result<void> waited = co_await giver_left_.wait();
      if (!waited) co_return;
    }
    giving_.insert(name);
    const Result<void> gone = co_await remove_giver(name);
    giving_.erase(name);
    giver_left_.notify_all();
    if (gone) break;
    log::debug("executor", "{}, which has given files, is not removed yet: {}", name, gone.error().to_string());
  }
  removing_.erase(name);
}

/// In the place of one that an attempt before has left, whose creation was carried out but not answered.
Task<Result<void>> Docker::create_giver(RunPtr run, std::string body) {
  Result<void> created = co_await create_container(run, body);
  if (!created && created.error().is(Errc::already_exists)) {
    const Result<void> gone = co_await delete_container(run->name);
    if (!gone && !gone.error().is(Errc::already_exists)) co_return std::unexpected(gone.error());
    created = co_await create_container(run, std::move(body));
  }
  if (!created && created.error().is(Errc::already_exists))
    co_return std::unexpected(created.error().context(Errc::unsupported, "the engine is still making or removing it"));
  co_return created;
}

/// What it has made remains, also if it fails.
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
    CO_TRY_VOID(co_await create_giver(run, std::move(body)));
  }
  const std::string path = "/containers/" + run->container;
  const std::string begin = path + "/start";
  CO_TRY_VOID(co_await api_.call("POST", begin));
  CO_TRY(const json::Value ended, co_await wait_for_giver(run->container));
  if (json_at(ended, {"StatusCode"}) != nullptr && json_int(ended, {"StatusCode"}) == 0) co_return Result<void>();
  CO_TRY(const std::string words, co_await words_of(run->container, "stderr=1"));
  co_return fail(Errc::io, "exit code {}: {}", json_int(ended, {"StatusCode"}), words);
}

/// As long as it takes, while it gets on.
Task<Result<json::Value>> Docker::wait_for_giver(std::string container) {
  const std::string path = fmt::format("/containers/{}/wait", container);
  std::string before;
  for (;;) {
    Result<json::Value> ended = co_await api_.call("POST", path, "", kProgressTime);
    if (ended || !ended.error().is(Errc::deadline_exceeded)) co_return std::move(ended);
    CO_TRY(std::string told, co_await words_of(container, "stdout=1&tail=1"));
    if (told == before) co_return fail(Errc::io, "it has not got on for {} s", kProgressTime / 1s);
    before = std::move(told);
  }
}

/// What a container has written.
Task<Result<std::string>> Docker::words_of(std::string container, std::string query) {
  const std::string path = fmt::format("/containers/{}/logs?{}", container, query);
  Task<Result<std::string>> reading = read_words(path);
  CO_TRY(const std::string text, co_await with_timeout(kWordsTime, std::move(reading)));
  std::string words;
  DockerDemux demux([&words](DockerDemux::Channel, BytesView part, bool) { words.append(as_text(part)); });
  (void)demux.feed(as_bytes(text));
  words = words.substr(0, std::min(kMaxWords, words.find_last_not_of('\n') + 1));
  co_return words;
}

Task<Result<std::string>> Docker::read_words(std::string path) {
  CO_TRY(DockerApi::Stream stream, co_await api_.stream("GET", path));
  co_return co_await stream.body->read_all(64 * 1024);
}

}  // namespace dms::executor

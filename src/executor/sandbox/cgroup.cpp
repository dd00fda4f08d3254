#include "executor/sandbox/cgroup.hpp"

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

#include "executor/cpu_quota.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Result<void> put(const fs::path& file, std::string_view value) {
  std::ofstream out(file);
  out << value << std::flush;
  if (!out) return fail(Errc::io, "write '{}' to {}: {}", value, file.string(), std::strerror(errno));
  return {};
}

/// What hierarchies of version 1 have where no limit is set: 2^63 in whole pages.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 62;

std::uint64_t counter(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

/// The value of `key` in a file of "key value" lines.
std::uint64_t keyed(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  std::string name;
  std::string value;
  while (lines >> name >> value)
    if (name == key) return counter(value);
  return 0;
}

/// This process's group in the hierarchy of `controller` ("" is v2), as /proc/self/cgroup says.
std::optional<std::string> own_group(const std::string& self, std::string_view controller) {
  std::istringstream lines(self);
  std::string line;
  while (std::getline(lines, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    std::string name;
    bool match = controller.empty() && second == first + 1;
    while (std::getline(names, name, ',')) match = match || name == controller;
    if (match) return line.substr(second + 1);
  }
  return std::nullopt;
}

bool make_dir(const fs::path& dir) {
  std::error_code ec;
  fs::create_directory(dir, ec);
  return fs::is_directory(dir, ec) && ::access(dir.c_str(), W_OK) == 0;
}

constexpr std::string_view kV2Controllers = "+cpu +memory +pids";

bool prepare_v2(const fs::path& parent, const fs::path& base) {
  if (!put(parent / "cgroup.subtree_control", kV2Controllers) || !make_dir(base)) return false;
  if (put(base / "cgroup.subtree_control", kV2Controllers)) return true;
  std::error_code ignored;
  fs::remove(base, ignored);
  return false;
}

}  // namespace

std::optional<CgroupTree> CgroupTree::detect(std::string owner, const fs::path& root, const fs::path& self_file) {
  const std::string self = slurp(self_file);
  CgroupTree tree;
  std::error_code ec;
  if (fs::exists(root / "cgroup.controllers", ec)) {
    for (const std::string& parent : {own_group(self, "").value_or("/"), std::string("/")}) {
      const fs::path dir = root / fs::path(parent).relative_path();
      if (!prepare_v2(dir, dir / owner)) continue;
      tree.v2_ = true;
      tree.controllers_ = {"cpu", "memory", "pids"};
      tree.bases_ = {dir / owner};
      return tree;
    }
    return std::nullopt;
  }
  for (const char* controller : {"cpu", "memory", "pids", "freezer", "cpuacct"}) {
    const auto own = own_group(self, controller);
    const fs::path mount = root / controller;
    if (!own || !fs::exists(mount / "cgroup.procs", ec)) continue;
    const fs::path base = mount / fs::path(*own).relative_path() / owner;
    if (!make_dir(base)) continue;
    tree.controllers_.emplace_back(controller);
    tree.bases_.push_back(base);
  }
  if (tree.bases_.empty()) return std::nullopt;
  return tree;
}

std::string CgroupTree::explain_missing(bool is_root, const fs::path& root, const fs::path& self_file) {
  constexpr std::string_view kNoRoot = "run the daemon as root, or as a systemd service with Delegate=yes";
  constexpr std::string_view kMachine =
      "the machine, or the container that the daemon runs in, has to provide a writable cgroup v2 hierarchy";
  std::error_code ec;
  const std::string self = slurp(self_file);
  if (fs::exists(root / "cgroup.controllers", ec)) {
    const fs::path own = root / fs::path(own_group(self, "").value_or("/")).relative_path();
    const int denied = ::access(own.c_str(), W_OK) == 0 ? 0 : errno;
    if (denied == EACCES && !is_root)
      return fmt::format("this user may not write to the control group {}; {}", own.string(), kNoRoot);
    if (denied != 0)
      return fmt::format("a control group that is writable is missing ({}: {}); {}", own.string(),
                         std::strerror(denied), kMachine);
    std::string offered = slurp(own / "cgroup.controllers");
    offered.erase(offered.find_last_not_of('\n') + 1);
    return fmt::format("the control group {} does not let its own groups have cpu, memory and pids (it has '{}'); {}",
                       own.string(), offered, is_root ? kMachine : kNoRoot);
  }
  std::vector<std::string_view> mounted;
  for (const std::string_view controller : {"cpu", "memory"})
    if (fs::exists(root / controller / "cgroup.procs", ec)) mounted.push_back(controller);
  if (mounted.empty())
    return fmt::format("no hierarchy of control groups is mounted at {}; {}", root.string(), kMachine);
  return fmt::format("of control groups of version 1, {} at {}, some are missing or not writable; {}",
                     fmt::join(mounted, " and "), root.string(), is_root ? kMachine : kNoRoot);
}

bool CgroupTree::holds(std::string_view controller) const {
  return std::find(controllers_.begin(), controllers_.end(), controller) != controllers_.end();
}

std::string CgroupTree::describe() const {
  if (v2_) return "cgroup v2";
  std::string names;
  for (const char* controller : {"cpu", "memory", "pids"})
    if (holds(controller)) names += (names.empty() ? "" : ", ") + std::string(controller);
  return fmt::format("cgroup v1 ({})", names);
}

Cgroup CgroupTree::group(const std::string& id) const {
  Cgroup made;
  made.v2_ = v2_;
  for (const fs::path& base : bases_) made.dirs_.push_back(base / id);
  return made;
}

namespace {

Result<void> limit_v2(const fs::path& dir, const Limits& limits) {
  if (limits.cpu_cores > 0) {
    const CpuQuota share = cpu_quota(limits.cpu_cores);
    TRY_VOID(put(dir / "cpu.max", fmt::format("{} {}", share.quota_micros, share.period_micros)));
  }
  if (limits.memory_bytes > 0) {
    TRY_VOID(put(dir / "memory.max", std::to_string(limits.memory_bytes)));
    (void)put(dir / "memory.swap.max", "0");  // absent without swap accounting
    TRY_VOID(put(dir / "memory.oom.group", "1"));
  }
  if (limits.pids > 0) TRY_VOID(put(dir / "pids.max", std::to_string(limits.pids)));
  return {};
}

Result<void> limit_v1(const fs::path& dir, std::string_view controller, const Limits& limits) {
  if (controller == "cpu" && limits.cpu_cores > 0) {
    const CpuQuota share = cpu_quota(limits.cpu_cores);
    TRY_VOID(put(dir / "cpu.cfs_period_us", std::to_string(share.period_micros)));
    TRY_VOID(put(dir / "cpu.cfs_quota_us", std::to_string(share.quota_micros)));
  }
  if (controller == "memory" && limits.memory_bytes > 0) {
    TRY_VOID(put(dir / "memory.limit_in_bytes", std::to_string(limits.memory_bytes)));
    (void)put(dir / "memory.memsw.limit_in_bytes",
              std::to_string(limits.memory_bytes));  // absent without swap accounting
  }
  if (controller == "pids" && limits.pids > 0) TRY_VOID(put(dir / "pids.max", std::to_string(limits.pids)));
  return {};
}

}  // namespace

Result<Cgroup> CgroupTree::create(const std::string& id, const Limits& limits) const {
  Cgroup made = group(id);
  for (std::size_t i = 0; i < made.dirs_.size(); ++i) {
    Result<void> outcome;
    if (!make_dir(made.dirs_[i]))
      outcome = fail(Errc::io, "make control group {}: {}", made.dirs_[i].string(), std::strerror(errno));
    else
      outcome = v2_ ? limit_v2(made.dirs_[i], limits) : limit_v1(made.dirs_[i], controllers_[i], limits);
    if (!outcome) {
      (void)made.remove();
      return std::unexpected(outcome.error());
    }
  }
  return made;
}

std::vector<Cgroup> CgroupTree::list() const {
  std::set<std::string> ids;
  std::error_code ec;
  for (const fs::path& base : bases_)
    for (fs::directory_iterator it(base, ec), end; !ec && it != end; it.increment(ec)) {
      std::error_code gone;  // meanwhile
      if (it->is_directory(gone)) ids.insert(it->path().filename());
    }
  std::vector<Cgroup> found;
  for (const std::string& id : ids) found.push_back(group(id));
  return found;
}

void CgroupTree::remove_base() const {
  for (const fs::path& base : bases_) ::rmdir(base.c_str());
}

std::vector<fs::path> Cgroup::procs_files() const {
  std::vector<fs::path> files;
  for (const fs::path& dir : dirs_) files.push_back(dir / "cgroup.procs");
  return files;
}

std::vector<int> Cgroup::pids() const {
  std::set<int> found;
  for (const fs::path& dir : dirs_) {
    std::istringstream text(slurp(dir / "cgroup.procs"));
    for (int pid = 0; text >> pid;) found.insert(pid);
  }
  return {found.begin(), found.end()};
}

void Cgroup::kill_all() const {
  if (v2_ && put(dirs_.front() / "cgroup.kill", "1")) return;
  (void)freeze(false);  // v1: a frozen process does not die
  for (const int pid : pids()) ::kill(pid, SIGKILL);
}

Result<void> Cgroup::freeze(bool frozen) const {
  if (v2_) return put(dirs_.front() / "cgroup.freeze", frozen ? "1" : "0");
  std::error_code ec;
  for (const fs::path& dir : dirs_)
    if (fs::exists(dir / "freezer.state", ec)) return put(dir / "freezer.state", frozen ? "FROZEN" : "THAWED");
  return fail(Errc::unsupported, "pause: no freezer control group here");
}

bool Cgroup::frozen() const {
  if (v2_) return read("cgroup.freeze") == "1";
  const std::string state = read("freezer.state");
  return state == "FROZEN" || state == "FREEZING";
}

std::string Cgroup::read(std::string_view file) const {
  std::error_code ec;
  for (const fs::path& dir : dirs_)
    if (fs::exists(dir / file, ec)) {
      std::string text = slurp(dir / file);
      while (!text.empty() && text.back() == '\n') text.pop_back();
      return text;
    }
  return {};
}

std::uint64_t Cgroup::oom_kills() const {
  return keyed(read(v2_ ? "memory.events" : "memory.oom_control"), "oom_kill");
}

Stats Cgroup::stats() const {
  Stats stats;
  if (v2_) {
    stats.cpu_seconds = static_cast<double>(keyed(read("cpu.stat"), "usage_usec")) / 1e6;
    stats.memory_bytes = counter(read("memory.current"));
    stats.memory_limit = counter(read("memory.max"));
  } else {
    stats.cpu_seconds = static_cast<double>(counter(read("cpuacct.usage"))) / 1e9;
    stats.memory_bytes = counter(read("memory.usage_in_bytes"));
    const std::uint64_t limit = counter(read("memory.limit_in_bytes"));
    stats.memory_limit = limit >= kNoLimit ? 0 : limit;
  }
  stats.pids = counter(read("pids.current"));
  return stats;
}

std::uint64_t Cgroup::memory_peak() const { return counter(read(v2_ ? "memory.peak" : "memory.max_usage_in_bytes")); }

bool Cgroup::remove() const {
  bool gone = true;
  for (const fs::path& dir : dirs_)
    if (::rmdir(dir.c_str()) != 0 && errno != ENOENT) gone = false;
  return gone;
}

}  // namespace dms::executor

#include "hardware/machine.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <cctype>
#include <charconv>
#include <fstream>
#include <set>

namespace dms::hardware {
namespace {

namespace fs = std::filesystem;
using capability::ByteSize;
using capability::Hertz;

constexpr std::size_t kMaxFile = 4 * 1024 * 1024;  // cpuinfo of a machine with a thousand threads

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

/// Files of /proc have no size: read until the end or the limit.
std::optional<std::string> read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::string text;
  std::array<char, 4096> part;
  do {
    in.read(part.data(), part.size());
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
  } while (in && text.size() < kMaxFile);
  return text;
}

/// The number at the start of the text; the unit after it ("kB", "K") is ignored.
std::optional<std::uint64_t> number(std::string_view text) {
  text = trim(text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::optional<double> decimal(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() || !(value >= 0)) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> read_number(const fs::path& path) {
  const auto text = read(path);
  return text ? number(*text) : std::nullopt;
}

template <class F>
void for_each_line(std::string_view text, F f) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    f(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

/// "name : value"; the name is empty if there is no colon.
std::pair<std::string_view, std::string_view> split(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  return {trim(line.substr(0, colon)), trim(line.substr(colon + 1))};
}

// --- control groups --------------------------------------------------------------------------------------------------

/// The folders of this process's control group and of its parents, innermost first (version 2), then version 1.
std::vector<fs::path> group_folders(const fs::path& root, std::string_view controller) {
  const fs::path base = root / "sys/fs/cgroup";
  std::vector<fs::path> folders;
  const auto self = read(root / "proc/self/cgroup");
  if (self) {
    for_each_line(*self, [&](std::string_view line) {
      if (!line.starts_with("0::/")) return;
      fs::path inside(line.substr(4));
      for (; !inside.empty(); inside = inside.parent_path()) folders.push_back(base / inside);
    });
  }
  folders.push_back(base);
  folders.push_back(base / controller);
  return folders;
}

/// The smallest of the limits in files of this name; none if none is set.
std::optional<std::uint64_t> memory_limit(const fs::path& root) {
  std::optional<std::uint64_t> least;
  for (const fs::path& folder : group_folders(root, "memory"))
    for (const char* name : {"memory.max", "memory.limit_in_bytes"})
      if (const auto limit = read_number(folder / name)) least = std::min(least.value_or(*limit), *limit);
  return least;
}

/// The processor quota in thousandths of a core.
std::optional<std::uint64_t> core_limit(const fs::path& root) {
  std::optional<std::uint64_t> least;
  const auto take = [&](std::uint64_t quota, std::uint64_t period) {
    if (period == 0) return;
    const std::uint64_t millis = quota * 1000 / period;
    least = std::min(least.value_or(millis), millis);
  };
  for (const fs::path& folder : group_folders(root, "cpu")) {
    if (const auto text = read(folder / "cpu.max")) {
      const auto quota = number(*text);
      const auto space = text->find(' ');
      const auto period = space == std::string::npos ? std::nullopt : number(std::string_view(*text).substr(space));
      if (quota && period) take(*quota, *period);
    }
    const auto quota = read_number(folder / "cpu.cfs_quota_us");  // -1: no limit
    const auto period = read_number(folder / "cpu.cfs_period_us");
    if (quota && period) take(*quota, *period);
  }
  return least;
}

// --- the parts -------------------------------------------------------------------------------------------------------

struct CpuInfo {
  std::uint64_t threads = 0;
  std::set<std::pair<std::string, std::string>> cores;  // of (physical id, core id)
  std::string vendor, model;
  double highest_mhz = 0;
  std::uint64_t cache_kb = 0;
};

CpuInfo parse_cpuinfo(std::string_view text) {
  CpuInfo info;
  std::string package;
  for_each_line(text, [&](std::string_view line) {
    const auto [name, value] = split(line);
    if (name == "processor") ++info.threads;
    if (name == "physical id") package = value;
    if (name == "core id") info.cores.emplace(package, std::string(value));
    if ((name == "vendor_id" || name == "CPU implementer") && info.vendor.empty()) info.vendor = value;
    if ((name == "model name" || name == "Model") && info.model.empty()) info.model = value;
    if (name == "cpu MHz") info.highest_mhz = std::max(info.highest_mhz, decimal(value).value_or(0));
    if (name == "cache size") info.cache_kb = std::max(info.cache_kb, number(value).value_or(0));
  });
  return info;
}

/// From the kernel's limit, else from "... @ 2.40GHz" in the model's name, else the highest clock seen now.
Hertz highest_clock(const fs::path& root, const CpuInfo& info) {
  if (const auto khz = read_number(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")) return {*khz * 1000};
  if (const auto at = info.model.find("@ "); at != std::string::npos)
    if (const auto named = Hertz::parse(std::string_view(info.model).substr(at + 2))) return *named;
  return {static_cast<std::uint64_t>(info.highest_mhz * 1e6)};
}

ByteSize largest_cache(const fs::path& root, const CpuInfo& info) {
  std::uint64_t largest = info.cache_kb * 1024;
  for (int index = 0; index < 8; ++index)
    if (const auto kb = read_number(root / fmt::format("sys/devices/system/cpu/cpu0/cache/index{}/size", index)))
      largest = std::max(largest, *kb * 1024);
  return {largest};
}

Result<capability::Cpu> find_cpu(const Options& options) {
  const auto text = read(options.root / "proc/cpuinfo");
  if (!text) return fail(Errc::io, "cpu: /proc/cpuinfo cannot be read");
  const CpuInfo info = parse_cpuinfo(*text);
  if (info.threads == 0) return fail(Errc::io, "cpu: /proc/cpuinfo names no processor");
  capability::Cpu cpu;
  const std::uint64_t cores = info.cores.empty() ? info.threads : info.cores.size();
  cpu.cores.millis = std::min(cores * 1000, core_limit(options.root).value_or(cores * 1000));
  cpu.threads = static_cast<std::int64_t>(info.threads);
  cpu.vendor = info.vendor;
  cpu.model = info.model;
  cpu.architecture = options.architecture;
  cpu.clock_speed = highest_clock(options.root, info);
  cpu.cache_size = largest_cache(options.root, info);
  return cpu;
}

struct Memory {
  std::uint64_t total = 0;
  std::uint64_t used = 0;
};

Result<Memory> find_memory(const fs::path& root) {
  const auto text = read(root / "proc/meminfo");
  if (!text) return fail(Errc::io, "ram: /proc/meminfo cannot be read");
  std::map<std::string, std::uint64_t, std::less<>> kb;
  for_each_line(*text, [&](std::string_view line) {
    const auto [name, value] = split(line);
    if (const auto amount = number(value)) kb.emplace(std::string(name), *amount);
  });
  if (!kb.contains("MemTotal")) return fail(Errc::io, "ram: /proc/meminfo has no MemTotal");
  Memory memory;
  memory.total = kb["MemTotal"] * 1024;
  memory.used = memory.total - std::min(memory.total, kb["MemAvailable"] * 1024);
  if (const auto limit = memory_limit(root); limit && *limit < memory.total) {
    memory.total = *limit;
    const auto current = read_number(group_folders(root, "memory").front() / "memory.current");
    memory.used = std::min(current.value_or(memory.used), memory.total);
  }
  return memory;
}

/// Model and kind of the block device: sysfs has them for the whole disk, one folder up from a partition.
void describe_device(const fs::path& root, const Space& space, capability::Disk& disk) {
  if (space.major == 0) return;
  std::error_code error;
  const fs::path device = fs::canonical(root / fmt::format("sys/dev/block/{}:{}", space.major, space.minor), error);
  if (error) return;
  for (const fs::path& folder : {device, device.parent_path()}) {
    const auto rotational = read_number(folder / "queue/rotational");
    if (!rotational) continue;
    const std::string name = folder.filename().string();
    disk.type = *rotational != 0 ? "HDD" : name.starts_with("nvme") ? "NVMe" : "SSD";
    if (name.starts_with("nvme")) disk.interface = "PCIe";
    if (const auto model = read(folder / "device/model")) disk.model = trim(*model);
    return;
  }
}

/// Runs the parts; a failure becomes a problem of the report.
template <class T, class F>
void take(Report& report, Result<T> part, F use) {
  if (part)
    use(*part);
  else
    report.problems.push_back(part.error().to_string());
}

}  // namespace

Result<Space> space_of(const fs::path& folder) {
  std::error_code error;
  fs::path existing = fs::absolute(folder, error);
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  struct statvfs info {};
  struct stat file {};
  if (::statvfs(existing.c_str(), &info) != 0 || ::stat(existing.c_str(), &file) != 0)
    return fail(Errc::io, "disk: {} cannot be examined: {}", existing.string(), std::generic_category().message(errno));
  return Space{.total = std::uint64_t{info.f_blocks} * info.f_frsize,
               .free = std::uint64_t{info.f_bavail} * info.f_frsize,
               .major = major(file.st_dev),
               .minor = minor(file.st_dev)};
}

std::string architecture() {
  struct utsname name {};
  return ::uname(&name) == 0 ? name.machine : "";
}

Report discover(const Options& options) {
  Report report;
  take(report, find_cpu(options), [&](const capability::Cpu& cpu) { report.resources.cpu = cpu; });
  take(report, find_memory(options.root), [&](const Memory& memory) { report.resources.ram.size = {memory.total}; });
  take(report, options.space(options.work_dir), [&](const Space& space) {
    report.resources.disk.size = {space.total};
    describe_device(options.root, space, report.resources.disk);
  });
  return report;
}

Report usage(const Options& options) {
  Report report;
  take(report, find_cpu(options), [&](const capability::Cpu& cpu) {
    report.resources.cpu = cpu;
    const auto text = read(options.root / "proc/loadavg");
    const auto load = text ? decimal(*text) : std::nullopt;
    if (!load) report.problems.emplace_back("cpu: /proc/loadavg cannot be read");
    report.resources.cpu.cores.millis =
        std::min(cpu.cores.millis, static_cast<std::uint64_t>(std::min(load.value_or(0), 1e6) * 1000));
  });
  take(report, find_memory(options.root), [&](const Memory& memory) { report.resources.ram.size = {memory.used}; });
  take(report, options.space(options.work_dir),
       [&](const Space& space) { report.resources.disk.size = {space.total - std::min(space.total, space.free)}; });
  return report;
}

}  // namespace dms::hardware

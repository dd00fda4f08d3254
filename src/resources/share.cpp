#include "resources/share.hpp"

#include <algorithm>

namespace dms::resources {
namespace {

using capability::ByteSize;
using capability::kGiB;
using capability::kMiB;
using capability::Millicores;

Result<Millicores> cores_of(const std::string& text) {
  TRY(const Millicores cores, Millicores::parse(text));
  if (cores.empty()) return fail(Errc::invalid_argument, "expected more than 0 cores, found \"{}\"", text);
  return cores;
}

Result<ByteSize> size_of(const std::string& text) {
  TRY(const ByteSize size, ByteSize::parse(text, kGiB));
  if (size.empty()) return fail(Errc::invalid_argument, "expected more than 0 bytes, found \"{}\"", text);
  return size;
}

template <class T>
Result<void> check_part(std::string_view key, const std::string& text, Result<T> (*read)(const std::string&)) {
  if (text.empty()) return {};
  if (const Result<T> value = read(text); !value) return config::refuse(key, value.error().to_string());
  return {};
}

template <class T>
Result<T> part(std::string_view key, const std::string& text, Result<T> (*read)(const std::string&), T proposed,
               T there) {
  if (text.empty()) return proposed;
  TRY(const T value, read(text));
  if (there < value)
    return fail(Errc::limit_exceeded, "{}: this machine has {}, {} is to be offered", key, there.to_string(),
                value.to_string());
  return value;
}

/// In whole MiB, so that the text of the settings is the same size.
ByteSize half_of(std::uint64_t bytes) { return {std::max(bytes / 2 / kMiB, std::uint64_t{1}) * kMiB}; }

}  // namespace

Result<void> ShareSettings::check() {
  TRY_VOID(check_part("onboarding.cpu", cpu, cores_of));
  TRY_VOID(check_part("onboarding.ram", ram, size_of));
  return check_part("onboarding.disk", disk, size_of);
}

Result<capability::Resources> share_of(const ShareSettings& settings, const Machine& machine) {
  const capability::Resources& all = machine.total;
  const std::uint64_t disk_used = std::min(all.disk.size.bytes, machine.used.disk.size.bytes);
  capability::Resources share;
  share.cpu.architecture = all.cpu.architecture;
  share.cpu.clock_speed = all.cpu.clock_speed;
  const Millicores half{std::max<std::uint64_t>(all.cpu.cores.millis / 2, 1)};
  TRY(share.cpu.cores, part("onboarding.cpu", settings.cpu, cores_of, half, all.cpu.cores));
  TRY(share.ram.size, part("onboarding.ram", settings.ram, size_of, half_of(all.ram.size.bytes), all.ram.size));
  TRY(share.disk.size,
      part("onboarding.disk", settings.disk, size_of, half_of(all.disk.size.bytes - disk_used), all.disk.size));
  return share;
}

ShareSettings settings_of(const capability::Resources& share) {
  const auto mib = [](ByteSize size) { return fmt::format("{}MiB", size.bytes / kMiB); };
  return {.cpu = share.cpu.cores.to_string(), .ram = mib(share.ram.size), .disk = mib(share.disk.size)};
}

}  // namespace dms::resources

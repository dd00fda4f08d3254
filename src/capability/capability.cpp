#include "capability/capability.hpp"

#include <cctype>
#include <numeric>

namespace dms::capability {
namespace {

template <class T>
Comparison compare_numbers(const T& offered, const T& required) {
  if (offered < required) return Comparison::worse;
  return offered == required ? Comparison::equal : Comparison::better;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

unsigned __int128 compute(const Cpu& cpu) {
  return static_cast<unsigned __int128>(cpu.cores.millis) * cpu.clock_speed.hertz;
}

bool names_something(const GpuVendor& vendor) {
  return vendor.kind != GpuVendor::unspecified && vendor.kind != GpuVendor::unknown && vendor.kind != GpuVendor::none;
}

/// Letters and digits only, in lower case: "RTX 3080" and "rtx-3080" are one model.
std::string bare_model(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool serves(const Gpu& card, const Gpu& required) {
  return card.vram >= required.vram && (!names_something(required.vendor) || card.vendor == required.vendor) &&
         bare_model(card.model).find(bare_model(required.model)) != std::string::npos &&
         (required.uuid.empty() || card.uuid == required.uuid);
}

/// Which card of `pool` each of `required` gets, each card at most once: a maximum matching by augmenting paths, so
/// that a narrow requirement is not starved by a wide one that came first. Empty if they do not all fit. Cards are
/// tried from the smallest up, so that large ones stay free.
class GpuMatching {
 public:
  GpuMatching(const std::vector<Gpu>& pool, const std::vector<Gpu>& required)
      : pool_(pool), required_(required), by_size_(pool.size()), taken_by_(pool.size()) {
    std::iota(by_size_.begin(), by_size_.end(), std::size_t{0});
    std::stable_sort(by_size_.begin(), by_size_.end(), [&](auto a, auto b) { return pool_[a].vram < pool_[b].vram; });
  }

  std::optional<std::vector<std::size_t>> solve() {
    if (required_.size() > pool_.size() || pool_.size() > kMaxGpus) return std::nullopt;
    for (std::size_t r = 0; r < required_.size(); ++r) {
      seen_.assign(pool_.size(), false);
      if (!place(r)) return std::nullopt;
    }
    std::vector<std::size_t> card_of(required_.size());
    for (std::size_t c = 0; c < pool_.size(); ++c)
      if (taken_by_[c]) card_of[*taken_by_[c]] = c;
    return card_of;
  }

 private:
  bool place(std::size_t r) {
    for (const std::size_t c : by_size_) {
      if (seen_[c] || !serves(pool_[c], required_[r])) continue;
      seen_[c] = true;
      if (!taken_by_[c] || place(*taken_by_[c])) {
        taken_by_[c] = r;
        return true;
      }
    }
    return false;
  }

  const std::vector<Gpu>& pool_;
  const std::vector<Gpu>& required_;
  std::vector<std::size_t> by_size_;
  std::vector<std::optional<std::size_t>> taken_by_;
  std::vector<bool> seen_;
};

Result<std::uint64_t> sum(std::uint64_t a, std::uint64_t b, std::string_view field) {
  std::uint64_t out = 0;
  if (__builtin_add_overflow(a, b, &out))
    return fail(Errc::limit_exceeded, "{}: the sum of {} and {} does not fit", field, a, b);
  return out;
}

template <class Unit>
std::unexpected<Error> too_little(std::string_view field, const Unit& there, const Unit& asked) {
  return fail(Errc::limit_exceeded, "{}: {} cannot be taken from {}", field, asked.to_string(), there.to_string());
}

Gpu* find_card(std::vector<Gpu>& cards, std::int64_t index) {
  const auto it = std::find_if(cards.begin(), cards.end(), [&](const Gpu& gpu) { return gpu.index == index; });
  return it == cards.end() ? nullptr : &*it;
}

/// Everything but the cards.
Result<Resources> add_amounts(const Resources& a, const Resources& b) {
  Resources total = a;
  TRY(total.cpu.cores.millis, sum(a.cpu.cores.millis, b.cpu.cores.millis, "cpu.cores"));
  TRY(total.ram.size.bytes, sum(a.ram.size.bytes, b.ram.size.bytes, "ram.size"));
  TRY(total.disk.size.bytes, sum(a.disk.size.bytes, b.disk.size.bytes, "disk.size"));
  return total;
}

}  // namespace

std::string_view to_string(Comparison comparison) {
  switch (comparison) {
    case Comparison::none: return "None";
    case Comparison::worse: return "Worse";
    case Comparison::equal: return "Equal";
    case Comparison::better: return "Better";
  }
  return "None";
}

Comparison both(Comparison a, Comparison b) {
  for (const Comparison dominant : {Comparison::none, Comparison::worse, Comparison::better})
    if (a == dominant || b == dominant) return dominant;
  return Comparison::equal;
}

GpuVendor GpuVendor::parse(std::string_view text) {
  const std::string name = lower(text);
  const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  if (name.empty()) return {unspecified};
  if (has("nvidia")) return {nvidia};
  if (has("intel")) return {intel};
  if (has("amd") || name == "ati" || name.starts_with("ati ") || has("advanced micro devices")) return {amd};
  if (name == "none") return {none};
  return {unknown};
}

std::string_view GpuVendor::to_string() const {
  switch (kind) {
    case unspecified: return "";
    case nvidia: return "NVIDIA";
    case amd: return "AMD/ATI";
    case intel: return "Intel";
    case unknown: return "Unknown";
    case none: return "None";
  }
  return "Unknown";
}

Result<GpuVendor> GpuVendor::from_json(const json::Value& value) {
  TRY(const std::string text, json::from_value<std::string>(value));
  return parse(text);
}

std::string Resources::to_string() const {
  std::string text =
      fmt::format("{}, {} memory, {} disk", cpu.cores.described(), ram.size.to_string(), disk.size.to_string());
  if (!gpus.empty()) text += fmt::format(", {} GPU{}", gpus.size(), gpus.size() == 1 ? "" : "s");
  return text;
}

std::string canonical_architecture(std::string_view name) {
  std::string known = lower(name);
  if (known == "amd64" || known == "x86-64" || known == "x64") return "x86_64";
  if (known == "arm64") return "aarch64";
  return known;
}

Comparison compare(const Cpu& offered, const Cpu& required) {
  if (!required.architecture.empty() &&
      canonical_architecture(offered.architecture) != canonical_architecture(required.architecture))
    return Comparison::none;
  const Comparison by_cores = compare_numbers(offered.cores, required.cores);
  if (required.clock_speed.empty() || offered.clock_speed.empty()) return by_cores;
  return both(by_cores, compare_numbers(compute(offered), compute(required)));
}

Comparison compare(const Ram& offered, const Ram& required) { return compare_numbers(offered.size, required.size); }
Comparison compare(const Disk& offered, const Disk& required) { return compare_numbers(offered.size, required.size); }

Comparison compare(const std::vector<Gpu>& offered, const std::vector<Gpu>& required) {
  if (required.empty()) return offered.empty() ? Comparison::equal : Comparison::better;
  const auto cards = GpuMatching(offered, required).solve();
  if (!cards) return Comparison::worse;
  bool same = offered.size() == required.size();
  for (std::size_t r = 0; r < required.size(); ++r) same = same && offered[(*cards)[r]].vram == required[r].vram;
  return same ? Comparison::equal : Comparison::better;
}

Comparison compare(const Resources& offered, const Resources& required) {
  return both(both(compare(offered.cpu, required.cpu), compare(offered.ram, required.ram)),
              both(compare(offered.disk, required.disk), compare(offered.gpus, required.gpus)));
}

bool covers(const Resources& offered, const Resources& required) {
  const Comparison result = compare(offered, required);
  return result == Comparison::equal || result == Comparison::better;
}

std::string explain_shortage(const Resources& offered, const Resources& required) {
  std::string text;
  const auto say = [&](std::string part) { text += (text.empty() ? "" : "; ") + std::move(part); };
  const auto amount = [&](std::string_view field, const auto& there, const auto& asked) {
    if (there < asked) say(fmt::format("{}: {} required, {} available", field, asked.to_string(), there.to_string()));
  };
  const Comparison cpu = compare(offered.cpu, required.cpu);
  amount("cpu.cores", offered.cpu.cores, required.cpu.cores);
  if (cpu == Comparison::none)
    say(fmt::format("cpu.architecture: {} required, {} available", required.cpu.architecture,
                    offered.cpu.architecture.empty() ? "unknown" : offered.cpu.architecture));
  else if (cpu == Comparison::worse && offered.cpu.cores >= required.cpu.cores)
    say(fmt::format("cpu.clock_speed: {} x {} required, {} x {} available", required.cpu.cores.to_string(),
                    required.cpu.clock_speed.to_string(), offered.cpu.cores.to_string(),
                    offered.cpu.clock_speed.to_string()));
  amount("ram.size", offered.ram.size, required.ram.size);
  amount("disk.size", offered.disk.size, required.disk.size);
  if (compare(offered.gpus, required.gpus) == Comparison::worse)
    say(fmt::format("gpus: the {} required do not fit the {} available", required.gpus.size(), offered.gpus.size()));
  return text;
}

Result<Resources> add(const Resources& a, const Resources& b) {
  TRY(Resources total, add_amounts(a, b));
  for (const Gpu& gpu : b.gpus) {
    Gpu* card = find_card(total.gpus, gpu.index);
    if (card == nullptr) {
      if (total.gpus.size() == kMaxGpus) return fail(Errc::limit_exceeded, "gpus: more than {} cards", kMaxGpus);
      total.gpus.push_back(gpu);
      continue;
    }
    TRY(card->vram.bytes, sum(card->vram.bytes, gpu.vram.bytes, fmt::format("gpus[{}].vram", gpu.index)));
  }
  return total;
}

Result<Resources> add_requirement(const Resources& a, const Resources& b) {
  TRY(Resources total, add_amounts(a, b));
  if (a.gpus.size() + b.gpus.size() > kMaxGpus) return fail(Errc::limit_exceeded, "gpus: more than {} cards", kMaxGpus);
  total.gpus.insert(total.gpus.end(), b.gpus.begin(), b.gpus.end());
  total.cpu.clock_speed = std::max(a.cpu.clock_speed, b.cpu.clock_speed);
  const auto& arch = b.cpu.architecture;
  if (total.cpu.architecture.empty())
    total.cpu.architecture = arch;
  else if (!arch.empty() && canonical_architecture(arch) != canonical_architecture(total.cpu.architecture))
    return fail(Errc::invalid_argument, "cpu.architecture: {} and {} cannot share a machine", total.cpu.architecture,
                arch);
  return total;
}

Result<Resources> subtract(const Resources& a, const Resources& b) {
  if (a.cpu.cores < b.cpu.cores) return too_little("cpu.cores", a.cpu.cores, b.cpu.cores);
  if (a.ram.size < b.ram.size) return too_little("ram.size", a.ram.size, b.ram.size);
  if (a.disk.size < b.disk.size) return too_little("disk.size", a.disk.size, b.disk.size);
  Resources rest = a;
  rest.cpu.cores.millis -= b.cpu.cores.millis;
  rest.ram.size.bytes -= b.ram.size.bytes;
  rest.disk.size.bytes -= b.disk.size.bytes;
  for (const Gpu& gpu : b.gpus) {
    Gpu* card = find_card(rest.gpus, gpu.index);
    if (card == nullptr) return fail(Errc::limit_exceeded, "gpus[{}]: there is no card with this index", gpu.index);
    if (card->vram < gpu.vram) return too_little(fmt::format("gpus[{}].vram", gpu.index), card->vram, gpu.vram);
    card->vram.bytes -= gpu.vram.bytes;
  }
  return rest;
}

Result<std::vector<Gpu>> assign_gpus(const std::vector<Gpu>& pool, const std::vector<Gpu>& required) {
  if (required.empty()) return std::vector<Gpu>();
  const auto cards = GpuMatching(pool, required).solve();
  if (!cards)
    return fail(Errc::limit_exceeded, "gpus: the {} required do not fit the {} free", required.size(), pool.size());
  std::vector<Gpu> assigned;
  for (std::size_t r = 0; r < required.size(); ++r) {
    assigned.push_back(pool[(*cards)[r]]);
    assigned.back().vram = required[r].vram;
  }
  return assigned;
}

}  // namespace dms::capability

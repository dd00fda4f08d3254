// What a job requires and a machine offers: processor, memory, disk and graphics cards, and whether one covers the
// other.
//
// Model
//  1. compare(offered, required) relates the offer to the requirement: better, equal, worse, or none when the
//     two cannot be compared (another architecture). covers() is better or equal.
//  2. Resources are the conjunction of their parts: none takes precedence over worse, worse over better, better over
//     equal.
//  3. add() and subtract() return a new value or an error that names the field ("ram.size: ..."); they change nothing
//     partly. Descriptive fields (model, vendor, clock, ...) are taken from the left side.
//  4. In a pool, a graphics card is known by its index: adding an unknown card appends it, taking from an unknown card
//     or more memory than it has is an error. In a requirement the index has no meaning, hence add_requirement(), which
//     puts the cards side by side, and assign_gpus(), which picks the cards of a pool that a requirement will use.
//
// The rules follow the existing network's, and are stricter where those place a job where it cannot run:
//  - Cores: the network compares cores x clock only. Here the cores themselves must suffice, and if the job gives a
//    clock and the machine knows its own, the product must suffice as well. A job without a clock compares by cores
//    alone.
//  - Architecture: a job that names none runs anywhere; a named one must be the same, with `amd64` = `x86_64`
//    and `arm64` = `aarch64`.
//  - Graphics cards: every required card needs a card of its own with at least that memory and, where the job names
//    them, that vendor, model and UUID (best matching, not greedy). The network compares memory only. A model is found
//    by part of its name ("rtx 3080" in "NVIDIA GeForce RTX 3080").
//
// JSON is the network's: cpu{clock_speed, cores, model, vendor, threads, architecture, cache_size}, gpus[{index,
// vendor, pci_address, model, vram, uuid}], ram{size, clock_speed, type}, disk{size, model, vendor, type, interface,
// read_speed, write_speed}; sizes in bytes, speeds in hertz or bytes per second.
//
// Attacks: numbers chosen so that a sum overflows. Units refuse what does not fit, sums check, and more than kMaxGpus
// cards are refused before any matching is done (which costs O(cards^3) at worst).
#pragma once

#include <string>
#include <vector>

#include "capability/units.hpp"
#include "encoding/json.hpp"

namespace dms::capability {

enum class Comparison { none, worse, equal, better };
std::string_view to_string(Comparison comparison);
/// The conjunction (model, 2).
Comparison both(Comparison a, Comparison b);

struct Cpu {
  Hertz clock_speed;
  Millicores cores;
  std::string model;
  std::string vendor;
  std::int64_t threads = 0;
  std::string architecture;
  ByteSize cache_size;

  static constexpr auto json_fields() {
    return std::tuple(json::field("clock_speed", &Cpu::clock_speed), json::field("cores", &Cpu::cores),
                      json::field("model", &Cpu::model, json::omit_empty),
                      json::field("vendor", &Cpu::vendor, json::omit_empty),
                      json::field("threads", &Cpu::threads, json::omit_empty),
                      json::field("architecture", &Cpu::architecture, json::omit_empty),
                      json::field("cache_size", &Cpu::cache_size, json::omit_empty));
  }
  friend bool operator==(const Cpu&, const Cpu&) = default;
};

struct Ram {
  ByteSize size;
  Hertz clock_speed;
  std::string type;

  static constexpr auto json_fields() {
    return std::tuple(json::field("size", &Ram::size), json::field("clock_speed", &Ram::clock_speed, json::omit_empty),
                      json::field("type", &Ram::type, json::omit_empty));
  }
  friend bool operator==(const Ram&, const Ram&) = default;
};

struct Disk {
  ByteSize size;
  std::string model;
  std::string vendor;
  std::string type;
  std::string interface;
  ByteSize read_speed;   ///< per second
  ByteSize write_speed;  ///< per second

  static constexpr auto json_fields() {
    return std::tuple(json::field("size", &Disk::size), json::field("model", &Disk::model, json::omit_empty),
                      json::field("vendor", &Disk::vendor, json::omit_empty),
                      json::field("type", &Disk::type, json::omit_empty),
                      json::field("interface", &Disk::interface, json::omit_empty),
                      json::field("read_speed", &Disk::read_speed, json::omit_empty),
                      json::field("write_speed", &Disk::write_speed, json::omit_empty));
  }
  friend bool operator==(const Disk&, const Disk&) = default;
};

/// A card's maker. Text that names a known maker anywhere ("NVIDIA Corporation") is that maker.
struct GpuVendor {
  enum Kind { unspecified, nvidia, amd, intel, unknown, none } kind = unspecified;

  static GpuVendor parse(std::string_view text);
  [[nodiscard]] std::string_view to_string() const;  ///< "", NVIDIA, AMD/ATI, Intel, Unknown, None
  void to_json(json::Writer& writer) const { writer.string(to_string()); }
  static Result<GpuVendor> from_json(const json::Value& value);
  friend bool operator==(const GpuVendor&, const GpuVendor&) = default;
};

struct Gpu {
  std::int64_t index = 0;
  GpuVendor vendor;
  std::string pci_address;
  std::string model;
  ByteSize vram;
  std::string uuid;

  static constexpr auto json_fields() {
    return std::tuple(json::field("index", &Gpu::index), json::field("vendor", &Gpu::vendor),
                      json::field("pci_address", &Gpu::pci_address), json::field("model", &Gpu::model),
                      json::field("vram", &Gpu::vram), json::field("uuid", &Gpu::uuid));
  }
  friend bool operator==(const Gpu&, const Gpu&) = default;
};

inline constexpr std::size_t kMaxGpus = 64;

struct Resources {
  Cpu cpu;
  std::vector<Gpu> gpus;
  Ram ram;
  Disk disk;

  static constexpr auto json_fields() {
    return std::tuple(json::field("cpu", &Resources::cpu), json::field("gpus", &Resources::gpus, json::omit_empty),
                      json::field("ram", &Resources::ram), json::field("disk", &Resources::disk));
  }
  friend bool operator==(const Resources&, const Resources&) = default;

  /// "2 cores, 4 GiB memory, 10 GiB disk, 1 GPU"
  [[nodiscard]] std::string to_string() const;
};

Comparison compare(const Cpu& offered, const Cpu& required);
Comparison compare(const Ram& offered, const Ram& required);
Comparison compare(const Disk& offered, const Disk& required);
Comparison compare(const std::vector<Gpu>& offered, const std::vector<Gpu>& required);
Comparison compare(const Resources& offered, const Resources& required);

/// True if a job with this requirement fits into the offer.
bool covers(const Resources& offered, const Resources& required);
/// What is missing, for messages: "ram.size: 4 GiB required, 2 GiB available"; empty if the offer covers the
/// requirement.
std::string explain_shortage(const Resources& offered, const Resources& required);

/// Pool arithmetic (model, 3 and 4).
Result<Resources> add(const Resources& a, const Resources& b);
Result<Resources> subtract(const Resources& a, const Resources& b);
/// The requirement that covers both.
Result<Resources> add_requirement(const Resources& a, const Resources& b);

/// The cards of `pool` that will serve `required`, in its order, each with the memory required and the pool's index.
/// Errc::limit_exceeded if they do not fit.
Result<std::vector<Gpu>> assign_gpus(const std::vector<Gpu>& pool, const std::vector<Gpu>& required);

/// "amd64" and "x86-64" become "x86_64", "arm64" becomes "aarch64"; others stay, in lower case.
std::string canonical_architecture(std::string_view name);

}  // namespace dms::capability

// Names that are unique on this machine: of an allocation's inbox, its folder and its entry in resources::Manager.
//
// Model
//  1. The name of an allocation is its id. While another allocation has that name, it is the id with the first suffix
//     that is free: `<id>.2`, `<id>.3`, ...
//  2. A name is taken as long as its LocalName exists, which is at least as long as the machine holds anything of that
//     name.
//
// Threads: one lane. Cost: logarithmic in the number of names, for each name of the same id. The registry outlives its
// names.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>

namespace dms::provider {

class LocalNames;

class LocalName {
 public:
  LocalName(LocalName&& other) noexcept : names_(std::exchange(other.names_, nullptr)), text_(std::move(other.text_)) {}
  LocalName& operator=(LocalName&& other) noexcept;
  ~LocalName() { release(); }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  friend class LocalNames;
  LocalName(LocalNames& names, std::string text) : names_(&names), text_(std::move(text)) {}
  void release();
  LocalNames* names_;
  std::string text_;
};

class LocalNames {
 public:
  LocalNames() = default;
  LocalNames(const LocalNames&) = delete;
  LocalNames& operator=(const LocalNames&) = delete;

  [[nodiscard]] LocalName take(const std::string& id);
  /// Exactly this name, for what an earlier run of the daemon named; empty if it is taken.
  [[nodiscard]] std::optional<LocalName> take_up(const std::string& name);
  [[nodiscard]] std::size_t size() const { return taken_.size(); }

 private:
  friend class LocalName;
  std::set<std::string> taken_;
};

}  // namespace dms::provider

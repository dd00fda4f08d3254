// Shared by the files that hold the rules for a decoded ensemble (validate.cpp, validate_run.cpp), and by those for what
// only the written form knows (normalise_run.cpp).
#pragma once

#include <string>
#include <string_view>

#include "base/suggest.hpp"
#include "jobs/ensemble/ensemble.hpp"

namespace dms::jobs {

template <class... Args>
std::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Errc::invalid_argument, format, std::forward<Args>(args)...);
}

/// "; did you mean web?" for a name that the map lacks. `except` is not meant.
template <class Map>
std::string hint(std::string_view name, const Map& known, std::string_view except = {}) {
  if (name.empty()) return "";
  std::vector<std::string_view> names;
  for (const auto& [key, value] : known)
    if (std::string_view(key) != except) names.emplace_back(key);
  const auto meant = nearest(name, names);
  return meant.empty() ? "" : fmt::format("; did you mean {}?", meant);
}

inline constexpr std::string_view kResourcesExample = "{cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}";
inline constexpr std::string_view kDependsOnItself = "an allocation cannot depend on itself";

/// Of a name in the depends_on of `self` that is not among the allocations.
template <class Map>
std::string no_allocation(std::string_view need, std::string_view self, const Map& known) {
  return fmt::format("there is no allocation \"{}\"{}", need.substr(0, 64), hint(need, known, self));
}

inline constexpr std::size_t kMaxList = 1024;

/// How the work of an allocation runs: its health check, dependencies, inputs and results. In validate_run.cpp.
Result<void> check_run(const Ensemble& ensemble, const std::string& name, const Allocation& allocation);

}  // namespace dms::jobs

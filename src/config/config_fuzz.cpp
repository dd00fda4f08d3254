// A configuration file's text and, after a line "%%", lines NAME=value of the environment: the listed values of a
// loaded configuration, set by the environment, load to the same settings.
#include <cstdlib>

#include "base/bytes.hpp"
#include "config/testing.hpp"

namespace {

using Variables = std::map<std::string, std::string>;

dms::config::Sources sources_of(const Variables& variables) {
  static const auto registry = dms::config::test_registry();
  dms::config::Sources sources{.registry = registry};
  sources.home = "/home/user";
  sources.variable = [&variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  return sources;
}

Variables read_variables(std::string_view text) {
  Variables variables;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (const auto equals = line.find('='); equals != std::string_view::npos)
      variables.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return variables;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view input = as_text({data, size});
  constexpr std::string_view kBorder = "\n%%\n";
  const std::size_t border = std::min(input.find(kBorder), size);
  const Variables variables = read_variables(input.substr(std::min(border + kBorder.size(), size)));
  const auto loaded = config::parse(input.substr(0, border), sources_of(variables));
  if (!loaded) {
    if (loaded.error().to_string().empty()) std::abort();
    return 0;
  }
  Variables all;
  bool lists_are_plain = true;
  for (const auto& entry : loaded->list()) {
    if (loaded->get(entry.key).value() != entry.value) std::abort();
    all[config::variable_name(entry.key)] = entry.value;
  }
  // An item of a list may hold what separates items; such a list cannot be given as one text.
  const auto peers = loaded->section<config::Peers>();
  for (const auto* items : {&peers.listen_address, &peers.bootstrap_peers})
    for (const std::string& item : *items)
      if (item.empty() || item.find_first_of(", [") != std::string::npos) lists_are_plain = false;
  if (!lists_are_plain) return 0;
  const auto again = config::parse("{}", sources_of(all));
  if (!again) std::abort();
  for (const auto& entry : loaded->list())
    if (again->get(entry.key).value() != entry.value) std::abort();
  return 0;
}

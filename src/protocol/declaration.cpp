#include "protocol/declaration.hpp"

namespace dms::protocol {
namespace {
constexpr std::string_view kPlaceholder = "{ensemble}";
}

std::string path_of(const Declaration& declaration, std::string_view ensemble) {
  std::string path(declaration.path);
  if (const auto at = path.find(kPlaceholder); at != std::string::npos) path.replace(at, kPlaceholder.size(), ensemble);
  return path;
}

std::string_view ensemble_in(const Declaration& declaration, std::string_view path) {
  const auto at = declaration.path.find(kPlaceholder);
  if (at == std::string_view::npos) return {};
  const std::string_view before = declaration.path.substr(0, at);
  const std::string_view after = declaration.path.substr(at + kPlaceholder.size());
  if (path.size() < before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after)) return {};
  return path.substr(before.size(), path.size() - before.size() - after.size());
}

}  // namespace dms::protocol

#include "executor/docker/image_name.hpp"

#include <algorithm>

namespace dms::executor {

namespace {

constexpr std::string_view kDockerHub = "docker.io";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string made(text);
  std::ranges::transform(made, made.begin(), [](char c) { return lower(c); });
  return made;
}

bool is_host(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:") != std::string_view::npos || lower(part) != part;
}

}  // namespace

Result<void> check_image_name(std::string_view image) {
  const bool known = std::ranges::all_of(image, [](char c) { return is_word(c) || c == '/' || c == ':' || c == '@'; });
  const bool usable = !image.empty() && image.size() <= 255 && known && is_word(image.front()) &&
                      image.front() != '.' && image.front() != '-' && image.find("..") == std::string_view::npos &&
                      image.find("//") == std::string_view::npos;
  if (!usable || image.starts_with("sha256:"))
    return fail(Errc::invalid_argument, "image '{}': expected [registry/]name[:tag][@digest]", image);
  return {};
}

std::string image_registry(std::string_view image) {
  const auto slash = image.find('/');
  if (slash == std::string_view::npos || !is_host(image.substr(0, slash))) return std::string(kDockerHub);
  std::string host = lower(image.substr(0, slash));
  if (host == "index.docker.io" || host == "registry-1.docker.io") return std::string(kDockerHub);
  return host;
}

Result<void> check_registry(std::string_view image, const std::vector<std::string>& allowed) {
  const std::string registry = image_registry(image);
  const auto allows = [&](const std::string& entry) { return entry == kAnyRegistry || lower(entry) == registry; };
  if (std::ranges::any_of(allowed, allows)) return {};
  return fail(
      Errc::permission_denied,
      "image '{}': this provider does not run images of registry {}; its setting executor.docker_registries lists "
      "those that it allows",
      image, registry);
}

std::string tagged_image(const std::string& image) {
  const auto slash = image.rfind('/');
  const auto colon = image.find(':', slash == std::string::npos ? 0 : slash);
  const bool complete = colon != std::string::npos || image.find('@') != std::string::npos;
  return complete ? image : image + ":latest";
}

}  // namespace dms::executor

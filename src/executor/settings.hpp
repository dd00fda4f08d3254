// Which executors run work on this machine. `executor` is not a section of the Go implementation; `job` is.
#pragma once

#include "config/section.hpp"
#include "executor/docker/image_name.hpp"

namespace dms::executor {

struct Settings {
  static constexpr std::string_view kSection = "executor";
  bool docker = true;
  std::string docker_socket = "/var/run/docker.sock";
  /// Registries whose images may run: an orchestrator names the image, and this machine may have access to registries
  /// that the orchestrator has not.
  std::vector<std::string> docker_registries{kPublicRegistries.begin(), kPublicRegistries.end()};
  bool sandbox = true;

  static auto config_fields() {
    return std::tuple(
        config::field("docker", &Settings::docker), config::field("docker_socket", &Settings::docker_socket).path(),
        config::field("docker_registries", &Settings::docker_registries), config::field("sandbox", &Settings::sandbox));
  }
};

struct JobSettings {
  static constexpr std::string_view kSection = "job";
  bool allow_privileged_docker = false;

  static auto config_fields() {
    return std::tuple(config::field("allow_privileged_docker", &JobSettings::allow_privileged_docker));
  }
};

}  // namespace dms::executor

#include "provider/admission.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "encoding/multibase.hpp"
#include "encoding/unknown.hpp"
#include "encoding/unset.hpp"
#include "jobs/ensemble/program_limits.hpp"
#include "jobs/ensemble/work_path.hpp"
#include "provider/health.hpp"
#include "provider/keys.hpp"
#include "transfer/archive.hpp"

namespace dms::provider {

Result<executor::EngineParams> engine_params(const jobs::Execution& execution) {
  Result<executor::EngineParams> params = json::from_value<executor::EngineParams>(json::Value(execution.params));
  if (!params) return std::unexpected(json::at_member("execution.params", params.error()));
  constexpr std::array<std::string_view, 8> kKnown = {"image",       "image_archive",     "entrypoint", "cmd",
                                                      "environment", "working_directory", "user",       "privileged"};
  for (const auto& [key, value] : execution.params) {
    if (key == "restart_policy" && value == "no") continue;  // what exits is not started again
    if (std::ranges::find(kKnown, std::string_view(key.data(), key.size())) == kKnown.end() && !json::is_unset(value))
      return fail(Errc::unsupported, "execution.params.{}: not supported by this provider",
                  std::string_view(key.data(), std::min<std::size_t>(key.size(), 64)));
  }
  return params;
}

namespace {

std::string_view image_archive(const jobs::Execution& execution) {
  const json::Value* found = execution.params.if_contains("image_archive");
  const auto* text = found == nullptr ? nullptr : found->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

Result<void> check_image_archive(const protocol::AllocationConfig& config) {
  if (json::find_set(config.execution.params, "image_archive") == nullptr) return {};
  if (config.executor != jobs::ExecutorType::docker)
    return fail(Errc::unsupported, "execution.params.image_archive: only executor docker runs images");
  if (json::find_set(config.execution.params, "image") != nullptr)
    return fail(Errc::invalid_argument, "execution.params.image_archive: it excludes image");
  const auto input = image_input(config);
  if (!input || config.inputs[*input].folder)
    return fail(Errc::invalid_argument, "execution.params.image_archive: expected the file of an input, by its `to`");
  return {};
}

/// Paths below the work folder, none inside another.
Result<void> check_paths(std::string_view member, const std::vector<std::string>& paths) {
  if (paths.size() > jobs::kMaxTransfers)
    return fail(Errc::invalid_argument, "{}: at most {} paths, found {}", member, jobs::kMaxTransfers, paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (const auto parts = transfer::path_below(paths[i]); !parts)
      return fail(Errc::invalid_argument, "{}: {}", member, parts.error().to_string());
    if (!jobs::is_work_path(paths[i]))
      return fail(Errc::invalid_argument, "{}: \"{}\" has an empty part or is too long", member, printable(paths[i]));
    for (std::size_t j = 0; j < i; ++j)
      if (jobs::overlap(paths[j], paths[i]))
        return fail(Errc::invalid_argument, "{}: \"{}\" and \"{}\" are the same or one inside the other", member,
                    printable(paths[i]), printable(paths[j]));
  }
  return {};
}

}  // namespace

std::optional<std::size_t> image_input(const protocol::AllocationConfig& config) {
  const std::string_view name = image_archive(config.execution);
  const auto found = std::ranges::find(config.inputs, name, &jobs::Input::to);
  if (name.empty() || found == config.inputs.end()) return std::nullopt;
  return static_cast<std::size_t>(found - config.inputs.begin());
}

Result<void> check_size(const capability::Resources& resources) {
  if (const std::size_t size = json::encode(resources).size(); size > kMaxResources)
    return fail(Errc::invalid_argument, "Resources: {} bytes, at most {} are kept", size, kMaxResources);
  return {};
}

Result<void> check_no_gpus(const capability::Resources& resources) {
  if (resources.gpus.empty()) return {};
  return fail(Errc::unsupported, "Resources.gpus: graphics cards are not handed to the work by this provider");
}

Result<void> check_config_size(const protocol::AllocationConfig& config) {
  if (const std::size_t size = json::encode(config).size(); size > kMaxConfig)
    return fail(Errc::limit_exceeded,
                "Config: {} bytes, this provider keeps at most {} of an allocation; shorten entrypoint, cmd and "
                "environment, or put their texts into an input",
                size, kMaxConfig);
  return {};
}

Result<void> check_config(const protocol::AllocationConfig& config) {
  TRY_VOID(check_config_size(config));
  if (to_string(config.executor) != config.execution.type)
    return fail(Errc::invalid_argument, "Execution.type: '{}' differs from Executor, '{}'",
                config.execution.type.substr(0, 64), to_string(config.executor));
  TRY_VOID(check_no_gpus(config.resources));
  TRY_VOID(engine_params(config.execution));
  TRY_VOID(jobs::check_program_limits("execution.params", config.execution.params));
  TRY_VOID(check_image_archive(config));
  if (!config.provision_scripts.empty())
    return fail(Errc::unsupported, "ProvisionScripts: not supported by this provider");
  std::vector<std::string> inputs;
  for (const jobs::Input& input : config.inputs) inputs.push_back(input.to);
  TRY_VOID(check_paths("Inputs", inputs));
  const std::uint64_t disk = config.resources.disk.size.bytes;
  if (disk == 0 && (config.results || !config.inputs.empty()))
    return fail(Errc::invalid_argument,
                "Resources.disk: 0 bytes; Inputs and Results need room, expected the disk that they may fill");
  if (config.results) {
    TRY_VOID(check_paths("Results", config.results->paths));
    if (config.results->limit > disk)
      return fail(Errc::invalid_argument, "Results.limit: {} bytes are more than the disk of the allocation, {}",
                  config.results->limit, disk);
  }
  if (config.health_check)
    if (const Result<void> check = check_health(*config.health_check); !check)
      return fail(Errc::invalid_argument, "HealthCheck.{}", check.error().to_string());
  return {};
}

namespace {

const json::Object* object_in(const json::Object* object, std::string_view name) {
  const json::Value* value = object == nullptr ? nullptr : json::find_member(*object, name);
  return value == nullptr ? nullptr : value->if_object();
}

constexpr std::string_view kNotHere = "not supported by this provider";

/// `gpu`: what transforms of DMS 0.5.x call it.
Result<void> check_resource_members(const json::Object* owner, std::string_view at) {
  return json::refuse_set(object_in(owner, "Resources"), fmt::format("{}Resources.", at), "gpu", kNotHere);
}

/// What nothing here reads, whoever has added it to the message.
template <class Request>
Result<void> check_unknown(const json::Value& request) {
  const std::string found = json::first_unknown<Request>(request);
  if (found.empty()) return {};
  return fail(Errc::unsupported, "{}: unknown member, {}", found, kNotHere);
}

}  // namespace

Result<void> check_members(BytesView allocate_request) {
  constexpr std::array<std::string_view, 4> kNotHonoured = {"Keys", "Volume", "Volumes", "Contracts"};
  if (allocate_request.empty()) return {};
  TRY(const json::Value request, json::parse(as_text(allocate_request)));
  if (const json::Object* allocations = object_in(request.if_object(), "Allocations"))
    for (const auto& [name, allocation] : *allocations) {
      const std::string at =
          fmt::format("{}: ", std::string_view(name.data(), std::min<std::size_t>(name.size(), kMaxId)));
      for (const std::string_view member : kNotHonoured)
        TRY_VOID(json::refuse_set(allocation.if_object(), at, member, kNotHere));
      TRY_VOID(check_resource_members(allocation.if_object(), at));
    }
  return check_unknown<protocol::AllocateRequest>(request);
}

Result<void> check_commit_members(BytesView commit_request) {
  if (commit_request.empty()) return {};
  TRY(const json::Value request, json::parse(as_text(commit_request)));
  TRY_VOID(check_resource_members(request.if_object(), ""));
  return check_unknown<protocol::CommitRequest>(request);
}

Result<void> check_start(const protocol::StartRequest& request) {
  if (!request.subnet_ip.empty() || !request.gateway_ip.empty())
    return fail(Errc::unsupported, "SubnetIP: subnets are not supported by this provider");
  if (!request.port_mapping.empty())
    return fail(Errc::unsupported, "PortMapping: public ports are not supported by this provider");
  return {};
}

std::string random_incarnation(Random& random) { return encode(Base::hex, random.bytes(16)); }

}  // namespace dms::provider

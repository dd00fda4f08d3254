#include "executor/cpu_quota.hpp"
#include "executor/docker/docker.hpp"
#include "executor/docker/image_name.hpp"

namespace dms::executor {

namespace {

void member(json::Writer& w, std::string_view key, const std::string& value) {
  if (value.empty()) return;
  w.key(key);
  w.string(value);
}

void member(json::Writer& w, std::string_view key, const std::vector<std::string>& values) {
  if (values.empty()) return;
  w.key(key);
  json::write(w, values);
}

/// The engine makes of NanoCpus a quota in periods of 100 ms, which the kernel refuses below 1 ms.
void processor_share(json::Writer& w, double cores) {
  if (cores <= 0) return;
  const CpuQuota share = cpu_quota(cores);
  if (share.period_micros == kPeriodMicros) {
    w.key("NanoCpus").integer(static_cast<std::int64_t>(cores * 1e9));
  } else {
    w.key("CpuPeriod").integer(share.period_micros).key("CpuQuota").integer(share.quota_micros);
  }
}

void mounts(json::Writer& w, const Request& request) {
  if (request.work_dir.empty() && request.actor_dir.empty()) return;
  const auto bind = [&w](const std::string& source, std::string_view target, bool read_only) {
    w.begin_object().key("Type").string("bind").key("Source").string(source).key("Target").string(target);
    if (read_only) w.key("ReadOnly").boolean(true);
    w.end_object();
  };
  w.key("Mounts").begin_array();
  if (!request.work_dir.empty()) bind(request.work_dir.string(), "/work", false);
  if (!request.actor_dir.empty()) bind(request.actor_dir.string(), kActorFolder, true);
  w.end_array();
}

void host_config(json::Writer& w, const Request& request, const DockerOptions& options) {
  const Limits& limits = request.limits;
  w.key("HostConfig").begin_object();
  processor_share(w, limits.cpu_cores);
  if (limits.memory_bytes > 0) {
    w.key("Memory").unsigned_integer(limits.memory_bytes);
    w.key("MemorySwap").unsigned_integer(limits.memory_bytes);  // of both together: no swap
  }
  if (limits.pids > 0) w.key("PidsLimit").unsigned_integer(limits.pids);
  if (request.engine.params.privileged) {
    w.key("Privileged").boolean(true);
  } else {
    member(w, "SecurityOpt", std::vector<std::string>{"no-new-privileges"});
    // Common images need the rest of the engine's default set to change from root to their own user.
    member(w, "CapDrop", std::vector<std::string>{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"});
  }
  if (!request.network) member(w, "NetworkMode", std::string("none"));
  member(w, "CgroupParent", options.cgroup_parent);
  mounts(w, request);
  // Two files: with one, the engine's follow ends or hangs when the file is rotated.
  w.key("LogConfig").begin_object().key("Type").string("json-file").key("Config").begin_object();
  w.key("max-size").string(fmt::format("{}", std::max<std::uint64_t>(request.log_limit, 1024 * 1024)));
  w.key("max-file").string("2").end_object().end_object();
  w.end_object();
}

}  // namespace

bool is_container_id(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string docker_container_name(const Request& request, const DockerOptions& options) {
  return fmt::format("{}_{}_{}", options.id, request.job_id, request.execution_id.value);
}

std::string docker_create_body(const Request& request, const DockerOptions& options, const std::string& image) {
  const EngineParams& params = request.engine.params;
  json::Writer w;
  w.begin_object();
  w.key("Image").string(image.empty() ? tagged_image(params.image) : "sha256:" + image);
  member(w, "Entrypoint", params.entrypoint);
  member(w, "Cmd", params.cmd);
  member(w, "Env", params.environment);
  member(w, "WorkingDir", params.working_directory);
  member(w, "User", params.user);
  w.key("Labels").begin_object();
  w.key("nunet-executor").string(options.id);
  w.key("nunet-jobID").string(fmt::format("{}_{}", options.id, request.job_id));
  w.key("nunet-executionID").string(docker_container_name(request, options));
  w.end_object();
  host_config(w, request, options);
  w.end_object();
  return w.take();
}

}  // namespace dms::executor

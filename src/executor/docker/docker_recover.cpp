// How a Docker takes up the containers that an earlier daemon has started, or removes them.
#include <filesystem>
#include <utility>

#include "base/log.hpp"
#include "executor/docker/docker_run.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {
constexpr Duration kLaterAnswer = 10s;  // with an engine that has not answered before: no start waits for it
}  // namespace

/// As a filter in a URL.
std::string Docker::own_label() const {
  return url_encode(fmt::format(R"({{"label":["nunet-executor={}"]}})", options_.id));
}

Task<Result<std::vector<ExecutionId>>> Docker::recover(std::vector<Request> known) {
  if (!runs_.empty()) co_return fail(Errc::invalid_argument, "recover() comes before the first start");
  std::map<std::string, Request> requests;
  for (Request& request : known)
    if (check(request)) requests.emplace(docker_container_name(request, options_), std::move(request));
  const std::string path = "/containers/json?all=1&filters=" + own_label();
  const Duration patience = std::exchange(awaits_engine_, true) ? kLaterAnswer : kFirstAnswer;
  CO_TRY(const json::Value answer, co_await api_.call("GET", path, "", patience));
  const json::Array* containers = answer.if_array();
  if (containers == nullptr) co_return fail(Errc::io, "Docker engine: expected a list of containers");
  // Before anything is taken up or removed: if it falls silent here, it is asked again later.
  std::map<std::string, Result<json::Value>> found;  // of the known containers
  for (const json::Value& container : *containers) {
    std::string id = json_text(container, {"Id"});
    const std::string name = json_text(container, {"Labels", "nunet-executionID"});
    if (!is_container_id(id) || !requests.contains(name)) continue;
    const std::string inspect = "/containers/" + name + "/json";
    Result<json::Value> details = co_await api_.call("GET", inspect, "", patience);
    if (!details && is_not_tried(details.error())) co_return std::unexpected(details.error());
    found.emplace(std::move(id), std::move(details));
  }
  std::vector<ExecutionId> taken;
  std::set<std::string> kept;  // containers
  std::vector<std::pair<RunPtr, DockerLog>> to_supervise;
  for (const json::Value& container : *containers) {
    const std::string id = json_text(container, {"Id"});
    if (!is_container_id(id)) continue;
    const std::string name = json_text(container, {"Labels", "nunet-executionID"});
    if (const auto it = requests.find(name); it != requests.end()) {
      auto run = std::make_shared<Run>();
      run->request = it->second;
      run->name = name;
      Result<DockerLog> log = co_await take_up(run, id, std::move(found.at(id)));
      if (log) {
        taken.push_back(run->request.execution_id);
        kept.insert(id);
        to_supervise.emplace_back(std::move(run), *std::move(log));
        continue;
      }
      log::error("executor", "container {} is not taken up: {}", name, log.error().to_string());
    }
    log::warn("executor", "removing container {} that an earlier daemon left", name);
    const Result<void> gone = co_await delete_container(id);
    if (!gone) {
      log::error("executor", "container {} may remain: {}", name, gone.error().to_string());
      kept.insert(id);
    }
  }
  co_await end_watchers_but(std::move(kept));
  co_await release_images();
  awaits_engine_ = false;  // until here a stop or removal of what is not taken up yet would find nothing
  for (auto& [run, log] : to_supervise) begin_supervision(run, std::move(log));
  co_return std::move(taken);
}

/// An error if the container never ran, or is not the one of that name.
Task<Result<DockerLog>> Docker::take_up(RunPtr run, std::string id, Result<json::Value> found) {
  CO_TRY(const json::Value details, std::move(found));
  const std::string status = json_text(details, {"State", "Status"});
  if (json_text(details, {"Id"}) != id) co_return fail(Errc::not_found, "another container has this name");
  if (status != "running" && status != "paused" && status != "exited")
    co_return fail(Errc::not_found, "its state is '{}'", status);
  auto opening = [run] {
    std::error_code ignored;
    fs::create_directories(run->request.results_dir, ignored);
    return DockerLog::open(run->request.results_dir, run->request.log_limit, LogFile::Begin::resume);
  };
  CO_TRY(DockerLog log, co_await offload(opening));
  CO_TRY_VOID(add(run));
  run->container = id;
  if (!run->request.image_archive.empty()) run->image = image_id(json_text(details, {"Image"}));
  run->state = status == "paused" ? State::paused : State::running;
  ++metrics_.recovered;
  log::info("executor", "container {} is taken up: {}", run->name, status);
  co_return std::move(log);
}

}  // namespace dms::executor

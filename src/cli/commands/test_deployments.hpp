// For tests: a daemon with one deployment, whose output it serves in pages.
#pragma once

#include "cli/commands/test_daemon.hpp"
#include "protocol/deployment.hpp"

namespace dms::cli {

inline constexpr std::string_view kEnsemble = R"(version: V1
allocations:
  work:
    executor: sandbox
    type: task
    resources: {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}
    execution: {type: sandbox, cmd: [/bin/echo, hello]}
nodes:
  place: {allocations: [work]}
)";

/// A stream of an allocation, as the daemon serves it.
struct FakeStream {
  std::string text;           ///< all that was written
  std::uint64_t dropped = 0;  ///< of its first bytes
  bool ended = true;
  std::string incomplete;

  [[nodiscard]] protocol::DeploymentLogsReply page(std::uint64_t offset, std::size_t size) const {
    protocol::DeploymentLogsReply reply;
    reply.offset = std::max(offset, dropped);
    reply.total_size = text.size();
    if (offset <= text.size()) reply.data = to_bytes(text.substr(reply.offset, size));
    reply.next_offset = reply.offset + reply.data.size();
    reply.eof = ended && reply.next_offset == reply.total_size;
    reply.incomplete = incomplete;
    return reply;
  }
};

struct DeployTest : DaemonTest {
  std::vector<std::string> states{"Preparing", "Running", "Completed"};
  std::size_t polls = 0;
  std::string file = (world.home / "ensemble.yaml").string();
  std::map<std::string, FakeStream> streams{{"work/stdout", {.text = "hello\n"}}, {"work/stderr", {}}};
  std::size_t page_size = protocol::kLogPage;
  std::size_t pages = 0;
  std::function<void()> on_page = [] {};

  DeployTest() {
    (void)write_file(file, kEnsemble);
    answer = [this](const actor::Envelope& e) { return respond(e); };
  }

  std::optional<std::string> respond(const actor::Envelope& e) {
    if (e.behaviour.ends_with("/new")) return R"({"Status":"OK","EnsembleID":"abc"})";
    if (e.behaviour.ends_with("/manifest")) return manifest();
    if (e.behaviour.ends_with("/logs")) return json::encode(logs(e));
    if (e.behaviour.ends_with("/list")) return R"({"Deployments":{"abc":"Running","abcdef":"Completed"}})";
    const auto& state = states[std::min(polls++, states.size() - 1)];
    return json::write(json::Object{{"Status", state}, {"Error", state == "Failed" ? "no bids" : ""}});
  }

  std::string manifest() {
    json::Object allocations;
    for (const auto& [name, stream] : streams) allocations[name.substr(0, name.find('/'))] = json::Object();
    return json::write(json::Object{{"manifest", json::Object{{"allocations", allocations}}}});
  }

  protocol::DeploymentLogsReply logs(const actor::Envelope& e) {
    const auto request = json::decode<protocol::DeploymentLogsRequest>(e.message).value();
    ++pages;
    const auto found = streams.find(request.allocation_name + "/" + request.stream);
    protocol::DeploymentLogsReply reply;
    if (found == streams.end())
      reply.error = fmt::format("there is no allocation {}", request.allocation_name);
    else
      reply = found->second.page(
          request.offset, std::min<std::size_t>(request.max_bytes > 0 ? request.max_bytes : page_size, page_size));
    on_page();
    return reply;
  }
};

}  // namespace dms::cli

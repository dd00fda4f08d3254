#include "jobs/ensemble/waiting.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "jobs/ensemble/advice.hpp"
#include "jobs/ensemble/yaml.hpp"

namespace dms::jobs {
namespace {

constexpr std::string_view kBetween = "\n  ";  // problems of one error, see failure() in fields.hpp

struct Waiting {
  std::vector<std::string> refusals;
  std::vector<std::string> places;  ///< whose other problems do not matter
};

bool is_given(const json::Value* value) {
  if (value == nullptr || value->is_null()) return false;
  if (const auto* list = value->if_array()) return !list->empty();
  if (const auto* object = value->if_object()) return !object->empty();
  if (const auto* text = value->if_string()) return !text->empty();
  return true;
}

void look(Waiting& waiting, const json::Object& object, const std::string& at, std::string_view member,
          std::string_view advice) {
  if (!is_given(object.if_contains(member))) return;
  std::string place = at.empty() ? std::string(member) : fmt::format("{}.{}", at, member);
  waiting.refusals.push_back(fmt::format("{}: {}", place, advice));
  waiting.places.push_back(std::move(place));
}

void look_at_allocation(Waiting& waiting, const json::Object& allocation, const std::string& at) {
  const json::Value* executor = allocation.if_contains("executor");
  if (executor != nullptr && (*executor == "firecracker" || *executor == "containerd")) {
    waiting.refusals.push_back(
        fmt::format("{}.executor: {} {}", at, std::string_view(executor->get_string()), kNoExecutor));
    waiting.places.push_back(at + ".execution");
  }
  for (const std::string_view member : {"volume", "volumes"}) look(waiting, allocation, at, member, kNoVolumes);
  waiting.places.push_back(at + ".volume");  // where both are read to
  look(waiting, allocation, at, "keys", kNoKeys);
  look(waiting, allocation, at, "provision", kNoScripts);
  const json::Value* resources = allocation.if_contains("resources");
  if (resources != nullptr && resources->is_object())
    look(waiting, resources->get_object(), at + ".resources", "gpus", kNoCards);
}

/// Of each map below `top.key`, by its place.
template <class F>
void for_each_map(const json::Object& top, std::string_view key, F visit) {
  const json::Value* all = top.if_contains(key);
  if (all == nullptr || !all->is_object()) return;
  for (const auto& member : all->get_object())
    if (member.value().is_object())
      visit(member.value().get_object(), fmt::format("{}.{}", key, std::string_view(member.key())));
}

Waiting waiting_in(const json::Object& top) {
  Waiting waiting;
  for_each_map(top, "allocations",
               [&](const json::Object& one, const std::string& at) { look_at_allocation(waiting, one, at); });
  for_each_map(top, "nodes",
               [&](const json::Object& one, const std::string& at) { look(waiting, one, at, "ports", kNoPorts); });
  look(waiting, top, "", "volumes", kNoVolumes);
  look(waiting, top, "", "keys", kNoKeys);
  look(waiting, top, "", "scripts", kNoScripts);
  look(waiting, top, "", "contracts", kNoContracts);
  return waiting;
}

std::vector<std::string_view> problems_of(std::string_view message) {
  const auto head = message.find(kBetween);
  if (head == std::string_view::npos || !message.substr(0, head).ends_with(" problems:")) return {message};
  std::vector<std::string_view> problems;
  for (message.remove_prefix(head + kBetween.size());;) {
    const auto end = message.find(kBetween);
    problems.push_back(message.substr(0, end));
    if (end == std::string_view::npos) return problems;
    message.remove_prefix(end + kBetween.size());
  }
}

bool is_inside(std::string_view problem, std::string_view place) {
  return problem.starts_with(place) && problem.size() > place.size() &&
         std::string_view(".[:").find(problem[place.size()]) != std::string_view::npos;
}

}  // namespace

Error waiting_first(std::string_view yaml, const Error& refused) {
  const Result<YamlDocument> written = read_yaml(yaml);
  const json::Object* top = written ? written->root.if_object() : nullptr;
  if (top == nullptr) return refused;
  Waiting waiting = waiting_in(*top);
  if (waiting.refusals.empty()) return refused;
  for (const std::string_view problem : problems_of(refused.message()))
    if (std::ranges::none_of(waiting.places, [&](const auto& place) { return is_inside(problem, place); }))
      waiting.refusals.emplace_back(problem);
  if (waiting.refusals.size() == 1) return {Errc::unsupported, waiting.refusals.front()};
  return {Errc::unsupported,
          fmt::format("{} problems:{}{}", waiting.refusals.size(), kBetween, fmt::join(waiting.refusals, kBetween))};
}

}  // namespace dms::jobs

#include "protocol/table.hpp"

#include <array>

#include "protocol/every_behaviour.hpp"
#include "protocol/refused.hpp"

namespace dms::protocol {
namespace {

template <class T>
constexpr std::string_view type_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  return name.substr(name.rfind(':') + 1);
}

template <class Request, class Reply>
constexpr TableEntry entry(const Behaviour<Request, Reply>& behaviour) {
  return {&behaviour, type_name<Request>(), type_name<Reply>()};
}

constexpr auto kTable =
    std::apply([](const auto&... behaviours) { return std::array{entry(behaviours)...}; }, kEveryBehaviour);

constexpr std::string_view holder_name(Holder holder) { return holder == Holder::allocation ? "allocation" : "node"; }

std::string seconds(Duration time) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  return whole % 60 == 0 ? fmt::format("{} min", whole / 60) : fmt::format("{} s", whole);
}

std::string refused_page() {
  std::string page =
      "\n## Not served yet\n\n"
      "These behaviours of NuNet's nodes are answered with the reason, for whoever has the capability to invoke them\n"
      "(`src/protocol/refused.hpp`).\n\n"
      "| behaviour | actor | why, and what to use instead |\n"
      "|---|---|---|\n";
  for (auto each = refused_behaviours(); !each.empty();) {
    const RefusedBehaviour& first = each.front();
    std::string paths;
    for (; !each.empty() && each.front().reason == first.reason && each.front().holder == first.holder;
         each = each.subspan(1))
      paths += fmt::format("{}`{}`", paths.empty() ? "" : ", ", each.front().path);
    page += fmt::format("| {} | {} | {} |\n", paths, holder_name(first.holder), first.reason);
  }
  page +=
      "\nThe paths of some messages of NuNet's newest nodes are not known, so that they are neither sent nor "
      "answered:\n\n"
      "* notices of the liveness and of the status of an allocation, and the query for the state of a deployment: "
      "`/dms/deployment/renew`\n"
      "  reports all of it, and `/dms/orchestrator/allocation-changed` hints at a change;\n"
      "* the conversion of promise bids of compute gateways: providers make none, and orchestrators do not count "
      "them;\n"
      "* the flight recorder: `nunet run --debug`, or `/dms/node/logger/config` while the daemon runs.\n";
  return page;
}

}  // namespace

std::span<const TableEntry> behaviour_table() { return kTable; }

std::string behaviours_page() {
  std::string page =
      "# Behaviours\n\n"
      "The behaviours of a node's actors. Generated from the declarations in `src/protocol` by `protocol_test`\n"
      "(`UPDATE_GOLDEN=1` rewrites this page); the payload types are in the same folder. Behaviours marked \"yes\" "
      "are\n"
      "offered by `nunet actor cmd` and through the local REST API.\n\n"
      "| behaviour | what it does | request | reply | capability | topic | time limit | offered to users |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const TableEntry& entry : kTable) {
    const Declaration& d = *entry.declaration;
    page += fmt::format("| `{}` | {} | `{}` | `{}` | {} | {} | {} | {} |\n", d.path, d.help, entry.request, entry.reply,
                        d.open ? "none" : fmt::format("`{}`", d.required_capability()),
                        d.topic.empty() ? "" : fmt::format("`{}`", d.topic), seconds(d.timeout),
                        d.offered == Offered::command_line ? "yes" : "");
  }
  return page + refused_page();
}

}  // namespace dms::protocol

#include <algorithm>

#include "cli/framework/command.hpp"

namespace dms::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string option_names(const Option& option) {
  std::string text = option.letter == 0 ? "    " : fmt::format("-{}, ", option.letter);
  text += "--" + option.name;
  if (!option.value.empty()) text += fmt::format(" <{}>", option.value);
  return text;
}

std::string section(std::string_view title, const Rows& rows) {
  if (rows.empty()) return "";
  std::size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.first.size());
  std::string text = fmt::format("\n{}:\n", title);
  for (const auto& [left, right] : rows) text += fmt::format("  {:<{}}  {}\n", left, width, right);
  return text;
}

Rows option_rows(const Command& command) {
  Rows rows;
  for (const auto& option : command.options)
    rows.emplace_back(option_names(option), option.help + (option.required ? " (required)" : "") +
                                                (option.repeated ? " (can be repeated)" : ""));
  return rows;
}

std::string usage_line(std::span<const Command* const> path) {
  std::string text = "Usage:\n ";
  for (const auto* command : path) text += " " + command->name;
  const Command& last = *path.back();
  if (!last.children.empty()) text += last.action ? " [command]" : " <command>";
  for (const auto& p : last.positionals)
    text += p.required ? fmt::format(" <{}>", p.name) : fmt::format(" [{}]", p.name);
  if (!last.options.empty()) text += " [flags]";
  return text + "\n";
}

}  // namespace

std::string help(std::span<const Command* const> path) {
  const Command& command = *path.back();
  std::string text = command.summary + ".\n";
  if (!command.detail.empty()) text += "\n" + command.detail + "\n";
  text += "\n" + usage_line(path);
  Rows children;
  for (const auto& child : command.children)
    if (!child.hidden) children.emplace_back(child.name, child.summary);
  text += section("Commands", children);
  Rows positionals;
  for (const auto& p : command.positionals) positionals.emplace_back(fmt::format("<{}>", p.name), p.help);
  text += section("Arguments", positionals);
  const bool is_root = path.size() == 1;
  text += section(is_root ? "Global flags" : "Flags", option_rows(command));
  Rows outer;
  for (std::size_t i = 1; i + 1 < path.size(); ++i)
    for (auto& row : option_rows(*path[i])) outer.push_back(std::move(row));
  text += section("Flags of the group", outer);
  if (!command.examples.empty()) {
    text += "\nExamples:\n";
    for (const auto& example : command.examples) text += "  " + example + "\n";
  }
  if (!is_root) text += fmt::format("\nGlobal flags: `{} --help`\n", path.front()->name);
  return text;
}

}  // namespace dms::cli

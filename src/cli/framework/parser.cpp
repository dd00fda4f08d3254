#include <algorithm>
#include <ranges>

#include "base/suggest.hpp"
#include "cli/framework/command.hpp"

namespace dms::cli {
namespace {

/// The option that `name` names, without dashes; of commands that both know it, the inner one's.
const Option* find_option(const std::vector<const Command*>& path, std::string_view name) {
  for (auto command = path.rbegin(); command != path.rend(); ++command)
    for (const Option& option : (*command)->options)
      if (option.name == name || std::ranges::find(option.aliases, name) != option.aliases.end()) return &option;
  return nullptr;
}
const Option* find_option(const std::vector<const Command*>& path, char letter) {
  for (auto command = path.rbegin(); command != path.rend(); ++command)
    for (const Option& option : (*command)->options)
      if (option.letter == letter) return &option;
  return nullptr;
}

std::string meant(std::string_view word, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  const auto near = nearest(word, views);
  return near.empty() ? "" : fmt::format(" (did you mean {}?)", near);
}

std::string unknown_flag(const Line& line, std::string_view flag) {
  std::vector<std::string> known{"--help"};
  for (const auto* command : line.path)
    for (const auto& option : command->options) {
      known.push_back("--" + option.name);
      for (const auto& alias : option.aliases) known.push_back("--" + alias);
    }
  return fmt::format("unknown flag {}{}", flag, meant(flag, known));
}

std::string unexpected_word(const Line& line, std::string_view word) {
  const Command& command = *line.path.back();
  if (command.children.empty() || !line.positionals.empty()) return fmt::format("unexpected argument \"{}\"", word);
  std::vector<std::string> known;
  for (const auto& child : command.children) known.push_back(child.name);
  return fmt::format("unknown command \"{}\"{}", word, meant(word, known));
}

/// Reads words into a Line. It continues after a wrong word, because --help may follow.
class Reader {
 public:
  explicit Reader(const Command& root) { line_.path.push_back(&root); }

  void read(const std::string& word) {
    if (line_.option != nullptr)
      set(*std::exchange(line_.option, nullptr), word);
    else if (flags_ended_ || word == "-" || !word.starts_with('-'))
      read_argument(word);
    else if (word == "--")
      flags_ended_ = true;
    else if (word.starts_with("--"))
      read_long(word);
    else
      read_letters(word);
  }
  Line take() { return std::move(line_); }

 private:
  void wrong(std::string what) {
    if (line_.wrong.empty()) line_.wrong = std::move(what);
  }

  void read_argument(const std::string& word) {
    const Command& command = *line_.path.back();
    const Command* child = line_.positionals.empty() && !flags_ended_ ? command.child(word) : nullptr;
    if (child != nullptr) {
      line_.path.push_back(child);
      return;
    }
    if (line_.positionals.size() >= command.positionals.size()) wrong(unexpected_word(line_, word));
    line_.positionals.push_back(word);
  }

  void read_long(const std::string& word) {
    const auto equals = word.find('=');
    const auto flag = word.substr(0, equals);
    const Option* option = find_option(line_.path, std::string_view(flag).substr(2));
    if (option == nullptr && word == "--help")
      line_.help = true;
    else if (option == nullptr)
      wrong(unknown_flag(line_, flag));
    else if (equals != std::string::npos)
      set(*option, word.substr(equals + 1));
    else
      start(*option);
  }

  /// "-w", "-wf file", "-ffile".
  void read_letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const Option* option = find_option(line_.path, word[i]);
      if (option == nullptr && word[i] == 'h') {
        line_.help = true;
      } else if (option == nullptr) {
        return wrong(unknown_flag(line_, i == 1 ? word : fmt::format("-{}", word[i])));
      } else if (!option->value.empty() && i + 1 < word.size()) {
        return set(*option, word.substr(i + 1));
      } else {
        start(*option);
      }
    }
  }

  void start(const Option& option) {
    if (option.value.empty())
      set(option, "true");
    else
      line_.option = &option;
  }

  void set(const Option& option, std::string value) {
    const bool again = !given_.insert(&option).second;
    if (option.value.empty()) {
      line_.arguments.set_switch(option.name, value != "false" && value != "0");
      if (value != "true" && value != "1" && value != "false" && value != "0")
        wrong(fmt::format("--{}: expected no value, true or false, found \"{}\"", option.name, value));
      return;
    }
    if (again && !option.repeated) wrong(fmt::format("--{} is given twice", option.name));
    if (value.empty() && (option.value == "file" || option.value == "folder"))
      wrong(fmt::format("--{} is empty, expected a {}", option.name, option.value));
    std::vector<std::string> values;
    if (option.repeated) {
      if (again) values = line_.arguments.all(option.name);
      for (std::size_t comma = value.find(','); comma != std::string::npos; comma = value.find(',')) {
        values.push_back(value.substr(0, comma));
        value.erase(0, comma + 1);
      }
    }
    values.push_back(std::move(value));
    line_.arguments.set(option.name, std::move(values));
  }

  Line line_;
  std::set<const Option*> given_;
  bool flags_ended_ = false;
};

std::string join(const Command& command, const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) {
    const bool positional =
        std::ranges::find(command.positionals, name, &Positional::name) != command.positionals.end();
    text += fmt::format("{}{}", text.empty() ? "" : ", ", positional ? "<" + name + ">" : "--" + name);
  }
  return text;
}

/// An option before the command that the command does not know; empty if there is none.
std::string misplaced(const Line& line) {
  for (std::size_t i = 0; i + 1 < line.path.size(); ++i)
    for (const auto& option : line.path[i]->options) {
      const auto known = [&](const auto* command) {
        return std::ranges::find(command->options, option.name, &Option::name) != command->options.end();
      };
      if (option.inner && line.arguments.has(option.name) &&
          std::ranges::none_of(line.path | std::views::drop(i + 1), known))
        return fmt::format("`{}` has no --{}", line.path.back()->name, option.name);
    }
  return "";
}

/// A requirement of the command that the words do not meet; empty if they meet all.
std::string missing(const Line& line) {
  if (line.option != nullptr) return fmt::format("--{} needs a value, <{}>", line.option->name, line.option->value);
  if (!line.path.back()->action) return "";
  if (auto option = misplaced(line); !option.empty()) return option;
  for (const auto* command : line.path)
    for (const auto& option : command->options)
      if (option.required && !line.arguments.has(option.name))
        return fmt::format("--{} <{}> is required", option.name, option.value);
  const Command& last = *line.path.back();
  for (std::size_t i = line.positionals.size(); i < last.positionals.size(); ++i)
    if (last.positionals[i].required) return fmt::format("<{}> is missing", last.positionals[i].name);
  const auto count = [&](const auto& group) {
    return std::ranges::count_if(group, [&](const auto& name) { return line.arguments.has(name); });
  };
  for (const auto& group : last.at_most_one)
    if (count(group) > 1) return fmt::format("only one of {} can be given", join(last, group));
  for (const auto& group : last.exactly_one)
    if (count(group) != 1) return fmt::format("exactly one of {} is required", join(last, group));
  return "";
}

}  // namespace

std::optional<std::string> Arguments::get(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::string Arguments::get(const std::string& name, std::string_view fallback) const {
  return get(name).value_or(std::string(fallback));
}

std::vector<std::string> Arguments::all(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

void Arguments::set_switch(const std::string& name, bool on) {
  values_.erase(name);
  off_.erase(name);
  if (on)
    values_[name] = {"true"};
  else
    off_.insert(name);
}

const Command* Command::child(std::string_view word) const {
  for (const auto& c : children)
    if (c.name == word || std::ranges::find(c.aliases, word) != c.aliases.end()) return &c;
  return nullptr;
}

Line read_line(const Command& root, std::span<const std::string> words) {
  Reader reader(root);
  for (const auto& word : words) reader.read(word);
  Line line = reader.take();
  const auto& positionals = line.path.back()->positionals;
  for (std::size_t i = 0; i < std::min(line.positionals.size(), positionals.size()); ++i)
    line.arguments.set(positionals[i].name, {line.positionals[i]});
  return line;
}

Result<Line> parse(const Command& root, std::span<const std::string> words) {
  Line line = read_line(root, words);
  if (line.help) return line;
  const std::string wrong = line.wrong.empty() ? missing(line) : line.wrong;
  if (wrong.empty()) return line;
  std::string typed;
  for (const auto* command : line.path) typed += command->name + " ";
  return fail(Errc::usage, "{}; see `{}--help`", wrong, typed);
}

}  // namespace dms::cli

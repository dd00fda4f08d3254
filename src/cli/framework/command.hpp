// What can be typed: a tree of commands, described as data. Parsing, help and completion all read the same tree.
//
// Model
//  1. A command has children, or an action, or both. Options of an outer command may stand behind an inner one
//     (`nunet key did user --debug`); where both know the name, the inner one gets it.
//  2. An option with a `value` takes one argument and may be repeated only if `repeated`, then also as a,b,c. Without
//     `value` it is a switch, which `--name=false` turns off again where a setting has turned it on.
//  3. parse() checks what the tree says (unknown words, required options, groups); the action checks values.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cli/framework/error.hpp"

namespace dms::cli {

/// What of this user's things a value names: a shell can offer those that are there.
enum class Known { nothing, contexts, keys, dids, settings };

struct Option {
  std::string name;   // without dashes
  char letter = 0;    // 0: none
  std::string value;  // what its argument is called in help; empty: a switch
  std::string help;
  bool required = false;
  bool repeated = false;
  std::vector<std::string> aliases;
  Known known = Known::nothing;
  std::vector<std::string> choices;  // what a shell offers besides
};

struct Positional {
  std::string name;
  std::string help;
  bool required = true;
  Known known = Known::nothing;
  std::vector<std::string> choices;
};

/// What was typed, by the names in the tree.
class Arguments {
 public:
  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  [[nodiscard]] std::optional<std::string> get(const std::string& name) const;
  [[nodiscard]] std::string get(const std::string& name, std::string_view otherwise) const;
  [[nodiscard]] std::vector<std::string> all(const std::string& name) const;
  void set(std::string name, std::vector<std::string> values) {
    values_.insert_or_assign(std::move(name), std::move(values));
  }
  /// A switch that was turned off in so many words; has() does not know it.
  [[nodiscard]] bool is_off(const std::string& name) const { return off_.contains(name); }
  void set_off(std::string name) { off_.insert(std::move(name)); }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::set<std::string> off_;
};

class Session;
using Action = std::function<Result<void>(Session&, const Arguments&)>;

struct Command {
  std::string name;
  std::string summary;  // one line, in the list of its parent
  std::string detail;   // paragraphs of its own help
  std::vector<std::string> examples;
  std::vector<Option> options;
  std::vector<Positional> positionals;
  std::vector<std::vector<std::string>> at_most_one;  // of each group of option names
  std::vector<std::vector<std::string>> exactly_one;
  std::vector<Command> children;
  std::vector<std::string> aliases;
  bool hidden = false;
  Action action;

  [[nodiscard]] const Command* child(std::string_view word) const;
};

struct Parsed {
  std::vector<const Command*> path;  // from the root to what was asked for
  Arguments arguments;
  bool help = false;
};

/// `words` are without the program's name. Errc::usage with what was expected. The result points into `root`.
Result<Parsed> parse(const Command& root, std::span<const std::string> words);

/// What --help prints for the last command of `path`.
std::string help(std::span<const Command* const> path);

/// A line that is still being typed.
struct Unfinished {
  std::vector<const Command*> path;
  Arguments arguments;             // of the options before the last word
  const Option* option = nullptr;  // the last word is its value
  std::size_t positionals = 0;     // typed before the last word
  std::string last;
};
Unfinished read_unfinished(const Command& root, std::span<const std::string> words);

/// What could stand in place of the last word. `known` lists what is there.
std::vector<std::string> completions(const Unfinished& line,
                                     const std::function<std::vector<std::string>(Known)>& known);

}  // namespace dms::cli

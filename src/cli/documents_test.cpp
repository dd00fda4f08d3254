// The commands in documents and in help are commands of this program. They are parsed, not run.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <sstream>

#include "base/file.hpp"
#include "cli/cli.hpp"

namespace dms::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

bool is_assignment(const std::string& word) {
  static const std::regex form("[A-Z_][A-Z0-9_]*=.*");
  return std::regex_match(word, form);
}

/// The commands of a line for a shell that call this program, without its name; those in $(...) as well. Of the shell's
/// grammar it knows what the documents use.
class ShellLine {
 public:
  explicit ShellLine(std::string_view text) : text_(text) {
    while (at_ < text_.size() && !comment_) step();
    end_command();
  }
  std::vector<Words> commands;

 private:
  void step() {
    const char c = text_[at_];
    if (c == ' ' || c == '\t')
      end_word();
    else if (c == '#' && !in_word_)
      comment_ = true;
    else if (c == '|' || c == ';' || c == '&')
      end_command();
    else if (c == '\'' || c == '"')
      quoted(c);
    else if (text_.substr(at_).starts_with("$(") || text_.substr(at_).starts_with("<("))
      substitution();
    else if (c == '<' || c == '>')
      redirection_or_placeholder(c);
    else
      add(c);
    ++at_;
  }
  void add(char c) {
    word_ += c;
    in_word_ = true;
  }
  void quoted(char quote) {
    in_word_ = true;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (quote == '"' && text_.substr(at_).starts_with("$("))
        substitution();
      else
        add(text_[at_]);
    }
  }
  void substitution() {
    const std::size_t end = std::min(text_.find(')', at_), text_.size());
    for (Words& inner : ShellLine(text_.substr(at_ + 2, end - at_ - 2)).commands) commands.push_back(std::move(inner));
    add('X');
    at_ = end;
  }
  /// `<peer>` stands for a value.
  void redirection_or_placeholder(char c) {
    const std::size_t end = text_.find_first_of("> \t", at_ + 1);
    if (c == '<' && end != std::string_view::npos && text_[end] == '>') {
      for (; at_ < end; ++at_) add(text_[at_]);
      return add('>');
    }
    end_word();
    to_file_ = true;
  }
  void end_word() {
    if (in_word_ && !std::exchange(to_file_, false)) words_.push_back(word_);
    word_.clear();
    in_word_ = false;
  }
  void end_command() {
    end_word();
    auto first = words_.begin();
    if (first != words_.end() && *first == "$") ++first;  // a prompt
    while (first != words_.end() && is_assignment(*first)) ++first;
    if (first != words_.end() && *first == "nunet") commands.emplace_back(first + 1, words_.end());
    words_.clear();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string word_;
  bool in_word_ = false;
  bool to_file_ = false;
  bool comment_ = false;
  Words words_;
};

std::string joined(const Words& words) { return fmt::format("nunet {}", fmt::join(words, " ")); }

/// The number of commands.
std::size_t expect_parsed(std::string_view line, const std::string& where) {
  const ShellLine read(line);
  for (const Words& words : read.commands) {
    if (!words.empty() && words.front() == "help") {
      EXPECT_EQ(read_line(command_tree(), std::span(words).subspan(1)).wrong, "") << where << ": " << joined(words);
      continue;
    }
    const auto parsed = parse(command_tree(), words);
    EXPECT_TRUE(parsed) << where << ": " << joined(words) << ": " << parsed.error().to_string();
  }
  return read.commands.size();
}

/// In the text of a paragraph a command may lack what it needs, but what it has exists.
void expect_known(std::string text, const std::string& where) {
  std::ranges::replace(text, '\n', ' ');
  if (text.find_first_of("|[{") != std::string::npos || text.find("...") != std::string::npos) return;
  for (const Words& words : ShellLine(text).commands)
    EXPECT_EQ(read_line(command_tree(), words).wrong, "") << where << ": " << joined(words);
}

std::vector<fs::path> documents() {
  const fs::path root = DMS_SOURCE_DIR;
  std::vector<fs::path> pages{root / "README.md", root / "CONTRIBUTING.md"};
  for (const auto& entry : fs::recursive_directory_iterator(root / "docs"))  // decisions speak of their time
    if (entry.path().extension() == ".md" && entry.path().parent_path().filename() != "decisions")
      pages.push_back(entry.path());
  for (const auto& entry : fs::directory_iterator(root / "src"))
    if (fs::exists(entry.path() / "README.md")) pages.push_back(entry.path() / "README.md");
  return pages;
}

TEST(Documents, EveryCommandIsOneOfThisProgram) {
  static const std::regex span("`(nunet [^`]*)`");
  std::size_t commands = 0;
  for (const fs::path& page : documents()) {
    const std::string text = read_file(page, 1 << 20).value();
    // Pages that show how to add something have commands that do not exist yet.
    const bool adds = page.filename().string().starts_with("add-a");
    const std::string where = page.lexically_relative(DMS_SOURCE_DIR).string();
    bool in_block = false;
    std::string paragraphs;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.find("```") == line.find_first_not_of(' ') && line.find("```") != std::string::npos)
        in_block = !in_block;
      else if (in_block)
        commands += expect_parsed(line, where);
      else
        paragraphs += line + '\n';
    }
    EXPECT_FALSE(in_block) << where;
    if (adds) continue;
    for (auto found = std::sregex_iterator(paragraphs.begin(), paragraphs.end(), span); found != std::sregex_iterator();
         ++found)
      expect_known((*found)[1].str(), where);
  }
  EXPECT_GT(commands, 20U) << "the commands are found";
}

void check_examples(const Command& command, const std::string& path) {
  for (const std::string& example : command.examples)
    EXPECT_GT(expect_parsed(example, path), 0U) << path << ": " << example;
  for (const Command& child : command.children) check_examples(child, path + " " + child.name);
}

TEST(Documents, EveryExampleInHelpIsParsed) { check_examples(command_tree(), "nunet"); }

TEST(Documents, ALineForAShellIsReadAsTheShellDoes) {
  const auto read = [](std::string_view line) { return ShellLine(line).commands; };
  using Commands = std::vector<Words>;
  EXPECT_EQ(read("$ A=b nunet key new 'a b' \"\" # why"), (Commands{{"key", "new", "a b", ""}}));
  EXPECT_EQ(read("nunet cap anchor --root \"$(nunet key did user)\" > out"),
            (Commands{{"key", "did", "user"}, {"cap", "anchor", "--root", "X"}}));
  EXPECT_EQ(read("nunet cap anchor - < token | cat; nunet run &"), (Commands{{"cap", "anchor", "-"}, {"run"}}));
  EXPECT_EQ(read("source <(nunet completion bash)"), (Commands{{"completion", "bash"}}));
  EXPECT_EQ(read("nunet ping --host <peer>"), (Commands{{"ping", "--host", "<peer>"}}));
  EXPECT_EQ(read("make test"), Commands());
}

}  // namespace
}  // namespace dms::cli

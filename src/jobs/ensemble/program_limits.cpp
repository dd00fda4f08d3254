#include "jobs/ensemble/program_limits.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "jobs/ensemble/rules.hpp"

namespace dms::jobs {
namespace {

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<void> check_word(std::string_view at, std::size_t i, std::string_view word) {
  if (has_nul(word)) return wrong("{}[{}]: a zero byte cannot be handed to a program", at, i);
  return {};
}

Result<void> check_words(const std::string& at, const json::Array& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto* text = words[i].if_string();
    if (text == nullptr) continue;
    TRY_VOID(check_word(at, i, *text));
    if (text->size() > kMaxArgument)
      return wrong("{}[{}]: {} bytes, at most {} can be handed to a program; put the text into an input", at, i,
                   text->size(), kMaxArgument);
  }
  return {};
}

Result<void> check_folder(const std::string& at, std::string_view folder) {
  if (has_nul(folder)) return wrong("{}: a zero byte cannot be part of a path", at);
  // What is relative is below the work folder.
  const std::size_t size = folder.size() + (folder.starts_with('/') ? 0 : std::string_view("/work/").size());
  if (size > kMaxFolderPath) return wrong("{}: a path of {} bytes, at most {} are possible", at, size, kMaxFolderPath);
  while (!folder.empty()) {
    const std::size_t part = std::min(folder.find('/'), folder.size());
    if (part > kMaxFolderName)
      return wrong("{}: the name of a folder has {} bytes, at most {} are possible", at, part, kMaxFolderName);
    folder.remove_prefix(std::min(part + 1, folder.size()));
  }
  return {};
}

}  // namespace

Result<void> check_program_limits(std::string_view at, const json::Object& params) {
  for (const std::string_view name : {"entrypoint", "cmd", "environment"}) {
    const json::Value* list = params.if_contains(name);
    if (list != nullptr && list->is_array()) TRY_VOID(check_words(fmt::format("{}.{}", at, name), list->get_array()));
  }
  const json::Value* folder = params.if_contains("working_directory");
  if (folder == nullptr || !folder->is_string()) return {};
  return check_folder(fmt::format("{}.working_directory", at), folder->get_string());
}

Result<void> check_command_limits(std::string_view at, const std::vector<std::string>& words) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    TRY_VOID(check_word(at, i, words[i]));
    size += words[i].size() + 1;
  }
  if (size > kMaxCheckCommand) return wrong("{}: {} bytes, at most {} are run", at, size, kMaxCheckCommand);
  return {};
}

}  // namespace dms::jobs

#include "provider/own_folder.hpp"

#include <cctype>
#include <utility>

#include "base/log.hpp"

namespace dms::provider {
namespace {

/// Next to a folder's path: then it is a part of another path.
bool is_in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }

}  // namespace

OwnFolder::OwnFolder(const std::filesystem::path& work_dir, did::Did own)
    : folder_(work_dir.is_absolute() ? work_dir.string() : std::string()), own_(std::move(own)) {
  while (folder_.ends_with('/')) folder_.pop_back();
}

std::string OwnFolder::without(std::string_view text) const {
  if (folder_.empty()) return std::string(text);
  std::string told;
  std::size_t from = 0;
  for (std::size_t at = text.find(folder_); at != std::string_view::npos; at = text.find(folder_, at + 1)) {
    const std::size_t end = at + folder_.size();
    if ((at > 0 && is_in_name(text[at - 1])) || (end < text.size() && is_in_name(text[end]))) continue;
    told += text.substr(from, at - from);
    told += kWorkDirectory;
    from = end;
  }
  told += text.substr(from);
  return told;
}

void OwnFolder::tell_error(std::string& text) const {
  std::string told = without(text);
  if (told == text) return;
  log::info("provider", "another machine is told without the folder of this one: {}", text);
  text = std::move(told);
}

}  // namespace dms::provider

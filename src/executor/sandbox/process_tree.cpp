#include "executor/sandbox/process_tree.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace dms::executor {

std::vector<int> children_of(int pid) {
  std::ifstream text(fmt::format("/proc/{}/task/{}/children", pid, pid));
  std::vector<int> found;
  for (int child = 0; text >> child;) found.push_back(child);
  return found;
}

Fd open_child(int parent, int child) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  const std::vector<int> known = children_of(parent);
  if (fd && std::find(known.begin(), known.end(), child) != known.end()) return fd;
  return {};
}

std::set<std::uint32_t> users_of_processes() {
  std::set<std::uint32_t> users;
  std::error_code ec;
  for (std::filesystem::directory_iterator it("/proc", ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream status(it->path() / "status");
    for (std::string key; status >> key;) {
      std::uint32_t user = 0;
      if (key == "Uid:" && status >> user) {
        users.insert(user);
        break;
      }
      status.ignore(4096, '\n');
    }
  }
  return users;
}

}  // namespace dms::executor

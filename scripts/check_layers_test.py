"""Tests of check_layers.py: a small tree in a temporary folder, and violations in it."""

import pathlib
import tempfile
import unittest

import check_layers

PAGE = """# Architecture
## Layers
| layer | module | what |
|---|---|---|
| 2 | `top` | all |
| 1 | `left`, `right` | halves |
| 0 | `base` | lowest |

### Inside `left`
| layer | part | what |
|---|---|---|
| 1 | `api.hpp` | interface |
| 0 | `deep` | core |

## Words
| 9 | `base` | not a layer table |
"""


class CheckLayersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("docs/architecture.md", PAGE)
        self.module("base", "")
        self.module("left", "base")
        self.module("right", "base")
        self.module("top", "left")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def module(self, name, depends):
        self.write(f"src/{name}/CMakeLists.txt", f"# a module\ndms_module(NAME {name}\n  DEPENDS {depends}\n  LIBS fmt::fmt)\n")
        self.write(f"src/{name}/a.hpp", "#include <vector>\n")

    def problems(self):
        return check_layers.check(self.root)[0]

    def assert_found(self, *fragments):
        problems = self.problems()
        self.assertEqual(len(problems), 1, problems)
        for fragment in fragments:
            self.assertIn(fragment, problems[0])

    def test_a_sound_tree_passes(self):
        self.write("src/top/b.cpp", '#include "left/api.hpp"\n#include "base/a.hpp"\n#include "top/a.hpp"\n')
        self.write("src/left/api.hpp", '#include "left/deep/core.hpp"\n')
        self.write("src/left/deep/core.hpp", "")
        self.assertEqual(self.problems(), [])

    def test_an_upward_include_is_named_with_its_line(self):
        self.write("src/base/b.cpp", '#include <map>\n\n#include "left/a.hpp"\n')
        self.assert_found("src/base/b.cpp:3:", "left/a.hpp", "lower layers only")

    def test_a_sideways_include_is_refused(self):
        self.write("src/right/b_test.cpp", '#include "left/a.hpp"\n')
        self.assert_found("src/right/b_test.cpp:1:", "lower layers only")

    def test_an_include_that_depends_does_not_reach(self):
        self.write("src/top/b.cpp", '#include "right/a.hpp"\n')
        self.assert_found("src/top/b.cpp:1:", "do not reach right")

    def test_an_upward_dependency_in_cmake(self):
        self.module("base", "top")
        self.assert_found("src/base/CMakeLists.txt:3:", "lower layers only")

    def test_a_module_without_a_layer(self):
        self.module("unlisted", "base")
        self.assert_found("src/unlisted", "no layer")

    def test_a_dependency_that_is_no_module(self):
        self.module("top", "left missing")
        self.assert_found("src/top/CMakeLists.txt:3:", "missing")

    def test_an_include_without_a_module(self):
        self.write("src/top/b.cpp", '#include "a.hpp"\n')
        self.assert_found("src/top/b.cpp:1:", "module/file.hpp")

    def test_inner_layers(self):
        self.write("src/left/deep/core.cpp", '#include "left/api.hpp"\n')
        self.assert_found("src/left/deep/core.cpp:1:", "inside left", "lower layers only")

    def test_an_inner_part_without_a_layer(self):
        self.write("src/left/new/thing.cpp", '#include "left/deep/core.hpp"\n')
        self.assert_found("src/left/new/thing.cpp:1:", "part new no layer")

    def test_a_test_of_the_whole_module_may_include_any_part(self):
        self.write("src/left/whole_test.cpp", '#include "left/api.hpp"\n#include "left/deep/core.hpp"\n')
        self.assertEqual(self.problems(), [])

    def test_help_for_tests_is_for_tests_only(self):
        self.write("src/left/testing.hpp", '#include "left/api.hpp"\n')
        self.write("src/left/deep/core_test.cpp", '#include "left/testing.hpp"\n')
        self.assertEqual(self.problems(), [])
        self.write("src/left/deep/core.cpp", '#include "left/testing.hpp"\n')
        self.assert_found("src/left/deep/core.cpp:1:", "for tests only")

    def test_test_depends_reach_tests_only(self):
        self.write("src/top/CMakeLists.txt", "dms_module(NAME top DEPENDS left TEST_DEPENDS right)\n")
        self.write("src/top/b_test.cpp", '#include "right/a.hpp"\n')
        self.write("src/top/test_world.hpp", '#include "right/a.hpp"\n')
        self.assertEqual(self.problems(), [])
        self.write("src/top/b.cpp", '#include "right/a.hpp"\n')
        self.assert_found("src/top/b.cpp:1:", "do not reach right")

    def test_a_linked_module_counts_as_a_dependency(self):
        self.write("src/base/CMakeLists.txt", "dms_module(NAME base)\nadd_executable(tool tool.cpp)\n"
                   "target_link_libraries(tool PRIVATE dms_base dms_top fmt::fmt)\n")
        self.assert_found("src/base/CMakeLists.txt:3:", "depends on top")

    def test_the_system_clock_is_refused(self):
        self.write("src/top/b.cpp", "// steady_clock::now in a comment is fine\nauto t = std::chrono::steady_clock::now();\n")
        self.assert_found("src/top/b.cpp:2:", "steady_clock::now", "injected")

    def test_a_folder_is_read_without_exceptions(self):
        right = "for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) use(*it);\n"
        self.write("src/top/b.cpp", right)
        self.assertEqual(self.problems(), [])
        for kind in ("fs::directory_iterator", "std::filesystem::recursive_directory_iterator"):
            self.write("src/top/b.cpp", f"{right}for (const auto& entry : {kind}(folder, ec)) use(entry);\n")
            self.assert_found("src/top/b.cpp:2:", "increment(error_code)")

    def test_a_wait_inside_a_condition_is_refused(self):
        self.write("src/top/b.cpp", "if (auto r = co_await f(); !r) return;\nif (!co_await f()) return;\n")
        self.assert_found("src/top/b.cpp:2:", "name its result first")

    def test_the_runtime_may_read_the_clock(self):
        self.write("src/base/random.cpp", "auto t = std::chrono::steady_clock::now();\n")
        self.assertEqual(self.problems(), [])


if __name__ == "__main__":
    unittest.main()

#include "orchestrator/output/output_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.hpp"
#include "simulation/sim_world.hpp"

namespace dms::orchestrator {
namespace {

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "nunet-output-XXXXXX").string();
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  return name;
}

struct OutputStoreTest : testing::Test {
  ~OutputStoreTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(work_dir, ignored);
  }
  template <class T>
  T run(Task<T> task) {
    return world.run(node, std::move(task));
  }
  std::string text(const std::string& allocation, const char* file) {
    return read_file(store.folder("d1", allocation) / file, 1 << 20).value_or("nothing");
  }
  SimWorld world{1};
  SimNode& node = world.add_node("orchestrator");
  std::filesystem::path work_dir = make_folder();
  OutputStore store{work_dir};
};

TEST_F(OutputStoreTest, OutputIsReplacedWhole) {
  EXPECT_TRUE(run(store.find("d1", "web")).error().is(Errc::not_found));
  ASSERT_TRUE(run(store.write("d1", "web", to_bytes("a long first output"), to_bytes("error"))));
  ASSERT_TRUE(run(store.write("d1", "web", to_bytes("short"), {})));
  EXPECT_EQ(run(store.find("d1", "web")).value(), work_dir / "deployments/d1/web");
  EXPECT_EQ(text("web", "stdout.log"), "short");
  EXPECT_EQ(text("web", "stderr.log"), "");
}

TEST_F(OutputStoreTest, RemovingADeploymentLeavesTheOthers) {
  ASSERT_TRUE(run(store.write("d1", "web", to_bytes("1"), {})));
  ASSERT_TRUE(run(store.write("d2", "web", to_bytes("2"), {})));
  ASSERT_TRUE(run(store.remove("d1")));
  ASSERT_TRUE(run(store.remove("d1"))) << "removing nothing is no error";
  EXPECT_FALSE(run(store.find("d1", "web")));
  EXPECT_TRUE(run(store.find("d2", "web")));
}

TEST_F(OutputStoreTest, AFolderThatCannotBeMadeIsAnErrorThatNamesIt) {
  ASSERT_TRUE(write_file(work_dir / "deployments", "a file is in the way"));
  const Result<void> written = run(store.write("d1", "web", to_bytes("1"), {}));
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().to_string().find("deployments"), std::string::npos) << written.error().to_string();
}

}  // namespace
}  // namespace dms::orchestrator

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/cuda/plugin_loader.h"

namespace firstbyte::cuda {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class PluginTest : public testing::Test {
 protected:
  PluginTest() {
    std::string name = (fs::temp_directory_path() / "firstbyteXXXXXX").string();
    dir_ = mkdtemp(name.data());
  }
  ~PluginTest() override {
    fs::remove_all(dir_);
    unsetenv("FIRSTBYTE_FAKE_CUDA");
  }

  std::string Write(const std::string& name) const {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << "no library";
    return (dir_ / name).string();
  }
  static std::string Refusal(const absl::Status& status) {
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(DetailOf(status).reason, "NO_GPU");
    return std::string(status.message());
  }
  static const PluginTable& Fake(const char* what) {
    setenv("FIRSTBYTE_FAKE_CUDA", what, 1);
    return **LoadPlugin(FIRSTBYTE_FAKE_CUDA);
  }

  fs::path dir_;
};

TEST_F(PluginTest, IsFoundBesideTheProgramOrInstalledOrByName) {
  const std::string program = Write("bin/firstbyted");
  const std::string refusal = Refusal(FindPlugin("", program).status());
  EXPECT_THAT(refusal, AllOf(HasSubstr((dir_ / "bin/libfirstbyte_cuda.so").string()),
                             HasSubstr((dir_ / "lib/firstbyte/libfirstbyte_cuda.so").string()),
                             HasSubstr("preset cuda")));
  const std::string installed = Write("lib/firstbyte/libfirstbyte_cuda.so");
  EXPECT_EQ(*FindPlugin("", program), installed);
  const std::string beside = Write("bin/libfirstbyte_cuda.so");
  EXPECT_EQ(*FindPlugin("", program), beside);
  EXPECT_EQ(*FindPlugin(installed, program), installed);
  EXPECT_THAT(Refusal(FindPlugin((dir_ / "gone.so").string(), program).status()),
              AllOf(HasSubstr("gone.so"), HasSubstr("--cuda-plugin")));
}

TEST_F(PluginTest, AFileThatIsNoPluginIsSaidToBeNone) {
  EXPECT_THAT(Refusal(LoadPlugin(Write("text.so")).status()), HasSubstr("text.so"));
  EXPECT_THAT(Refusal(LoadPlugin("libm.so.6").status()), HasSubstr("is no CUDA plugin"));
}

TEST_F(PluginTest, OfAnotherInterfaceItIsRefused) {
  setenv("FIRSTBYTE_FAKE_CUDA", "other-abi", 1);
  EXPECT_THAT(Refusal(LoadPlugin(FIRSTBYTE_FAKE_CUDA).status()),
              HasSubstr("this server wants " + std::to_string(kPluginAbi) + ":"));
}

TEST_F(PluginTest, ItsFaultsAreReported) {
  EXPECT_THAT(Refusal(OpenDevice(Fake("no-driver"), 0).status()), HasSubstr("no NVIDIA driver"));
  EXPECT_THAT(Refusal(OpenDevice(Fake("no-library"), 0).status()), HasSubstr("libcublasLt"));
  EXPECT_THAT(Refusal(OpenDevice(Fake(""), 1).status()), HasSubstr("no GPU 1"));
  const absl::Status lost = OpenDevice(Fake("long-fault"), 0).status();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(lost.message().size(), sizeof(Fault::text));
}

TEST_F(PluginTest, OpensADevice) { EXPECT_TRUE(OpenDevice(Fake(""), 0).ok()); }

#ifdef FIRSTBYTE_REAL_CUDA
TEST_F(PluginTest, TheRealOneLoadsAnywhereAndSaysWhatIsMissing) {
  absl::StatusOr<const PluginTable*> plugin = LoadPlugin(FIRSTBYTE_REAL_CUDA);
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_THAT((*plugin)->build, HasSubstr("CUDA 1"));
  Fault fault{};
  if ((*plugin)->find_libraries(&fault) != Code::kOk) {
    EXPECT_THAT(fault.text, AllOf(HasSubstr("libcublasLt.so.13"), HasSubstr("cannot be found")));
  }
  absl::StatusOr<DeviceHandle> device = OpenDevice(**plugin, 0);
  if (!device.ok()) Refusal(device.status());
  EXPECT_FALSE(OpenDevice(**plugin, 1 << 20).ok());
  EXPECT_FALSE(OpenDevice(**plugin, -1).ok());
}
#endif

}  // namespace
}  // namespace firstbyte::cuda

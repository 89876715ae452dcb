#include "quantize.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine.h"
#include "init.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "support.h"

namespace groma {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TemporaryFolder;

/// A random model and what `groma quantize` makes of it.
class Quantize : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    init_checkpoint(std::string(GROMA_SOURCE_DIR) + "/tests/data/tiny_config.json", place("plain"),
                    "float32", /*seed=*/3);
    for (const auto type : {ops::WeightType::kInt8, ops::WeightType::kInt4}) {
      quantize_checkpoint(place("plain"), type, ops::Rounding::kSearched, place(name_of(type)));
    }
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string place(const std::string& name) { return (folder_->path() / name).string(); }

  static std::shared_ptr<const Groma::Impl> load(const std::string& name,
                                                 DType dtype = DType::kAuto) {
    LoadOptions options;
    options.dtype = dtype;
    return load_engine(place(name), options);
  }

  /// Logits after some positions of noise.
  static at::Tensor logits(const Groma::Impl& engine) {
    const c10::InferenceMode no_gradients;
    auto& model = *engine.model;
    at::manual_seed(5);
    const auto x = at::randn({20, model.config.language.hidden}) * 0.15;
    const Pack pack = {{x.size(0), nullptr, {}}};
    const auto dtype = model.llm->embed_tokens->weight.options();
    return model.logits(model.llm(x.to(dtype), next_positions(pack), pack));
  }

  static double error_of(const at::Tensor& actual, const at::Tensor& expected) {
    return ((actual - expected).norm() / expected.norm()).item<double>();
  }

 private:
  static TemporaryFolder* folder_;
};

TemporaryFolder* Quantize::folder_ = nullptr;

/// Rounding to 127 steps is about a hundredth of a random layer, to 16 steps a tenth; two layers
/// add up, and so does bfloat16's own error.
TEST_F(Quantize, LogitsStayNear) {
  const auto expected = logits(*load("plain"));
  EXPECT_LE(error_of(logits(*load("plain", DType::kBFloat16)), expected), 0.02);
  EXPECT_LE(error_of(logits(*load("int8")), expected), 0.05);
  EXPECT_LE(error_of(logits(*load("int4")), expected), 0.30);
}

TEST_F(Quantize, FilesHoldWhatLoadingComputes) {
  EXPECT_TRUE(logits(*load("int8")).equal(logits(*load("plain", DType::kInt8))));
  EXPECT_TRUE(logits(*load("int4")).equal(logits(*load("plain", DType::kInt4))));
}

TEST_F(Quantize, InfoSaysTheType) {
  EXPECT_EQ(load("int4")->info.compute_dtype, "int4");
  EXPECT_EQ(load("plain", DType::kInt8)->info.compute_dtype, "int8");
  EXPECT_EQ(describe(place("int4")).compute_dtype, "int4");
  EXPECT_EQ(describe(place("int4")).parameters, describe(place("plain")).parameters);
}

TEST_F(Quantize, RefusesWhatCannotBe) {
  const auto again = message_of([] {
    quantize_checkpoint(place("int4"), ops::WeightType::kInt8, ops::Rounding::kNearest,
                        place("twice"));
  });
  EXPECT_NE(again.find("holds int4 weights already"), std::string::npos) << again;
  EXPECT_FALSE(fs::exists(place("twice")));
  const auto full = message_of([] {
    quantize_checkpoint(place("plain"), ops::WeightType::kInt8, ops::Rounding::kNearest,
                        place("int4"));
  });
  EXPECT_NE(full.find("not an empty folder"), std::string::npos) << full;
  const auto other = message_of([] { load("int4", DType::kBFloat16); });
  EXPECT_NE(other.find("the weights are int4"), std::string::npos) << other;
}

TEST_F(Quantize, RefusesDamagedFiles) {
  const auto tensors = io::read_safetensors(place("int4") + "/model.safetensors");
  const std::string name = "llm.model.layers.0.mlp.up_proj.weight.int4";
  ASSERT_TRUE(tensors.contains(name));
  const auto damaged = [&](const std::string& folder, const io::TensorMap& changed) {
    fs::copy(place("int4"), place(folder));
    io::write_safetensors(place(folder) + "/model.safetensors", changed);
    return message_of([&] { load(folder); });
  };
  auto missing = tensors;
  missing.erase(name);
  const auto absent = damaged("missing", missing);
  EXPECT_NE(absent.find("'" + name + "' is missing"), std::string::npos) << absent;
  auto shorter = tensors;
  shorter[name] = tensors.at(name).narrow(0, 0, 1).clone();
  const auto cut = damaged("shorter", shorter);
  EXPECT_NE(cut.find("'" + name + "' is Byte [1, "), std::string::npos) << cut;
}

}  // namespace
}  // namespace groma

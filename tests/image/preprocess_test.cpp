#include "image/preprocess.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "groma/error.h"
#include "image/files.h"
#include "io/safetensors.h"
#include "support.h"

namespace groma {
namespace {

using testing::error_of;
using testing::golden_folder;
using testing::largest_difference;

at::Tensor to_tensor(const Image& image) {
  auto pixels = at::empty({image.height(), image.width(), 3}, at::kByte);
  std::memcpy(pixels.mutable_data_ptr(), image.data(), pixels.nbytes());
  return pixels;
}

Image to_image(const at::Tensor& pixels) {
  const auto rows = pixels.contiguous();
  return Image::from_rgb(rows.const_data_ptr<std::uint8_t>(), static_cast<int>(rows.size(1)),
                         static_cast<int>(rows.size(0)));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Calls `check(file, recorded tensor)` for every picture that has the recording `what`.
template <typename Check>
void for_each_recording(const io::TensorMap& expected, const std::string& what,
                        const Check& check) {
  int pictures = 0;
  for (const auto& [name, tensor] : expected) {
    if (!ends_with(name, "/" + what)) continue;
    SCOPED_TRACE(name);
    check(name.substr(0, name.size() - what.size() - 1), tensor);
    ++pictures;
  }
  EXPECT_GT(pictures, 0) << what;
}

class PreprocessGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = golden_folder() / "preprocess";
    if (!std::filesystem::exists(folder_)) GTEST_SKIP() << "no golden data in " << folder_;
    expected_ = io::read_safetensors((folder_ / "expected.safetensors").string());
  }
  Image open(const std::string& file) const { return Image::open((folder_ / file).string()); }

  std::filesystem::path folder_;
  io::TensorMap expected_;
};

TEST_F(PreprocessGolden, DecodedPixelsAreTheOriginals) {
  for_each_recording(expected_, "decoded_pil",
                     [&](const std::string& file, const at::Tensor& pixels) {
                       if (expected_.count(file + "/decoded_cv2_rgb") > 0)
                         return;  // the other one has EXIF applied
                       // Jpeg decoders may differ by 2 levels.
                       EXPECT_LE(largest_difference(to_tensor(open(file)), pixels),
                                 ends_with(file, ".jpg") ? 2 : 0);
                     });
  for_each_recording(expected_, "decoded_cv2_rgb",
                     [&](const std::string& file, const at::Tensor& pixels) {
                       EXPECT_LE(largest_difference(to_tensor(open(file)), pixels), 2);
                     });
}

TEST_F(PreprocessGolden, BicubicIsPillowsToTheLevel) {
  for_each_recording(
      expected_, "resized_pil_bicubic", [&](const std::string& file, const at::Tensor& pixels) {
        const Image decoded = to_image(expected_.at(file + "/decoded_pil"));
        EXPECT_EQ(largest_difference(resize_image(decoded, 448, Resize::kBicubic), pixels), 0);
        // From the file, jpeg decoders may differ.
        const auto from_file = resize_image(open(file), 448, Resize::kBicubic);
        EXPECT_LE(largest_difference(from_file, pixels), ends_with(file, ".jpg") ? 1 : 0);
      });
}

TEST_F(PreprocessGolden, BilinearIsOpenCvs) {
  for_each_recording(
      expected_, "resized_cv2_bilinear_rgb",
      [&](const std::string& file, const at::Tensor& pixels) {
        // OpenCV's own versions differ by a level.
        EXPECT_LE(largest_difference(resize_image(open(file), 448, Resize::kBilinear), pixels), 1);
      });
}

TEST_F(PreprocessGolden, EvaluationPixelsAreNormalised) {
  for_each_recording(
      expected_, "pixel_values_eval", [&](const std::string& file, const at::Tensor& values) {
        const auto resized = expected_.at(file + "/resized_cv2_bilinear_rgb").contiguous();
        const auto pixels = normalize_pixels(resized, {})[0];
        // The original multiplies mean and deviation by 255 instead: float32 rounding.
        EXPECT_LE(largest_difference(pixels, values), 1e-6);
      });
}

TEST(Preprocess, WholeCasesGiveTheNetworksInput) {
  int cases = 0;
  if (!std::filesystem::exists(golden_folder())) GTEST_SKIP() << "no " << golden_folder();
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    if (!std::filesystem::exists(entry.path() / "case.json")) continue;
    SCOPED_TRACE(entry.path().string());
    const auto expected = io::read_safetensors((entry.path() / "expected.safetensors").string());
    const Image image = Image::open((entry.path() / "image.png").string());
    const auto resized = resize_image(image, 448, Resize::kBicubic);
    EXPECT_EQ(largest_difference(resized, expected.at("image.resized_u8")), 0);
    const auto norm = read_pixel_norm((entry.path() / "checkpoint").string(), 448);
    EXPECT_EQ(
        largest_difference(normalize_pixels(resized, norm), expected.at("image.pixel_values")), 0);
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

TEST(Preprocess, AnImageOfTheRightSizeStays) {
  const cv::Mat picture = testing::sample_bgr(28, 28);
  const Image image = Image::from_rgb(picture.data, 28, 28);
  for (const Resize resize : {Resize::kBicubic, Resize::kBilinear}) {
    EXPECT_EQ(largest_difference(resize_image(image, 28, resize), to_tensor(image)), 0);
  }
}

TEST(Preprocess, NormalizesEveryChannelByItsOwn) {
  auto pixels = at::zeros({2, 3, 3}, at::kByte);
  pixels[1][2][0] = 255;
  pixels[1][2][2] = 51;
  const PixelNorm norm{{0.5f, 0.25f, 0.1f}, {0.5f, 0.5f, 0.2f}};
  const auto values = normalize_pixels(pixels, norm);
  EXPECT_EQ(values.sizes(), at::IntArrayRef({1, 3, 2, 3}));
  EXPECT_FLOAT_EQ(values[0][0][1][2].item<float>(), 1);
  EXPECT_FLOAT_EQ(values[0][1][1][2].item<float>(), -0.5);
  EXPECT_FLOAT_EQ(values[0][2][1][2].item<float>(), 0.5);
  EXPECT_THROW(normalize_pixels(pixels.to(at::kFloat), norm), c10::Error);
  EXPECT_THROW(normalize_pixels(pixels.permute({2, 0, 1}), norm), c10::Error);
}

class PixelNormFile : public ::testing::Test {
 protected:
  /// Reads `text` as the settings of a network of 448 pixels a side.
  PixelNorm read(const std::string& text) {
    std::ofstream(file()) << text;
    return read_pixel_norm(folder_.path().string(), 448);
  }
  std::string error(const std::string& text) {
    const std::string message = error_of([&] { read(text); });
    const std::string start = "read '" + file() + "': ";
    return message.rfind(start, 0) == 0 ? message.substr(start.size()) : message;
  }
  std::string file() const { return (folder_.path() / "preprocessor_config.json").string(); }

  testing::TemporaryFolder folder_;
};

TEST_F(PixelNormFile, WithoutAFileItIsImageNets) {
  const PixelNorm norm = read_pixel_norm(folder_.path().string(), 448);
  EXPECT_EQ(norm.mean, PixelNorm{}.mean);
  EXPECT_EQ(norm.std, PixelNorm{}.std);
}

TEST_F(PixelNormFile, ReadsMeanAndDeviation) {
  const PixelNorm norm = read(R"({"image_mean": [0.1, 0, 0.3], "image_std": [1, 0.5, 2]})");
  EXPECT_EQ(norm.mean, (std::array<float, 3>{0.1f, 0, 0.3f}));
  EXPECT_EQ(norm.std, (std::array<float, 3>{1, 0.5f, 2}));
}

TEST_F(PixelNormFile, PassesOverWhatChangesNothing) {
  read(R"({"do_resize": true, "size": {"shortest_edge": 448}, "do_center_crop": true,
           "crop_size": {"height": 448, "width": 448}, "rescale_factor": 0.00392156862745098})");
  read(R"({"do_resize": true, "size": 448, "resample": 2, "do_center_crop": false,
           "crop_size": {"height": 224, "width": 224}, "image_mean": null})");
  read(R"({"do_resize": false, "size": {"shortest_edge": 256}})");
}

TEST_F(PixelNormFile, RefusesWhatWouldChangeTheResult) {
  EXPECT_EQ(error(R"({"do_normalize": false})"),
            "do_normalize is false, which is not supported; set it to true");
  EXPECT_EQ(error(R"({"do_rescale": false})"),
            "do_rescale is false, which is not supported; set it to true");
  EXPECT_EQ(error(R"({"rescale_factor": 0.5})"), "rescale_factor is 0.5; only 1/255 is supported");
  EXPECT_EQ(
      error(R"({"do_resize": true, "size": {"shortest_edge": 224}})"),
      "size is {\"shortest_edge\":224}, the network takes 448 pixels a side; both must agree");
  EXPECT_EQ(error(R"({"crop_size": 224})"),
            "crop_size is 224, the network takes 448 pixels a side; both must agree");
}

TEST_F(PixelNormFile, RefusesDamagedValues) {
  EXPECT_EQ(error(R"({"image_mean": [1, 2]})"),
            "image_mean is [1,2]; expected three finite numbers");
  EXPECT_EQ(error(R"({"image_mean": 0.5})"), "image_mean is 0.5; expected three finite numbers");
  EXPECT_EQ(error(R"({"image_mean": [1e300, 0, 0]})"),
            "image_mean is [1e+300,0,0]; expected three finite numbers");
  EXPECT_EQ(error(R"({"image_std": [1, 0, 1]})"), "image_std holds 0; expected numbers above 0");
  EXPECT_EQ(error(R"({"image_std": [1, "2", 1]})"),
            "image_std is [1,\"2\",1]; expected three finite numbers");
  EXPECT_EQ(error(R"({"do_rescale": 1})"), "do_rescale is 1; expected true or false");
  EXPECT_EQ(error("[]"), "not a JSON object; take the file from the checkpoint's release");
  EXPECT_NE(error("{"), "");
}

}  // namespace
}  // namespace groma

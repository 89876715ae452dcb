#include "io/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "folders.h"
#include "io/bytes.h"
#include "io/mapped_tensor.h"
#include "io/message.h"

namespace groma::io {
namespace {

using ::groma::testing::holds;
using ::groma::testing::message_of;
using ::groma::testing::safetensors_file;
using ::groma::testing::TemporaryFolder;
using ::groma::testing::write_bytes;

class SafetensorsTest : public ::testing::Test {
 protected:
  std::string path() const { return (folder_.path() / "t.safetensors").string(); }
  TemporaryFolder folder_;
};

/// Resident memory of this process that is backed by files, in bytes.
std::size_t resident_file_memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::size_t kilobytes = 0;
  while (status >> word) {
    if (word == "RssFile:") status >> kilobytes;
  }
  return kilobytes * 1024;
}

TensorMap every_type() {
  TensorMap tensors;
  for (const auto& element : kElements) {
    const auto type = scalar_type_of(element.type);
    tensors["x." + std::string(element.name)] =
        at::arange(-3, 3).remainder(7).reshape({2, 3}).to(type);
    tensors["odd." + std::string(element.name)] = at::ones({5}, type);
  }
  tensors["scalar"] = at::tensor(2.5);
  tensors["empty"] = at::zeros({0, 4});
  tensors["eight dimensions"] = at::rand({1, 2, 1, 2, 1, 2, 1, 2});
  return tensors;
}

void expect_same(const TensorMap& a, const TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_EQ(b.count(name), 1u) << name;
    EXPECT_EQ(tensor.scalar_type(), b.at(name).scalar_type()) << name;
    EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
  }
}

TEST_F(SafetensorsTest, EveryTypeSurvivesARoundTrip) {
  const auto tensors = every_type();
  write_safetensors(path(), tensors, {{"format", "pt"}, {"unicode", "\xc3\xa9\n"}});
  expect_same(tensors, read_safetensors(path()));
  EXPECT_EQ(read_safetensors_metadata(path()).at("unicode"), "\xc3\xa9\n");
}

TEST_F(SafetensorsTest, ValuesThatAreNoNumbersKeepTheirBits) {
  const auto bits =
      at::tensor(std::vector<int>{0x7fc01234, 0x7f800000, std::numeric_limits<int>::min()});
  write_safetensors(path(), TensorMap{{"nan", bits.view(at::kFloat)}});
  EXPECT_TRUE(at::equal(read_safetensors(path()).at("nan").view(at::kInt), bits));
}

TEST_F(SafetensorsTest, TensorsOfAnyLayoutAreWrittenRowMajor) {
  const auto base = at::arange(24).reshape({4, 6});
  const TensorMap tensors = {{"transposed", base.t()},
                             {"strided", base.slice(1, 1, 6, 2)},
                             {"expanded", at::ones({1}).expand({3})}};
  write_safetensors(path(), tensors);
  expect_same(tensors, read_safetensors(path()));
}

TEST_F(SafetensorsTest, WhatWeWriteIsReadWithoutACopy) {
  write_safetensors(path(), every_type());
  const auto tensors = read_safetensors(path());
  const auto file_backed = [](const at::Tensor& tensor) {
    return tensor.storage().data_ptr().get_context() != tensor.data_ptr();
  };
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(tensor.numel() == 0 || file_backed(tensor)) << name;
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensors.at("odd.F64").data_ptr()) % 64, 0u);
}

TEST_F(SafetensorsTest, TensorsOutliveTheFileAndEachOther) {
  write_safetensors(path(), {{"a", at::arange(1000)}, {"b", at::ones({7})}});
  at::Tensor kept;
  {
    auto tensors = read_safetensors(path());
    kept = tensors.at("a").slice(0, 500, 503);
  }
  std::filesystem::remove(path());
  EXPECT_TRUE(at::equal(kept, at::arange(500, 503)));
}

TEST_F(SafetensorsTest, MisalignedTensorsAreCopied) {
  std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const float values[] = {1.5f, -2.25f};
  write_bytes(path(), safetensors_file(
                          header, "\x07" + std::string(reinterpret_cast<const char*>(values), 8)));
  const auto tensors = read_safetensors(path());
  EXPECT_EQ(tensors.at("a").item<int>(), 7);
  EXPECT_TRUE(at::equal(tensors.at("b"), at::tensor({1.5f, -2.25f})));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensors.at("b").data_ptr()) % 4, 0u);
}

TEST_F(SafetensorsTest, ABoolThatIsNeitherIsRefused) {
  const std::string header = R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})";
  write_bytes(path(), safetensors_file(header, "\x01\x02"));
  EXPECT_TRUE(holds(message_of([&] { read_safetensors(path()); }), "neither 0 nor 1"));
}

TEST_F(SafetensorsTest, ReleasedPagesLeaveMemoryAndComeBack) {
  const auto big = at::arange(16 << 20, at::kInt);  // 64 MiB
  write_safetensors(path(), {{"big", big}});
  const auto tensors = read_safetensors(path());
  const auto& mapped = tensors.at("big");
  const auto sum = mapped.sum().item<int64_t>();
  const auto before = resident_file_memory();
  release_pages(mapped);
  const auto after = resident_file_memory();
  EXPECT_GT(before, after + (50 << 20));
  EXPECT_EQ(mapped.sum().item<int64_t>(), sum);
  release_pages(big);  // memory of its own: left alone
  EXPECT_EQ(big.sum().item<int64_t>(), sum);
}

TEST_F(SafetensorsTest, ConvertsWhileWriting) {
  const auto values = at::rand({3, 5});
  AtomicFile file(path());
  write_safetensors(file, {{"a", values}, {"b", values.to(at::kHalf)}}, {}, at::kBFloat16);
  file.commit();
  const auto tensors = read_safetensors(path());
  EXPECT_TRUE(at::equal(tensors.at("a"), values.to(at::kBFloat16)));
  EXPECT_EQ(tensors.at("b").scalar_type(), at::kBFloat16);
}

TEST_F(SafetensorsTest, ValuesCanBeMadeWhileWriting) {
  const auto shape = at::zeros({1}).expand({2, 3});
  const auto value_of = [](const std::string& name, const at::Tensor& tensor) {
    return at::full(tensor.sizes(), name == "a" ? 1.0 : 2.0);
  };
  AtomicFile file(path());
  write_safetensors(file, {{"a", shape}, {"b", shape}}, {}, at::kHalf, value_of);
  file.commit();
  EXPECT_TRUE(at::equal(read_safetensors(path()).at("b"), at::full({2, 3}, 2).to(at::kHalf)));
  const auto wrong = [](const std::string&, const at::Tensor&) { return at::zeros({1}); };
  AtomicFile refused((folder_.path() / "refused").string());
  EXPECT_THROW(write_safetensors(refused, {{"a", shape}}, {}, at::kHalf, wrong), c10::Error);
}

TEST_F(SafetensorsTest, RefusesToWriteWhatTheFormatCannotHold) {
  const auto refusal = [&](const TensorMap& tensors) {
    const auto message = message_of([&] { write_safetensors(path(), tensors); });
    EXPECT_FALSE(std::filesystem::exists(path()));
    return message;
  };
  EXPECT_TRUE(
      holds(refusal({{"c", at::zeros({1}, at::kComplexFloat)}}), "tensor 'c': its type is"));
  EXPECT_TRUE(holds(refusal({{"__metadata__", at::zeros({1})}}), "which the format reserves"));
  EXPECT_TRUE(holds(refusal({{"\xff", at::zeros({1})}}), "not UTF-8"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(SafetensorsTest, EveryCutIsAnErrorAndEveryFlippedBitOfTheHeaderIsSafe) {
  write_safetensors(path(), {{"a", at::rand({2, 3})}, {"b", at::ones({5}, at::kShort)}});
  const auto bytes = read_text_file(path(), 10'000);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    write_bytes(path(), bytes.substr(0, size));
    EXPECT_THROW(read_safetensors(path()), Error) << size;
  }
  const auto header_end = bytes.size() - 24 - 10;
  for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    write_bytes(path(), flipped);
    try {
      for (const auto& [name, tensor] : read_safetensors(path())) tensor.clone();
    } catch (const Error&) {
    }
  }
}

TEST_F(SafetensorsTest, ReadsTheRecordedOperatorData) {
  const auto recorded = testing::golden_folder() / "ops.safetensors";
  if (!std::filesystem::exists(recorded)) GTEST_SKIP() << "no recorded data at " << recorded;
  const auto tensors = read_safetensors(recorded.string());
  EXPECT_EQ(tensors.at("roi_align.rois").size(1), 5);
  EXPECT_GT(read_safetensors_metadata(recorded.string()).count("parameters"), 0u);
}

}  // namespace
}  // namespace groma::io

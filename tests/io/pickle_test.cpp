#include "io/pickle.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "folders.h"
#include "io/archives.h"
#include "io/message.h"
#include "io/stored_tensor.h"

namespace groma::io {
namespace {

using ::groma::testing::holds;
using ::groma::testing::message_of;
using ::groma::testing::Pickle;
using ::groma::testing::TemporaryFolder;
using ::groma::testing::torch_archive;
using ::groma::testing::Zip;

/// `count` floats 0, 1, 2, ...
std::string floats(int count) {
  const auto values = at::arange(count, at::kFloat);
  return {static_cast<const char*>(values.data_ptr()), static_cast<std::size_t>(count) * 4};
}

std::string dict_of_a(const std::string& type, int64_t storage, int64_t offset,
                      const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  Pickle pickle;
  pickle.raw("}").text("a").tensor(type, "0", storage, offset, sizes, strides).raw("s");
  return pickle.stop();
}

class PickleTest : public ::testing::Test {
 protected:
  TensorMap read(const std::string& bytes) {
    testing::write_bytes(path(), bytes);
    return read_torch_archive(path());
  }
  std::string refusal(const std::string& bytes) {
    return message_of([&] { read(bytes); });
  }
  std::string path() const { return (folder_.path() / "m.bin").string(); }
  TemporaryFolder folder_;
};

TEST_F(PickleTest, TensorsAreViewsOfTheirStorage) {
  const auto tensors =
      read(torch_archive(dict_of_a("FloatStorage", 12, 2, {2, 3}, {1, 3}), {{"0", floats(12)}}));
  const auto& a = tensors.at("a");
  EXPECT_TRUE(at::equal(a, at::arange(12, at::kFloat).as_strided({2, 3}, {1, 3}, 2)));
  EXPECT_EQ(a.strides(), (std::vector<int64_t>{1, 3}));
}

TEST_F(PickleTest, EveryTypeIsRead) {
  for (const auto& element : kElements) {
    const std::string data(3 * element.size, '\0');
    const auto pickle = dict_of_a(std::string(element.storage), 3, 0, {3}, {1});
    const auto a = read(torch_archive(pickle, {{"0", data}})).at("a");
    EXPECT_EQ(a.nbytes(), data.size());
    EXPECT_EQ(a.ne(0).sum().item<int64_t>(), 0);
  }
}

TEST_F(PickleTest, AliasesShareTheirMemory) {
  Pickle pickle;
  pickle.raw("}(").text("a").tensor("FloatStorage", "0", 4, 0, {4}, {1}).raw("q\x01");
  pickle.text("b").raw("h\x01u");
  const auto tensors = read(torch_archive(pickle.stop(), {{"0", floats(4)}}));
  EXPECT_EQ(tensors.at("a").data_ptr(), tensors.at("b").data_ptr());
}

TEST_F(PickleTest, ArchivesOver4GigabytesUseZip64) {
  Zip zip;
  zip.zip64 = true;
  const auto pickle = dict_of_a("FloatStorage", 4, 0, {4}, {1});
  const auto tensors = read(torch_archive(pickle, {{"0", floats(4)}}, zip));
  EXPECT_TRUE(at::equal(tensors.at("a"), at::arange(4, at::kFloat)));
}

TEST_F(PickleTest, MisalignedStoragesAreCopied) {
  Zip zip;
  zip.alignment = 1;
  for (const auto* name : {"x/data.pkl", "xx/data.pkl", "xxx/data.pkl", "xxxx/data.pkl"}) {
    Zip odd = zip;
    odd.add(name, dict_of_a("FloatStorage", 6, 1, {2, 2}, {3, 1}));
    odd.add(std::string(name).substr(0, std::string(name).find('/')) + "/data/0", floats(6));
    const auto tensors = read(odd.finish());
    EXPECT_TRUE(at::equal(tensors.at("a"), at::tensor({1.f, 2.f, 4.f, 5.f}).reshape({2, 2})));
  }
}

TEST_F(PickleTest, EmptyTensorsAreRead) {
  const auto pickle = dict_of_a("FloatStorage", 0, 0, {0, 3}, {3, 1});
  EXPECT_EQ(read(torch_archive(pickle, {{"0", ""}})).at("a").sizes(), (std::vector<int64_t>{0, 3}));
}

TEST_F(PickleTest, RefusesOtherFormats) {
  const std::string old = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  EXPECT_TRUE(holds(refusal(old), "found the old format of torch.save"));
  EXPECT_TRUE(holds(refusal("hello"), "found 'hell' at the start, expected a zip archive"));
  EXPECT_TRUE(holds(refusal(""), "expected a zip archive"));
  Zip other;
  other.add("document.xml", "x");
  EXPECT_TRUE(holds(refusal(other.finish()), "holds no data.pkl"));
  Zip two;
  two.add("a/data.pkl", "x");
  two.add("b/data.pkl", "x");
  EXPECT_TRUE(holds(refusal(two.finish()), "several data.pkl"));
}

TEST_F(PickleTest, RefusesBigEndianNumbers) {
  Zip zip;
  zip.add("a/data.pkl", dict_of_a("FloatStorage", 1, 0, {1}, {1}));
  zip.add("a/byteorder", "big");
  zip.add("a/data/0", floats(1));
  EXPECT_TRUE(holds(refusal(zip.finish()), "big-endian"));
}

TEST_F(PickleTest, RefusesStoragesThatDoNotFit) {
  const auto pickle = dict_of_a("FloatStorage", 4, 0, {4}, {1});
  EXPECT_TRUE(holds(refusal(torch_archive(pickle, {{"1", floats(4)}})),
                    "tensor 'a': its storage '0' is not in the archive"));
  EXPECT_TRUE(holds(refusal(torch_archive(pickle, {{"0", floats(3)}})),
                    "4 elements of 4 bytes, the archive holds 12 bytes"));
  const auto huge = dict_of_a("DoubleStorage", int64_t{1} << 61, 0, {1}, {1});
  EXPECT_TRUE(holds(refusal(torch_archive(huge, {{"0", ""}})), "should have"));
}

TEST_F(PickleTest, NothingIsExecuted) {
  const auto mark = (folder_.path() / "executed").string();
  const auto attack = Pickle().global("os", "system").text("touch " + mark).raw("\x85R").stop();
  const auto message = refusal(torch_archive(attack, {}));
  EXPECT_TRUE(holds(message, "m.bin': data.pkl: asks for the global 'os.system'"));
  EXPECT_TRUE(holds(message, "do not trust the file"));
  EXPECT_FALSE(std::filesystem::exists(mark));
  const auto opcode = Pickle().raw("}\x81").stop();
  EXPECT_TRUE(holds(refusal(torch_archive(opcode, {})), "opcode NEWOBJ"));
}

TEST_F(PickleTest, ADamagedPickleIsNoticedByItsChecksum) {
  const auto pickle = dict_of_a("FloatStorage", 4, 0, {4}, {1});
  const auto bytes = torch_archive(pickle, {{"0", floats(4)}});
  const auto begin = bytes.find(pickle);
  ASSERT_NE(begin, std::string::npos);
  for (std::size_t bit = 0; bit < pickle.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[begin + bit / 8] = static_cast<char>(flipped[begin + bit / 8] ^ 1 << bit % 8);
    EXPECT_TRUE(holds(refusal(flipped), "the checksum of data.pkl is wrong")) << bit;
  }
}

TEST_F(PickleTest, EveryCutIsAnErrorAndEveryFlippedBitIsSafe) {
  const auto bytes = torch_archive(dict_of_a("FloatStorage", 4, 0, {4}, {1}), {{"0", floats(4)}});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(read(bytes.substr(0, size)), Error) << size;
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    try {
      for (const auto& [name, tensor] : read(flipped)) tensor.clone();
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace groma::io

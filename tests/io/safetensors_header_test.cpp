#include "io/safetensors_header.h"

#include <gtest/gtest.h>

#include "folders.h"
#include "io/bytes.h"
#include "io/message.h"

namespace groma::io {
namespace {

using ::groma::testing::holds;
using ::groma::testing::little;
using ::groma::testing::message_of;
using ::groma::testing::safetensors_file;
using ::groma::testing::TemporaryFolder;

class SafetensorsHeaderTest : public ::testing::Test {
 protected:
  SafetensorsHeader read(const std::string& bytes) {
    const auto path = (folder_.path() / "t.safetensors").string();
    testing::write_bytes(path, bytes);
    return read_safetensors_header(*MappedFile::open(path));
  }

  /// The message for a header before `data` bytes of data.
  std::string refusal(const std::string& header, std::size_t data) {
    return message_of([&] { read(safetensors_file(header, std::string(data, '\0'))); });
  }

  /// The message for one tensor 'a' described by these fields.
  std::string refusal_of(const std::string& fields, std::size_t data) {
    return refusal("{\"a\":{" + fields + "}}", data);
  }

  TemporaryFolder folder_;
};

TEST_F(SafetensorsHeaderTest, ReadsTensorsAndMetadata) {
  const std::string text =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
      R"("a":{"data_offsets":[0,4],"shape":[],"dtype":"I32"}}   )";
  const auto header = read(safetensors_file(text, std::string(28, 'x')));
  ASSERT_EQ(header.tensors.size(), 2u);
  const auto& b = header.tensors.at("b");
  EXPECT_EQ(b.type, ElementType::kF32);
  EXPECT_EQ(b.sizes, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(b.begin, 8 + text.size() + 4);
  EXPECT_TRUE(header.tensors.at("a").sizes.empty());
  EXPECT_EQ(header.metadata.at("format"), "pt");
}

TEST_F(SafetensorsHeaderTest, EmptyTensorsAndNoTensorsAreFine) {
  EXPECT_TRUE(read(safetensors_file("{}", "")).tensors.empty());
  const auto header = read(safetensors_file(
      R"({"a":{"dtype":"U8","shape":[0,9223372036854775807],"data_offsets":[2,2]},)"
      R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
      "xy"));
  EXPECT_EQ(header.tensors.at("a").sizes[0], 0);
}

TEST_F(SafetensorsHeaderTest, RefusesABadLength) {
  EXPECT_TRUE(holds(message_of([&] { read(""); }), "found 0 bytes"));
  EXPECT_TRUE(holds(message_of([&] { read("1234567"); }), "found 7 bytes"));
  EXPECT_TRUE(holds(message_of([&] { read(little(3, 8) + "{}"); }),
                    "the header's length is 3, only 2 bytes follow"));
  EXPECT_TRUE(holds(message_of([&] { read(little(100'000'001, 8) + "{}"); }),
                    "length is 100000001, at most 100000000"));
  EXPECT_TRUE(holds(message_of([&] { read(little(~std::uint64_t{0}, 8) + "{}"); }), "at most"));
  EXPECT_TRUE(holds(message_of([&] { read(little(0, 8) + "{}"); }), "begin with '{'"));
}

TEST_F(SafetensorsHeaderTest, RefusesWhatIsNoJsonObject) {
  EXPECT_TRUE(holds(refusal("[]", 0), "does not begin with '{'"));
  EXPECT_TRUE(holds(refusal(" {}", 0), "does not begin with '{'"));
  EXPECT_TRUE(holds(refusal("{]", 0), "not valid JSON at byte"));
  EXPECT_TRUE(holds(refusal("{} {}", 0), "not valid JSON at byte"));
  EXPECT_TRUE(holds(refusal("{", 0), "not valid JSON at byte"));
  EXPECT_TRUE(holds(refusal(R"({"a":1})", 0), "'a' is or holds number 1, expected an object"));
  EXPECT_TRUE(holds(refusal(R"({"a":[]})", 0), "a list, expected an object"));
  EXPECT_TRUE(holds(refusal(R"({"a":null})", 0), "null"));
}

TEST_F(SafetensorsHeaderTest, RefusesNamesThatStandTwice) {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_TRUE(holds(refusal("{\"a\":" + entry + ",\"a\":" + entry + "}", 0), "'a' is named twice"));
  EXPECT_TRUE(holds(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0),
                    "'__metadata__' is named twice"));
  EXPECT_TRUE(holds(refusal(R"({"__metadata__":{"k":"v","k":"v"}})", 0), "'k' is named twice"));
  EXPECT_TRUE(holds(refusal_of(R"("dtype":"U8","dtype":"U8")", 0), "dtype is named twice"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[],"shape":[])", 0), "shape is named twice"));
  EXPECT_TRUE(holds(refusal_of(R"("data_offsets":[0,0],"data_offsets":[0,0])", 0), "twice"));
}

TEST_F(SafetensorsHeaderTest, RefusesBadFields) {
  EXPECT_TRUE(holds(refusal_of(R"("dtype":"F8_E4M3","shape":[0],"data_offsets":[0,0])", 0),
                    "tensor 'a': dtype is 'F8_E4M3', supported are BOOL, U8"));
  EXPECT_TRUE(holds(refusal_of(R"("dtype":7)", 0), "dtype is or holds number 7, expected text"));
  EXPECT_TRUE(holds(refusal_of(R"("dtype":["U8"])", 0), "a list, expected text"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[-1])", 0), "number -1"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[1.0])", 0), "number 1.0"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[[1]])", 0), "a list"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":["1"])", 0), "text '1'"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":3)", 0), "number 3"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[9223372036854775808])", 0), "too large"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[18446744073709551616])", 0), "number 184467"));
  EXPECT_TRUE(holds(refusal_of(R"("shape":[1,1,1,1,1,1,1,1,1])", 0), "more than 8 numbers"));
  EXPECT_TRUE(holds(refusal_of(R"("data_offsets":[0])", 0), "has 1 numbers, expected 2"));
  EXPECT_TRUE(holds(refusal_of(R"("data_offsets":[0,0,0])", 0), "more than 2 numbers"));
  EXPECT_TRUE(holds(refusal_of(R"("strides":[1])", 0), "has a field 'strides'"));
  EXPECT_TRUE(holds(refusal_of(R"("dtype":"U8","shape":[0])", 0), "lacks dtype, shape or"));
  EXPECT_TRUE(holds(refusal_of("", 0), "tensor 'a' lacks"));
}

TEST_F(SafetensorsHeaderTest, RefusesMetadataThatIsNotText) {
  EXPECT_TRUE(holds(refusal(R"({"__metadata__":{"k":1}})", 0),
                    "__metadata__ 'k' is or holds number 1, expected text"));
  EXPECT_TRUE(holds(refusal(R"({"__metadata__":{"k":{}}})", 0), "an object, expected text"));
  EXPECT_TRUE(holds(refusal(R"({"__metadata__":"x"})", 0), "text 'x', expected an object"));
}

TEST_F(SafetensorsHeaderTest, RefusesBadExtents) {
  EXPECT_TRUE(holds(refusal_of(R"("dtype":"U8","shape":[2],"data_offsets":[2,0])", 2),
                    "[2, 0]: it ends before it begins"));
  EXPECT_TRUE(holds(refusal_of(R"("dtype":"U8","shape":[4],"data_offsets":[0,4])", 3),
                    "[0, 4], the file holds 3 bytes of data"));
  EXPECT_TRUE(holds(refusal_of(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4),
                    "shape and dtype F32 need 8 bytes, data_offsets give 4"));
  EXPECT_TRUE(
      holds(refusal_of(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0),
            "product of its shape is too large"));
  EXPECT_TRUE(
      holds(refusal_of(R"("dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0])", 0),
            "too large"));
}

TEST_F(SafetensorsHeaderTest, RefusesOverlapGapAndTail) {
  const auto two = [](const char* first, const char* second) {
    return std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)") + first +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}";
  };
  EXPECT_TRUE(holds(refusal(two("[0,2]", "[1,3]"), 3), "'b' begins at 1 inside another"));
  EXPECT_TRUE(holds(refusal(two("[0,2]", "[3,5]"), 5), "'b' begins at 3, a gap after 2"));
  EXPECT_TRUE(holds(refusal(two("[1,3]", "[3,5]"), 5), "'a' begins at 1, a gap after 0"));
  EXPECT_TRUE(holds(refusal(two("[0,2]", "[2,4]"), 5), "the tensors end at 4, the data at 5"));
}

TEST_F(SafetensorsHeaderTest, DeepNestingDoesNotReachTheStack) {
  EXPECT_TRUE(holds(refusal(R"({"a":)" + std::string(3'000'000, '['), 0), "a list"));
  std::string objects = "{";
  for (int i = 0; i < 300'000; ++i) objects += "\"a\":{";
  EXPECT_TRUE(holds(refusal(objects, 0), "field 'a'"));
}

TEST_F(SafetensorsHeaderTest, MessagesNameTheFileAndAdvise) {
  const auto message = refusal_of(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4);
  EXPECT_TRUE(holds(message, "t.safetensors': "));
  EXPECT_TRUE(holds(message, "get it again"));
}

// Where a flipped bit leaves a readable header (it may fall on a letter of a name), all that the
// header promises must still hold.
TEST_F(SafetensorsHeaderTest, EveryCutAndEveryFlippedBitIsAnErrorOrASoundHeader) {
  const auto bytes = safetensors_file(
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BOOL","shape":[2],"data_offsets":[24,26]}})",
      std::string(26, '\0'));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(read(bytes.substr(0, size)), Error) << size;
  }
  const auto header_end = bytes.size() - 26;
  int sound = 0;
  for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    try {
      for (const auto& [name, stored] : read(flipped).tensors) {
        const auto count = element_count(stored.sizes);
        ASSERT_TRUE(count.has_value());
        const auto size = static_cast<std::size_t>(*count) * info_of(stored.type).size;
        ASSERT_LE(stored.begin + size, flipped.size()) << "bit " << bit;
      }
      ++sound;
    } catch (const Error&) {
    }
  }
  EXPECT_LT(sound, static_cast<int>(header_end));  // names and metadata: 4 letters of 8 bits
}

}  // namespace
}  // namespace groma::io

#include "io/unpickle.h"

#include <gtest/gtest.h>

#include <random>

#include "io/archives.h"
#include "io/message.h"

namespace groma::io {
namespace {

using ::groma::testing::holds;
using ::groma::testing::message_of;
using ::groma::testing::Pickle;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

std::string refusal(const std::string& pickle) {
  return message_of([&] { unpickle_state_dict(pickle, "m.bin"); });
}

/// A state dict of the one tensor 'a'.
std::string one_tensor(int64_t storage, int64_t offset, const std::vector<int64_t>& sizes,
                       const std::vector<int64_t>& strides) {
  return Pickle()
      .raw("}")
      .text("a")
      .tensor("FloatStorage", "0", storage, offset, sizes, strides)
      .raw("s")
      .stop();
}

TEST(Unpickle, ReadsAPlainDict) {
  const auto pickle = one_tensor(100, 4, {2, 3}, {1, 2});
  const auto tensors = unpickle_state_dict(pickle, "m.bin");
  ASSERT_EQ(tensors.size(), 1u);
  const auto& a = tensors.at("a");
  EXPECT_EQ(a.type, ElementType::kF32);
  EXPECT_EQ(a.key, "0");
  EXPECT_EQ(a.storage_size, 100);
  EXPECT_EQ(a.offset, 4);
  EXPECT_EQ(a.sizes, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(a.strides, (std::vector<int64_t>{1, 2}));
}

// As torch.save writes model.state_dict(): an OrderedDict with memo entries and _metadata.
TEST(Unpickle, ReadsAnOrderedDictWithMetadataAndMemo) {
  Pickle pickle;
  pickle.ordered_dict().raw("q\x01").raw("(");
  pickle.text("w").raw("r\x01\x01").raw(std::string(2, '\0'));  // LONG_BINPUT 257
  pickle.tensor("HalfStorage", "7", 6, 0, {6}, {1}).raw("q\x02");
  pickle.text("alias").raw("h\x02").raw("u");
  pickle.raw("}").text("_metadata").ordered_dict();
  pickle.text("").raw("}").text("version").number(1).raw("ss").raw("sb");
  const auto bytes = pickle.stop();
  const auto tensors = unpickle_state_dict(bytes, "m.bin");
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors.at("alias").type, ElementType::kF16);
  EXPECT_EQ(tensors.at("alias").key, "7");
}

TEST(Unpickle, ReadsParametersAndEveryStorageClass) {
  for (const auto& element : kElements) {
    const auto bytes = Pickle()
                           .raw("}")
                           .text("p")
                           .global("torch._utils", "_rebuild_parameter")
                           .raw("(")
                           .tensor(std::string(element.storage), "k", 1, 0, {}, {})
                           .raw("\x88")
                           .ordered_dict()
                           .raw("tRs")
                           .stop();
    EXPECT_EQ(unpickle_state_dict(bytes, "m.bin").at("p").type, element.type);
  }
}

TEST(Unpickle, LeavesOutWhatIsNoTensor) {
  Pickle pickle;
  pickle.raw("}(").text("epoch").number(-3).text("flag").raw("\x88").text("none").raw("N");
  pickle.text("a").tensor("FloatStorage", "0", 1, 0, {1}, {1}).raw("u");
  const auto bytes = pickle.stop();
  EXPECT_EQ(unpickle_state_dict(bytes, "m.bin").size(), 1u);
  EXPECT_TRUE(unpickle_state_dict(Pickle().raw("}").stop(), "m.bin").empty());
}

TEST(Unpickle, RefusesATrainingCheckpointAndNamesItsEntries) {
  const auto bytes =
      Pickle().raw("}(").text("model").raw("}").text("epoch").number(3).raw("u").stop();
  const auto message = refusal(bytes);
  EXPECT_TRUE(holds(message, "no tensors at the top level; found 'model', 'epoch'"));
  EXPECT_TRUE(holds(message, "save model.state_dict()"));
}

TEST(Unpickle, RefusesForeignGlobalsByName) {
  const auto attack = Pickle().global("os", "system").text("id").raw("\x85R").stop();
  const auto message = refusal(attack);
  EXPECT_TRUE(holds(message, "'m.bin'"));
  EXPECT_TRUE(holds(message, "'os.system', which is not part of a state dict and may run code"));
  for (const auto* name : {"_rebuild_tensor", "_rebuild_tensor_v3", "_import_dotted_name"}) {
    EXPECT_TRUE(holds(refusal(Pickle().global("torch._utils", name).stop()), name));
  }
  EXPECT_TRUE(holds(refusal(Pickle().global("torch", "load").stop()), "'torch.load'"));
  EXPECT_TRUE(holds(refusal(Pickle().global("numpy", "FloatStorage").stop()), "numpy.Float"));
  EXPECT_TRUE(holds(refusal(Pickle().global("torch.storage", "UntypedStorage").stop()), "Untyped"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("c" + std::string(500, 'a')).stop()), "does not end"));
}

TEST(Unpickle, RefusesForeignOpcodesByName) {
  EXPECT_TRUE(holds(refusal(Pickle().raw("i").stop()), "opcode INST (byte 105) at 2"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("}\x93").stop()), "opcode STACK_GLOBAL (byte 147) at 3"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("\x81").stop()), "opcode NEWOBJ"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("]").stop()), "opcode EMPTY_LIST"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("G").stop()), "opcode BINFLOAT"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("\xff").stop()), "opcode unknown (byte 255)"));
  EXPECT_TRUE(holds(refusal("\x80\x04."), "pickle protocol is 4, expected 2"));
  EXPECT_TRUE(holds(refusal("}."), "does not begin with PROTO"));
}

TEST(Unpickle, RefusesATensorOutsideItsStorage) {
  EXPECT_TRUE(holds(refusal(one_tensor(5, 0, {6}, {1})), "more elements than the 5"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 1, {6}, {1})), "last element lies outside the 6"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, {3}, {3})), "lies outside"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 7, {0}, {1})), "its offset is 7"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, -1, {1}, {1})), "its offset is -1"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, {-1}, {1})), "a size or stride is -1"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, {1}, {-1})), "a size or stride is -1"));
  EXPECT_TRUE(holds(refusal(one_tensor(-1, 0, {1}, {1})), "a storage has -1 elements"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, {2, 3}, {1})), "2 sizes but 1 strides"));
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, {3, 3}, {0, 1})), "more elements than the 6"));
  const std::vector<int64_t> nine(9, 1);
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, nine, nine)), "has 9 dimensions"));
}

TEST(Unpickle, SizesThatOverflowAreRefused) {
  const auto half = kMost / 2 + 1;
  EXPECT_TRUE(holds(refusal(one_tensor(6, 0, {half, 2}, {1, 1})), "more elements"));
  EXPECT_TRUE(holds(refusal(one_tensor(kMost, 0, {half, 4, 0}, {1, 1, 1})), "more elements"));
  EXPECT_TRUE(holds(refusal(one_tensor(kMost, 0, {3}, {kMost})), "lies outside"));
  EXPECT_TRUE(holds(refusal(one_tensor(kMost, kMost, {2}, {kMost})), "lies outside"));
  EXPECT_TRUE(holds(refusal(one_tensor(kMost, 0, {2, 2, 2}, {half, half, half})), "lies outside"));
}

TEST(Unpickle, RefusesBrokenPrograms) {
  EXPECT_TRUE(holds(refusal("\x80"), "ends within an instruction"));
  EXPECT_TRUE(holds(refusal("\x80\x02}"), "ends within an instruction"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("X\xff\xff\xff\xff").stop()), "ends within"));
  EXPECT_TRUE(holds(refusal(Pickle().stop()), "empty stack"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("(").stop()), "takes a mark for a value"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("t").stop()), "lacks a mark"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("h\x05").stop()), "recalls the unknown value 5"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("q\x05").stop()), "remembers nothing"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("}}").stop()), "values left on the stack"));
  EXPECT_TRUE(holds(refusal(Pickle().text("a").stop()), "the top level is text"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("}(").text("a").raw("u").stop()), "lacks its value"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("}KKNs").stop()), "the key of an entry is a number"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("NN\x86Q").stop()), "not that of a storage"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("\x8a\x09").stop()), "a number of 9 bytes"));
  EXPECT_TRUE(holds(refusal(Pickle().raw("N)R").stop()), "what is called is None"));
  EXPECT_TRUE(holds(refusal(Pickle().global("torch", "IntStorage").raw(")R").stop()), "is called"));
}

TEST(Unpickle, RefusesHooksAndForeignAttributes) {
  Pickle hooked;
  hooked.global("torch._utils", "_rebuild_tensor_v2").raw("(").storage("IntStorage", "0", 1);
  hooked.number(0).numbers({1}).numbers({1}).raw("\x89");
  hooked.ordered_dict().text("hook").raw("Ns").raw("tR");
  EXPECT_TRUE(holds(refusal(hooked.stop()), "backward hooks"));
  Pickle attribute;
  attribute.ordered_dict().raw("}").text("__class__").raw("Nsb");
  EXPECT_TRUE(holds(refusal(attribute.stop()), "the attribute '__class__'"));
}

TEST(Unpickle, LongNumbersAreSigned) {
  const auto with = [](const std::string& number) {
    Pickle pickle;
    pickle.raw("}").text("a").global("torch._utils", "_rebuild_tensor_v2").raw("(");
    pickle.storage("CharStorage", "0", 5'000'000'000).raw(number);
    return pickle.numbers({1}).numbers({1}).raw("\x89").ordered_dict().raw("tRs").stop();
  };
  const auto big = with(std::string("\x8a\x05\x00\xf2\x05\x2a\x01", 7));  // 5,000,000,000
  EXPECT_TRUE(holds(refusal(big), "lies outside"));
  const auto fits = with(std::string("\x8a\x05\xff\xf1\x05\x2a\x01", 7));
  EXPECT_EQ(unpickle_state_dict(fits, "m.bin").at("a").offset, 4'999'999'999);
  EXPECT_TRUE(holds(refusal(with("\x8a\x01\xff")), "its offset is -1"));
  const auto zero = with(std::string("\x8a\x00", 2));
  EXPECT_EQ(unpickle_state_dict(zero, "m.bin").at("a").offset, 0);
}

TEST(Unpickle, MemoryIsBounded) {
  EXPECT_TRUE(holds(refusal(Pickle().raw(std::string(300'000, '}')).stop()), "on the stack"));
  EXPECT_TRUE(holds(refusal(Pickle().raw(")" + std::string(300'000, '\x85')).stop()), "nest"));
  EXPECT_TRUE(holds(refusal(std::string(17 << 20, 'N')), "bytes, at most"));
  std::string puts = "}";
  for (std::uint64_t i = 0; i < 300'000; ++i) puts.append("r").append(testing::little(i, 4));
  EXPECT_TRUE(holds(refusal(Pickle().raw(puts).stop()), "in the memo"));
}

TEST(Unpickle, ADictInItselfIsHarmless) {
  const auto bytes = Pickle().raw("}q\x01").text("me").raw("h\x01s").stop();
  EXPECT_TRUE(holds(refusal(bytes), "no tensors at the top level; found 'me'"));
}

TEST(Unpickle, EveryCutIsAnErrorAndNoNoiseDoesHarm) {
  Pickle pickle;
  pickle.ordered_dict().raw("q\x01(").text("w").tensor("FloatStorage", "0", 24, 2, {2, 3}, {3, 1});
  pickle.text("b").tensor("HalfStorage", "1", 4, 0, {4}, {1}).raw("u");
  const auto bytes = pickle.stop();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(unpickle_state_dict(bytes.substr(0, size), "m"), Error) << size;
  }
  const auto survives = [](const std::string& damaged) {
    try {
      for (const auto& [name, tensor] : unpickle_state_dict(damaged, "m")) {
        int64_t last = tensor.offset;
        for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
          if (tensor.sizes[i] == 0) return;
          last += (tensor.sizes[i] - 1) * tensor.strides[i];
        }
        ASSERT_LT(last, tensor.storage_size);
      }
    } catch (const Error&) {
    }
  };
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    survives(flipped);
  }
  std::mt19937 random(1);
  const std::string opcodes = "(NKMJXc})tqrhjsuQRb\x85\x86\x87\x88\x89\x8a\x01\x02";
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string noise = "\x80\x02";
    for (int i = 0; i < 30; ++i) noise += opcodes[random() % opcodes.size()];
    survives(noise + ".");
    auto mixed = bytes;
    for (int i = 0; i < 3; ++i) mixed[random() % mixed.size()] = opcodes[random() % opcodes.size()];
    survives(mixed);
  }
}

}  // namespace
}  // namespace groma::io

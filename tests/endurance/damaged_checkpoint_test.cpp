#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "config.h"
#include "endurance/length.h"
#include "groma/groma.h"
#include "init.h"
#include "io/safetensors_header.h"
#include "io/weights.h"
#include "model.h"
#include "support.h"

// Every way to cut a small checkpoint short and every flipped bit of its header: a clear refusal,
// or the same weights.

namespace groma {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

const std::string kRoot = GROMA_SOURCE_DIR;

class DamagedCheckpoint : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    init_checkpoint(kRoot + "/tests/data/tiny_config.json", directory(), "float32", /*seed=*/3);
    std::ifstream file(weights(), std::ios::binary);
    whole_ = new std::string(std::istreambuf_iterator<char>(file), {});
    std::uint64_t length = 0;
    std::memcpy(&length, whole_->data(), 8);
    header_end_ = 8 + static_cast<std::size_t>(length);
    model_ = new GromaModel(read_config(directory()));
    good_ = new io::TensorMap;
    for (const auto& [name, tensor] : io::open_weights(directory())) {
      good_->emplace(name, tensor.clone());
    }
  }
  static void TearDownTestSuite() {
    delete good_;
    delete model_;
    delete whole_;
    delete folder_;
  }

  static std::string directory() { return (folder_->path() / "model").string(); }
  static std::string weights() { return directory() + "/model.safetensors"; }

  /// Reads the weights as loading does. True: they are those of the undamaged file; false: refused.
  static bool same_weights() {
    io::TensorMap tensors;
    try {
      tensors = io::open_weights(directory());
      auto config = read_config(directory());
      adopt_shapes(config, io::shapes_of(tensors));
      validate(config);
      io::check_weights(**model_, tensors);
    } catch (const Error& error) {
      EXPECT_GT(std::strlen(error.what()), 20u);
      return false;
    }
    EXPECT_EQ(tensors.size(), good_->size());
    for (const auto& [name, tensor] : *good_) {
      const auto found = tensors.find(name);
      EXPECT_TRUE(found != tensors.end() && at::equal(tensor, found->second)) << name;
    }
    return true;
  }

  /// Writes over one byte of the file.
  static void put(std::size_t place, char byte) {
    std::fstream file(weights(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(place));
    file.put(byte);
  }

  static void write(std::string_view bytes) {
    std::ofstream(weights(), std::ios::binary | std::ios::trunc).write(bytes.data(), bytes.size());
  }

  /// Flips each bit from `begin` on, `step` bits apart; how often the weights stayed the same.
  static std::size_t flip(std::size_t begin, std::size_t end, std::size_t step) {
    std::size_t same = 0;
    for (auto bit = 8 * begin; bit < 8 * end; bit += step) {
      const char byte = (*whole_)[bit / 8];
      put(bit / 8, static_cast<char>(byte ^ 1 << bit % 8));
      same += same_weights();
      put(bit / 8, byte);
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << "bit " << bit % 8 << " of byte " << bit / 8;
        break;
      }
    }
    return same;
  }

  static TemporaryFolder* folder_;
  static std::string* whole_;
  static std::size_t header_end_;
  static GromaModel* model_;
  static io::TensorMap* good_;
};

TemporaryFolder* DamagedCheckpoint::folder_ = nullptr;
std::string* DamagedCheckpoint::whole_ = nullptr;
std::size_t DamagedCheckpoint::header_end_ = 0;
GromaModel* DamagedCheckpoint::model_ = nullptr;
io::TensorMap* DamagedCheckpoint::good_ = nullptr;

TEST_F(DamagedCheckpoint, EveryCutOfTheHeaderIsRefused) {
  ASSERT_TRUE(same_weights());
  for (std::size_t size = header_end_ + 1; size-- > 0;) {
    fs::resize_file(weights(), size);
    ASSERT_FALSE(same_weights()) << size;
  }
  write(*whole_);
}

TEST_F(DamagedCheckpoint, EveryCutAtATensorsBorderIsRefused) {
  const auto header = io::read_safetensors_header(*io::MappedFile::open(weights()));
  std::set<std::size_t, std::greater<>> borders;
  for (const auto& [name, stored] : header.tensors) {
    borders.insert({stored.begin - 1, stored.begin, stored.begin + 1});
  }
  for (const auto size : borders) {
    fs::resize_file(weights(), size);
    ASSERT_FALSE(same_weights()) << size;
  }
  write(std::string_view(*whole_).substr(0, whole_->size() - 1));
  EXPECT_FALSE(same_weights());
  write(*whole_ + '\0');
  EXPECT_FALSE(same_weights());
  write(*whole_);
}

TEST_F(DamagedCheckpoint, EveryFlippedBitOfTheLengthIsRefused) { EXPECT_EQ(flip(0, 8, 1), 0u); }

TEST_F(DamagedCheckpoint, EveryFlippedBitOfTheHeaderIsRefusedOrHarmless) {
  // In the short version each bit of every seventh byte or so: 13 has no factor with 8.
  const auto same = flip(8, header_end_, testing::whole_length() ? 1 : 13);
  RecordProperty("harmless", static_cast<int>(same));
}

}  // namespace
}  // namespace groma

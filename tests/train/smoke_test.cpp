#include <gtest/gtest.h>

#include "groma/groma.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

using testing::options_for;
using testing::RunFolder;

/// First and last loss of a run.
std::pair<double, double> losses_of(const TrainOptions& options) {
  double first = 0, last = 0;
  train(options, [&](const TrainProgress& progress) {
    if (first == 0) first = progress.loss;
    last = progress.loss;
  });
  return {first, last};
}

// Two stages in a minute or two: the loss falls, and the result loads and chats.
TEST(TrainingSmoke, LossFallsAndTheCheckpointChats) {
  RunFolder folder("smoke");
  testing::write_tiny_model(folder);
  auto detection = options_for(folder, testing::kDetection, "detection");
  detection.steps = 200;
  const auto [seen_first, seen_last] = losses_of(detection);
  EXPECT_LT(seen_last, 0.8 * seen_first);

  auto alignment = options_for(folder, testing::kAlignment, "alignment");
  alignment.from = {detection.out + "/state.safetensors"};
  alignment.steps = 200;
  const auto [said_first, said_last] = losses_of(alignment);
  EXPECT_LT(said_last, 0.6 * said_first);

  const auto groma = Groma::load(alignment.out + "/model");
  std::vector<uint8_t> pixels(84 * 84 * 3, 120);
  const auto answer = groma.chat(Image::from_rgb(pixels.data(), 84, 84), "Where is the red star?");
  EXPECT_FALSE(answer.tagged.empty());
}

}  // namespace
}  // namespace groma::train

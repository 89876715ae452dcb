#include "train/world_figures.h"

#include <gtest/gtest.h>

#include "groma/error.h"
#include "init.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

TEST(WorldFigures, CountsAreSharesAndDoNotDependOnThreads) {
  testing::RunFolder folder("figures");
  write_config(folder / "model", testing::tiny_config(600));
  init_checkpoint(folder / "model/config.json", folder / "random", "float32", 1);
  FigureOptions options;
  options.scenes = 3;
  options.seed = 5;
  const auto one = measure(folder / "random", options);
  options.threads = 2;
  const auto two = measure(folder / "random", options);
  ASSERT_EQ(one.size(), two.size());
  for (const auto& [name, figure] : one) {
    EXPECT_GE(figure.hits, 0) << name;
    if (name != "answer nats") {
      EXPECT_LE(figure.hits, figure.total) << name;
    }
    EXPECT_NEAR(figure.hits, two.at(name).hits, 1e-9) << name;
    EXPECT_EQ(figure.total, two.at(name).total) << name;
  }
  EXPECT_EQ(one.at("AR50").total, one.at("AR").total);
  EXPECT_EQ(one.at("caption").total, 3);        // one a scene
  EXPECT_EQ(one.at("caption").hits, 0);         // of random weights
  EXPECT_GT(one.at("answer nats").value(), 3);  // random weights expect nothing
  EXPECT_GT(one.at("blind rel").hits, 0);
  EXPECT_EQ(one.at("blind rel").total, one.at("REC rel steps").total);
  EXPECT_THROW(measure(folder / "model", options), Error);  // no weights
}

TEST(WorldFigures, TheShippedModelFindsAndNamesWhatItSees) {
  FigureOptions options;
  options.scenes = 6;
  options.seed = 77;
  options.threads = 2;
  const auto figures = measure(std::string(GROMA_SOURCE_DIR) + "/models/groma-tiny", options);
  EXPECT_GT(figures.at("AR50").value(), 0.9);
  EXPECT_GT(figures.at("REC attr").value(), 0.5);
  EXPECT_LT(figures.at("answer nats").value(), 1);
  const auto &recall = figures.at("describe recall"), &precision = figures.at("describe precision"),
             &f1 = figures.at("describe F1");
  EXPECT_GT(recall.hits, 0);
  EXPECT_NEAR(f1.value(),
              2 * recall.value() * precision.value() / (recall.value() + precision.value()), 1e-12);
}

}  // namespace
}  // namespace groma::train

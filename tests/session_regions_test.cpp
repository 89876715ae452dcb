#include <gtest/gtest.h>

#include <map>

#include "folders.h"
#include "groma/groma.h"
#include "io/file.h"
#include "io/message.h"
#include "session_support.h"

// What a session lets its user do with regions, and how it is kept.

namespace groma {
namespace {

using testing::all_regions;
using testing::brief;
using testing::kTinyConfig;
using testing::message_of;
using testing::picture;
using testing::random_model;
using testing::TemporaryFolder;

/// Reads features where regions are; made once.
const Groma& model() {
  static const TemporaryFolder folder;
  static const Groma loaded = [] {
    const auto config = (folder.path() / "config.json").string();
    auto text = io::read_text_file(kTinyConfig, 100'000);
    text.insert(text.find('{') + 1, "\"roi_geometry\": \"exact\",");
    io::write_file(config, text);
    return random_model(config, folder);
  }();
  return loaded;
}

TEST(SessionRegions, BoxGivenAfterRegionsWereListedIsAppendedWhereNoneCoversIt) {
  auto session = model().start(picture(), all_regions());
  const auto listed = session.regions();
  const Box corner = {0, 0, 5, 5};
  const auto answer = session.chat("What is <box>?", {corner}, brief());
  ASSERT_EQ(answer.regions.size(), listed.size() + 1);
  EXPECT_NEAR(answer.regions.back().box.x2, corner.x2, 1e-3);
}

TEST(SessionRegions, ChosenRegionsAreTheOnesThatTheModelSees) {
  auto session = model().start(picture(), all_regions());
  auto regions = session.regions();
  ASSERT_GT(regions.size(), 3u);
  EXPECT_GE(session.proposals().size(), regions.size());
  const std::vector<Region> mine = {regions[2], {{10, 20, 110, 90}, 1, true}, regions[0]};
  session.choose(mine);
  const auto answer = session.chat("What is this?", {}, brief());
  ASSERT_EQ(answer.regions.size(), 3u);
  EXPECT_NEAR(answer.regions[0].box.x1, regions[2].box.x1, 1e-2);
  EXPECT_FLOAT_EQ(answer.regions[2].score, regions[0].score);
  EXPECT_TRUE(answer.regions[1].given);
  EXPECT_NE(message_of([&] { session.choose(mine); }).find("before the first"), std::string::npos);
}

TEST(SessionRegions, WrongChoicesAreRefused) {
  auto session = model().start(picture());
  const Region good = {{10, 20, 110, 90}, 1, true};
  const auto has = [&](const std::vector<Region>& regions, const std::map<int, Mask>& masks,
                       const std::string& part) {
    const auto message = message_of([&] { session.choose(regions, masks); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  has({}, {}, "0 regions");
  has(std::vector<Region>(101, good), {}, "101 regions");
  has({{{-5, 0, 10, 10}, 1, true}}, {}, "leaves the picture");
  Mask mask{600, 400, std::vector<std::uint8_t>(600 * 400)};
  has({good}, {{0, mask}}, "is empty");
  mask.inside[5] = 1;
  has({good}, {{1, mask}}, "a mask for region 1");
  mask.width = 300;
  has({good}, {{0, mask}}, "300 x 400");
}

TEST(SessionRegions, MasksNeedFeaturesWhereRegionsAre) {
  const TemporaryFolder folder;
  auto session = random_model(kTinyConfig, folder).start(picture());
  const Mask all{600, 400, std::vector<std::uint8_t>(600 * 400, 1)};
  EXPECT_NE(message_of([&] {
              session.choose({{{10, 20, 110, 90}, 1, true}}, {{0, all}});
            }).find("roi_geometry released"),
            std::string::npos);
}

TEST(SessionRegions, MaskEndsTheFeaturesOfItsRegionAlone) {
  const auto logits = [](const std::map<int, Mask>& masks) {
    auto session = model().start(picture());
    session.choose({{{10, 20, 310, 290}, 1, true}, {{300, 100, 500, 300}, 1, true}}, masks);
    return session.rank("x").regions;
  };
  const auto probability = [](const std::vector<RankedRegion>& ranked, int region) {
    for (const auto& one : ranked) {
      if (one.region == region) return one.probability;
    }
    return -1.f;
  };
  Mask all{600, 400, std::vector<std::uint8_t>(600 * 400, 1)}, half = all;
  for (int y = 0; y < 400; ++y) {
    for (int x = 0; x < 150; ++x) half.inside[600 * y + x] = 0;
  }
  const auto plain = logits({}), whole = logits({{0, all}}), part = logits({{0, half}});
  EXPECT_FLOAT_EQ(probability(plain, 0), probability(whole, 0));
  EXPECT_NE(probability(plain, 0), probability(part, 0));
}

TEST(SessionRegions, RankingIsOfAllRegionsAndLeavesTheConversation) {
  auto session = model().start(picture(), all_regions());
  const auto first = session.chat("What is this?", {}, brief());
  const auto ranking = session.rank("the red cup");
  ASSERT_EQ(ranking.regions.size(), first.regions.size());
  double all = 0;
  for (const auto& one : ranking.regions) {
    EXPECT_LE(one.probability, ranking.regions.front().probability);
    EXPECT_EQ(one.box, first.regions[one.region].box);
    all += one.probability;
  }
  EXPECT_NEAR(all, 1, 1e-4);
  EXPECT_GE(ranking.present, 0);
  EXPECT_LE(ranking.present, 1);
  auto other = model().start(picture(), all_regions());
  other.chat("What is this?", {}, brief());
  EXPECT_EQ(session.chat("And that?", {}, brief()).generated_ids,
            other.chat("And that?", {}, brief()).generated_ids);
  EXPECT_NE(message_of([&] { session.rank("  "); }).find("empty"), std::string::npos);
}

TEST(SessionRegions, SavedConversationGoesOnAsIfItHadNotEnded) {
  auto session = model().start(picture(), all_regions());
  session.chat("What is <box>?", {{0, 0, 5, 5}}, brief());
  const auto saved = session.save();
  auto restored = model().start(picture());
  restored.restore(saved);
  EXPECT_EQ(restored.save(), saved);
  const auto expected = session.chat("And <box>?", {{200, 100, 330, 180}}, brief());
  const auto got = restored.chat("And <box>?", {{200, 100, 330, 180}}, brief());
  EXPECT_EQ(got.generated_ids, expected.generated_ids);
  EXPECT_EQ(got.prompt_ids, expected.prompt_ids);
}

TEST(SessionRegions, DamagedOrForeignSavingsAreRefused) {
  auto session = model().start(picture(), all_regions());
  session.chat("What is this?", {}, brief());
  const auto saved = session.save();
  const auto refused = [&](const std::string& text, const std::string& part) {
    const auto message = message_of([&] { session.restore(text); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  refused("{", "not valid JSON");
  refused("{}", "format");
  refused(saved.substr(0, saved.size() / 2), "not valid JSON");
  auto broken = saved;
  broken.replace(broken.find("cxcywh"), 6, "cxcywx");
  refused(broken, "cxcywh");
  const std::vector<std::uint8_t> rgb(600 * 400 * 3, 90);
  auto other = model().start(Image::from_rgb(rgb.data(), 600, 400));
  EXPECT_NE(message_of([&] { other.restore(saved); }).find("another picture"), std::string::npos);
  EXPECT_EQ(session.save(), saved) << "a refused file changes nothing";
}

TEST(SessionRegions, TilesAddProposalsInsideThePicture) {
  auto options = all_regions();
  options.nms_iou = 1;
  options.max_regions = 100;
  auto whole = model().start(picture(), options);
  options.tiles = 2;
  auto tiled = model().start(picture(), options);
  const auto few = whole.proposals().size();
  const auto all = tiled.proposals();
  EXPECT_GT(all.size(), few);
  EXPECT_LE(all.size(), 5 * few);
  for (const auto& region : all) {
    EXPECT_LE(region.box.x2, 600);
    EXPECT_LE(region.box.y2, 400);
  }
  options.tile_features = true;
  auto finer = model().start(picture(), options);
  EXPECT_EQ(finer.regions().size(), tiled.regions().size());
  EXPECT_EQ(finer.chat("What is this?", {}, brief()).regions.size(), finer.regions().size());
  options.tiles = 1;
  EXPECT_NE(message_of([&] { model().start(picture(), options).regions(); }).find("without tiles"),
            std::string::npos);
  options.tiles = 9;
  EXPECT_NE(message_of([&] { model().start(picture(), options).regions(); }).find("tiles is 9"),
            std::string::npos);
}

}  // namespace
}  // namespace groma

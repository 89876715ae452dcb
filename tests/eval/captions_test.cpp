// Caption metrics against numbers recorded from pycocoevalcap (scripts/compare_metrics.py).

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "groma/evaluate.h"

namespace groma::eval {
namespace {

TEST(Captions, AgreeWithTheReferenceOnRecordedCorpora) {
  std::ifstream file(GROMA_SOURCE_DIR "/tests/data/eval/captions.jsonl");
  std::string line;
  int cases = 0;
  for (; std::getline(file, line); ++cases) {
    const auto recorded = nlohmann::json::parse(line);
    std::vector<CaptionPair> pairs;
    for (std::size_t i = 0; i < recorded["hypotheses"].size(); ++i) {
      pairs.push_back({recorded["hypotheses"][i], recorded["references"][i]});
    }
    const CaptionScores scores = caption_scores(pairs);
    const auto& values = recorded["values"];
    // The reference adds in another order.
    EXPECT_NEAR(scores.cider, values["CIDEr"].get<double>(), 1e-9) << cases;
    EXPECT_NEAR(scores.rouge_l, values["ROUGE-L"].get<double>(), 1e-9) << cases;
    for (int n = 0; n < 4; ++n) {
      EXPECT_NEAR(scores.bleu[n], values["BLEU-" + std::to_string(n + 1)].get<double>(), 1e-9)
          << cases;
    }
  }
  EXPECT_EQ(cases, 30);
}

TEST(Captions, CiderOfASingleCaptionIsZero) {
  const auto scores = caption_scores({{"a red hat", {"a red hat"}}});
  EXPECT_EQ(scores.cider, 0);  // the document frequency of every n-gram is that of one document
  EXPECT_EQ(scores.rouge_l, 1);
  EXPECT_NEAR(scores.bleu[2], 1, 1e-8);  // guarded by a tiny term
}

TEST(Captions, NoReferenceIsRefused) { EXPECT_THROW(caption_scores({{"a red hat", {}}}), Error); }

}  // namespace
}  // namespace groma::eval

// Run folders to numbers: rules, faults, merging of shards, and the lists of RefCOCO at full size.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "eval/annotations.h"
#include "eval/clean_caption.h"
#include "eval/data_folder.h"
#include "eval/figures.h"
#include "eval/run_folders.h"
#include "eval/score_protocols.h"
#include "groma/evaluate.h"
#include "io/message.h"
#include "io/sha256.h"

namespace groma::eval {
namespace {

using nlohmann::json;
using testing::holds;
using testing::message_of;
using testing::prediction_of;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_predictions;

const Figure& figure(const ScoreReport& report, const std::string& name) {
  for (const Figure& one : report.figures) {
    if (one.name == name) return one;
  }
  ADD_FAILURE() << "no figure " << name;
  static const Figure none;
  return none;
}

json fact(const ScoreReport& report, const std::string& name) {
  return json::parse(report.json())[name];
}

/// Four expressions on pictures of 100 x 100; the target of each is [10, 10, 50, 50] as xywh.
std::string rec_file(const TemporaryFolder& folder) {
  json file = {{"images", json::array()}, {"annotations", json::array()}};
  file["categories"] = {{{"id", 1}, {"name", "object"}}};
  for (int i = 0; i < 4; ++i) {
    file["images"].push_back({{"id", i + 1},
                              {"file_name", "a.jpg"},
                              {"width", 100},
                              {"height", 100},
                              {"caption", "thing " + std::to_string(i)}});
    file["annotations"].push_back({{"id", i + 1},
                                   {"image_id", i + 1},
                                   {"bbox", {10, 10, 50, 50}},
                                   {"area", 2500},
                                   {"category_id", 1}});
  }
  const auto path = (folder.path() / "rec.json").string();
  io::write_file(path, file.dump());
  return path;
}

RunScoreOptions options_for(const std::string& annotations, Protocol protocol = Protocol::kRec) {
  RunScoreOptions options;
  options.annotations = AnnotationFile{annotations, Format::kAuto, "", "", false};
  options.protocol = protocol;
  return options;
}

constexpr FloatBox kRight = {10, 10, 60, 60}, kLoose = {10, 10, 60, 30}, kOff = {70, 70, 90, 90};

TEST(ScoreRuns, RecCountsAndFaults) {
  const TemporaryFolder folder;
  const auto run = folder.path() / "run";
  write_predictions(run, {prediction_of("1", 100, 100, {kRight}, {kRight, kOff}),
                          prediction_of("2", 100, 100, {kOff}, {kRight, kOff}),      // not chosen
                          prediction_of("3", 100, 100, {kOff, kRight}, {kOff}),      // not proposed
                          prediction_of("4", 100, 100, {kLoose}, {kLoose, kOff})});  // too loose
  const auto report = score_runs({run.string()}, options_for(rec_file(folder)));
  EXPECT_EQ(figure(report, "accuracy").numerator, 1);
  EXPECT_EQ(figure(report, "accuracy").denominator, 4);
  EXPECT_NEAR(figure(report, "mean_iou").value, (1 + 0.4) / 4, 1e-6);
  EXPECT_EQ(figure(report, "missing_share").numerator, 0);
  EXPECT_EQ(figure(report, "accuracy_medium").denominator, 4);
  EXPECT_EQ(figure(report, "proposer_recall").numerator, 2);
  EXPECT_EQ(figure(report, "proposer_recall_medium").numerator, 2);
  EXPECT_EQ(
      fact(report, "errors"),
      (json{
          {"right", 1}, {"not_proposed", 1}, {"not_chosen", 1}, {"too_loose", 1}, {"unknown", 0}}));
  // Four answers of score 0.9 (as a float), one of them right.
  EXPECT_NEAR(figure(report, "ece_score").value, 0.65, 1e-6);
  ASSERT_TRUE(figure(report, "ece_score").interval);
  EXPECT_NEAR((*figure(report, "ece_score").interval)[0], 0.65 - 1.959964 * 0.25, 1e-6);
  ASSERT_TRUE(figure(report, "accuracy").interval);
  EXPECT_NEAR((*figure(report, "accuracy").interval)[0], 0.0456, 1e-4);  // Wilson, 1 of 4
  EXPECT_NEAR((*figure(report, "accuracy").interval)[1], 0.6994, 1e-4);
  EXPECT_EQ(json::parse(text_of(run / "metrics.json"))["accuracy"]["value"], 0.25);
}

TEST(ScoreRuns, MissingAndFailedAnswersAreWrong) {
  const TemporaryFolder folder;
  const auto run = folder.path() / "run";
  auto failed = prediction_of("3", 100, 100, {});
  failed.error = "open 'a.jpg': it is damaged";
  auto skipped = prediction_of("4", 100, 100, {});
  skipped.error = "the image is missing";
  skipped.skipped = true;
  write_predictions(run, {prediction_of("1", 100, 100, {kRight}), prediction_of("2", 100, 100, {}),
                          failed, skipped});
  const auto report = score_runs({run.string()}, options_for(rec_file(folder)));
  EXPECT_EQ(figure(report, "accuracy").value, 0.25);
  EXPECT_EQ(fact(report, "missing"), 1);
  EXPECT_EQ(fact(report, "failed"), 1);
  EXPECT_EQ(fact(report, "skipped"), 1);
}

TEST(ScoreRuns, RulesDifferWhereTheyShould) {
  Entry entry;
  entry.width = entry.height = 100;
  const XywhBox target = {10, 10, 50, 50};
  // Half of the target and nothing else: IoU and generalised IoU are exactly 0.5.
  const auto half = prediction_of("1", 100, 100, {{10, 10, 60, 35}}).regions[0];
  EXPECT_FALSE(judge(RecRule::kGroma, half, target, entry).right);
  EXPECT_TRUE(judge(RecRule::kMdetr, half, target, entry).right);
  EXPECT_TRUE(judge(RecRule::kFerret, half, target, entry).right);
  // Cut to whole pixels this one is as good as that, and worse before.
  const auto fraction = prediction_of("1", 100, 100, {{10.9f, 10, 60.9f, 35}}).regions[0];
  EXPECT_TRUE(judge(RecRule::kFerret, fraction, target, entry).right);
  EXPECT_FALSE(judge(RecRule::kMdetr, fraction, target, entry).right);
  // A target that leaves the picture is clipped for our rule alone.
  const auto corner = prediction_of("1", 100, 100, {{80, 80, 100, 100}}).regions[0];
  EXPECT_NEAR(judge(RecRule::kGroma, corner, {80, 80, 60, 60}, entry).overlap, 1, 1e-6);
  EXPECT_LT(judge(RecRule::kMdetr, corner, {80, 80, 60, 60}, entry).overlap, 0.2);
}

TEST(ScoreRuns, MeanIouIsOfPlainIouByEveryRule) {
  const TemporaryFolder folder;
  const auto run = folder.path() / "run";
  // Two boxes apart from their targets, whose generalised IoU is below 0.
  write_predictions(
      run, {prediction_of("1", 100, 100, {kOff}), prediction_of("2", 100, 100, {kOff}),
            prediction_of("3", 100, 100, {kRight}), prediction_of("4", 100, 100, {kRight})});
  auto options = options_for(rec_file(folder));
  options.rule = RecRule::kMdetr;
  const auto report = score_runs({run.string()}, options);
  EXPECT_EQ(figure(report, "accuracy").numerator, 2);
  EXPECT_EQ(figure(report, "mean_iou").value, 0.5);
}

TEST(ScoreRuns, ShardsMergeInAnyOrderToTheSameBytes) {
  const TemporaryFolder folder;
  std::vector<Prediction> all;
  for (int i = 1; i <= 4; ++i) {
    all.push_back(prediction_of(std::to_string(i), 100, 100, {i % 2 ? kRight : kOff}, {kRight}));
  }
  const auto annotations = rec_file(folder);
  auto options = options_for(annotations);
  const auto whole = folder.path() / "whole", first = folder.path() / "first",
             second = folder.path() / "second", merged = folder.path() / "merged";
  write_predictions(whole, all);
  write_predictions(first, {all[2], all[0]});
  write_predictions(second, {all[1], all[3]});
  score_runs({whole.string()}, options);
  options.out = merged.string();
  score_runs({second.string(), first.string()}, options);
  EXPECT_EQ(text_of(merged / "predictions.jsonl"), text_of(whole / "predictions.jsonl"));
  EXPECT_EQ(text_of(merged / "metrics.json"), text_of(whole / "metrics.json"));

  EXPECT_TRUE(holds(message_of([&] { score_runs({first.string()}, options); }),
                    "2 of 4 samples are missing: 2/*/0, 4/*/0"));
  EXPECT_TRUE(holds(message_of([&] {
                      score_runs({whole.string(), first.string()}, options);
                    }),
                    "2 keys come twice: 3/0/0, 1/0/0"));
  write_predictions(second, {all[1], all[3], prediction_of("17", 100, 100, {})});
  EXPECT_TRUE(holds(message_of([&] {
                      score_runs({first.string(), second.string()}, options);
                    }),
                    "1 keys belong to no sample"));
}

TEST(ScoreRuns, OtherSeedsGiveMeanAndSpread) {
  const TemporaryFolder folder;
  const auto annotations = rec_file(folder);
  std::vector<std::string> runs;
  for (int seed = 0; seed < 2; ++seed) {
    std::vector<Prediction> all;
    for (int i = 1; i <= 4; ++i) {
      all.push_back(prediction_of(std::to_string(i), 100, 100, {i <= 2 * seed ? kRight : kOff}));
      all.back().key = std::to_string(i) + "/0/" + std::to_string(seed);
    }
    runs.push_back((folder.path() / std::to_string(seed)).string());
    write_predictions(runs.back(), all);
  }
  const auto report = score_runs(runs, options_for(annotations));
  EXPECT_EQ(figure(report, "accuracy").value, 0.25);
  const auto spread = fact(report, "over_runs")["accuracy"];
  EXPECT_EQ(spread["mean"], 0.25);
  EXPECT_NEAR(spread["standard_deviation"].get<double>(), 0.35355, 1e-5);
  EXPECT_TRUE(holds(report.table(), "mean and standard deviation over runs:\naccuracy "));
  EXPECT_TRUE(holds(report.table(), "  0.25000  +- 0.35355  of 2\n"));
}

TEST(ScoreRuns, RunsThatLackAFigureOfAnotherAreScoredTogether) {
  const TemporaryFolder folder;
  const auto annotations = rec_file(folder);
  std::vector<std::string> runs;
  for (int seed = 0; seed < 2; ++seed) {
    std::vector<Prediction> all;
    for (int i = 1; i <= 4; ++i) {
      // Only the first run lists the boxes that were kept, so only it has a ceiling.
      all.push_back(
          prediction_of(std::to_string(i), 100, 100, {kRight},
                        seed == 0 ? std::vector<FloatBox>{kRight} : std::vector<FloatBox>{}));
      all.back().key = std::to_string(i) + "/0/" + std::to_string(seed);
    }
    runs.push_back((folder.path() / std::to_string(seed)).string());
    write_predictions(runs.back(), all);
  }
  for (const Protocol protocol : {Protocol::kRec, Protocol::kProposals}) {
    const auto report = score_runs(runs, options_for(annotations, protocol));
    EXPECT_EQ(fact(report, "over_runs")["proposer_recall"]["runs"], 1) << name_of(protocol);
    EXPECT_EQ(figure(report, "proposer_recall").value, 1) << name_of(protocol);
  }
}

TEST(ScoreRuns, NumbersThatAreNotFiniteAreNoPrediction) {
  auto good = prediction_of("1", 100, 100, {kRight}, {kOff});
  EXPECT_TRUE(all_finite(good));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  auto bad = good;
  bad.regions[0].logprob = nan;
  EXPECT_FALSE(all_finite(bad));
  bad = good;
  bad.regions[0].cxcywh[2] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(all_finite(bad));
  bad = good;
  bad.candidates[0].xyxy[1] = nan;
  EXPECT_FALSE(all_finite(bad));
  bad = good;
  bad.proposals = {{kOff, nan}};
  EXPECT_FALSE(all_finite(bad));
}

TEST(ScoreRuns, BrokenPredictionsAreNamed) {
  const TemporaryFolder folder;
  const auto run = folder.path() / "run";
  const auto annotations = rec_file(folder);
  const auto complaint = [&](const std::string& text) {
    io::make_folder(run.string());
    io::write_file((run / "predictions.jsonl").string(), text);
    return message_of([&] { score_runs({run.string()}, options_for(annotations)); });
  };
  EXPECT_TRUE(holds(complaint("{\"key\": \"1\"}\n"), "no 'regions'"));
  EXPECT_TRUE(holds(complaint("{\"regions\": []}\n"), "no 'key'"));
  EXPECT_TRUE(holds(complaint("[]\n"), "predictions.jsonl:1"));
  EXPECT_TRUE(holds(complaint(R"({"key": "1", "regions": [{"xyxy": [1, 2, NaN, 4]}]})"
                              "\n"),
                    "regions[0].xyxy[2]"));
  EXPECT_TRUE(holds(message_of([&] { score_runs({(folder.path() / "none").string()}, {}); }),
                    "no predictions.jsonl there"));
}

TEST(ScoreRuns, GroundingCutsToAsManyBoxesAsThereAre) {
  const TemporaryFolder folder;
  json file = {{"categories", {{{"id", 4}, {"name", "bow_(weapon)"}, {"frequency", "r"}}}},
               {"images",
                {{{"id", 8},
                  {"width", 100},
                  {"height", 100},
                  {"neg_category_ids", json::array()},
                  {"not_exhaustive_category_ids", json::array()},
                  {"coco_url", "http://images.cocodataset.org/val2017/8.jpg"}}}},
               {"annotations",
                {{{"id", 1},
                  {"image_id", 8},
                  {"category_id", 4},
                  {"bbox", {10, 10, 50, 50}},
                  {"area", 2500}},
                 {{"id", 2},
                  {"image_id", 8},
                  {"category_id", 4},
                  {"bbox", {70, 70, 20, 20}},
                  {"area", 400}}}}};
  const auto annotations = (folder.path() / "lvis.json").string();
  io::write_file(annotations, file.dump());
  const auto run = folder.path() / "run";
  // The second truth is named third, one box too late for the paper's rule.
  write_predictions(run, {prediction_of("8", 100, 100, {kRight, kRight, kOff}, {kRight, kOff})});
  auto options = options_for(annotations, Protocol::kLvisGround);
  const auto cut = score_runs({run.string()}, options);
  EXPECT_EQ(figure(cut, "AR").value, 0.5);
  EXPECT_EQ(figure(cut, "AR_all").value, 1);
  EXPECT_EQ(figure(cut, "ARs").value, 0);
  EXPECT_EQ(figure(cut, "ARm").value, 1);
  options.as_many_cut = false;
  EXPECT_EQ(figure(score_runs({run.string()}, options), "AR").value, 1);
  // The list for other tools holds every box at score 1.
  const auto merged = (folder.path() / "merged").string();
  options.out = merged;
  score_runs({run.string()}, options);
  const auto list = json::parse(text_of(folder.path() / "merged" / "detections.json"));
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[2], (json{{"image_id", 8},
                           {"category_id", 4},
                           {"bbox", {70.0, 70.0, 20.0, 20.0}},
                           {"score", 1.0}}));
}

TEST(ScoreRuns, ARatioHasTheIntervalOfItsLinearPart) {
  const auto ratio = ratio_figure("f1", {2, 4}, {4, 5});
  EXPECT_NEAR(ratio.value, 2.0 / 3, 1e-12);
  ASSERT_TRUE(ratio.interval);
  EXPECT_NEAR((*ratio.interval)[1] - ratio.value, 1.959964 * 4 / 27, 1e-6);
  EXPECT_FALSE(ratio_figure("f1", {2}, {4}).interval);
  EXPECT_EQ(ratio_figure("f1", {0, 0}, {0, 0}).value, -1);
}

TEST(ScoreRuns, IntervalsEndWhereTheirFiguresDo) {
  using Interval = std::array<double, 2>;
  EXPECT_EQ(*mean_figure("mean_iou", {0, 1}).interval, (Interval{0, 1}));
  EXPECT_EQ(*mean_figure("ece", 1, 2, 1, "normal").interval, (Interval{0, 1}));
  EXPECT_EQ(*ratio_figure("f1", {0, 1}, {1, 1}).interval, (Interval{0, 1}));
  EXPECT_EQ(*mean_figure("CIDEr", {0, 10}, 10).interval, (Interval{0, 10}));
}

TEST(ScoreRuns, GroundedChatCountsPairsOfPhraseAndBox) {
  EXPECT_TRUE(names_object("The big, red star", "a red star"));
  EXPECT_FALSE(names_object("red big star", "red star"));
  EXPECT_FALSE(names_object("stars", "star"));
  const TemporaryFolder folder;
  const auto annotations = (folder.path() / "chat.jsonl").string();
  io::write_file(annotations,
                 R"({"id": "s", "image": "a.png", "width": 100, "height": 100, "task": "chat", )"
                 R"("text": "Describe.", "boxes": [[10, 10, 60, 60], [70, 70, 90, 90]], )"
                 R"("phrases": ["a red star", "the moon"]})"
                 "\n");
  auto said = prediction_of("s", 100, 100, {kRight, kRight, kOff});
  said.phrases = {{"Red star", {0, 1}}, {"a sun", {2}}, {"the sky", {}}};
  write_predictions(folder.path() / "run", {said});
  const auto report = score_runs({(folder.path() / "run").string()},
                                 options_for(annotations, Protocol::kGroundedChat));
  EXPECT_NEAR(figure(report, "precision").value, 1.0 / 3, 1e-12);
  EXPECT_NEAR(figure(report, "recall").value, 1.0 / 2, 1e-12);
  EXPECT_NEAR(figure(report, "f1").value, 2.0 / 5, 1e-12);
  EXPECT_NEAR(figure(report, "phrases_without_box").value, 1.0 / 3, 1e-12);
}

TEST(ScoreRuns, ReportShowsErrorsAndEscapesTexts) {
  const TemporaryFolder folder;
  const auto run = folder.path() / "run";
  auto wrong = prediction_of("1", 100, 100, {kOff}, {kRight});
  wrong.text = "<script>alert(1)</script>";
  write_predictions(
      run, {wrong, prediction_of("2", 100, 100, {kRight}), prediction_of("3", 100, 100, {kRight}),
            prediction_of("4", 100, 100, {kRight})});
  auto options = options_for(rec_file(folder));
  options.report_errors = 5;
  std::filesystem::copy_file(std::string(GROMA_SOURCE_DIR) + "/tests/data/photo.jpg",
                             folder.path() / "a.jpg");
  options.images = {folder.path().string()};
  score_runs({run.string()}, options);
  const std::string page = text_of(run / "report.html");
  EXPECT_TRUE(holds(page, "thing 0"));
  EXPECT_TRUE(holds(page, "data:image/jpeg;base64,/9j/"));
  EXPECT_TRUE(holds(page, "&lt;script"));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_TRUE(holds(page, "name=\"viewport\"")) << "telephones show it at their own width";
  EXPECT_TRUE(holds(page, "<td>accuracy<td>0.7500<td>0.301 to 0.954<td>3 / 4"));
  EXPECT_EQ(page.find("thing 1"), std::string::npos) << "that answer is right";
}

TEST(ScoreRuns, CaptionsAreCleanedAsTheOriginalDoes) {
  EXPECT_EQ(clean_caption("<p>a \n red</p>  star' "), "a red star");
  EXPECT_EQ(clean_caption("'a < b'"), "a < b");
  EXPECT_EQ(clean_caption("one\ntwo"), "onetwo");
  EXPECT_EQ(clean_caption("<r1>"), "");
}

TEST(ScoreRuns, Sha256OfKnownTexts) {
  EXPECT_EQ(io::sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(io::sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(io::sha256(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  io::Sha256 pieces;
  for (const char* piece : {"a", "b", "c"}) pieces.add(piece);
  EXPECT_EQ(pieces.hex(), io::sha256("abc"));
}

/// What one of the real lists holds, and made-up answers to it.
struct RealList {
  std::string name, annotations, run;
  double right = 0, count = 0;
};

/// Answers near the target, and the count of right ones by another computation: in pixels.
RealList answer_list(const std::filesystem::path& file, const TemporaryFolder& folder) {
  RealList out{file.stem().string(), file.string(), (folder.path() / file.stem()).string()};
  const Dataset data = read_annotations({out.annotations, Format::kAuto, "", "", false});
  std::mt19937_64 random(7);
  const auto shift = [&](double side) {
    return (static_cast<double>(random() >> 11) * 0x1p-53 - 0.5) * side * 0.8;
  };
  std::vector<Prediction> predictions;
  for (const Annotation& box : data.annotations) {
    const Entry& entry = data.entries[box.entry];
    const auto [x, y, w, h] = box.bbox;
    const double left = x + shift(w), top = y + shift(h), right = x + w + shift(w),
                 bottom = y + h + shift(h);
    const FloatBox said = {
        static_cast<float>(std::min(left, right)), static_cast<float>(std::min(top, bottom)),
        static_cast<float>(std::max(left, right)), static_cast<float>(std::max(top, bottom))};
    const double wide = std::min<double>(said[2], x + w) - std::max<double>(said[0], x);
    const double high = std::min<double>(said[3], y + h) - std::max<double>(said[1], y);
    const double shared = wide > 0 && high > 0 ? wide * high : 0;
    const double area = (double{said[2]} - said[0]) * (double{said[3]} - said[1]);
    out.right += shared / (area + w * h - shared) > 0.5;
    ++out.count;
    predictions.push_back(prediction_of(entry.label(), entry.width, entry.height, {said}));
    predictions.back().prompt = "Locate <p>" + entry.text + "</p> in the image.";
  }
  write_predictions(out.run, predictions);
  return out;
}

TEST(ScoreRuns, EightListsOfRefCocoInTwoSeconds) {
  const auto data = testing::data_folder() / "refcoco";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no " << data;
  const TemporaryFolder folder;
  std::vector<RealList> lists;
  for (const auto& file : std::filesystem::directory_iterator(data)) {
    lists.push_back(answer_list(file.path(), folder));
  }
  ASSERT_EQ(lists.size(), 8u);
  const auto begin = std::clock();
  double count = 0;
  for (const RealList& list : lists) {
    const auto report = score_runs({list.run}, options_for(list.annotations));
    EXPECT_EQ(figure(report, "accuracy").numerator, list.right) << list.name;
    EXPECT_EQ(figure(report, "accuracy").denominator, list.count) << list.name;
    count += figure(report, "accuracy").denominator;
  }
  EXPECT_EQ(count, 57457);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  RecordProperty("processor_seconds", std::to_string(seconds));
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)  // others take longer and more
  EXPECT_LT(seconds, 2);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 500 * 1024) << "KiB";
#endif
}

}  // namespace
}  // namespace groma::eval

// groma eval run as a user runs it: with the shipped model on drawn scenes, killed, in parts, by
// mpirun, in batches, and on files that are wrong.

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/program.h"
#include "folders.h"

namespace groma::testing {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::string kModel = std::string(GROMA_SOURCE_DIR) + "/models/groma-tiny";
constexpr const char* kSamples = "12";

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<Json> lines_of(const fs::path& file) {
  std::vector<Json> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
  return out;
}

/// Eight drawn scenes, and one unbroken run over their first expressions that others are compared
/// with.
class EvalRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    const auto drawn = run_groma({"synth", "--out", file("set"), "--scenes", "8", "--seed", "91",
                                  "--test", "--threads", "1"});
    ASSERT_EQ(drawn.code, 0) << drawn.err;
    const auto whole = run_groma(rec(file("whole")));
    ASSERT_EQ(whole.code, 0) << whole.err;
    whole_table_ = whole.out;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::string file(const std::string& name) { return (folder_->path() / name).string(); }

  static std::vector<std::string> command(const std::string& protocol,
                                          const std::string& annotations, const std::string& out,
                                          const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"eval",
                                    "run",
                                    "--protocol",
                                    protocol,
                                    "-m",
                                    kModel,
                                    "-t",
                                    "1",
                                    "--out",
                                    out,
                                    "--limit",
                                    kSamples,
                                    "--annotations",
                                    file("set/" + annotations)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::vector<std::string> rec(const std::string& out,
                                      const std::vector<std::string>& more = {}) {
    return command("rec", "rec.jsonl", out, more);
  }

  static void expect_same_as_whole(const std::string& folder) {
    for (const char* name : {"predictions.jsonl", "metrics.json", "detections.json"}) {
      EXPECT_EQ(bytes_of(fs::path(folder) / name), bytes_of(fs::path(file("whole")) / name))
          << name;
    }
  }

  static TemporaryFolder* folder_;
  static std::string whole_table_;
};

TemporaryFolder* EvalRun::folder_ = nullptr;
std::string EvalRun::whole_table_;

TEST_F(EvalRun, WritesARunFolder) {
  const fs::path folder = file("whole");
  const auto lines = lines_of(folder / "predictions.jsonl");
  ASSERT_EQ(lines.size(), 12u);
  for (const char* key :
       {"key", "image_id", "image", "prompt", "ids", "text", "regions_kept", "regions", "error"}) {
    EXPECT_TRUE(lines[0].contains(key)) << key;
  }
  ASSERT_FALSE(lines[0]["regions"].empty());
  for (const char* key : {"region", "cxcywh", "xyxy", "score", "logprob"}) {
    EXPECT_TRUE(lines[0]["regions"][0].contains(key)) << key;
  }
  EXPECT_NE(lines[0]["prompt"].get<std::string>().find("<p>"), std::string::npos);
  EXPECT_LE(lines[0]["ids"].size(), 3u);
  const Json run = Json::parse(bytes_of(folder / "run.json"));
  for (const char* key : {"protocol", "seed", "prompts", "model_sha256", "annotations_sha256",
                          "device", "precision", "version", "build"}) {
    EXPECT_TRUE(run["identity"].contains(key)) << key;
  }
  EXPECT_TRUE(run["start"].is_string() && run["end"].is_string());
  const Json metrics = Json::parse(bytes_of(folder / "metrics.json"));
  for (const char* key : {"accuracy", "mean_iou", "missing_share", "proposer_recall"}) {
    for (const char* part : {"value", "numerator", "denominator", "interval"}) {
      EXPECT_TRUE(metrics[key].contains(part)) << key << ' ' << part;
    }
  }
  EXPECT_EQ(metrics["accuracy"]["denominator"], 12);
  EXPECT_EQ(metrics["rule"], "groma: IoU > 0.5");
  EXPECT_GE(metrics["accuracy"]["value"], 0.25) << "the shipped model knows this world";
  EXPECT_NE(whole_table_.find("rule: groma"), std::string::npos);
  EXPECT_EQ(lines_of(folder / "timings.jsonl").size(), 12u);
  EXPECT_FALSE(Json::parse(bytes_of(folder / "detections.json")).empty());
}

TEST_F(EvalRun, KilledAndResumedItEndsWithTheSameBytes) {
  const std::string out = file("killed");
  const fs::path answers = fs::path(out) / "predictions.jsonl";
  std::size_t written = 0;
  for (int round = 0; round < 3; ++round) {
    Background run(
        rec(out, round == 0 ? std::vector<std::string>{} : std::vector<std::string>{"--resume"}));
    // Until there is another answer; the second round also leaves half a line behind.
    while (run.runs() && (!fs::exists(answers) || fs::file_size(answers) <= written)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    run.kill();
    if (round == 1) std::ofstream(answers, std::ios::app) << R"({"key":"12/)";
    written = fs::file_size(answers);
  }
  const auto last = run_groma(rec(out, {"--resume"}));
  EXPECT_EQ(last.code, 0) << last.err;
  expect_same_as_whole(out);
  // A run that is whole stays as it is.
  EXPECT_EQ(run_groma(rec(out, {"--resume"})).code, 0);
  expect_same_as_whole(out);
}

TEST_F(EvalRun, ShardsMergeToTheSameBytes) {
  for (const int shards : {2, 3, 7}) {
    const std::string name = "shards" + std::to_string(shards);
    std::vector<std::string> score = {"eval", "score", "--out", file(name)};
    for (int i = 0; i < shards; ++i) {
      const std::string part = file(name + "-" + std::to_string(i));
      const auto run =
          run_groma(rec(part, {"--shard", std::to_string(i) + "/" + std::to_string(shards),
                               "--loaders", std::to_string(1 + i)}));
      ASSERT_EQ(run.code, 0) << run.err;
      score.push_back(part);
    }
    const auto merged = run_groma(score);
    ASSERT_EQ(merged.code, 0) << merged.err;
    expect_same_as_whole(file(name));
  }
  const auto gap =
      run_groma({"eval", "score", "--out", file("gap"), file("shards3-0"), file("shards3-2")});
  EXPECT_EQ(gap.code, 1);
  EXPECT_NE(gap.err.find("4 of 12 samples are missing: 2/"), std::string::npos) << gap.err;
}

TEST_F(EvalRun, MpirunGivesTheSameBytes) {
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  if (run_program({"mpirun", "--version"}).code != 0) GTEST_SKIP() << "no mpirun";
  for (const char* ranks : {"1", "2", "3"}) {
    const std::string out = file(std::string("ranks") + ranks);
    std::vector<std::string> all = {"mpirun", "--oversubscribe", "--bind-to", "none", "-n",
                                    ranks,    GROMA_PROGRAM};
    const auto run = rec(out);
    all.insert(all.end(), run.begin(), run.end());
    const auto done = run_program(all);
    if (done.err.find("built without MPI") != std::string::npos)
      GTEST_SKIP() << "built without MPI";
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(done.out, whole_table_) << "one table, from one process";
    expect_same_as_whole(out);
  }
}

TEST_F(EvalRun, BatchesGiveTheSameIdsAndBoxes) {
  for (const char* protocol : {"rec", "caption"}) {
    const std::string name = protocol;
    const auto alone = command(name, name + ".jsonl", file(name + "-1"), {"--batch", "1"});
    const auto together = command(name, name + ".jsonl", file(name + "-8"), {"--batch", "8"});
    ASSERT_EQ(run_groma(alone).code, 0);
    ASSERT_EQ(run_groma(together).code, 0);
    const auto one = lines_of(file(name + "-1") + "/predictions.jsonl");
    const auto eight = lines_of(file(name + "-8") + "/predictions.jsonl");
    ASSERT_EQ(one.size(), eight.size());
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i]["ids"], eight[i]["ids"]);
      EXPECT_EQ(one[i]["candidates"], eight[i]["candidates"]);
      ASSERT_EQ(one[i]["regions"].size(), eight[i]["regions"].size());
      for (std::size_t r = 0; r < one[i]["regions"].size(); ++r) {
        const auto &a = one[i]["regions"][r], &b = eight[i]["regions"][r];
        EXPECT_EQ(a["cxcywh"], b["cxcywh"]);
        EXPECT_NEAR(a["logprob"].get<double>(), b["logprob"].get<double>(), 1e-5);
      }
    }
  }
}

TEST_F(EvalRun, OtherProtocolsGiveTheirFigures) {
  struct Case {
    const char *protocol, *annotations, *figure;
  };
  for (const auto& [protocol, annotations, figure] :
       {Case{"lvis-ground", "ground.json", "AR"}, Case{"caption", "caption.jsonl", "CIDEr"},
        Case{"proposals", "instances.json", "AP_kept"},
        Case{"grounded-chat", "chat.jsonl", "f1"}}) {
    const auto run = run_groma(command(protocol, annotations, file(protocol), {"--report", "3"}));
    ASSERT_EQ(run.code, 0) << run.err;
    const Json metrics = Json::parse(bytes_of(file(protocol) + "/metrics.json"));
    ASSERT_TRUE(metrics.contains(figure)) << protocol;
    EXPECT_GT(metrics[figure]["value"], 0) << protocol << ": the shipped model knows this world";
    EXPECT_TRUE(fs::exists(file(protocol) + "/report.html"));
  }
  EXPECT_EQ(Json::parse(bytes_of(file("caption") + "/captions.json")).size(), 12u);
}

TEST_F(EvalRun, AllInstructionsGiveMeanAndSpread) {
  const auto run = run_groma(rec(file("all"), {"--prompt-index", "all", "--json"}));
  ASSERT_EQ(run.code, 0) << run.err;
  const Json metrics = Json::parse(run.out);
  EXPECT_EQ(metrics["answers"], 72);
  EXPECT_EQ(metrics["over_runs"]["accuracy"]["runs"], 6);
}

TEST_F(EvalRun, RefusesWhatWouldMixRuns) {
  const auto complaint = [&](const std::vector<std::string>& arguments) {
    const auto run = run_groma(arguments);
    EXPECT_NE(run.code, 0);
    return run.err;
  };
  EXPECT_NE(complaint(rec(file("whole"))).find("holds a run already"), std::string::npos);
  EXPECT_NE(complaint(rec(file("whole"), {"--resume", "--seed", "4"})).find("seed: 0 and 4"),
            std::string::npos);
  EXPECT_NE(complaint(rec(file("whole"), {"--resume", "--shard", "0/2"})).find("shard 0/1"),
            std::string::npos);
  EXPECT_NE(complaint(rec(file("x"), {"--shard", "2/2"})).find("0 <= i < n"), std::string::npos);
  EXPECT_NE(complaint(rec(file("x"), {"--prompt-index", "6"})).find("instructions 0 to 5"),
            std::string::npos);
  EXPECT_NE(complaint(command("caption", "rec.jsonl", file("x"))).find("none of the"),
            std::string::npos);
}

/// Two samples: one whose picture is damaged, one whose picture is missing.
TEST_F(EvalRun, MissingAndDamagedPicturesCountAsWrong) {
  const std::string annotations = file("bad.jsonl");
  std::ofstream(file("damaged.png")) << "\x89PNG nothing";
  std::ofstream(annotations)
      << R"({"id": 1, "image": "damaged.png", "width": 64, "height": 64, "task": "rec", )"
         R"("text": "it", "boxes": [[1, 1, 20, 20]]})"
         "\n"
      << R"({"id": 2, "image": "missing.png", "width": 64, "height": 64, "task": "rec", )"
         R"("text": "it", "boxes": [[1, 1, 20, 20]]})"
         "\n"
      << R"({"id": 3, "image": "set/images/000000.png", "width": 64, "height": 64, "task": "rec", )"
         R"("text": "it", "boxes": [[1, 1, 20, 20]]})"
         "\n";
  std::vector<std::string> run = {"eval", "run",   "--protocol", "rec",           "-m",
                                  kModel, "--out", file("bad"),  "--annotations", annotations};
  const auto stopped = run_groma(run);
  EXPECT_EQ(stopped.code, 1);
  EXPECT_NE(stopped.err.find("are not there: missing.png"), std::string::npos) << stopped.err;
  EXPECT_FALSE(fs::exists(file("bad"))) << "it stops before anything is written";
  run.push_back("--skip-missing");
  const auto done = run_groma(run);
  EXPECT_EQ(done.code, 3) << done.err;
  const Json metrics = Json::parse(bytes_of(file("bad") + "/metrics.json"));
  EXPECT_EQ(metrics["accuracy"]["denominator"], 3);
  EXPECT_EQ(metrics["accuracy"]["numerator"], 0);
  EXPECT_EQ(metrics["failed"], 2);
  EXPECT_EQ(metrics["skipped"], 1);
  const auto lines = lines_of(file("bad") + "/predictions.jsonl");
  EXPECT_NE(lines[2]["error"].get<std::string>().find("its annotation says 64 x 64"),
            std::string::npos)
      << lines[2]["error"];
}

/// Which of the entries of one picture fail must not depend on the one that comes first.
TEST_F(EvalRun, EveryEntryIsHeldToItsOwnSize) {
  const auto line = [](int id, int side) {
    const std::string text = std::to_string(side);
    return R"({"id": )" + std::to_string(id) +
           R"(, "image": "set/images/000000.png", "task": "rec", "text": "it", "width": )" + text +
           R"(, "height": )" + text + R"(, "boxes": [[1, 1, 20, 20]]})" + "\n";
  };
  const std::string annotations = file("sizes.jsonl");
  std::ofstream(annotations) << line(1, 64) << line(2, 224) << line(3, 64);
  for (const char* batch : {"1", "3"}) {
    const std::string out = file(std::string("sizes-") + batch);
    const auto run = run_groma({"eval", "run", "--protocol", "rec", "-m", kModel, "-t", "1",
                                "--out", out, "--annotations", annotations, "--batch", batch});
    EXPECT_EQ(run.code, 3) << run.err;
    const auto lines = lines_of(fs::path(out) / "predictions.jsonl");
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_TRUE(lines[0]["error"].is_string());
    EXPECT_TRUE(lines[1]["error"].is_null()) << lines[1]["error"];
    EXPECT_TRUE(lines[2]["error"].is_string());
  }
}

TEST_F(EvalRun, TheRuleIsRecordedAndScoringKeepsIt) {
  const std::string out = file("mdetr");
  // What a process leaves that was killed as it began.
  fs::create_directories(out);
  std::ofstream(fs::path(out) / "predictions.jsonl");
  const auto run = run_groma(rec(out, {"--resume", "--rule", "mdetr"}));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(Json::parse(bytes_of(fs::path(out) / "run.json"))["rule"], "mdetr");
  EXPECT_NE(run.out.find("rule: mdetr"), std::string::npos) << run.out;
  const auto scored = run_groma({"eval", "score", out});
  EXPECT_EQ(scored.out, run.out);
  const auto other = run_groma({"eval", "score", out, "--rule", "groma"});
  EXPECT_NE(other.out.find("rule: groma"), std::string::npos) << other.out;
}

}  // namespace
}  // namespace groma::testing

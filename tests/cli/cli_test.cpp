#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/program.h"
#include "folders.h"

namespace groma::testing {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::string kSource = GROMA_SOURCE_DIR;
const std::string kConfig = kSource + "/tests/data/tiny_config.json";
const std::string kPhoto = kSource + "/tests/data/photo.jpg";  // 600 x 400

std::size_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> names_of(const Json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

/// Runs with a random model that all tests share.
class Cli : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    const auto made = run_groma({"init", "--config", kConfig, "--out", model(), "--seed", "7"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::string model() { return (folder_->path() / "model").string(); }
  static std::string file(const std::string& name) { return (folder_->path() / name).string(); }

  static std::vector<std::string> chat(const std::vector<std::string>& more) {
    std::vector<std::string> all = {"chat", "-m", model(), "-t", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  static Outcome ask(const std::vector<std::string>& more, const std::string& input = "") {
    return run_groma(chat(more), input);
  }

  static void expect_one_line(const Outcome& outcome, int code, const std::string& part) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(lines(outcome.err), 1u) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* Cli::folder_ = nullptr;

TEST_F(Cli, WithoutCommandShowsHelpAsError) {
  const auto outcome = run_groma({});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("propose"), std::string::npos);
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Cli, HelpGoesToStandardOutput) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--help"}, {"chat", "--help"}, {"propose", "--help"}, {"info", "-h"}, {"init", "-h"}}) {
    const auto outcome = run_groma(arguments);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("Usage: groma"), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(Cli, UsageErrorsAreOneLineAndExitWithTwo) {
  expect_one_line(run_groma({"chat"}), 2, "--model is required");
  expect_one_line(ask({"-p", "hi"}), 2, "--image is required");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--colour"}), 2, "--colour");
  expect_one_line(run_groma({"frob"}), 2, "groma: there is no command 'frob'; see groma --help");
  expect_one_line(run_groma({"eval", "frob"}), 2, "groma eval: there is no command 'frob'");
  expect_one_line(run_groma({"propose", "-m", model(), "--image", kPhoto, "--show", "kitty"}), 2,
                  "groma propose: not expected: --show kitty");
  expect_one_line(run_groma({"eval", "run", "--protocol", "bogus"}), 2,
                  "see groma eval run --help");
  expect_one_line(run_groma({"eval", "convert", "--annotations", kConfig, "--to", "foo", "-o",
                             file("foo.json")}),
                  2, "foo");
  expect_one_line(ask({"--image", kPhoto, "-p", " "}), 2, "empty");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--top-p", "0.5"}), 2, "--temp");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--label", "x"}), 2, "--format");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--out", file("shown"), "--show", "kitty"}),
                  2, "--draw");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--session", file("none/s.json")}), 2,
                  "folder does not exist");
  expect_one_line(ask({"--image", kPhoto, "-p", "What is <box>?"}), 2, "<box>");
  expect_one_line(ask({"--image", kPhoto, "-p", "<box>", "--box", "90,90,10,10"}), 2, "reversed");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "-n", "0"}), 2, "-n");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--temp", "-1"}), 2, "--temp");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--temp", "1", "--seed", "-1"}), 2,
                  "expected a whole number");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--dtype", "int3"}), 2,
                  "'int3' is none of auto, fp32, bf16, fp16, int8, int4");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--device", "tpu"}), 2, "cpu, cuda");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--box", "1,2,3"}), 2, "'1,2,3'");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--box", "1,2,3,4,5"}), 2, "x1,y1,x2,y2");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "-o", file("a.gif")}), 2, ".png");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "-o", file("none/a.png")}), 2, "folder");
  expect_one_line(ask({"--image", "-", "-p", "-"}), 2, "standard input");
  expect_one_line(ask({"--image", kPhoto, "-o", file("a.png")}), 2, "/save");
}

TEST_F(Cli, UsageErrorsOfTrainingAreOneLineAndExitWithTwo) {
  const auto train = [](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train", "--config", "a.json", "--model", "a", "--out", "b"};
    all.insert(all.end(), more.begin(), more.end());
    return run_groma(all);
  };
  expect_one_line(train({"--steps", "0"}), 2, "--steps");
  expect_one_line(train({"--steps", "-5"}), 2, "--steps");
  expect_one_line(train({"--threads", "-3"}), 2, "--threads");
  expect_one_line(train({"--data", "a.json", "--share", "-1"}), 2, "--share");
  expect_one_line(train({"--share", "1"}), 2, "--share requires --data");
  expect_one_line(train({"--images", "a"}), 2, "--images is about files, but there are none");
  expect_one_line(train({"--format", "coco"}), 2, "--format is about files, but there are none");
  expect_one_line(train({"--stage", "two"}), 2, "none of detection, alignment, instruction");
}

TEST_F(Cli, UsageErrorsOfWorldsAreOneLineAndExitWithTwo) {
  const auto worlds = "'foo' is none of shapes, things, both";
  expect_one_line(run_groma({"measure", "-m", "a", "--scenes", "0"}), 2, "--scenes");
  expect_one_line(run_groma({"measure", "-m", "a", "--scenes", "-5"}), 2, "--scenes");
  expect_one_line(run_groma({"measure", "-m", "a", "-t", "-3"}), 2, "--threads");
  expect_one_line(run_groma({"measure", "-m", "a", "--world", "foo"}), 2, worlds);
  const auto synth = [](const char* option, const char* value) {
    return run_groma({"synth", "--out", "a", "--scenes", "1", option, value});
  };
  expect_one_line(run_groma({"synth", "--out", "a", "--scenes", "0"}), 2, "--scenes");
  expect_one_line(synth("--world", "foo"), 2, worlds);
  expect_one_line(synth("--size", "5"), 2, "--size");
  expect_one_line(synth("--max-objects", "13"), 2, "--max-objects");
  expect_one_line(synth("-t", "-1"), 2, "--threads");
  expect_one_line(run_groma({"tokenizer", "--config", kConfig, "--out", "a"}), 2,
                  "--text or --world is required");
  expect_one_line(run_groma({"tokenizer", "--config", kConfig, "--out", "a", "--world", "foo"}), 2,
                  worlds);
}

TEST_F(Cli, BadFilesAreOneLineAndExitWithOne) {
  std::ofstream(file("notes.jpg")) << "no picture";
  expect_one_line(ask({"--image", file("missing.jpg"), "-p", "hi"}), 1, "missing.jpg");
  expect_one_line(ask({"--image", file("notes.jpg"), "-p", "hi"}), 1, "notes.jpg");
  expect_one_line(run_groma({"chat", "-m", file("nowhere"), "--image", kPhoto, "-p", "hi"}), 1,
                  "nowhere");
  expect_one_line(run_groma({"info", "-m", file("nowhere")}), 1, "nothing is downloaded");
  expect_one_line(ask({"--image", "https://example.org/a.jpg", "-p", "hi"}), 1, "download it");
  std::ofstream(file("broken.json")) << "{";
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--session", file("broken.json")}), 1,
                  "broken.json");
  expect_one_line(run_groma({"propose", "-m", model(), "--image", file("missing.jpg")}), 1,
                  "missing.jpg");
}

TEST_F(Cli, TruncatedWeightsAreRefused) {
  const fs::path cut = file("cut");
  fs::copy(model(), cut);
  fs::resize_file(cut / "model.safetensors", fs::file_size(cut / "model.safetensors") - 5);
  expect_one_line(run_groma({"info", "-m", cut.string()}), 1, "model.safetensors");
}

TEST_F(Cli, BoxesThatDoNotFitThePictureExitWithOne) {
  expect_one_line(ask({"--image", kPhoto, "-p", "<box>", "--box", "0,0,700,100"}), 1, "600 x 400");
  expect_one_line(ask({"--image", kPhoto, "-p", "<box>", "--box", "90%,0,10,10"}), 1, "reversed");
}

TEST_F(Cli, CudaIsRefusedWhereThereIsNone) {
  if (fs::exists("/dev/nvidia0")) GTEST_SKIP() << "there is an NVIDIA device";
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--device", "cuda"}), 1, "cuda");
}

TEST_F(Cli, TextGoesToStandardOutputAlone) {
  const auto outcome = ask({"--image", kPhoto, "-p", "hi", "-n", "6", "--grounded"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.back(), '\n');
  EXPECT_EQ(outcome.out.find("\033[3"), std::string::npos) << "colours without a terminal";
  EXPECT_EQ(outcome.err.find("\033["), std::string::npos) << "colours without a terminal";
  EXPECT_EQ(outcome.err.find("loading"), std::string::npos) << "a bar without a terminal";
}

TEST_F(Cli, AnswerWithoutWordsIsItsRegions) {
  const auto outcome = run_groma({"chat", "-m", kSource + "/models/groma-tiny", "--image",
                                  kSource + "/tests/data/shapes.png", "-p", "Where is the cross?"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.substr(0, 1), "r") << outcome.out;
  EXPECT_EQ(outcome.err, "");
}

TEST_F(Cli, JsonHasTheDocumentedKeys) {
  const auto outcome = ask({"--image", kPhoto, "-p", "What is <box>?", "--box", "10,20,200,220",
                            "-n", "12", "--json", "--box-score", "0", "--max-regions", "5"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines(outcome.out), 1u);
  const auto json = Json::parse(outcome.out);
  EXPECT_EQ(names_of(json), (std::vector<std::string>{"finish", "generated_ids", "image", "phrases",
                                                      "prompt", "prompt_ids", "referents",
                                                      "regions", "tagged", "text", "timings"}));
  EXPECT_EQ(json["prompt"], "What is <box>?");
  EXPECT_EQ(json["image"], (Json{{"file", kPhoto}, {"width", 600}, {"height", 400}}));
  EXPECT_EQ(json["regions"].size(), 5u);
  EXPECT_EQ(json["regions"][0]["given"], true);
  EXPECT_EQ(json["regions"][0]["score"], 1.0);
  EXPECT_EQ(json["prompt_ids"][0], 1) << "begins with <s>";
  EXPECT_LE(json["generated_ids"].size(), 12u);
  const std::string finish = json["finish"];
  EXPECT_TRUE(finish == "stop" || finish == "length") << finish;
  for (const auto& phrase : json["phrases"]) {
    EXPECT_EQ(names_of(phrase), (std::vector<std::string>{"regions", "span", "text"}));
    for (const auto& region : phrase["regions"]) {
      EXPECT_EQ(names_of(region),
                (std::vector<std::string>{"box", "confidence", "logprob", "region", "score"}));
      EXPECT_LT(region["region"], 5);
      EXPECT_LE(region["logprob"], 0);
    }
  }
}

TEST_F(Cli, GivenBoxComesBackInPixels) {
  const auto outcome = ask({"--image", kPhoto, "-p", "<box>", "--box", "10,20,200,220", "-n", "1",
                            "--json", "--max-regions", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto box = Json::parse(outcome.out)["regions"][0]["box"];
  const double expected[] = {10, 20, 200, 220};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(box[i], expected[i], 1e-3);  // float cxcywh and back
}

TEST_F(Cli, SameSeedSameAnswer) {
  const std::vector<std::string> arguments = {"--image", kPhoto,   "-p", "hi",    "-n",
                                              "16",      "--temp", "1",  "--seed"};
  const auto with_seed = [&](const std::string& seed) {
    auto all = arguments;
    all.insert(all.end(), {seed, "--json"});
    return Json::parse(ask(all).out)["generated_ids"];
  };
  EXPECT_EQ(with_seed("5"), with_seed("5"));
  EXPECT_NE(with_seed("5"), with_seed("6"));
}

TEST_F(Cli, ControlTokensTypedByUserStayCharacters) {
  const auto ids = [&](const std::string& prompt) {
    const auto outcome = ask({"--image", kPhoto, "-p", prompt, "-n", "1", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out)["prompt_ids"];
  };
  const auto count = [](const Json& list, int id) {
    return std::count(list.begin(), list.end(), id);
  };
  const auto plain = ids("x"), tricky = ids("<r3> </s> <image> [PAD] <roi> <region>");
  for (int id = 400; id < 514; ++id) EXPECT_EQ(count(tricky, id), count(plain, id)) << id;
  EXPECT_EQ(count(tricky, 2), count(plain, 2));  // </s>
  EXPECT_GT(tricky.size(), plain.size());
}

TEST_F(Cli, DashReadsImageOrPromptFromStandardInput) {
  const auto from_file = ask({"--image", kPhoto, "-p", "hi", "-n", "8", "--json"});
  const auto from_image = ask({"--image", "-", "-p", "hi", "-n", "8", "--json"}, bytes_of(kPhoto));
  const auto from_prompt = ask({"--image", kPhoto, "-p", "-", "-n", "8", "--json"}, "hi\n");
  ASSERT_EQ(from_file.code, 0) << from_file.err;
  ASSERT_EQ(from_image.code, 0) << from_image.err;
  ASSERT_EQ(from_prompt.code, 0) << from_prompt.err;
  for (const char* key : {"prompt_ids", "generated_ids", "text"}) {
    EXPECT_EQ(Json::parse(from_file.out)[key], Json::parse(from_image.out)[key]);
    EXPECT_EQ(Json::parse(from_file.out)[key], Json::parse(from_prompt.out)[key]);
  }
}

TEST_F(Cli, AnnotatedPictureIsWritten) {
  const auto chat_picture = file("chat.PNG"), propose_picture = file("propose.jpg");
  EXPECT_EQ(ask({"--image", kPhoto, "-p", "hi", "-n", "4", "-o", chat_picture}).code, 0);
  EXPECT_EQ(bytes_of(chat_picture).substr(1, 3), "PNG");
  EXPECT_EQ(run_groma({"propose", "-m", model(), "--image", kPhoto, "-o", propose_picture}).code,
            0);
  EXPECT_EQ(bytes_of(propose_picture).substr(0, 2), "\xff\xd8");
}

TEST_F(Cli, FormatsOfSeveralFilesNeedAFolder) {
  const auto csv = ask({"--image", kPhoto, "-p", "hi", "-n", "4", "--format", "csv"});
  EXPECT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(csv.out.substr(0, 13), "image,phrase,") << csv.out;
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "-n", "4", "--format", "yolo"}), 1, "--out");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--format", "xml"}), 2, "labelme");
  const auto coco = run_groma({"propose", "-m", model(), "--image", kPhoto, "--box-score", "0",
                               "--max-regions", "3", "--format", "coco"});
  EXPECT_EQ(Json::parse(coco.out)["annotations"].size(), 3u);
}

TEST_F(Cli, FolderOfPicturesIsAnsweredAndResumed) {
  const fs::path pictures = file("pictures");
  fs::create_directories(pictures / "deep");
  fs::copy(kPhoto, pictures / "a.jpg");
  fs::copy(kPhoto, pictures / "deep" / "b.JPG");
  std::ofstream(pictures / "broken.png") << "no picture";
  std::ofstream(pictures / "notes.txt") << "no picture either";
  const auto out = file("answers");
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"--image", pictures.string(), "-n", "4", "--out", out});
    return ask(more);
  };
  const auto log = [&] { return bytes_of(out + "/answers.jsonl"); };
  const auto first = run({"-p", "hi", "--format", "yolo", "--draw", "html"});
  EXPECT_EQ(first.code, 3) << first.err;
  EXPECT_NE(first.err.find("broken.png"), std::string::npos);
  EXPECT_EQ(lines(first.out), 2u) << first.out;
  EXPECT_EQ(first.out.substr(0, 6), "a.jpg\t");
  const auto all = log();
  EXPECT_EQ(lines(all), 2u);
  EXPECT_TRUE(fs::exists(out + "/labels/deep/b.txt"));
  EXPECT_TRUE(fs::exists(out + "/drawn/deep/b.html"));

  expect_one_line(run({"-p", "hi"}), 1, "--resume");
  EXPECT_NE(run({"-p", "ho", "--resume"}).err.find("prompt is \"ho\""), std::string::npos);
  std::ofstream(out + "/answers.jsonl") << all.substr(0, all.find('\n') + 30);  // as after a kill
  fs::remove(pictures / "broken.png");
  const auto second = run({"-p", "hi", "--resume", "--format", "coco"});
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(second.out.substr(0, 5), "deep/") << "only what was missing is asked";
  EXPECT_EQ(lines(log()), 2u);
  EXPECT_EQ(Json::parse(bytes_of(out + "/annotations.json"))["images"].size(), 2u);
}

TEST_F(Cli, PicturesOfSeveralFoldersKeepTheirFolders) {
  for (const char* name : {"left", "right"}) {
    fs::create_directories(file(name));
    fs::copy(kPhoto, file(name) + "/a.jpg");
  }
  const auto out = file("both");
  const auto outcome =
      run_groma({"propose", "-m", model(), "--box-score", "0", "--image", file("left"),
                 file("right"), "--out", out, "--format", "yolo", "--draw", "svg"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto log = bytes_of(out + "/answers.jsonl");
  EXPECT_EQ(lines(log), 2u);
  EXPECT_NE(log.find("right/a.jpg"), std::string::npos) << log;
  EXPECT_TRUE(fs::exists(out + "/data.yaml"));
  const auto record = Json::parse(bytes_of(out + "/run.json"));
  EXPECT_EQ(record["command"], "propose");
  EXPECT_EQ(record["dtype"], "auto");
  EXPECT_EQ(record["model_sha256"].get<std::string>().size(), 64u);
}

TEST_F(Cli, SeveralPicturesNeedAFolder) {
  expect_one_line(ask({"--image", kPhoto, kPhoto, "-p", "hi"}), 2, "--out");
  expect_one_line(ask({"--image", kPhoto, kPhoto, "-p", "hi", "--out", file("twice")}), 1, "twice");
  expect_one_line(ask({"--image", file("model"), "-p", "hi", "--out", file("none")}), 1, ".jpg");
  expect_one_line(ask({"--image", kPhoto, "-p", "hi", "--resume"}), 2, "--out");
}

TEST_F(Cli, ProposeListsRegionsBestFirst) {
  const std::vector<std::string> arguments = {
      "propose", "-m", model(), "--image", kPhoto, "--box-score", "0", "--max-regions", "3"};
  const auto text = run_groma(arguments);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(lines(text.out), 3u) << text.out;
  EXPECT_EQ(text.out.substr(0, 2), "r0");
  auto with_json = arguments;
  with_json.push_back("--json");
  const auto json = Json::parse(run_groma(with_json).out);
  ASSERT_EQ(json["regions"].size(), 3u);
  EXPECT_EQ(json["image"]["file"], kPhoto);
  EXPECT_GE(json["regions"][0]["score"], json["regions"][1]["score"]);
  EXPECT_GE(json["regions"][1]["score"], json["regions"][2]["score"]);
}

TEST_F(Cli, InfoAddsUp) {
  EXPECT_NE(run_groma({"info", "-m", model()}).out.find("vision encoder"), std::string::npos);
  const auto json = Json::parse(run_groma({"info", "-m", model(), "--json"}).out);
  long long sum = 0;
  for (const auto& stage : json["stages"]) sum += stage["parameters"].get<long long>();
  EXPECT_EQ(json["parameters"], sum);
  EXPECT_EQ(json["image_size"], 112);
  EXPECT_EQ(json["queries"], 20);
  EXPECT_EQ(json["file_dtype"], "float32");
  EXPECT_EQ(json["memory_bytes"]["fp32"], 4 * sum);
  EXPECT_LT(json["memory_bytes"]["int4"], json["memory_bytes"]["int8"]);
  EXPECT_LT(json["memory_bytes"]["int8"], json["memory_bytes"]["bf16"]);
}

TEST_F(Cli, InfoKnowsTheMemoryOfQuantisedWeights) {
  const auto whole = Json::parse(run_groma({"info", "-m", model(), "--json"}).out);
  for (const std::string type : {"int8", "int4"}) {
    const auto made = run_groma({"quantize", "-m", model(), "--type", type, "--out", file(type)});
    ASSERT_EQ(made.code, 0) << made.err;
    const auto info = Json::parse(run_groma({"info", "-m", file(type), "--json"}).out);
    EXPECT_EQ(info["memory_bytes"], (Json{{type, whole["memory_bytes"][type]}}));
    // The file is the weights and a header.
    const auto weights = static_cast<double>(info["memory_bytes"][type].get<long long>());
    EXPECT_NEAR(static_cast<double>(fs::file_size(file(type) + "/model.safetensors")), weights,
                0.05 * weights);
    EXPECT_NE(run_groma({"info", "-m", file(type)}).out.find("MiB in " + type), std::string::npos);
  }
}

TEST_F(Cli, BenchReportsTheModelsMemoryAlone) {
  const auto outcome = run_groma({"bench", "-m", model(), "-t", "2", "--prefill", "8", "--decode",
                                  "2", "--follow-up", "2", "--repeats", "1", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = Json::parse(outcome.out);
  EXPECT_GT(json["peak_memory_gib"], 0);
  EXPECT_LT(json["peak_memory_gib"], 1) << "the memory's speed is measured with 1 GiB";
  EXPECT_GT(json["limits"]["memory_gigabytes_per_second"], 0);
}

TEST_F(Cli, InitWritesTheDtypeAskedForAndRepeatsItself) {
  const std::vector<std::string> arguments = {"init", "--config", kConfig, "--seed",
                                              "3",    "--dtype",  "bf16",  "--out"};
  for (const char* name : {"once", "twice"}) {
    auto all = arguments;
    all.push_back(file(name));
    const auto outcome = run_groma(all);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  EXPECT_EQ(bytes_of(file("once/model.safetensors")), bytes_of(file("twice/model.safetensors")));
  const auto json = Json::parse(run_groma({"info", "-m", file("once"), "--json"}).out);
  EXPECT_EQ(json["file_dtype"], "bfloat16");
  EXPECT_EQ(json["compute_dtype"], "bfloat16");
}

TEST_F(Cli, InitRefusesFolderWithContents) {
  const auto before = bytes_of(model() + "/model.safetensors");
  expect_one_line(run_groma({"init", "--config", kConfig, "--out", model(), "--seed", "8"}), 1,
                  "not an empty folder");
  EXPECT_EQ(bytes_of(model() + "/model.safetensors"), before);
}

TEST_F(Cli, InitLeavesNothingWhereConfigurationIsWrong) {
  auto config = Json::parse(bytes_of(kConfig));
  config["llm_cfg"]["vocab_size"] = 200;  // too few for all bytes
  config["vocab_size"] = 314;
  std::ofstream(file("small.json")) << config;
  expect_one_line(run_groma({"init", "--config", file("small.json"), "--out", file("small")}), 1,
                  "vocabulary");
  EXPECT_FALSE(fs::exists(file("small")) && !fs::is_empty(file("small")));
}

TEST_F(Cli, ConversationReadsLinesFromAPipe) {
  const auto picture = file("talk.png");
  const auto outcome =
      ask({"-n", "4", "--json"}, "what?\n/image " + kPhoto + "\nfirst\n/box 1,2,3\n" +
                                     "/box 10,20,200,220\nthis <box>\n/jump\n/save " + picture +
                                     "\n/regions\n/clear\nagain\n/quit\nno\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(lines(outcome.out), 3u) << outcome.out;
  for (const char* part :
       {"there is no picture yet", "four pixel numbers", "/jump: no such command", "wrote "}) {
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << " not in:\n" << outcome.err;
  }
  EXPECT_TRUE(fs::exists(picture));
  std::vector<Json> answers;
  for (std::size_t at = 0; at < outcome.out.size();) {
    const auto end = outcome.out.find('\n', at);
    answers.push_back(Json::parse(outcome.out.substr(at, end - at)));
    at = end + 1;
  }
  EXPECT_GT(answers[1]["timings"]["reused_positions"], 0) << "the second turn goes on";
  EXPECT_EQ(answers[1]["timings"]["vision_ms"], 0);
  EXPECT_EQ(answers[2]["timings"]["reused_positions"], 0) << "/clear begins anew";
}

TEST_F(Cli, InterruptTwiceAtThePromptLeaves) {
  Terminal terminal(chat({"--image", kPhoto}));
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("half a line\x03");
  ASSERT_TRUE(terminal.shows("Ctrl-C again"));
  terminal.type("\x03");
  EXPECT_EQ(terminal.finish().code, 130);
}

TEST_F(Cli, InterruptStopsTheAnswerAndTheConversationGoesOn) {
  Terminal terminal(chat({"--image", kPhoto, "-n", "1000", "--temp", "1"}));
  ASSERT_TRUE(terminal.shows("> "));
  ASSERT_TRUE(terminal.reads_keys());
  terminal.type("talk\r");
  ASSERT_TRUE(terminal.shows("talk\r\n"));
  // A Ctrl-C before the answer has begun belongs to the line that was just read.
  bool stopped = false;
  for (int tries = 0; tries < 5 && !stopped; ++tries) {
    terminal.type("\x03");
    stopped = terminal.shows("> ", /*seconds=*/10);
  }
  ASSERT_TRUE(stopped) << "the answer did not stop";
  terminal.type("/help\r");
  ASSERT_TRUE(terminal.shows("/regions"));
  terminal.type("/quit\r");
  EXPECT_EQ(terminal.finish().code, 0);
}

TEST_F(Cli, InterruptStopsTrainingWithItsStateSaved) {
  std::ofstream(file("recipe.json"))
      << R"({"trainable": ["perceiver."], "losses": {"detection": 1}, "batch": 1,)"
      << R"( "schedule": {"steps": 1000000}})";
  Terminal terminal({"train", "--config", file("recipe.json"), "-m", model(), "--out",
                     file("stopped"), "-t", "1"});
  ASSERT_TRUE(terminal.shows("parameters move, on world shapes; steps 0 to 1000000"));
  terminal.type("\x03");
  EXPECT_TRUE(terminal.shows("stopped after step "));
  EXPECT_TRUE(terminal.shows("; go on with --resume"));
  EXPECT_EQ(terminal.finish().code, 130);
  EXPECT_TRUE(fs::exists(file("stopped") + "/state.safetensors"));
  EXPECT_FALSE(fs::exists(file("stopped") + "/model"));
}

TEST_F(Cli, EndOfInputLeaves) {
  Terminal terminal(chat({"--image", kPhoto}));
  ASSERT_TRUE(terminal.shows("> "));
  ASSERT_TRUE(terminal.reads_keys());
  terminal.type("\x04");
  EXPECT_EQ(terminal.finish().code, 0);
}

TEST_F(Cli, HistoryIsKeptAcrossRuns) {
  setenv("XDG_STATE_HOME", file("state").c_str(), 1);
  {
    Terminal terminal(chat({}));
    ASSERT_TRUE(terminal.shows("> "));
    terminal.type("/help\r");
    ASSERT_TRUE(terminal.shows("/quit"));
    ASSERT_TRUE(terminal.shows("> "));
    terminal.type("/quit\r");
    EXPECT_EQ(terminal.finish().code, 0);
  }
  EXPECT_TRUE(fs::exists(file("state/groma/history")));
  Terminal terminal(chat({}));
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("\x10\x10");  // Ctrl-P: the line before the last
  EXPECT_TRUE(terminal.shows("/help"));
  unsetenv("XDG_STATE_HOME");
}

}  // namespace
}  // namespace groma::testing

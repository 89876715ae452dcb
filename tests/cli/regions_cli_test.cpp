#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/program.h"
#include "folders.h"

// What the program can be pointed at with, and what can be done with regions.

namespace groma::testing {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::string kSource = GROMA_SOURCE_DIR;
const std::string kPhoto = kSource + "/tests/data/photo.jpg";  // 600 x 400

class CliRegions : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    std::ifstream config(kSource + "/tests/data/tiny_config.json");
    auto json = Json::parse(config);
    json["roi_geometry"] = "exact";
    std::ofstream(file("exact.json")) << json;
    const auto made =
        run_groma({"init", "--config", file("exact.json"), "--out", file("model"), "--seed", "7"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::string file(const std::string& name) { return (folder_->path() / name).string(); }

  static Outcome run(const std::string& command, const std::vector<std::string>& more,
                     const std::string& input = "") {
    std::vector<std::string> all = {command, "-m", file("model"), "-t", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return run_groma(all, input);
  }

  /// Asks about the photograph with all regions; the answer as JSON.
  static Json ask(const std::string& prompt, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--image", kPhoto,   "-p",          prompt, "-n",
                                    "3",       "--json", "--box-score", "0"};
    all.insert(all.end(), more.begin(), more.end());
    const auto outcome = run("chat", all);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out) : Json();
  }

  static void expect_refusal(const std::vector<std::string>& more, int code,
                             const std::string& part) {
    std::vector<std::string> all = {"--image", kPhoto, "-p", "hi", "-n", "1"};
    all.insert(all.end(), more.begin(), more.end());
    const auto outcome = run("chat", all);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* CliRegions::folder_ = nullptr;

TEST_F(CliRegions, NamesInThePromptSpeakOfTheirShapes) {
  const auto json = ask("Is {dog} beside <box> or {dog}?",
                        {"--box", "dog=10,20,200,220", "--box", "50%,50%,100%,100%"});
  ASSERT_EQ(json["referents"].size(), 3u);
  EXPECT_EQ(json["referents"][0]["name"], "dog");
  EXPECT_EQ(json["referents"][0]["box"], (Json{10, 20, 200, 220}));
  EXPECT_EQ(json["referents"][1]["box"], (Json{300, 200, 600, 400}));
  EXPECT_EQ(json["referents"][2]["name"], "dog");
  expect_refusal({"--box", "dog=1,2,30,40", "--box", "dog=1,2,30,40"}, 2, "two shapes");
  const auto unused = run("chat", {"--image", kPhoto, "-p", "Is it <box>?", "--box", "1,2,30,40",
                                   "--box", "cat=1,2,30,40"});
  EXPECT_EQ(unused.code, 2);
  EXPECT_NE(unused.err.find("{cat}"), std::string::npos) << unused.err;
}

TEST_F(CliRegions, PointingTakesARegionAndSaysWhichElse) {
  const auto first = ask("hi", {})["regions"][0]["box"].get<std::vector<float>>();
  const float x = (first[0] + first[2]) / 2, y = (first[1] + first[3]) / 2;
  const auto json = ask("What is <box>?", {"--point", std::to_string(x) + "," + std::to_string(y)});
  ASSERT_EQ(json["referents"].size(), 1u);
  const auto& taken = json["referents"][0];
  const auto& box = taken["box"];
  EXPECT_EQ(taken["own"], false);
  EXPECT_LE(box[0], x);
  EXPECT_GE(box[2], x);
  EXPECT_GT(taken["fit"], 0);
  for (const auto& next : taken["next"]) EXPECT_LE(next["fit"], taken["fit"]);
  const auto text = run("chat", {"--image", kPhoto, "-p", "What is <box>?", "-n", "1", "--polygon",
                                 "10,10;200,10;200,150;10,150"});
  EXPECT_EQ(text.code, 0);
  EXPECT_NE(text.err.find("pointed at"), std::string::npos) << text.err;
}

TEST_F(CliRegions, ShapesThatCannotBeAreOneLine) {
  expect_refusal({"--point", "601,5"}, 1, "600 x 400");
  expect_refusal({"--point", "a,b"}, 2, "'a,b'");
  expect_refusal({"--points", "5,5;x"}, 2, "'5,5;x'");
  expect_refusal({"--points", "-5,5"}, 1, "has no point");
  expect_refusal({"--polygon", "0,0;50,60;50,0;0,50"}, 1, "meet");
  expect_refusal({"--polygon", "0,0;50,60"}, 1, "2 different corners");
  expect_refusal({"--point", "cup=5,5"}, 2, "speaks of 'cup'");
  expect_refusal({"--point", "5,5", "--masked"}, 2, "--polygon or --mask");
  expect_refusal({"--mask", file("none.png")}, 1, "none.png");
  expect_refusal({"--mask", kSource + "/tests/data/shapes.png"}, 1, "same size");
  expect_refusal({"--only", "5,x"}, 2, "'5,x'");
  expect_refusal({"--only", "999"}, 1, "no region 999");
  std::string many = "1,1";
  for (int i = 0; i < 10'000; ++i) many += ";1," + std::to_string(i % 300);
  expect_refusal({"--scribble", many}, 1, "10001 points");
}

TEST_F(CliRegions, BoxesMayJoinWithoutSuppressing) {
  const auto all = ask("hi", {});
  const std::string wide = "0,0,600,400";
  const auto joined = ask("hi", {"--join", "--box", wide});
  ASSERT_EQ(joined["regions"].size(), all["regions"].size() + 1);
  EXPECT_EQ(joined["regions"].back()["given"], true);
  const auto masked = ask("<box>", {"--masked", "--polygon", "10,10;200,10;200,150;10,150"});
  EXPECT_EQ(masked["regions"].size(), all["regions"].size() + 1);
  const auto few = ask("hi", {"--only", "2,0"}), fewer = ask("hi", {"--drop", "0"});
  ASSERT_EQ(few["regions"].size(), 2u);
  EXPECT_EQ(fewer["regions"].size(), all["regions"].size() - 1);
}

TEST_F(CliRegions, RankListsTheBestAndMayFindNothing) {
  const std::vector<std::string> question = {"--image", kPhoto,        "-p",
                                             "the cup", "--box-score", "0"};
  auto with_json = question;
  with_json.insert(with_json.end(), {"--json", "--top", "3", "-o", file("ranked.html")});
  const auto outcome = run("rank", with_json);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = Json::parse(outcome.out);
  ASSERT_EQ(json["regions"].size(), 3u);
  EXPECT_GE(json["regions"][0]["probability"], json["regions"][1]["probability"]);
  EXPECT_TRUE(fs::exists(file("ranked.html")));
  auto strict = question;
  strict.insert(strict.end(), {"--min-score", "1"});
  EXPECT_EQ(run("rank", strict).out, "not there\n");
}

TEST_F(CliRegions, ConversationIsKeptAndResumed) {
  const auto once = ask("What is <box>?", {"--box", "10,20,200,220", "--session", file("talk")});
  const auto twice = ask("And that?", {"--session", file("talk")});
  EXPECT_EQ(twice["regions"].size(), once["regions"].size());
  EXPECT_GT(twice["prompt_ids"].size(), once["prompt_ids"].size());
  const auto line = run("chat", {"--image", kPhoto, "-n", "3", "--json"},
                        "/resume " + file("talk") + "\nThird?\n/keep " + file("copy") + "\n");
  ASSERT_EQ(line.code, 0) << line.err;
  EXPECT_GT(Json::parse(line.out)["prompt_ids"].size(), twice["prompt_ids"].size());
  EXPECT_TRUE(fs::exists(file("copy")));
  const auto other = run("chat", {"--image", kSource + "/tests/data/shapes.png", "-p", "hi",
                                  "--session", file("talk")});
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.err.find("another picture"), std::string::npos) << other.err;
}

TEST_F(CliRegions, PicturesInTerminals) {
  const std::vector<std::string> asked = {"--image", kPhoto, "-p", "hi", "-n", "1", "--show"};
  const auto show = [&](const std::string& how) {
    auto all = asked;
    all.push_back(how);
    return run("chat", all);
  };
  EXPECT_NE(show("kitty").err.find("\033_Gf=100,a=T,m=1;iVBOR"), std::string::npos);
  EXPECT_NE(show("iterm").err.find("\033]1337;File=inline=1;size="), std::string::npos);
  const auto none = show("auto");
  EXPECT_EQ(none.code, 2) << "a pipe is no terminal";
  EXPECT_NE(none.err.find("-o FILE"), std::string::npos) << none.err;
}

TEST_F(CliRegions, InteractivePointing) {
  const auto outcome = run("chat", {"--image", kPhoto, "-n", "2", "--json"},
                           "/point cup=50%,50%\n/polygon 1;1\nIs {cup} red?\n/point 700,1\nhm\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out.substr(0, outcome.out.find('\n')))["referents"][0]["name"],
            "cup");
}

TEST_F(CliRegions, NameLivesAsLongAsItsConversation) {
  const auto outcome =
      run("chat", {"--image", kPhoto, "-n", "2", "--json"},
          "/point cup=50%,50%\nIs {cup} red?\nIs {cup} blue?\n/clear\nIs {cup}?\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  std::vector<Json> referents;
  for (std::string line; std::getline(lines, line);) {
    referents.push_back(Json::parse(line)["referents"]);
  }
  ASSERT_EQ(referents.size(), 3u);
  ASSERT_EQ(referents[1].size(), 1u);
  EXPECT_EQ(referents[1][0]["name"], "cup");
  EXPECT_EQ(referents[1][0]["box"], referents[0][0]["box"]);
  EXPECT_TRUE(referents[2].empty());
}

}  // namespace
}  // namespace groma::testing

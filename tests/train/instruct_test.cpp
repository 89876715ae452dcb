#include "train/instruct.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "groma/error.h"
#include "groma/image.h"
#include "train/own_images.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

using nlohmann::json;
using testing::RunFolder;

std::vector<json> lines_of(const std::string& path) {
  std::vector<json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

/// One picture of 200 x 100 pixels with a cup and a dog, prepared in `folder`/work.
void prepare(const RunFolder& folder) {
  const std::vector<uint8_t> pixels(200 * 100 * 3, 90);
  Image::from_rgb(pixels.data(), 200, 100).save(folder / "a.png");
  const json file = {
      {"images", {{{"id", 1}, {"file_name", "a.png"}, {"width", 200}, {"height", 100}}}},
      {"categories", {{{"id", 1}, {"name", "cup"}}, {{"id", 2}, {"name", "dog"}}}},
      {"annotations",
       {{{"id", 1}, {"image_id", 1}, {"category_id", 1}, {"bbox", {20, 30, 40, 50}}},
        {{"id", 2}, {"image_id", 1}, {"category_id", 2}, {"bbox", {120, 10, 60, 80}}}}}};
  InstructOptions options;
  options.data.path = folder.write("a.json", file.dump());
  options.folder = folder / "work";
  options.service_model = "some-model";
  EXPECT_EQ(prepare_instruct(options), 1);
}

TEST(Instruct, RequestsHoldTheMarkedPictureAndWhatIsKnown) {
  RunFolder folder("instruct-prepare");
  prepare(folder);
  const auto requests = lines_of(folder / "work/requests.jsonl");
  ASSERT_EQ(requests.size(), 1);
  const auto& body = requests[0]["body"];
  EXPECT_EQ(body["model"], "some-model");
  const auto& content = body["messages"][1]["content"];
  EXPECT_EQ(content[0]["text"],
            "The numbered boxes:\n1: cup (x 0.10 to 0.30, y 0.30 to 0.80)\n"
            "2: dog (x 0.60 to 0.90, y 0.10 to 0.90)\n");
  const std::string url = content[1]["image_url"]["url"];
  EXPECT_TRUE(url.starts_with("data:image/jpeg;base64,/9j/"));
  EXPECT_EQ(url.substr(23).size() % 4, 0);
  const auto marked = Image::open(folder / "work/marked/000001.jpg");
  EXPECT_EQ(marked.width(), 200);
  // The frames are drawn over the grey.
  int colored = 0;
  for (int i = 0; i < 200 * 100; ++i) {
    const auto* p = marked.data() + 3 * i;
    colored += std::max({p[0], p[1], p[2]}) - std::min({p[0], p[1], p[2]}) > 60;
  }
  EXPECT_GT(colored, 500);
}

json answer(const std::string& content, const std::string& id = "000001") {
  return {
      {"custom_id", id},
      {"response",
       {{"status_code", 200}, {"body", {{"choices", {{{"message", {{"content", content}}}}}}}}}}};
}

TEST(Instruct, GoodAnswersBecomeConversationsToTrainOn) {
  RunFolder folder("instruct-read");
  prepare(folder);
  const auto said = answer(
      "Sure!\n```json\n{\"turns\": [{\"question\": \"What is [1]?\", \"answer\": \"<p>A cup</p>[1] "
      "beside <p>a dog</p> [2].\"}, {\"question\": \"Name all.\", \"answer\": "
      "\"<p>Both</p>[1, 2] are grey.\"}]}\n```");
  const auto result = read_instruct(folder / "work", folder.write("answers.jsonl", said.dump()),
                                    folder / "chat.jsonl", nullptr);
  EXPECT_EQ(result.kept, 1);
  EXPECT_EQ(result.missing, 0);
  const auto chat = lines_of(folder / "chat.jsonl");
  ASSERT_EQ(chat.size(), 1);
  EXPECT_EQ(chat[0]["turns"][0]["question"], "What is <box>?");
  EXPECT_EQ(chat[0]["turns"][1]["answer"], "<p>Both</p><roi><box><box></roi> are grey.");
  EXPECT_EQ(chat[0]["turns"][1]["grounded"], true);
  DataSource source;
  source.path = folder / "chat.jsonl";
  const auto data = read_own_images(source, true, false, nullptr);
  ASSERT_EQ(data.images.size(), 1);
  EXPECT_EQ(data.images[0].objects.size(), 2);
  EXPECT_EQ(data.images[0].objects[0].xyxy, (std::array<float, 4>{20, 30, 60, 80}));
  EXPECT_EQ(data.images[0].questions[0].turns.size(), 2);
}

TEST(Instruct, BrokenAnswersAreRefusedByName) {
  RunFolder folder("instruct-broken");
  prepare(folder);
  const auto turns = [](const std::string& question, const std::string& reply) {
    const json talk = {{"turns", {{{"question", question}, {"answer", reply}}}}};
    return answer(talk.dump());
  };
  const std::vector<std::pair<json, std::string>> cases = {
      {answer("I cannot help with that."), "no JSON"},
      {answer("{\"turns\": [}"), "000001"},
      {answer("{\"turns\": []}"), "no \"turns\""},
      {turns("What is [3]?", "It is <p>a cat</p>[1]."), "turn 1, question: names region 3"},
      {turns("What is [0]?", "It is <p>a cat</p>[1]."), "names region 0"},
      {turns("What is [-1]?", "It is <p>a cat</p>[1]."), "names region -1"},
      {turns("What is [+1]?", "It is <p>a cat</p>[1]."), "names region +1"},
      {turns("What is it?", "It is <p>a cat</p>[1, 999999999]."), "names region 999999999"},
      {turns("What is it?", "<p>A cat</p>[1], not [99999999999999999999]."),
       "names region 99999999999999999999"},
      {turns("What is it?", "It is <p>a cat</p>."), "phrase 'a cat' leads to no region"},
      {turns("What is it?", "It is <p>a cat[1]."), "<p> without </p>"},
      {turns("What is it?", "It is </p>[1]."), "</p>"},
      {turns("What is it?", "<r1> is a cat."), "token"},
      {turns("What is it?", " "), "empty"},
      {turns("What is it?", "A cat."), "names no region"},
      {answer("{\"turns\": [{\"question\": \"What?\"}]}"), "no answer"},
      {answer("{}", "000002"), "no such request"},
      {json{{"custom_id", "000001"}, {"response", {{"status_code", 429}}}}, "status '429'"},
      {json{{"id", 1}}, "no custom_id"}};
  std::string text;
  for (const auto& [line, reason] : cases) text += line.dump() + "\n";
  text += "not json\n";
  text += turns("What is [2]?", "<p>A dog</p>[2].").dump() + "\n";
  text += turns("What is [2]?", "<p>A dog</p>[2].").dump() + "\n";  // a second time
  std::vector<std::string> refused;
  const auto result =
      read_instruct(folder / "work", folder.write("answers.jsonl", text), folder / "chat.jsonl",
                    [&](const std::string& why) { refused.push_back(why); });
  EXPECT_EQ(result.kept, 1);
  ASSERT_EQ(refused.size(), cases.size() + 2);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_NE(refused[i].find(cases[i].second), std::string::npos) << refused[i];
    EXPECT_NE(refused[i].find("answers.jsonl:" + std::to_string(i + 1)), std::string::npos)
        << refused[i];
  }
  EXPECT_NE(refused.back().find("came before"), std::string::npos) << refused.back();
  EXPECT_THROW(read_instruct(folder / "work", folder.write("none.jsonl", "x\n"),
                             folder / "none-chat.jsonl", nullptr),
               Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "none-chat.jsonl"));
}

}  // namespace
}  // namespace groma::train

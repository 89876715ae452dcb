#include "groma/formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "folders.h"
#include "io/file.h"

namespace groma {
namespace {

using Json = nlohmann::json;

Phrase phrase(const std::string& text, std::size_t begin, const std::vector<NamedRegion>& regions) {
  return {text, begin, begin + text.size(), regions};
}

/// "A red cup and two <cats>." in a picture of 200 x 100.
ImageAnswer answered(const std::string& file = "a/street.jpg") {
  const Box cup = {10, 20, 60, 70}, left = {100, 0, 150, 50}, right = {150, 50, 200, 100};
  ChatResult answer;
  answer.text = "A red cup and two <cats>.";
  answer.phrases = {phrase("A red cup", 0, {{0, cup, 0.75f, -0.5f}}),
                    phrase("two <cats>", 14, {{1, left, 0.5f, 0}, {2, right, 0.25f, 0}})};
  answer.regions = {{cup, 0.75f, false}, {left, 0.5f, false}, {right, 0.25f, true}};
  answer.tagged = "<p>A red cup</p>";
  answer.prompt_ids = {1, 2};
  answer.generated_ids = {3};
  answer.finish = Finish::kLength;
  return {file, 200, 100, "What is \"there\"?", answer};
}

std::string only(const std::vector<TextFile>& files) {
  EXPECT_EQ(files.size(), 1u);
  return files.front().text;
}

std::string message_of(const std::string& lines) {
  try {
    read_answers(lines, "x.jsonl");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Formats, JsonIsReadAgain) {
  auto second = answered("b.png");
  second.answer.text = "broken \xff\n\"line\"";
  second.answer.phrases.clear();
  second.answer.regions[0].score = NAN;
  const auto lines = only(to_format({answered(), second}, Format::kJson));
  const auto read = read_answers(lines, "x.jsonl");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].file, "a/street.jpg");
  EXPECT_EQ(read[0].prompt, answered().prompt);
  EXPECT_EQ(read[0].answer.finish, Finish::kLength);
  EXPECT_EQ(read[0].answer.phrases[1].regions[1].box, (Box{150, 50, 200, 100}));
  EXPECT_TRUE(read[0].answer.regions[2].given);
  EXPECT_EQ(read[1].answer.text, "broken \xef\xbf\xbd\n\"line\"");
  EXPECT_TRUE(std::isnan(read[1].answer.regions[0].score));
  EXPECT_EQ(only(to_format(read, Format::kJson)), lines);
}

TEST(Formats, DamagedAnswersAreRefusedWithTheirLine) {
  const auto good = only(to_format({answered()}, Format::kJson));
  EXPECT_NE(message_of(good + "{\"text\":").find("line 2"), std::string::npos);
  EXPECT_NE(message_of("{}\n").find("line 1"), std::string::npos);
  auto json = Json::parse(good);
  json["phrases"][0]["regions"][0]["region"] = 7;
  EXPECT_NE(message_of(json.dump()).find("does not exist"), std::string::npos);
  json = Json::parse(good);
  json["phrases"][0]["span"] = {0, 4000};
  EXPECT_NE(message_of(json.dump()).find("does not exist"), std::string::npos);
}

TEST(Formats, CocoHasACategoryForEachPhrase) {
  const auto json = Json::parse(only(to_format({answered(), answered("b.jpg")}, Format::kCoco)));
  ASSERT_EQ(json["images"].size(), 2u);
  ASSERT_EQ(json["annotations"].size(), 6u);
  EXPECT_EQ(json["categories"].size(), 2u);
  EXPECT_EQ(json["categories"][1]["name"], "two <cats>");
  EXPECT_EQ(json["annotations"][5]["bbox"], (Json{150, 50, 50, 50}));
  EXPECT_EQ(json["annotations"][5]["image_id"], 2);
  EXPECT_EQ(json["annotations"][5]["category_id"], 2);
  EXPECT_NEAR(json["annotations"][0]["score"].get<double>(), std::exp(-0.5), 1e-6);
}

TEST(Formats, YoloHasAFileForEachImage) {
  const auto files =
      to_format({answered(), answered("a/street.png"), answered("../up.jpg")}, Format::kYolo);
  ASSERT_EQ(files.size(), 5u);
  EXPECT_EQ(files[0].name, "labels/a/street.txt");
  EXPECT_EQ(files[1].name, "labels/a/street-2.txt");
  EXPECT_EQ(files[2].name, "labels/up.txt");
  EXPECT_EQ(files[0].text,
            "0 0.175000 0.450000 0.250000 0.500000\n1 0.625000 0.250000 0.250000 0.500000\n"
            "1 0.875000 0.750000 0.250000 0.500000\n");
  EXPECT_EQ(files[3].text, "A red cup\ntwo <cats>\n");
  EXPECT_EQ(files[4].text, "nc: 2\nnames: [\"A red cup\",\"two <cats>\"]\n");
}

TEST(Formats, LabelMeHasARectangleForEachBox) {
  const auto json = Json::parse(only(to_format({answered()}, Format::kLabelMe)));
  ASSERT_EQ(json["shapes"].size(), 3u);
  EXPECT_EQ(json["shapes"][0]["points"], (Json{{10, 20}, {60, 70}}));
  EXPECT_EQ(json["imagePath"], "a/street.jpg");
}

TEST(Formats, CsvQuotesWhatNeedsIt) {
  auto one = answered();
  one.answer.phrases[0].text = "say \"hi\", now";
  const auto text = only(to_format({one}, Format::kCsv));
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "image,phrase,region,x1,y1,x2,y2,score,probability,confidence");
  EXPECT_NE(text.find("\na/street.jpg,\"say \"\"hi\"\", now\",0,10.00,20.00,60.00,70.00,0.7500,"
                      "0.6065,0.6065\n"),
            std::string::npos)
      << text;
}

TEST(Formats, TextsOfOtherModels) {
  EXPECT_EQ(only(to_format({answered()}, Format::kKosmos)),
            "<grounding><phrase>A red cup</phrase><object><patch_index_0193><patch_index_0713>"
            "</object> and <phrase>two (cats)</phrase><object><patch_index_0016><patch_index_0536>"
            "</delimiter_of_multi_objects/><patch_index_0536><patch_index_1023></object>.\n");
  EXPECT_EQ(only(to_format({answered()}, Format::kFlorence)),
            "A red cup<loc_50><loc_200><loc_300><loc_700>two (cats)<loc_500><loc_0><loc_750>"
            "<loc_500><loc_750><loc_500><loc_999><loc_999>\n");
}

TEST(Formats, RegionsWithoutWordsTakeTheLabel) {
  ImageAnswer bare{"x.jpg", 10, 10, "Locate the cup", {}};
  bare.answer.regions = {{{1, 1, 5, 5}, 0.5f, false}};
  bare.answer.phrases = {phrase("", 0, {{0, {1, 1, 5, 5}, 0.5f, 0}})};
  EXPECT_EQ(to_format({bare}, Format::kYolo, "cup")[1].text, "cup\n");
  EXPECT_EQ(only(to_format({bare}, Format::kFlorence)).substr(0, 6), "object");
}

TEST(Formats, RegionsThatNoTokenNamedHaveTheirScoreAlone) {
  ImageAnswer bare{"x.jpg", 10, 10, "All regions", {}};
  bare.answer.regions = {{{1, 1, 5, 5}, 0.25f, false}};
  bare.answer.phrases = {phrase("", 0, {{0, {1, 1, 5, 5}, 0.25f, NAN}})};
  const auto coco = Json::parse(only(to_format({bare}, Format::kCoco)));
  EXPECT_EQ(coco["annotations"][0]["score"], 0.25);
  EXPECT_EQ(coco["info"]["description"], "Boxes found by groma");
  const auto csv = only(to_format({bare}, Format::kCsv));
  EXPECT_NE(csv.find("\nx.jpg,object,0,1.00,1.00,5.00,5.00,0.2500,,\n"), std::string::npos) << csv;
  const auto lines = only(to_format({bare}, Format::kJson));
  EXPECT_EQ(Json::parse(lines)["phrases"][0]["regions"][0]["confidence"], nullptr);
  EXPECT_EQ(only(to_format(read_answers(lines, "x"), Format::kJson)), lines);
}

TEST(Formats, PagesHoldTheirPictureAndNoForeignMarkup) {
  const groma::testing::TemporaryFolder folder;
  const std::vector<std::uint8_t> rgb(200 * 100 * 3, 90);
  const auto image = Image::from_rgb(rgb.data(), 200, 100);
  auto one = answered();
  one.prompt = "</title><script>alert('1')</script>";
  for (const char* name : {"a.html", "a.svg"}) {
    const auto path = (folder.path() / name).string();
    save_answer(path, image, one);
    const auto text = io::read_text_file(path, 1 << 20);
    EXPECT_NE(text.find("data:image/jpeg;base64,/9j/"), std::string::npos);
    EXPECT_NE(text.find("two &lt;cats&gt;"), std::string::npos);
    EXPECT_EQ(text.find("<cats>"), std::string::npos);
    EXPECT_EQ(text.find("<script>alert"), std::string::npos);
    EXPECT_EQ(text.find("http://"), text.find("http://www.w3.org/2000/svg"));
  }
  EXPECT_THROW(save_answer((folder.path() / "a.gif").string(), image, one), Error);
}

}  // namespace
}  // namespace groma
